"""Several voices: what was asked, who has said what, and a form to ask anew."""

from typing import Any, Final

from django import forms
from django.contrib import admin, messages
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelect2MultipleWidget,
    UnfoldAdminSelect2Widget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from conversations import convene, ensemble, ensembles
from conversations.convene import Wish
from conversations.logic import ensemble as plan
from conversations.models import Ensemble, Voice
from entities import read
from swwbot_site.lib import clock
from swwbot_site.lib.adminkit import STATES, Record, column, told
from swwbot_site.lib.errors import BotError
from swwbot_site.lib.words import short, span

SMALL: Final = {"rows": 3}


def _choices() -> list[tuple[str, str]]:
    return [(one.slug, f"{one.username} ({one.slug})") for one in read.personas() if one.enabled]


def _text(label: str, usual: str) -> forms.CharField:
    """A prompt of one's own; the usual one is shown where nothing is written."""
    widget = UnfoldAdminTextareaWidget(attrs={"rows": 6, "placeholder": usual})
    return forms.CharField(label=label, required=False, strip=False, max_length=convene.LONGEST, widget=widget)


class AskForm(forms.ModelForm):  # type: ignore[type-arg]  # django-stubs: generic only for the type checker
    """A question to several entities."""

    question = forms.CharField(widget=UnfoldAdminTextareaWidget(attrs=SMALL), max_length=convene.LONGEST)
    entities = forms.MultipleChoiceField(
        label="Who is asked",
        choices=_choices,
        required=False,
        widget=UnfoldAdminSelect2MultipleWidget(),
        help_text="By their ids, in this order.",
    )
    count = forms.IntegerField(
        label="or so many, drawn by lot",
        required=False,
        min_value=1,
        max_value=plan.MOST,
        widget=UnfoldAdminIntegerFieldWidget(),
        help_text="Instead of those chosen. Neither: everybody who is enabled.",
    )
    synthesizer = forms.ChoiceField(label="Who writes the synthesis", choices=_choices, widget=UnfoldAdminSelect2Widget())
    model = forms.CharField(
        label="Model of the synthesis", required=False, max_length=300, widget=UnfoldAdminTextInputWidget(), help_text="Empty: its own."
    )
    number = forms.IntegerField(
        label="Message",
        required=False,
        min_value=1,
        widget=UnfoldAdminIntegerFieldWidget(),
        help_text="The number of the message that is answered, if it is one.",
    )
    post = forms.BooleanField(
        label="Post every answer",
        required=False,
        widget=UnfoldBooleanSwitchWidget(),
        help_text="Every voice and the synthesis, as answers to that message, within the limits of each entity.",
    )
    priority = forms.IntegerField(
        min_value=0, max_value=99, initial=50, widget=UnfoldAdminIntegerFieldWidget(), help_text="0 is first, 99 last."
    )
    minutes = forms.FloatField(
        required=False,
        min_value=0.1,
        max_value=convene.LATEST.total_seconds() / 60,
        widget=UnfoldAdminDecimalFieldWidget(),
        help_text="For the whole. Empty: 2 for each step, at least 10.",
    )
    voice_prompt = _text("Prompt of each voice", plan.VOICE)
    synthesis_prompt = _text("Prompt of the synthesis", plan.SYNTHESIS)

    class Meta:
        model = Ensemble
        fields = ("question",)  # the others are the wish's, and no columns

    def clean(self) -> dict[str, Any]:
        """Whatever the verb would refuse is told here."""
        cleaned: dict[str, Any] = super().clean() or {}
        if not self.errors:
            try:
                convene.check(self.wish(""))
            except BotError as error:
                self.add_error(None, str(error))
        return cleaned

    def wish(self, who: str) -> Wish:
        """What the form asks for."""
        given = self.cleaned_data
        chosen = tuple(given["entities"])
        return Wish(
            question=given["question"],
            who=given["count"] or chosen or "all",
            synthesizer=given["synthesizer"],
            model=given["model"],
            message=given["number"],
            post=given["post"],
            priority=given["priority"],
            seconds=given["minutes"] * 60 if given["minutes"] else None,
            voice_prompt=given["voice_prompt"],
            synthesis_prompt=given["synthesis_prompt"],
            asked_by=who,
        )


