"""What a person does with answers: approve, change, reject, want again. Every deed is a POST, asked for once more before it is done."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from conversations.approve import approve, edit, reject
from conversations.logic.lifecycle import ReplyState
from conversations.models import Reply
from conversations.requeue import requeue
from swwbot_site.lib.errors import BotError


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """One verb as it is asked for: the question, the button, and whether it needs a reason."""

    question: str
    button: str
    action: str
    reason: bool = False


DEEDS: Final[Mapping[str, Deed]] = {
    "approve": Deed(question="Post this in public?", button="Yes, post it", action="approve_chosen"),
    "reject": Deed(question="Never post this?", button="Yes, reject it", action="reject_chosen", reason=True),
    "requeue": Deed(
        question="Bring this on its way again? What was written is posted; what was not is asked of the model again.",
        button="Yes, bring it on its way",
        action="requeue_chosen",
    ),
}

SAID: Final = {"approve": "approved", "reject": "rejected", "requeue": "on the way again"}


class Judging:
    """The actions of the list and the buttons of one answer; name `approve_chosen`, `reject_chosen`, `requeue_chosen` among the actions."""

    def has_judge_permission(self, request: HttpRequest) -> bool:
        """Who may change replies may judge them; their rows are written by engines alone."""
        return bool(request.user.has_perm("conversations.change_reply"))

    @admin.action(description="Approve", permissions=["judge"])
    def approve_chosen(self, request: HttpRequest, queryset: QuerySet[Reply]) -> HttpResponse | None:
        return self._chosen(request, queryset, "approve")

    @admin.action(description="Reject", permissions=["judge"])
    def reject_chosen(self, request: HttpRequest, queryset: QuerySet[Reply]) -> HttpResponse | None:
        return self._chosen(request, queryset, "reject")

    @admin.action(description="Requeue", permissions=["judge"])
    def requeue_chosen(self, request: HttpRequest, queryset: QuerySet[Reply]) -> HttpResponse | None:
        return self._chosen(request, queryset, "requeue")

    def _chosen(self, request: HttpRequest, queryset: QuerySet[Reply], verb: str) -> HttpResponse | None:
        chosen = list(queryset.select_related("message", "entity").order_by("pk"))
        if "sure" not in request.POST:
            return self._ask(request, chosen, verb, fields={"action": DEEDS[verb].action}, back=request.get_full_path())
        _done(request, [row.pk for row in chosen], verb)
        return None

    def get_urls(self) -> list[URLPattern]:
        """The address of the buttons."""
        view = self.admin_site.admin_view(self.judge)  # type: ignore[attr-defined]  # a mixin of admin pages
        urls: list[URLPattern] = super().get_urls()  # type: ignore[misc]
        return [path("<int:pk>/judge/", view, name="conversations_reply_judge"), *urls]

    def judge(self, request: HttpRequest, pk: int) -> HttpResponse:
        """One answer: ask, or do it."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_judge_permission(request):
            return HttpResponse("You may not judge answers.", status=403)
        verb, text = request.POST.get("verb", ""), request.POST.get("text")
        row = Reply.objects.select_related("message", "entity").filter(pk=pk).first()
        if row is None or verb not in DEEDS:
            raise Http404
        back = reverse("admin:conversations_reply_change", args=[pk])
        if "sure" not in request.POST:
            fields = {"verb": verb} | ({} if text is None else {"text": text})
            return self._ask(request, [row], verb, fields=fields, back=back, text=text)
        _done(request, [pk], verb, text)
        return HttpResponseRedirect(back)

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The page, with what may be done with the answer."""
        known = object_id is not None and object_id.isdecimal() and len(object_id) < 19
        row = Reply.objects.select_related("message__feed").filter(pk=int(object_id or 0)).first() if known else None
        verbs = possible(row) if row is not None and self.has_judge_permission(request) else ()
        response: HttpResponse = super().changeform_view(  # type: ignore[misc]
            request, object_id, form_url, {**(extra_context or {}), "verbs": verbs, "reply": row}
        )
        return response

    def _ask(
        self, request: HttpRequest, rows: Sequence[Reply], verb: str, *, fields: Mapping[str, str], back: str, text: str | None = None
    ) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),  # type: ignore[attr-defined]
            "title": DEEDS[verb].button.removeprefix("Yes, ").capitalize(),
            "deed": DEEDS[verb],
            "rows": [(row, row.text if text is None else text) for row in rows],
            "fields": fields,
            "ids": [row.pk for row in rows] if "action" in fields else [],
            "back": back,
            "why": request.POST.get("why", ""),
        }
        return TemplateResponse(request, "conversations/judge.html", context)


def possible(row: Reply) -> tuple[str, ...]:
    """What may be done with an answer now."""
    if row.state == ReplyState.HELD:
        return ("approve", "reject")
    return ("requeue",) if row.state in (ReplyState.FAILED, ReplyState.DROPPED) else ()


def _done(request: HttpRequest, ids: Sequence[int], verb: str, text: str | None = None) -> None:
    """Do it, and say of how many; each that was refused says why."""
    who, done, refused = request.user.get_username(), 0, 0
    if verb == "reject":
        done = reject(ids, who, request.POST.get("why", ""))
    elif verb == "approve" and text is None:
        done = approve(ids, who)
    else:
        for pk in ids:
            try:
                done += edit(pk, text or "", who) if verb == "approve" else bool(requeue(pk, who))
            except BotError as refusal:
                refused += 1
                messages.error(request, str(refusal))
    if done:
        messages.success(request, f"{done} {'answer is' if done == 1 else 'answers are'} {SAID[verb]}.")
    elif not refused:
        messages.warning(request, "Nothing of that was on hold any more: somebody was first.")
