"""A recorded stretch decided once more, with the same or other personas and rules, in simulated time; nothing else is done.

The rule of the replay: the conversation goes on as it would have gone on.

* What people and strangers' bots wrote comes when it came, and is decided when it was decided then.
* An answer that was given then and would be given now has its fate of then: its text, its post and the moment of it, or the reason why
  it came to nothing. If its limits let it go earlier or later than then, all of that moves with it.
* An answer that would be given now and was not then is posted `answer_s` after its limits allow it, with a text that says nothing (`STUB`);
  one that needs a person's approval is not posted. Its post is a line of the later windows, counts in runs of bots, and is decided about.
* An answer that was given then and would not be now is not there: neither is its post, nor what was decided about that.
* Whatever no verdict decided about stands as it was: answers before the stretch, voices of ensembles, what strangers wrote to a post that
  is gone.
* Limits count simulated permits. Nothing is decided after the end of the recording.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from heapq import heappop, heappush
from itertools import count
from typing import Any, Final

from conversations.logic import hearing, turnout, turnstile
from conversations.logic.allowance import HERE, Allowance
from conversations.logic.ambient import Means
from conversations.logic.cast import Cast
from conversations.logic.dice import throw
from conversations.logic.lifecycle import ReplyState
from conversations.logic.message import Line
from conversations.logic.outcome import STUB, Outcome, Taken, Tools
from conversations.logic.overrides import overrides
from conversations.logic.recording import Given, Heard, Recording
from conversations.logic.verdict import Yes, decide
from conversations.logic.waiting import Queue, Waiting
from conversations.logic.world import Said, World
from entities.logic.quota import Rule

_FIXED, _ARRIVE, _DECIDE, _ADMIT = range(4)
"""What happens at one moment happens in this order."""

_LAST: Final = 2**62
"""Behind every message of the recording that came at the same moment."""


class Replay:
    """One replay; `run` it once."""

    def __init__(self, recording: Recording, cast: Cast, allowance: Allowance, tools: Tools) -> None:
        self._cast, self._allowance, self._tools = cast, allowance, tools
        self._url = recording.house.url
        self._world = World(recording.house)
        self._events: list[tuple[datetime, int, int, int, Any]] = []
        self._number = count()
        self._queue = Queue(allowance, self._grant)
        self._posts = {one.line.remote_id: one for one in recording.heard if one.line.own}
        judged = {one.line.remote_id for one in recording.heard if one.judged}
        again = [one for one in recording.given if one.replayed and one.message in judged]
        self._given = {(one.message, one.slug): one for one in again}
        self._then: dict[str, tuple[Given, ...]] = {}
        for one in again:
            self._then[one.message] = (*self._then.get(one.message, ()), one)
        mine = {one.outgoing_id for one in again if one.outgoing_id}
        for given in recording.given:
            if (given.message, given.slug) not in self._given:
                self._at(given.decided, _FIXED, _said(given))
        for heard in recording.heard:
            if heard.line.remote_id not in mine:
                self._at(heard.arrived, _ARRIVE, heard, heard.line.id)
        for other in recording.others:
            allowance.add(other.slug, other.reserved, other.settled, spent=other.spent, here=other.here)
        self._unseen = {one.line.remote_id: one for one in recording.heard if one.judged}
        self._end = max((max(one.arrived, one.decided or one.arrived) for one in recording.heard), default=None)

    def run(self) -> Iterator[Outcome]:
        """Every message that is decided, in the order of the decisions; at the end those that had answers then and do not come now."""
        while self._events:
            at, kind, _, _, what = heappop(self._events)
            if kind == _FIXED:
                self._world.answer(what)
            elif kind == _ARRIVE:
                self._arrive(what)
            elif kind == _ADMIT:
                if (look := self._queue.admit(at)) is not None:
                    self._at(look, _ADMIT, None)
            elif self._end is not None and at <= self._end:
                yield self._decide(what, at)
        for ident, heard in self._unseen.items():
            if then := self._then.get(ident):
                told = {"why": "nobody posts this message now", "yes": [], "no": {}, "noes": {}}
                yield Outcome(heard=heard, told=told, then=then)

    def _at(self, moment: datetime, kind: int, what: Any, order: int = 0) -> None:
        heappush(self._events, (moment, kind, order, next(self._number), what))

    def _arrive(self, heard: Heard) -> None:
        heard = self._world.arrive(heard)
        if heard.judged:
            self._at(heard.decided or heard.arrived, _DECIDE, heard, heard.line.timestamp)

    def _decide(self, heard: Heard, now: datetime) -> Outcome:
        line, cast = heard.line, self._cast
        before = self._world.before(line, hearing.wanted(line, cast))
        room = self._world.room(heard, before, now, bots=cast.audience.answers_bots)
        scene = hearing.scene(line, before, room, cast, gap_s=self._world.house.window_gap_s)
        means = Means(
            dice=self._tools.dice(line.remote_id), weigh=partial(self._tools.weigh, scene, cast), strategies=self._tools.strategies
        )
        verdict = decide(scene, cast.audience, means)
        told = verdict.document()
        outcome = Outcome(heard=heard, told=told, then=self._then.get(line.remote_id, ()))
        self._unseen.pop(line.remote_id, None)
        if verdict.yes:
            turnout.settle(verdict, told, partial(self._answer, outcome, now))
        self._tools.watch(outcome, scene, verdict)
        return outcome

    # --- limits ---------------------------------------------------------------------------------------------------
    def _answer(self, outcome: Outcome, now: datetime, yes: Yes) -> tuple[str, str]:
        """Let an entity answer, at once or when its limits allow it; why not and the kind of that reason, or two empty texts."""
        heard, persona = outcome.heard, yes.persona
        try:
            wishes = overrides(heard.line, persona, partial(throw, heard.line.remote_id, persona.slug))
        except ValueError as error:
            return str(error), turnout.MISDIRECTED
        until = turnstile.deadline(_born(heard), persona, now)
        quota = self._allowance.quota(persona.slug, now, turnstile.ahead(self._queue.lines(), (persona.id, HERE)))
        if not quota.allowed and (why := turnstile.refused(quota, persona, yes.mode, until)):
            outcome.refused[persona.slug] = why
            return why, turnout.LIMITED
        said = Said(
            slug=persona.slug, username=wishes.username, mode=yes.mode.value, conversation=heard.line.conversation, decided=now, ended=None
        )
        taken = Taken(yes=yes, wishes=wishes, said=said, quota=quota)
        outcome.now.append(taken)
        self._world.answer(said)
        if quota.allowed:
            self._grant(taken, heard, now)
            return "", ""
        given = self._given.get((heard.line.remote_id, persona.slug))
        asked = given.reserved if given and given.reserved and given.reserved > now else quota.free_at or now
        look = self._queue.join(Waiting(taken=taken, heard=heard, number=next(self._number), deadline=until, ask_at=asked))
        self._at(look, _ADMIT, None)
        return "", ""

    # --- what becomes of it ---------------------------------------------------------------------------------------
    def _grant(self, taken: Taken, heard: Heard, now: datetime) -> None:
        said, persona = taken.said, taken.yes.persona
        given = self._given.get((heard.line.remote_id, said.slug))
        if given is not None and given.reserved is not None:
            self._as_then(taken, given, now - given.reserved, now)
            return
        if persona.hold:
            said.held = now
            self._allowance.add(said.slug, now, None, spent=False)
            return
        posted = now + timedelta(seconds=self._tools.answer_s)
        said.outgoing_id, said.accepted, said.ended = f"replayed:{heard.line.remote_id}:{said.slug}", posted, posted
        self._world.posts(said)
        self._allowance.add(said.slug, now, posted, spent=True)
        line = Line(
            id=0,
            remote_id=said.outgoing_id,
            text=STUB,
            username=said.username,
            color=taken.wishes.color,
            kind="AI",
            timestamp=int(posted.timestamp() * 1000),
            born=posted,
            own=True,
            domain=heard.line.domain,
            reply_to=heard.line.remote_id,
            conversation=said.conversation,
        )
        self._at(posted, _ARRIVE, Heard(line=line, arrived=posted), _LAST)

    def _as_then(self, taken: Taken, given: Given, later: timedelta, now: datetime) -> None:
        """It fares as it did then, `later`."""
        said = taken.said
        taken.text = given.text
        said.outgoing_id, said.end = given.outgoing_id, given.state
        said.accepted, said.ended = _moved(given.accepted, later), _moved(given.ended, later)
        if given.approved is not None or given.state == ReplyState.HELD:
            said.held, said.let_go = _moved(given.ready, later), _moved(given.approved, later)
        self._allowance.add(said.slug, now, _moved(given.settled, later), spent=given.spent, known=said.ended)
        if said.outgoing_id:
            self._world.posts(said)
        if (heard := self._posts.get(given.outgoing_id)) is not None:
            self._at(heard.arrived + later, _ARRIVE, _shifted(heard, later) if later else heard, heard.line.id)


def allowance(personas: Cast, own: Mapping[str, Sequence[Rule]], common: Sequence[Rule], feed: str) -> Allowance:
    """The ledger of a replay in a feed; rules of other feeds do not bind there."""

    def binding(rules: Sequence[Rule]) -> list[Rule]:
        return [
            rule if rule.feed_id is None else replace(rule, feed_id=HERE) for rule in rules if rule.feed_id is None or rule.feed == feed
        ]

    return Allowance({slug: binding(own.get(slug, ())) for slug in personas.by_slug}, binding(common))


def _born(heard: Heard) -> datetime:
    return heard.line.born or heard.arrived


def _moved(moment: datetime | None, later: timedelta) -> datetime | None:
    return None if moment is None else moment + later


def _shifted(heard: Heard, later: timedelta) -> Heard:
    line = heard.line
    moved = replace(line, timestamp=line.timestamp + int(later.total_seconds() * 1000), born=_moved(line.born, later))
    return replace(heard, line=moved, arrived=heard.arrived + later, decided=_moved(heard.decided, later))


def _said(given: Given) -> Said:
    """An answer that stands as it was."""
    held = given.ready if given.approved is not None or given.state == ReplyState.HELD else None
    return Said(
        slug=given.slug,
        username=given.username,
        mode=given.mode,
        conversation=given.conversation,
        decided=given.decided,
        outgoing_id=given.outgoing_id,
        accepted=given.accepted,
        ended=given.ended,
        end=given.state,
        held=held,
        let_go=given.approved,
    )