@admin.register(Ensemble)
class EnsembleAdmin(Record):
    """Nobody changes what was asked and said; anybody who may can ask anew, or call one off."""

    empty = "Ask several entities one question, and have another one write a synthesis."
    actions = ("call_off",)
    list_display = ("id", "badge", "asked", "progress", "synthesizer", "took", "asked_by", "created_at", "why")
    list_display_links = ("id", "asked")
    list_filter = ("state", "post")
    search_fields = ("=id", "=key", "question", "asked_by")
    search_help_text = "number, key, words of the question, or who asked"
    list_select_related = ("synthesizer",)
    fieldsets = (
        (None, {"fields": (("state", "reason"), "question", ("asked_by", "message", "post"), "synthesis", "course")}),
        (
            "How",
            {
                "fields": (("synthesizer", "synthesis_model"), ("priority", "key"), "voice_prompt", "synthesis_prompt"),
                "classes": ("collapse",),
            },
        ),
        ("When", {"fields": (("created_at", "deadline", "ended_at"),)}),
    )
    readonly_fields = ("synthesis", "course")
    add_fieldsets = (
        (None, {"fields": ("question", "entities", ("count", "synthesizer"), ("model", "priority", "minutes"))}),
        ("In the chat", {"fields": (("number", "post"),)}),
        ("Prompts of one's own", {"fields": ("voice_prompt", "synthesis_prompt"), "classes": ("collapse",)}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        own = Voice.objects.filter(ensemble=OuterRef("pk"), synthesis=False).order_by().values("ensemble")
        answered = own.filter(state="done").annotate(n=Count("pk")).values("n")
        everybody = own.annotate(n=Count("pk")).values("n")
        found: QuerySet[Any] = super().get_queryset(request)
        counted: QuerySet[Any] = found.annotate(answered_n=Coalesce(Subquery(answered), 0), voices_n=Coalesce(Subquery(everybody), 0))
        return counted

    # --- asking --------------------------------------------------------------------------------------------------
    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("conversations.add_ensemble"))

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fieldsets if obj else self.add_fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.readonly_fields if obj else ()

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        return super().get_form(request, obj, change, **kwargs) if obj else AskForm

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> Any:
        return super().add_view(request, form_url, {**(extra_context or {}), "title": "Ask several"})

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Ask."""
        obj.pk = convene.convene(form.wish(request.user.get_username()), clock.now())
        obj.refresh_from_db()

    # --- calling off ---------------------------------------------------------------------------------------------
    def has_cancel_permission(self, request: HttpRequest) -> bool:
        """Whether this person may call ensembles off; the rows themselves nobody changes."""
        return bool(request.user.has_perm("conversations.change_ensemble"))

    @admin.action(description="Call off", permissions=["cancel"])
    def call_off(self, request: HttpRequest, queryset: QuerySet[Ensemble]) -> None:
        who, now = request.user.get_username(), clock.now()
        n = sum(ensemble.cancel(pk, who, now) for pk in queryset.values_list("pk", flat=True))
        messages.success(request, f"{n} called off.")

    # --- columns -------------------------------------------------------------------------------------------------
    @column("state", ordering="state", label=STATES)
    def badge(self, row: Ensemble) -> str:
        return row.state

    @column("question")
    def asked(self, row: Ensemble) -> str:
        return short(row.question)

    @column("answered")
    def progress(self, row: Any) -> str:
        return f"{row.answered_n} of {row.voices_n}"

    @column("took")
    def took(self, row: Ensemble) -> str:
        return span(row.ended_at - row.created_at if row.ended_at else None)

    @column("reason")
    def why(self, row: Ensemble) -> str:
        return short(row.reason, 60)

    @column("synthesis")
    def synthesis(self, row: Ensemble) -> str:
        return row.text or "–"

    @column("voices")
    def course(self, row: Ensemble) -> SafeString:
        headers = ("", "who", "state", "said", "by", "took")
        rows = (
            (
                one.ordinal + 1,
                f"{one.username}, the synthesis" if one.synthesis else one.username,
                f"{one.state}, {one.posted}" if one.posted and one.posted != one.state else one.state,
                one.text + (f" ({one.reason})" if one.text and one.reason else one.reason),
                " on ".join(name for name in (one.model, one.server) if name) or "–",
                span(one.seconds).replace(" ", "\u00a0"),
            )
            for one in ensembles.spoken(row)
        )
        return told(headers, rows)
