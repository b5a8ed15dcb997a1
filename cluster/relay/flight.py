"""A request of a client, on its way through this process."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cluster.lmstudio.values import ChatRequest, CompletionRequest
from cluster.logic.line import Line, Seats
from cluster.logic.order import Ticket
from cluster.logic.relaying import Unanswered
from cluster.logic.request import Recorded
from cluster.relay.held import Block


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding:
    """Texts to be turned into vectors."""

    inputs: tuple[str, ...]
    fields: Mapping[str, object] = field(default_factory=dict)
    """Whatever else was asked for, such as the number of dimensions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a client wants of a model. `request` makes what the model's server is asked; `document` is what is kept of it."""

    model_id: int
    model: str
    caller: str
    priority: int
    document: Recorded
    request: Callable[[Ticket], ChatRequest | CompletionRequest | Embedding]


@dataclass(slots=True, kw_only=True, eq=False)
class Flight:
    """One request. It has a `ticket` while it may be asked; `seat` is the held one that it has taken, if it has no seat of its own."""

    wanted: Wanted
    line: "Line[Flight, Block]"
    task: "asyncio.Task[Any]"
    """Who asks."""
    queued_at: datetime
    began: float
    got: "asyncio.Future[Ticket]"
    pk: int = 0
    row: bool = False
    """It is written down."""
    turn: datetime | None = None
    """When its turn is, if it waits in a row."""
    ticket: Ticket | None = None
    seat: Seats[Block] | None = None
    block: Block | None = None
    seated_at: datetime | None = None
    asked_at: datetime | None = None
    asked: float = 0.0
    over: bool = False
    taken: Unanswered | None = None
    """How it ended while it was asked, without us."""
    told: str = ""
    """What its client was last told to wait for."""

    @property
    def urgent(self) -> bool:
        """Whether some of its line that stand in rows are less so."""
        return any(other.wanted.priority > self.wanted.priority for other in self.line.rows.values())

    def columns(self, owner: int) -> dict[str, Any]:
        """Its row, as far as it is known before there is an answer. Only of one that sits, or sat, on a held seat."""
        assert self.ticket
        assert self.block
        return {
            "model": self.wanted.model_id,
            "caller": self.wanted.caller,
            "priority": self.wanted.priority,
            "request": self.wanted.document.document(),
            "home": owner,
            "queued_at": self.queued_at,
            "share_at": self.queued_at,
            "turn_at": self.queued_at,
            "seated_at": self.seated_at,
            "asked_at": self.asked_at or self.seated_at,
            "server": self.ticket.server_id,
            "placement": self.ticket.placement_id,
            "decision": dict(self.block.decision),
        }

    def hand(self, ticket: Ticket) -> None:
        """It got a seat of its own; if it was called off meanwhile, whoever did that frees it."""
        self.line.rows.pop(self.pk, None)
        if not self.got.done():
            self.got.set_result(ticket)

    def end(self, state: str, code: str, text: str) -> None:
        """It has ended without us: failed, expired, or called off by somebody."""
        self.line.rows.pop(self.pk, None)
        error = Unanswered(code or state, text or f"The request is {state}.", self.pk)
        if not self.got.done():
            self.got.set_exception(error)
        elif not self.over and self.taken is None:
            self.taken = error
            self.task.cancel()
