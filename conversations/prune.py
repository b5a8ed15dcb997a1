"""What of the conversation goes when it is old: messages with the answers to them, what was heavy in both, engines that ended.

A feed may show a message again long after its row went: a backend that ignores `after`, a queue that hands it out once more. So before
anything goes, the feed's mark moves: what is not newer than `forgotten` is never a new message again (see `ingest`). The mark stays
behind everything that a poll asks for, so whatever is in an overlap window has its row.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

from django.db import transaction
from django.db.models import Exists, ExpressionWrapper, F, FloatField, Func, JSONField, OuterRef, Q

from conversations.logic.lifecycle import ENDED, Debt, EnsembleState
from conversations.models import Engine, Ensemble, Feed, Message, Reply, Voice
from swwbot_site.lib import clock
from swwbot_site.lib.pruning import Chosen, Cut, erase, locked, some, walk

BEHIND_MS: Final = 2 * 3_600_000
"""The mark stays so far behind what a poll looks back at, which may be an hour more for what waits in the feed's queue."""

LIGHT: Final = "kept"
"""In a verdict whose details are gone: false."""


def mark(before: datetime) -> int:
    """Move the marks of all feeds up to `before`, as far as their polls allow. Returns how many moved."""
    return sum(_mark(pk, before) for pk in Feed.objects.filter(cursor__isnull=False).order_by("pk").values_list("pk", flat=True))


@transaction.atomic
def _mark(feed_id: int, before: datetime) -> bool:
    feed = Feed.objects.select_for_update(no_key=True).filter(pk=feed_id, cursor__isnull=False).first()
    if feed is None or feed.cursor is None:
        return False
    until = min(clock.millis(before), feed.cursor - BEHIND_MS - int(feed.overlap_s * 1000))
    if feed.forgotten is not None and until <= feed.forgotten:
        return False
    return bool(Feed.objects.filter(pk=feed_id).update(forgotten=until))


MARKED: Final = Q(timestamp__lte=F("feed__forgotten"))


def _markable(before: datetime) -> Q:
    """What the marks would reach if they moved."""
    seen = ExpressionWrapper(F("feed__cursor") - BEHIND_MS - F("feed__overlap_s") * 1000.0, output_field=FloatField())
    return Q(timestamp__lte=clock.millis(before)) & Q(timestamp__lte=seen)


def messages(cut: Cut, counted: int, *, marked: bool = True) -> Chosen:
    """Messages that were dealt with long ago: judged, every answer to them ended, nothing owed to the feed, counted (up to `counted`)."""
    walked = walk(Message.objects.filter(pk__lte=counted), "received_at", cut)
    if not walked.ids:
        return walked.only(())
    over = Q(state__in=ENDED, ended_at__lt=cut.before)
    silent = ~Q(state=EnsembleState.RUNNING) & Q(ended_at__lt=cut.before)
    rows = Message.objects.filter(pk__in=walked.ids, decided_at__lt=cut.before).filter(MARKED if marked else _markable(cut.before))
    rows = rows.exclude(state=Debt.OWED).exclude(Exists(Reply.objects.filter(message=OuterRef("pk")).exclude(over)))
    ids = locked(rows.exclude(Exists(Ensemble.objects.filter(message=OuterRef("pk")).exclude(silent))))
    replies, ensembles = Reply.objects.filter(message__in=ids), Ensemble.objects.filter(message__in=ids)
    # Whoever wants an answer again has its row: what cannot be locked, or has changed since, keeps its message.
    wanted = {*replies.exclude(pk__in=locked(replies.filter(over))).values_list("message_id", flat=True)}
    wanted |= {*ensembles.exclude(pk__in=locked(ensembles.filter(silent))).values_list("message_id", flat=True)}
    return walked.only([pk for pk in ids if pk not in wanted])


def forget(ids: Sequence[int]) -> dict[str, int]:
    """Delete messages with all answers to them."""
    replies = list(Reply.objects.filter(message__in=ids).values_list("pk", flat=True))
    gone = quieten(list(Ensemble.objects.filter(message__in=ids).values_list("pk", flat=True)))
    Voice.objects.filter(reply__in=replies).update(reply=None)
    return {**gone, "replies": erase(Reply, replies), "messages": erase(Message, ids)}


def ensembles(cut: Cut) -> Chosen:
    """Questions to several voices that answered no message and ended long ago."""
    rows = Ensemble.objects.exclude(state=EnsembleState.RUNNING).filter(message__isnull=True, ended_at__lt=cut.before)
    return walk(Ensemble.objects.filter(message__isnull=True), "created_at", cut).of(rows)


def quieten(ids: Sequence[int]) -> dict[str, int]:
    """Delete ensembles with their voices."""
    erase(Voice, list(Voice.objects.filter(ensemble__in=ids).values_list("pk", flat=True)))
    return {"ensembles": erase(Ensemble, ids)}


def heavy(cut: Cut) -> Chosen:
    """Messages that were judged long ago."""
    walked = walk(Message.objects.all(), "received_at", cut)
    return walked.of(Message.objects.filter(decided_at__lt=cut.before).exclude(verdict__has_key=LIGHT))


def lighten(ids: Sequence[int]) -> dict[str, int]:
    """Take out of messages the lines that their authors saw, and out of verdicts who did not answer and why."""
    less = Func(
        F("verdict"), template="(%(expressions)s - '{no,noes,facts}'::text[] || '{\"kept\": false}'::jsonb)", output_field=JSONField()
    )
    return {"verdicts": Message.objects.filter(pk__in=ids).update(verdict=less, context=None)}


def replies(cut: Cut) -> Chosen:
    """Answers that ended long ago."""
    walked = walk(Reply.objects.all(), "decided_at", cut)
    return walked.of(Reply.objects.filter(state__in=ENDED, ended_at__lt=cut.before).exclude(verdict__has_key=LIGHT))


def shorten(ids: Sequence[int]) -> dict[str, int]:
    """Take out of answers what their models were shown, and what was written before."""
    less = Func(
        F("verdict"),
        template="(%(expressions)s - '{shown,prompt,factors}'::text[] || '{\"kept\": false}'::jsonb)",
        output_field=JSONField(),
    )
    return {"reasons": Reply.objects.filter(pk__in=ids).update(verdict=less, drafts=[], prepared=None)}


def needed(generations: Sequence[int]) -> Collection[int]:
    """Those of these requests whose words somebody waits for: an answer that has not ended, an ensemble that runs."""
    answers = Reply.objects.filter(generation__in=generations).exclude(state__in=ENDED)
    voices = Voice.objects.filter(generation__in=generations, ensemble__state=EnsembleState.RUNNING)
    return {*answers.values_list("generation_id", flat=True), *voices.values_list("generation_id", flat=True)} - {None}


def engines(cut: Cut) -> Chosen:
    """Engines that ended long ago, or were not heard of since."""
    return some(Engine.objects.filter(Q(ended_at__lt=cut.before) | Q(ended_at__isnull=True, beat_at__lt=cut.before)), cut)


def dismiss(ids: Sequence[int]) -> dict[str, int]:
    """Delete engines."""
    return {"engines": erase(Engine, ids)}
