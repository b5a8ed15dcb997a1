"""The why page: everything that was decided about a message, about each answer to it, and where each was written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from cluster import read as cluster
from cluster.explain import Explanation, explained
from cluster.read import Asked, Story
from conversations.models import Message
from conversations.trace import Journey, Way, message_of, trace
from swwbot_site.models import Event
from swwbot_site.monitoring.stages import Stage, stages
from swwbot_site.monitoring.status import MAY_READ, staff

WHOLE: Final = 5
"""So many answers to one message are told whole on its page; the others by a link."""

EVENTS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An earlier try at an answer. `cleaned` are the steps that left nothing of it."""

    generation: Any
    text: str
    why: str
    cleaned: tuple[str, ...]
    explanation: Explanation | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One answer with all that is known of it. `chance` and `dice` are percent; None where no dice were thrown."""

    way: Way
    rules: tuple[str, ...]
    factors: tuple[tuple[str, Any], ...]
    chance: float | None
    dice: float | None
    left: tuple[tuple[str, Any], ...]
    shown: tuple[str, ...]
    prompt: Mapping[str, Any]
    cleaned: tuple[str, ...]
    stages: tuple[Stage, ...]
    asked: Asked | None
    story: Story | None
    explanation: Explanation | None
    scores: tuple[str, ...]
    """The words of the contenders' numbers."""
    drafts: tuple[Draft, ...]


@never_cache
@require_safe
def reply(request: HttpRequest, pk: int) -> HttpResponse:
    """`/why/reply/ID`: one answer, posted or not."""
    _admit(request)
    if not staff(request):
        return redirect_to_login(request.path, reverse("admin:login"))
    found = message_of(pk)
    if found is None:
        raise Http404
    journey = trace(found)
    return _page(request, journey, [way for way in journey.ways if way.reply == pk], chosen=pk)


@never_cache
@require_safe
def message(request: HttpRequest, pk: int) -> HttpResponse:
    """`/why/message/ID`: a message, who answers it, and why everybody else does not."""
    _admit(request)
    if not staff(request):
        return redirect_to_login(request.path, reverse("admin:login"))
    try:
        journey = trace(pk)
    except Message.DoesNotExist as nothing:
        raise Http404 from nothing
    return _page(request, journey, journey.ways[:WHOLE])


def _admit(request: HttpRequest) -> None:
    if staff(request) and not request.user.has_perm(MAY_READ):
        raise PermissionDenied("You may not read answers.")


def _page(request: HttpRequest, journey: Journey, ways: Sequence[Way], chosen: int | None = None) -> HttpResponse:
    ids = [way.generation for way in ways if way.generation]
    drafted = [one.get("generation") for way in ways for one in way.drafts]
    reasons = explained([*ids, *(number for number in drafted if isinstance(number, int))])
    stories = cluster.stories(ids)
    verdict = journey.verdict
    subjects = [f"message:{journey.message}", *(f"reply:{way.reply}" for way in ways), *(f"generation:{number}" for number in ids)]
    context = {
        "journey": journey,
        "chosen": chosen,
        "verdict": verdict,
        "noes": sorted(_pairs(verdict.get("noes")), key=lambda one: str(one[0])),
        "no": _pairs(verdict.get("no")),
        "facts": _pairs(verdict.get("facts")),
        "ways": [_told(journey, way, reasons, stories) for way in ways],
        "others": [way for way in journey.ways if way not in ways],
        "events": Event.objects.filter(subject__in=subjects).order_by("id")[:EVENTS],
    }
    return render(request, "why/page.html", context)


def _told(journey: Journey, way: Way, reasons: Mapping[int, Explanation], stories: Mapping[int, Story]) -> Told:
    verdict, number = way.verdict, way.generation or 0
    explanation = reasons.get(number)
    limits = verdict.get("left")
    chance, dice = verdict.get("chance"), verdict.get("dice")
    contenders = explanation.contenders if explanation else ()
    return Told(
        way=way,
        rules=_texts(verdict.get("rules")),
        factors=_pairs(verdict.get("factors")),
        chance=_percent(chance),
        dice=_percent(dice),
        left=tuple((str(one.get("rule")), one.get("left")) for one in limits if isinstance(one, dict)) if isinstance(limits, list) else (),
        shown=_texts(verdict.get("shown")),
        prompt=dict(_pairs(verdict.get("prompt"))),
        cleaned=_texts(verdict.get("cleaned")),
        stages=stages((*journey.steps[:2], *(step for step in way.steps if step.name != "tried before"))),
        asked=cluster.asked(number) if number else None,
        story=stories.get(number),
        explanation=explanation,
        scores=tuple(name for name, _ in contenders[0].score) if contenders else (),
        drafts=tuple(_draft(one, reasons) for one in way.drafts),
    )


def _draft(kept: Mapping[str, Any], reasons: Mapping[int, Explanation]) -> Draft:
    number = kept.get("generation")
    return Draft(
        generation=number,
        text=str(kept.get("text", "")),
        why=str(kept.get("why", "")),
        cleaned=_texts(kept.get("cleaned")),
        explanation=reasons.get(number) if isinstance(number, int) else None,
    )


def _pairs(value: Any) -> tuple[tuple[str, Any], ...]:
    """The pairs of a JSON object; of anything else none."""
    return tuple(value.items()) if isinstance(value, dict) else ()


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(str(one) for one in value) if isinstance(value, list) else ()


def _percent(value: Any) -> float | None:
    return round(100 * min(1.0, max(0.0, float(value))), 2) if isinstance(value, int | float) else None
