"""The emulator as a running HTTP server."""

import asyncio
import contextlib
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlencode

from aiohttp import web

from conversations.feed import fields, identity
from conversations.feed.emulator import javascript, page, routes
from conversations.feed.emulator.chatter import Chatter, Line
from conversations.feed.emulator.durable import Durable
from conversations.feed.emulator.kv import KV
from conversations.feed.emulator.quirks import Quirks
from conversations.feed.emulator.reply import Json, Reply, refusal
from conversations.feed.values import Generation

LOCAL = "127.0.0.1"


def present() -> int:
    """Now, ms since 1970."""
    return time.time_ns() // 1_000_000


class Emulator:
    """One emulated backend.

    keepalive_s: seconds after which an idle connection is closed. every_s: seconds between lines of the chatter. now: ms since 1970.
    """

    def __init__(
        self,
        generation: Generation,
        *,
        quirks: Quirks | None = None,
        seed: int = 1,
        keepalive_s: float = 5.0,
        chatter: bool = False,
        every_s: float = 6.0,
        mentions: Sequence[str] = (),
        entities: Sequence[str] = (),
        now: Callable[[], int] = present,
    ) -> None:
        self.generation = generation
        self.quirks = quirks or Quirks()
        self.store: KV | Durable
        self.counts: Counter[str] = Counter()
        self.url = ""
        self._seed = seed
        self._now = now
        self._keepalive_s = keepalive_s
        self._every_s = every_s
        self._entities = tuple(entities)
        self._chatter = Chatter(seed, mentions=mentions, entities=entities if generation.traits.keeps_context else ()) if chatter else None
        self._stopping = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self._talking: asyncio.Task[None] | None = None
        self.reset()

    def reset(self) -> None:
        """Begin anew: an empty store, no counts. The quirks stay."""
        dice = self._dice = random.Random(self._seed)
        if self.generation is Generation.DO:
            self.store = Durable(quirks=self.quirks, dice=dice, now=self._now)
        else:
            self.store = KV(self.generation, quirks=self.quirks, dice=dice, now=self._now)
        self.counts.clear()

    async def start(self, port: int = 0, host: str = LOCAL) -> None:
        """Listen; port 0 takes a free one. `url` is the API's base from then on. Raises OSError if the port is taken."""
        app = web.Application(client_max_size=4 * 1024 * 1024)
        app.router.add_get("/chat", self._chat)
        app.router.add_post("/chat", self._say)
        app.router.add_get("/emulator/state", self._state)
        app.router.add_post("/emulator/{verb:quirks|restart|reset}", self._control)
        app.router.add_route("*", "/{path:.*}", self._api)
        self._stopping.clear()
        self._runner = web.AppRunner(app, access_log=None, keepalive_timeout=self._keepalive_s, shutdown_timeout=0.5)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        bound: tuple[str, int] = self._runner.addresses[0][:2]
        self.url = f"http://[{bound[0]}]:{bound[1]}/api" if ":" in bound[0] else f"http://{bound[0]}:{bound[1]}/api"
        if self._chatter is not None:
            self._talking = asyncio.create_task(self._talk(self._chatter))

    @property
    def connections(self) -> int:
        """Connections that are open, idle ones included."""
        server = self._runner.server if self._runner is not None else None
        return len(server.connections) if server is not None else 0

    async def stop(self) -> None:
        """Stop listening; what hangs is let go."""
        self._stopping.set()
        if self._talking is not None:
            await self._talking
            self._talking = None
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _talk(self, chatter: Chatter) -> None:
        while not self._stopping.is_set():
            await self.say(chatter.line())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), self._every_s)

    async def say(self, line: Line) -> Reply:
        """Post as a human, past the rate limit."""
        body: Json = {
            "id": f"{self._now()}-{javascript.base36(self._dice, 9)}",
            "text": line.text,
            "timestamp": self._now(),
            "username": line.username,
            "color": identity.printed(line.color, self.generation),
            "domain": "saywhatwant.app",
            "message-type": "human",
        }
        if line.entity:
            body["botParams"] = {"entity": line.entity, "priority": 50, "processed": False}
        call = routes.Call(method="POST", path="/api/comments", query={}, body=body, ip=LOCAL, origin="")
        return await routes.answer(self.store, call)

    async def _api(self, request: web.Request) -> web.StreamResponse:
        method, quirks = request.method, self.quirks
        if quirks.take("drop_before", method):
            return self._drop(request)
        if quirks.take("hang_before", method):
            await self._stopping.wait()
            return self._drop(request)
        if quirks.latency_ms > 0:
            await asyncio.sleep(quirks.latency_ms / 1000)
        reply = await self._reply(request)
        self.counts[f"{method} {request.path} {reply.status}"] += 1
        if quirks.take("hang_after", method):
            await self._stopping.wait()
            return self._drop(request)
        if quirks.take("drop_after", method):
            return self._drop(request)
        headers = {**routes.cors(self.store), **reply.headers}
        if isinstance(reply.payload, str):
            kind = "text/html" if reply.payload.startswith("<") else "text/plain"
            return web.Response(status=reply.status, text=reply.payload, content_type=kind, headers=headers)
        return web.json_response(reply.payload, status=reply.status, headers=headers)

    async def _reply(self, request: web.Request) -> Reply:
        method, quirks = request.method, self.quirks
        if quirks.take("fail", method):
            return refusal(quirks.fail_status, "Storage error, please try again")
        if quirks.take("html", method):
            return Reply(status=502, payload="<!doctype html><title>502 Bad Gateway</title>")
        if quirks.take("too_many", method):
            error = "Rate limit exceeded. Please wait a moment before posting again."
            return Reply(status=429, payload={"error": error}, headers={"Retry-After": str(quirks.retry_after_s)})
        ip = request.headers.get("CF-Connecting-IP") or request.headers.get("X-Forwarded-For") or "unknown"
        body = _object(await request.read())
        origin = request.headers.get("Origin", "")
        call = routes.Call(method=method, path=request.path, query=request.query, body=body, ip=ip, origin=origin)
        return await routes.answer(self.store, call)

    def _drop(self, request: web.Request) -> web.Response:
        self.counts[f"{request.method} {request.path} dropped"] += 1
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    async def _state(self, request: web.Request) -> web.Response:
        state = {"generation": self.generation, "connections": self.connections, "quirks": self.quirks.state(), "counts": self.counts}
        return web.json_response({**state, **self.store.state()})

    async def _control(self, request: web.Request) -> web.Response:
        match request.match_info["verb"]:
            case "restart":
                self.store.restart()
            case "reset":
                self.reset()
            case _:
                body = _object(await request.read())
                try:
                    self.quirks.change(body if body is not None else {"": None})
                except ValueError as exc:
                    return web.json_response({"error": str(exc)}, status=400)
        return web.json_response(self.quirks.state())

    async def _chat(self, request: web.Request) -> web.Response:
        listing = request.query.get("part") == "list"
        title = f"Emulated feed ({self.generation})"
        entities = self._entities if self.generation.traits.keeps_context else ()
        shown = page.listing(self.store.messages()) if listing else page.frame(title, entities, request.query)
        return web.Response(text=shown, content_type="text/html", headers={"Content-Security-Policy": page.POLICY})

    async def _say(self, request: web.Request) -> web.Response:
        form: Mapping[str, object] = await request.post()
        name, entity = identity.name(fields.text(form.get("name"))), fields.text(form.get("entity"))
        if text := fields.text(form.get("text")).strip():
            await self.say(Line(username=name, color=_shade(name), text=text, entity=entity if entity in self._entities else ""))
        raise web.HTTPSeeOther("/chat?" + urlencode({"name": name, "entity": entity}))


def _object(body: bytes) -> Json | None:
    """The JSON object in `body`, None if it holds none."""
    try:
        payload = json.loads(body)
    except ValueError:
        return None
    return payload if isinstance(payload, dict) else None


def _shade(name: str) -> str:
    """The same name, the same colour."""
    return identity.drawn(random.Random(name).random)
