"""The queue: one row for each request to a model."""

from typing import Any, Final

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AutocompleteSelectFilter

from cluster import hurry, queue
from cluster.explain import attempts, contenders, explain
from cluster.logic.lifecycle import ENDED, GenerationState
from cluster.models import Generation, Seat
from cluster.waiting import BANDS
from swwbot_site.lib import clock
from swwbot_site.lib.adminkit import STATES, Record, column, facts, pretty, told
from swwbot_site.lib.deeds import Deed, Doing
from swwbot_site.lib.words import span

RIGHT = "cluster.change_generation"
FIRST: Final = 0
"""The priority of what is brought forward in the list."""

STEPS: Final = (("0", "0, before everything"), ("10", "10, critical"), ("30", "30, high"), ("50", "50, as usual"))


class Band(admin.SimpleListFilter):
    """By name of priority."""

    title = "priority"
    parameter_name = "band"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        first, found = 0, []
        for name, last in BANDS:
            found.append((name, f"{name}, {first}–{last}"))
            first = last + 1
        return found

    def queryset(self, request: HttpRequest, queryset: QuerySet[Generation]) -> QuerySet[Generation]:
        first = 0
        for name, last in BANDS:
            if self.value() == name:
                return queryset.filter(priority__gte=first, priority__lte=last)
            first = last + 1
        return queryset


DEEDS = (
    Deed(
        name="hurry",
        label="Bring forward",
        sure="Give these requests a more urgent priority, and the turn that goes with it?",
        yes="Yes, bring forward",
        done="brought forward",
        does=lambda row, who, choice: hurry.hurry(row.pk, int(choice), who),
        needs=RIGHT,
        fits=lambda row: row.state == GenerationState.QUEUED,
        ask="Priority",
        choices=lambda _: STEPS,
        usual=str(FIRST),
    ),
    Deed(
        name="cancel",
        label="Call off",
        sure="Call these requests off? What they have written so far is lost, and an answer that waits for one fails.",
        yes="Yes, call off",
        done="called off",
        does=lambda row, who, _: queue.cancel(row.pk, clock.now(), f"called off by {who}"),
        needs=RIGHT,
        fits=lambda row: row.state in (GenerationState.QUEUED, GenerationState.RUNNING),
        danger=True,
    ),
    Deed(
        name="again",
        label="Ask again",
        sure="Ask again? A running request goes back into the queue, for another server first. Of an ended one a copy is queued: nobody "
        "posts its answer. What was to be posted is brought back under Replies.",
        yes="Yes, ask again",
        done="in the queue again",
        does=lambda row, who, _: hurry.again(row.pk, who, clock.now()),
        needs=RIGHT,
        fits=lambda row: row.state in (GenerationState.RUNNING, *ENDED),
    ),
)


@admin.register(Generation)
class GenerationAdmin(Doing, Record):
    """Read-only: engines write it, `manage.py trace` tells its story. People bring forward, call off, and ask again."""

    empty = "Each request to a model stands here, from personas and from programs."
    deeds = DEEDS
    list_display = (
        "id",
        "badge",
        "model",
        "priority",
        "caller",
        "server",
        "waited",
        "took",
        "tokens",
        "attempts",
        "error_code",
        "queued_at",
    )
    list_filter = ("state", Band, ("model", AutocompleteSelectFilter), ("server", AutocompleteSelectFilter), "cached")
    search_fields = ("=id", "caller", "error_code")
    search_help_text = "number, caller or error code"
    ordering = ("-id",)
    fieldsets = (
        (None, {"fields": (("state", "priority", "attempts"), ("model", "pin", "deadline"), ("caller", "cached"))}),
        ("Answer", {"fields": ("text", "reasoning", ("finish_reason", "prompt_tokens", "completion_tokens"), ("error_code", "error"))}),
        ("Where and why", {"fields": (("server", "placement", "avoid"), "decided", "runners_up", "attempts_made")}),
        (
            "When",
            {
                "fields": (
                    ("queued_at", "share_at", "turn_at"),
                    ("not_before", "leader", "seated_at"),
                    ("asked_at", "first_token_at", "ended_at"),
                )
            },
        ),
        ("Request", {"fields": ("asked",), "classes": ("collapse",)}),
    )
    readonly_fields = ("decided", "runners_up", "attempts_made", "asked")

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("model", "server", "placement", "placement__model", "placement__server", "pin")

    @column("state", ordering="state", label=STATES)
    def badge(self, row: Generation) -> str:
        return row.state

    @column("waited")
    def waited(self, row: Generation) -> str:
        return span((row.asked_at or row.ended_at or clock.now()) - row.queued_at)

    @column("took")
    def took(self, row: Generation) -> str:
        return span(row.ended_at - row.asked_at if row.ended_at and row.asked_at else None)

    @column("tokens")
    def tokens(self, row: Generation) -> str:
        return "–" if row.completion_tokens is None else f"{row.prompt_tokens or 0} + {row.completion_tokens}"

    @column("decision")
    def decided(self, row: Generation) -> SafeString:
        return facts(explain(row).lines())

    @column("who came into question")
    def runners_up(self, row: Generation) -> SafeString:
        found = contenders(row.decision)
        words = [name for name, _ in found[0].score] if found else []
        rows = (
            (
                f"{one.server} (chosen)" if one.chosen else one.server,
                f"{one.expected_s:g}",
                one.in_flight,
                *(value for _, value in one.score),
            )
            for one in found
        )
        return told(["server", "expected, s", "in flight", *words], rows)

    @column("attempts that failed")
    def attempts_made(self, row: Generation) -> SafeString:
        rows = ((one.server or "no server", one.at[11:19], one.code, one.text, f"again: {one.retry}") for one in attempts(row.tried))
        return told(["server", "at, UTC", "code", "what went wrong", ""], rows)

    @column("request")
    def asked(self, row: Generation) -> SafeString:
        return pretty(row.request)


@admin.register(Seat)
class SeatAdmin(Record):
    """The answers in flight."""

    empty = "Nothing is being answered at this moment."
    list_display = ("generation", "placement", "taken_at", "lease_owner", "lease_until")
    list_filter = (("placement__server", AutocompleteSelectFilter),)
    list_select_related = ("generation", "placement", "placement__model", "placement__server")
