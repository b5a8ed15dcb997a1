"""The emulator's HTTP server: Express's manners, the profile's routes, and a few paths under /emulator for people and tests."""

import asyncio
import base64
import hashlib
import inspect
import json
import time
from collections.abc import Iterable, Mapping
from urllib.parse import unquote

from aiohttp import web

from cluster.lmstudio.emulator import complaints
from cluster.lmstudio.emulator.answering import Hangup
from cluster.lmstudio.emulator.door import closed, opened
from cluster.lmstudio.emulator.habits import PROFILES, Habits
from cluster.lmstudio.emulator.machine import GB, Instance, Machine, Model, Trouble
from cluster.lmstudio.emulator.managing import Managing
from cluster.lmstudio.emulator.routes import Route, answering, routes
from cluster.lmstudio.emulator.work import Work

MODELS = ("google/gemma-3-4b:3.3:mlx", "meta/llama-3.1-8b:4.9", "mistralai/mistral-7b:4.4", "text-embedding-nomic-embed-text-v1.5:0.1")
_DEFAULT_TOKEN = "sk-lm-Emu1ated:abcdefghij0123456789"  # noqa: S105 (of an emulator)
_V0 = "/api/v0/models/"


class Emulator:
    """One emulated server. `work` is open to tests: `work.machine` for what is loaded, `work.habits` for what is switched.

    `memory_gb` (2^30 bytes) is what models may take; `loaded` are keys in memory from the start; `keepalive_s` after how many
    idle seconds a connection is closed. Further keywords are habits. Raises ValueError for an unknown profile, habit or model.
    """

    def __init__(
        self,
        models: Iterable[str] = MODELS,
        *,
        profile: str = "0.4.25",
        memory_gb: float = 64,
        loaded: Iterable[str] = (),
        keepalive_s: float = 5.0,
        seed: int = 1,
        **habits: object,
    ) -> None:
        if profile not in PROFILES:
            raise ValueError(f"there is no profile {profile!r}; there are {', '.join(PROFILES)}")
        kind = PROFILES[profile]
        self.profile = profile
        self._habits = Habits().changed({"token": _DEFAULT_TOKEN, **kind.habits, **habits})
        found = {one.key: one for one in map(Model.parse, models)}
        machine = Machine(budget=round(memory_gb * GB), models=dict(list(found.items())[:1]) if kind.single else found)
        self.work = Work(machine, self._habits, kind, time.monotonic)
        for key in machine.models if kind.fixed else loaded:
            self._place(key)
        self._managing = Managing(self.work)
        self._routes = routes(kind, self._managing, answering(self.work, seed))
        self._keepalive_s = keepalive_s
        self._runner: web.AppRunner | None = None
        self.host, self.port = "127.0.0.1", 0

    @property
    def url(self) -> str:
        """The root address, once started; of a cloud with its path."""
        return f"http://{self.host}:{self.port}{self.work.profile.prefix}"

    @property
    def state(self) -> dict[str, object]:
        """What `GET /emulator/state` shows."""
        machine, now = self.work.machine, self.work.now()
        return {
            "profile": self.profile,
            "uptime_s": round(now, 3),
            "memory": {"used_gb": round(machine.used / GB, 3), "budget_gb": round(machine.budget / GB, 3)},
            "in_flight": machine.running,
            "queued": sum(len(instance.waiting) for instance in machine.instances.values()),
            "connections": len(self._runner.server.connections) if self._runner and self._runner.server else 0,
            "models": [
                {
                    "key": one.key,
                    "size_gb": round(one.size_bytes / GB, 3),
                    "format": one.format,
                    "kind": one.kind,
                    "instances": [_shown(copy, now) for copy in machine.copies(one)],
                }
                for one in machine.models.values()
            ],
            "habits": self.work.habits.shown(),
            "counters": {"unloaded_while_serving": 0, **machine.counters},
            "events": list(machine.events),
        }

    async def start(self, port: int = 0, host: str = "127.0.0.1") -> None:
        """Listens; port 0 takes a free one, and keeps it over a stop and another start."""
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_route("*", "/{path:.*}", self._handle)
        app.on_response_prepare.append(self._dress)
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, keepalive_timeout=self._keepalive_s, shutdown_timeout=0.2
        )
        await self._runner.setup()
        self._door = await opened(self._runner, host, port or self.port)
        self.host, self.port = host, self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Hangs up on everybody and forgets what was loaded, as a server that is shut down does."""
        runner, self._runner = self._runner, None
        if not self.work.profile.fixed:
            for instance in list(self.work.machine.instances.values()):
                self.work.drop(instance, complaints.engine("Stopped."), "stopped")
        await self.work.close()
        if runner is not None:
            await closed(runner, self._door)

    def set(self, **habits: object) -> None:
        """Switches habits. Raises ValueError."""
        self.work.habits = self.work.habits.changed(habits)

    def _place(self, key: str) -> None:
        machine, habits = self.work.machine, self.work.habits
        if key not in machine.models:
            raise ValueError(f"{key!r} cannot be loaded: it is none of {', '.join(machine.models)}")
        found, context = machine.models[key], habits.default_context
        instance = Instance(
            id=machine.name(found), model=found, context=context, parallel=habits.parallel, memory=found.need(context), loaded=True
        )
        instance.ready.set()
        machine.instances[instance.id] = instance

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        path = request.rel_url.raw_path
        try:
            if path.startswith("/emulator/"):
                return await self._debug(request, path)
            self.work.machine.counters["requests"] += 1
            habits = self.work.habits
            if habits.offline:
                raise Hangup
            path = self._within(request.method, path)
            self._authorize(request, habits, path)
            if habits.loading:
                raise self.work.words.loading()
            return await self._routed(request, path)
        except Trouble as trouble:
            native = path.startswith("/api/v1")
            return self._written(trouble.body, trouble.status, None if native else 4, trouble.headers)
        except Hangup:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()

    async def _routed(self, request: web.Request, path: str) -> web.StreamResponse:
        route = self._route(request.method, path)
        if route is None:
            raise self.work.words.unexpected(request.method, path, strict=self.work.habits.strict_404)
        if request.method == "GET":
            await self._listing()
        result = route(request, await self._body(request, path) if request.method == "POST" else {})
        answer = await result if inspect.isawaitable(result) else result
        return answer if isinstance(answer, web.StreamResponse) else self._written(answer, 200, 2)

    def _route(self, method: str, path: str) -> Route | None:
        if path.startswith("/api/v0/") and not self.work.habits.v0:
            return None
        if method == "GET" and path.startswith(_V0) and self.work.profile.shape == "lm-studio":
            return lambda _request, _body: self._managing.one_v0(unquote(path.removeprefix(_V0)))
        return self._routes.get((method, path))

    async def _listing(self) -> None:
        """What a list has to suffer before it is answered."""
        self.work.expire()
        if self.work.hiccup or self.work.habits.list_fault == "html500":
            self.work.hiccup = False
            raise complaints.html500()
        if self.work.habits.list_fault == "hang":
            await asyncio.Event().wait()

    async def _body(self, request: web.Request, path: str) -> dict[str, object]:
        raw = await request.read()
        try:
            value = json.loads(raw) if raw.strip() else {}
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise self.work.words.unreadable(path)
        return value

    def _within(self, method: str, path: str) -> str:
        """The path behind the profile's prefix. Raises Trouble."""
        prefix = self.work.profile.prefix
        if not path.startswith(f"{prefix}/"):
            raise self.work.words.unexpected(method, path, strict=True)
        return path.removeprefix(prefix)

    def _authorize(self, request: web.Request, habits: Habits, path: str) -> None:
        if habits.forbidden:
            raise complaints.forbidden()
        if habits.auth and not self.work.words.public(path):
            scheme, _, token = request.headers.get("Authorization", "").partition(" ")
            if scheme.lower() != "bearer" or token != habits.token:
                raise self.work.words.unauthorized(token if scheme.lower() == "bearer" else "")

    async def _debug(self, request: web.Request, path: str) -> web.Response:
        match request.method, path:
            case "GET", "/emulator/state":
                return self._written(self.state, 200, 2)
            case "POST", "/emulator/habits":
                try:
                    self.set(**await self._body(request, path))
                except ValueError as exc:
                    return self._written({"error": str(exc)}, 400, 2)
                return self._written(self.work.habits.shown(), 200, 2)
            case "POST", "/emulator/reset":
                self.work.habits = self._habits
                self.work.machine.counters.clear()
                self.work.machine.events.clear()
                return self._written(self.state, 200, 2)
        return self._written({"error": "GET /emulator/state, POST /emulator/habits, POST /emulator/reset"}, 404, 2)

    def _written(self, value: object, status: int, indent: int | None, headers: Mapping[str, str] | None = None) -> web.Response:
        html = isinstance(value, str)
        body = (str(value) if html else json.dumps(value, indent=indent)).encode()
        tag = base64.b64encode(hashlib.sha1(body, usedforsecurity=False).digest())[:27].decode()
        kind = "text/html; charset=utf-8" if html else "application/json; charset=utf-8"
        return web.Response(body=body, status=status, headers={"Content-Type": kind, "ETag": f'W/"{len(body):x}-{tag}"', **(headers or {})})

    async def _dress(self, request: web.Request, response: web.StreamResponse) -> None:
        headers = response.headers
        headers.popall("Server", None)
        headers.update(self.work.profile.headers)
        if self.work.profile.shape == "lm-studio":
            headers["X-Powered-By"] = "Express"
        if request.keep_alive:
            headers["Connection"] = "keep-alive"
            headers["Keep-Alive"] = f"timeout={max(1, round(self._keepalive_s))}"


def _shown(instance: Instance, now: float) -> dict[str, object]:
    return {
        "id": instance.id,
        "state": "loaded" if instance.loaded else "loading",
        "context_length": instance.context,
        "parallel": instance.parallel,
        "memory_gb": round(instance.memory / GB, 3),
        "jit": instance.ttl_s is not None,
        "ttl_s": instance.ttl_s,
        "idle_s": round(max(0.0, now - instance.last_used), 3),
        "running": len(instance.running),
        "queued": len(instance.waiting),
    }
