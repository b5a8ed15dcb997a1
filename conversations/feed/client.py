"""The only module that talks to a message backend.

Reads are repeated once when their connection drops; what writes is not, except where repeating changes nothing. A post ends in
one of three ways: `Accepted`; an error that says it is surely not stored; or `Ambiguous`, to be settled by `visible`.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Literal
from urllib.parse import quote

import httpx

from conversations.feed import detection, queue, toll, wire
from conversations.feed.detection import Reply
from conversations.feed.errors import (
    Ambiguous,
    CapabilityMissing,
    Dropped,
    FeedError,
    Malformed,
    Misaddressed,
    NotFound,
    Unavailable,
    Unreachable,
)
from conversations.feed.values import Accepted, Endpoint, FeedMessage, Generation, Outgoing, Page, Reject, base, place
from swwbot_site.lib import clock, http

Observer = Callable[[str, str, int], None]
"""Told of every HTTP request: method, path, status (0 without an answer)."""

PAGE = 1000
"""Most messages a KV backend gives at once."""

FIRST_LOOK_MS = 3_600_000
"""How far back the first look at a Durable Object goes, which would otherwise send its whole memory."""

_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)


class Client:
    """Talks to any number of backends over one `http`, which stays its maker's to close.

    connect_s: seconds to connect. total_s: seconds for a whole request. pages: most pages one `fetch` goes back.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        *,
        connect_s: float = 3.0,
        total_s: float = 15.0,
        pages: int = 20,
        observer: Observer | None = None,
        now: Callable[[], datetime] = clock.now,
    ) -> None:
        self._http = http
        self._total_s = total_s
        self._timeout = httpx.Timeout(total_s, connect=connect_s, pool=connect_s)
        self._pages = pages
        self._observer = observer
        self._now = now

    async def detect(self, url: str) -> Generation:
        """Which generation answers at `url`, by reading only. Raises Unrecognised, FeedError, ValueError for no address."""
        root = base(url)
        talk = detection.steps(clock.millis(self._now()))
        ask = next(talk)
        while True:
            try:
                ask = talk.send(await self._send(ask.method, root, ask.path, params=ask.params))
            except StopIteration as end:
                return Generation(end.value)

    async def ping(self, endpoint: Endpoint) -> None:
        """Nothing, if the backend answers a cheap read soundly; raises FeedError. No backend has a health route."""
        newest = endpoint.generation is Generation.DO
        await self._list(endpoint, {"after": clock.millis(self._now())} if newest else {"limit": 1})

    async def fetch(self, endpoint: Endpoint, *, after: int | None, limit: int = PAGE, since: int | None = None) -> Page:
        """All messages with a timestamp greater than `after`, ms.

        With `after` None, the first look: the newest `limit` of a KV backend (`complete` says whether there are older ones); of a
        Durable Object, which knows no limit, what is newer than `since`, ms (default: the last hour).
        """
        limit = min(limit, PAGE)
        if endpoint.generation is Generation.DO:
            if after is None:
                after = clock.millis(self._now()) - FIRST_LOOK_MS if since is None else since
            found, bad = self._read(endpoint, await self._list(endpoint, {"after": max(after, 0)}))
            return Page(messages=wire.ordered(one for one in found if one.timestamp > after), rejected=bad)
        if after is None:
            payload = await self._list(endpoint, {"limit": limit})
            found, bad = self._read(endpoint, payload)
            return Page(messages=wire.ordered(found), complete=not wire.more(payload), rejected=bad)
        payload = await self._list(endpoint, {"after": max(after, 0), "limit": limit})
        found, bad = self._read(endpoint, payload)
        if len(wire.items(payload)) < limit:
            return Page(messages=wire.ordered(one for one in found if one.timestamp > after), rejected=bad)
        return await self._back(endpoint, after, limit, list(found), list(bad))

    async def _back(self, endpoint: Endpoint, after: int, limit: int, found: list[FeedMessage], bad: list[Reject]) -> Page:
        """The full `after` answer has lost the oldest: page back through the plain form until a whole page is older than `after`."""
        complete, requests, offset = False, 1, 0
        while not complete and requests < self._pages:
            payload = await self._list(endpoint, {"limit": limit, "offset": offset})
            requests += 1
            offset += limit
            good, odd = self._read(endpoint, payload)
            found += good
            bad += odd
            complete = not wire.more(payload) or (bool(good) and all(one.timestamp <= after for one in good))
        return Page(
            messages=wire.ordered(one for one in found if one.timestamp > after),
            complete=complete,
            requests=requests,
            rejected=tuple({one.id: one for one in bad}.values()),
        )

    async def post(self, endpoint: Endpoint, outgoing: Outgoing) -> Accepted:
        """Hand over a message; the same `outgoing` may be posted again once `visible` says it is not there.

        Raises Rejected before sending if the backend would refuse or silently change it; Ambiguous if it may be stored all the same.
        """
        wrong = wire.refusal(outgoing, endpoint)
        if wrong is not None:
            raise wrong
        origin = {"Origin": endpoint.origin} if endpoint.origin else {}
        reply = await self._send(
            "POST", endpoint.base, "/comments", body=wire.body(outgoing, endpoint), headers=origin, lost=Ambiguous, repeat=False
        )
        try:
            return wire.accepted(reply.payload(), outgoing)
        except (Unavailable, Malformed) as exc:
            raise Ambiguous(f"{exc}; read back whether {outgoing.id} is stored", status=reply.status, body=exc.body) from exc

    async def visible(self, endpoint: Endpoint, outgoing: Sequence[tuple[str, int]]) -> set[str]:
        """Which of these (id, timestamp in ms) the feed shows, by one read for all.

        Raises Unavailable if the feed could not be read back far enough to miss one. A KV backend shows only its newest 500 or 200.
        """
        if not outgoing:
            return set()
        wanted = {one for one, _ in outgoing}
        page = await self.fetch(endpoint, after=min(timestamp for _, timestamp in outgoing) - 1)
        seen = wanted & {one.id for one in page.messages}
        if seen != wanted and not page.complete:
            raise Unavailable(f"{place(endpoint.base)} has more messages than {page.requests} pages; the read-back is not complete")
        return seen

    async def pending(self, endpoint: Endpoint, limit: int = 10) -> tuple[FeedMessage, ...]:
        """The messages that wait in the backend's queue, in its order (highest number first, then oldest)."""
        self._need(endpoint, "queue", "has no queue")
        reply = await self._send("GET", endpoint.base, "/queue/pending", params={"limit": limit})
        return self._read(endpoint, reply.payload())[0]

    async def claim(self, endpoint: Endpoint, message_id: str | int, worker: str) -> FeedMessage:
        """Take one message by its raw id. Raises Conflict if somebody was first, NotFound; Ambiguous if the answer was lost.

        The KV queue's claim is not atomic: two workers can both be told they have it.
        """
        self._need(endpoint, "queue", "has no queue")
        reply = await self._send("POST", endpoint.base, "/queue/claim", body=queue.claim(message_id, worker), lost=Ambiguous, repeat=False)
        return queue.claimed(reply.payload(), endpoint.priority_direction)

    async def claim_next(self, endpoint: Endpoint, worker: str) -> FeedMessage | None:
        """Take the next message, None if none waits. Asks once more after a 500: a message completed unclaimed causes one."""
        self._need(endpoint, "next", "has no claim-next")
        body = {"workerId": worker}
        reply = await self._send("POST", endpoint.base, "/queue/claim-next", body=body, lost=Ambiguous, repeat=False)
        if reply.status == 500:
            reply = await self._send("POST", endpoint.base, "/queue/claim-next", body=body, lost=Ambiguous, repeat=False)
        return queue.handed(reply.payload(), endpoint.priority_direction)

    async def complete(self, endpoint: Endpoint, message_id: str | int) -> None:
        """Say that a claimed message is answered; may be repeated. Never for one that was not claimed. Raises NotFound."""
        self._need(endpoint, "queue", "has no queue")
        queue.done((await self._send("POST", endpoint.base, "/queue/complete", body={"messageId": message_id})).payload())

    async def fail(self, endpoint: Endpoint, message_id: str | int, error: str) -> str:
        """Give a claimed message back; `pending`, or `failed` the third time. Raises NotFound; Ambiguous if the answer was lost."""
        self._need(endpoint, "fail", "cannot take a message back")
        body = {"messageId": message_id, "error": error}
        reply = await self._send("POST", endpoint.base, "/queue/fail", body=body, lost=Ambiguous, repeat=False)
        return queue.failed(reply.payload())

    async def mark_processed(self, endpoint: Endpoint, message_id: str | int) -> bool:
        """Set `botParams.processed`; False if the backend does not find the message: then the local mark stands."""
        self._need(endpoint, "mark", "cannot mark messages")
        path = f"/comments/{quote(str(message_id), safe='')}"
        reply = await self._send("PATCH", endpoint.base, path, body={"botParams": {"processed": True}})
        try:
            reply.payload()
        except (NotFound, Misaddressed):
            return False
        return True

    def _need(self, endpoint: Endpoint, trait: Literal["queue", "next", "fail", "mark"], lack: str) -> None:
        if not getattr(endpoint.generation.traits, trait):
            raise CapabilityMissing(f"{place(endpoint.base)} is of the generation {endpoint.generation}, which {lack}")

    def _read(self, endpoint: Endpoint, payload: object) -> tuple[tuple[FeedMessage, ...], tuple[Reject, ...]]:
        return wire.messages(wire.items(payload), endpoint.priority_direction)

    async def _list(self, endpoint: Endpoint, params: Mapping[str, int]) -> object:
        payload = (await self._send("GET", endpoint.base, "/comments", params=params)).payload()
        wire.items(payload)
        return payload

    async def _send(
        self,
        method: str,
        root: str,
        path: str,
        *,
        params: Mapping[str, int] | None = None,
        body: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        lost: type[FeedError] = Dropped,
        repeat: bool = True,
    ) -> Reply:
        """One request. Raises Unreachable if it was never sent, `lost` if its answer did not come whole; `repeat` once if cut."""
        where = f"{method} {place(root)}{path}"
        content = None if body is None else wire.encode(body)
        sent = {"Accept": "application/json"} | ({} if content is None else {"Content-Type": "application/json"}) | dict(headers or {})
        request = self._http.build_request(method, root + path, params=params, content=content, headers=sent, timeout=self._timeout)
        response = answer = None
        try:
            async with asyncio.timeout(self._total_s):
                response = await self._http.send(request, stream=True)
                answer = await http.whole(response)
        except _UNSENT as exc:
            raise Unreachable(f"{where}: no connection ({exc}); is the backend up, and the feed's URL right?") from exc
        except (TimeoutError, httpx.TimeoutException) as exc:
            raise lost(f"{where}: no whole answer within {self._total_s:g} s") from exc
        except httpx.RequestError as exc:
            if not repeat:
                raise lost(f"{where}: cut before the answer was whole ({exc})") from exc
        finally:
            toll.sent(root)
            if self._observer is not None:
                self._observer(method, path, 0 if response is None else response.status_code)
        if response is None or answer is None:
            return await self._send(method, root, path, params=params, body=body, headers=headers, lost=lost, repeat=False)
        if len(answer) > http.LARGEST:
            raise lost(f"{where}: the answer is longer than {http.LARGEST >> 20} MB; is this the API's base?", status=response.status_code)
        return Reply(status=response.status_code, headers=dict(response.headers), body=answer, where=where)
