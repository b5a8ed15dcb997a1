"""The chat of a replay as it stands at a simulated moment: what has been said in each conversation, and our own answers."""

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from conversations.logic import loopguard, staging
from conversations.logic.lifecycle import ReplyState
from conversations.logic.loopguard import Run
from conversations.logic.message import Line
from conversations.logic.recording import Heard, House
from conversations.logic.scene import Room
from conversations.logic.staging import UNREAD, Answer, Bots

LONGEST_TEXT: Final = 10_000
"""Characters that are kept of a line before the message."""

DEAD: Final = (ReplyState.DROPPED, ReplyState.FAILED)


@dataclass(slots=True, kw_only=True)
class Said:
    """One of our answers in the replay, and what becomes of it. `end` is its state from `ended` on; None: it never ends."""

    slug: str
    username: str
    mode: str
    conversation: str
    decided: datetime
    outgoing_id: str = ""
    accepted: datetime | None = None
    ended: datetime | None = None
    end: str = ReplyState.POSTED
    held: datetime | None = None
    let_go: datetime | None = None
    read: bool = False
    """Its post has come back from the feed."""

    def standing(self, now: datetime) -> str:
        """Its state at a moment; whatever is under way counts as waiting."""
        if self.ended is not None and self.ended <= now:
            return self.end
        if self.held is not None and self.held <= now and (self.let_go is None or now < self.let_go):
            return ReplyState.HELD
        return ReplyState.WAITING

    def view(self, now: datetime) -> Answer:
        """As the room sees it."""
        standing = self.standing(now)
        over = self.ended is not None and self.ended <= now
        return Answer(
            slug=self.slug,
            mode=self.mode,
            state=standing,
            decided_at=self.decided,
            ended_at=self.ended if over else None,
            outgoing_id=self.outgoing_id or None,
        )


@dataclass(slots=True)
class _Talk:
    """One conversation: its lines by their time, the same as they arrived, and our answers as they were decided."""

    lines: list[tuple[int, int, Line]] = field(default_factory=list)
    arrived: list[tuple[bool, datetime, float]] = field(default_factory=list)
    """Human or not, when it reached us, when it appeared."""
    answers: list[Said] = field(default_factory=list)
    unread: list[Said] = field(default_factory=list)


class World:
    """Everything that has happened until now. Time only goes forward."""

    def __init__(self, house: House) -> None:
        self.house = house
        self._talks: defaultdict[str, _Talk] = defaultdict(_Talk)
        self._posts: dict[str, Said] = {}
        self._names: defaultdict[str, set[str]] = defaultdict(set)
        self._polled: datetime | None = None
        self._count = 0

    def arrive(self, heard: Heard) -> Heard:
        """A message comes; returns it with its number in this world, which orders messages of one moment."""
        self._count += 1
        self._polled = heard.arrived
        line = replace(heard.line, id=self._count)
        talk = self._talks[line.conversation]
        # As windows keep it: without what it says to bots, and no longer than any prompt shows.
        kept = replace(line, text=line.text[:LONGEST_TEXT], context=None, params=None)
        insort(talk.lines, (line.timestamp, line.id, kept))
        born = line.born.timestamp() if line.born else line.timestamp / 1000
        talk.arrived.append((line.human, heard.arrived, born))
        if line.own and (said := self._posts.get(line.remote_id)):
            said.read = True
        return replace(heard, line=line)

    def answer(self, said: Said) -> None:
        """One of ours has decided to answer."""
        talk = self._talks[said.conversation]
        talk.answers.append(said)
        talk.unread.append(said)
        self._names[said.username].add(said.slug)
        if said.outgoing_id:
            self.posts(said)

    def posts(self, said: Said) -> None:
        """It is known under which id it will be read."""
        self._posts[said.outgoing_id] = said

    def before(self, line: Line, most: int) -> tuple[Line, ...]:
        """The last lines of its conversation before a message, oldest first."""
        lines = self._talks[line.conversation].lines
        end = bisect_left(lines, (line.timestamp, line.id), key=lambda one: one[:2])
        return tuple(one[2] for one in lines[max(0, end - most) : end])

    def room(self, heard: Heard, before: Sequence[Line], now: datetime, *, bots: bool) -> Room:
        """The room of a message, as `conversations.stage` finds it in rows."""
        line = heard.line
        if not line.human and not bots:
            return Room(now=now, open=heard.opened[0], why_closed=heard.opened[1])
        manners = self.house.at(line.domain)
        talk = self._talks[line.conversation]
        recent = self._recent(talk, manners.looks_at, now)
        return staging.room(
            now,
            manners,
            recent,
            last=staging.last(recent, before, self._polled),
            engaged=staging.engaged(self._recent(talk, len(talk.answers), now, heard.arrived), heard.arrived),
            opened=heard.opened,
            bots=None if line.human else self._among(line, talk, now),
        )

    @staticmethod
    def _recent(talk: _Talk, most: int, now: datetime, since: datetime | None = None) -> list[Answer]:
        found: list[Answer] = []
        for said in reversed(talk.answers):
            if len(found) == most or (since is not None and said.decided < since):
                break
            if said.standing(now) not in DEAD:
                found.append(said.view(now))
        return found

    def _among(self, line: Line, talk: _Talk, now: datetime) -> Bots:
        manners = self.house.at(line.domain)
        latest = talk.arrived[: -manners.max_bot_run - 2 : -1]
        bots = loopguard.length(human for human, _, _ in latest)
        human = latest[bots] if bots < len(latest) else None
        underway = self._underway(talk, human[1] if human else None, now)
        if line.own:
            said = self._posts.get(line.remote_id)
            authors = {said.slug} if said else set()
        else:
            authors = self._names.get(line.username, set()) if line.username else set()
        return Bots(
            run=Run(bots=bots, underway=underway, cap=manners.max_bot_run, decay=manners.bot_decay),
            authors=frozenset(authors),
            human_s=now.timestamp() - human[2] if human else None,
            require_human_s=self.house.require_human_s,
        )

    def _underway(self, talk: _Talk, human: datetime | None, now: datetime) -> int:
        """Our answers that will be read and are not yet; of those posted, not what was posted before the human spoke."""
        talk.unread = [said for said in talk.unread if not said.read and said.standing(now) not in DEAD and self._awaited(said, now)]
        posted = [said for said in talk.unread if said.standing(now) == ReplyState.POSTED]
        early = sum(1 for said in posted if human is not None and (said.accepted is None or said.accepted < human))
        return sum(1 for said in talk.unread if said.standing(now) in staging.UNDERWAY) + len(posted) - early

    def _awaited(self, said: Said, now: datetime) -> bool:
        """Whether a post can still be read: not if it was confirmed long before the last poll."""
        if self._polled is None or said.ended is None or said.standing(now) != ReplyState.POSTED:
            return True
        return said.ended >= self._polled - UNREAD
