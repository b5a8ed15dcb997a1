"""Step 8: ask a server for one answer, and tell what came of it. Network only; no row is touched here."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from cluster.health import fault
from cluster.lmstudio.client import Client
from cluster.lmstudio.errors import PeerError
from cluster.lmstudio.values import ChatRequest, Delta
from cluster.logic.order import Outcome, Ticket
from cluster.logic.request import Failure
from swwbot_site.lib import clock
from swwbot_site.lib.errors import Retry
from swwbot_site.lib.hooks import step


def chat_request(ticket: Ticket) -> ChatRequest:
    """The request as the client takes it; the instance is named, so that the right copy of the model answers."""
    body: dict[str, Any] = ticket.request
    return ChatRequest(
        model=ticket.instance_id or ticket.names[0],
        names=ticket.names,
        messages=tuple(body["messages"]),
        sampling=body["sampling"],
        max_tokens=body["max_tokens"],
        stop=tuple(body["stop"]),
        context_length=ticket.context_length,
    )


async def ask(client: Client, ticket: Ticket, begun: Callable[[], None] | None = None) -> Outcome:
    """Ask once; `begun` hears that the first token has come. Every failure of the peer comes back as an outcome; only a cancelled
    task raises, and its connection is closed."""
    asked = clock.now()
    began = time.monotonic()
    step("ask.before")
    hear = _once(begun) if begun else None
    try:
        answer = await client.chat(ticket.endpoint, chat_request(ticket), ticket.timeouts, on_delta=hear)
    except PeerError as error:
        return failed(ticket, error, asked)
    if answer.empty and ticket.attempt == 1:
        failure = _failure(ticket, "empty", f"{ticket.server} answered nothing at all", Retry.HERE)
        return Outcome(ticket=ticket, asked_at=asked, ended_at=failure.at, failure=failure)
    ended = asked + timedelta(seconds=time.monotonic() - began)
    first = asked + timedelta(seconds=answer.first_token_s) if answer.first_token_s is not None else None
    step("ask.after")
    return Outcome(ticket=ticket, asked_at=asked, ended_at=ended, first_token_at=first, answer=answer)


def failed(ticket: Ticket, error: PeerError, asked_at: datetime) -> Outcome:
    """What came of an attempt that ended in an error of the peer, now."""
    failure = _failure(ticket, error.code, str(error), error.retry)
    return Outcome(ticket=ticket, asked_at=asked_at, ended_at=failure.at, failure=failure, fault=fault(error), gone=error.gone)


def _once(begun: Callable[[], None]) -> Callable[[Delta], None]:
    """Calls `begun` at the first piece only."""
    waiting = [begun]
    return lambda _: waiting.pop()() if waiting else None


def _failure(ticket: Ticket, code: str, text: str, retry: Retry) -> Failure:
    return Failure(server_id=ticket.server_id, server=ticket.server, code=code, text=text, retry=retry.value, at=clock.now())
