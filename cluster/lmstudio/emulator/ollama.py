"""Ollama: its lists, its loads by asking for nothing, its line-by-line stream, and a scheduler that makes everybody wait (section 13)."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from aiohttp import web

from cluster.lmstudio.emulator import complaints
from cluster.lmstudio.emulator.answering import Answering
from cluster.lmstudio.emulator.machine import Instance, Model, Trouble
from cluster.lmstudio.emulator.prediction import Prediction, vector
from cluster.lmstudio.emulator.voice import tokens_in
from cluster.lmstudio.emulator.work import Work

VERSION = "0.13.5"
_FOREVER_S = 200 * 365 * 86_400


class Lines(Prediction):
    """An answer as `/api/chat` writes it."""

    @property
    def headers(self) -> dict[str, str]:
        return {"Content-Type": "application/x-ndjson"}

    def head(self) -> bytes:
        return b""

    def cut(self) -> bytes:
        return b""

    def complaint(self, trouble: Trouble, *, event_line: bool) -> bytes:
        del event_line
        return _line(trouble.body if isinstance(trouble.body, dict) else {"error": str(trouble.body)})

    def piece(self, text: str, name: str = "content") -> bytes:
        if self.act.call and name == "content":
            return b""  # a call is told at once, when it is whole
        message = {"role": "assistant", "content": text} if name == "content" else {"role": "assistant", "content": "", "thinking": text}
        return _line({"model": self.model, "created_at": _moment(), "message": message, "done": False})

    def last(self, seconds: float, *, usage: bool) -> bytes:
        del usage
        called = _line({"model": self.model, "created_at": _moment(), "message": self._said(), "done": False}) if self.act.call else b""
        empty = {"role": "assistant", "content": ""}
        return called + _line({"model": self.model, "created_at": _moment(), "message": empty} | self._end(seconds))

    def whole(self, seconds: float) -> dict[str, object]:
        message = self._said() | {"thinking": self.reasoning}
        return {"model": self.model, "created_at": _moment(), "message": message} | self._end(seconds)

    def _said(self) -> dict[str, object]:
        """The whole message; a call's arguments are an object, and it has no id."""
        text = "".join(self.pieces)
        if not self.act.call:
            return {"role": "assistant", "content": text}
        calls = [{"function": {"name": self.act.call, "arguments": json.loads(text)}}]
        return {"role": "assistant", "content": "", "tool_calls": calls}

    def _end(self, seconds: float) -> dict[str, object]:
        spent = max(1, int(seconds * 1e9))
        counts = {"prompt_eval_count": self.prompt_tokens, "eval_count": self.tokens}
        return {
            "done": True,
            "done_reason": "stop" if self.act.call else self.finish,
            "total_duration": spent,
            "eval_duration": spent,
        } | counts


class Bare(Lines):
    """The same of `/api/generate`: a text that goes on."""

    def piece(self, text: str, name: str = "content") -> bytes:
        said = {"response": text} if name == "content" else {"response": "", "thinking": text}
        return _line({"model": self.model, "created_at": _moment(), **said, "done": False})

    def last(self, seconds: float, *, usage: bool) -> bytes:
        del usage
        return _line({"model": self.model, "created_at": _moment(), "response": ""} | self._end(seconds))

    def whole(self, seconds: float) -> dict[str, object]:
        return {"model": self.model, "created_at": _moment(), "response": "".join(self.pieces)} | self._end(seconds)


class Ollama(Answering):
    """Everything Ollama has beside OpenAI's places; those go through the same scheduler, without a context of their own."""

    def __init__(self, work: Work, seed: int) -> None:
        super().__init__(work, seed)
        self._turn = asyncio.Lock()
        self._pending = 0

    def tags(self) -> dict[str, object]:
        """`GET /api/tags`: what is on the disk."""
        return {"models": [_shown(model) for model in self._machine.models.values()]}

    def running(self) -> dict[str, object]:
        """`GET /api/ps`: what is in memory, or on its way there."""
        return {"models": [self._held(instance) for instance in self._machine.instances.values()]}

    def models(self) -> dict[str, object]:
        """`GET /v1/models`: a list that is `null` when it is empty."""
        names = [_full(model) for model in self._machine.models.values()]
        return {"object": "list", "data": [{"id": n, "object": "model", "created": 0, "owned_by": "library"} for n in names] or None}

    async def talk(self, request: web.Request, body: Mapping[str, object]) -> web.StreamResponse:
        """`POST /api/chat`. Raises Trouble, Hangup."""
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages:
            raise complaints.engine("messages are required")
        return await self.predict(request, _plain(body), messages, form=Lines)

    async def generate(self, request: web.Request, body: Mapping[str, object]) -> object:
        """`POST /api/generate`: without a prompt a load, or with `keep_alive` 0 an unload, done when nobody is answered any more."""
        if isinstance(prompt := body.get("prompt"), str) and prompt:
            return await self.predict(request, _plain(body), [{"role": "user", "content": prompt}], form=Bare)
        model = self._model(str(body.get("model", "")))
        if model.kind == "embedding":
            raise complaints.engine(f'"{model.key}" does not support generate')
        told = {"model": body.get("model"), "created_at": _moment(), "response": "", "done": True}
        if body.get("keep_alive") == 0:
            self._work.later(self._released(model))
            return told | {"done_reason": "unload"}
        self._struck(self._work.strike(model.key))
        await self.instance(model.key, body)
        return told | {"done_reason": "load"}

    async def vectors(self, body: Mapping[str, object]) -> dict[str, object]:
        """`POST /api/embed`: vectors, a load, or an unload."""
        model = self._model(str(body.get("model", "")))
        if body.get("keep_alive") == 0:
            self._work.later(self._released(model))
            return {"model": model.key, "embeddings": []}
        given = body.get("input")
        texts = given if isinstance(given, list) else [given]
        self._struck(self._work.strike(model.key))
        instance = await self.instance(model.key, body)
        self._work.note("embedded", instance=instance.id, inputs=len(texts))
        counted = sum(tokens_in(str(text)) for text in texts)
        return {"model": model.key, "embeddings": [vector(str(text)) for text in texts], "prompt_eval_count": counted}

    async def instance(self, name: str, body: Mapping[str, object], *, load: bool = True) -> Instance:
        """One at a time asks for a model; who waits for room makes all others wait. Raises Trouble."""
        del load
        work = self._work
        work.expire()
        model = self._model(name)
        options = body.get("options")
        asked = options.get("num_ctx") if isinstance(options, dict) else None
        async with self._queued():
            found = next(iter(self._machine.copies(model)), None)
            if found is not None and asked != found.asked_context and (asked or work.habits.default_context) != found.context:
                await work.idle(found)
                work.drop(found, work.words.unloaded(), "reloaded")
                found = None
            found = found or await self._load(model, asked if isinstance(asked, int) else None)
        keep = body.get("keep_alive")
        if isinstance(keep, int):
            found.ttl_s = None if keep < 0 else keep
        found.last_used = work.now()
        return found

    async def _load(self, model: Model, context: int | None) -> Instance:
        """A load that ends with the connection that asked for it."""
        try:
            return await self._work.load(model, context, ttl_s=self._work.habits.jit_ttl_s)
        except asyncio.CancelledError:
            for instance in self._machine.copies(model):
                self._work.drop(instance, self._work.words.unloaded(), "load-aborted")
            raise

    @asynccontextmanager
    async def _queued(self) -> AsyncIterator[None]:
        habits = self._work.habits
        if habits.max_queue and self._pending >= habits.max_queue:
            raise self._work.words.busy(habits)
        self._pending += 1
        try:
            if habits.head_of_line:
                async with self._turn:
                    yield
            else:
                yield
        finally:
            self._pending -= 1

    async def _released(self, model: Model) -> None:
        for instance in self._machine.copies(model):
            await self._work.idle(instance)
            self._work.drop(instance, self._work.words.unloaded(), "unloaded")

    def _model(self, name: str) -> Model:
        models = self._machine.models
        found = models.get(name) or models.get(name.removesuffix(":latest")) or models.get(f"{name}:latest")
        if found is None:
            raise self._work.words.missing(name, ())
        return found

    def _held(self, instance: Instance) -> dict[str, object]:
        habits = self._work.habits
        size = 0 if habits.no_sizes and not instance.loaded else instance.memory
        left = _FOREVER_S if instance.ttl_s is None else instance.ttl_s
        return _shown(instance.model) | {
            "size": size,
            "size_vram": size if habits.gpu and instance.loaded else 0,
            "context_length": instance.context if instance.loaded else 0,
            "expires_at": (datetime.now(UTC) + timedelta(seconds=left)).isoformat(),
        }


def _shown(model: Model) -> dict[str, object]:
    details = {"format": model.format, "family": "nomic-bert" if model.kind == "embedding" else "llama"}
    details |= {"parameter_size": f"{model.billions}B", "quantization_level": "Q4_K_M"}
    digest = hashlib.sha256(model.key.encode()).hexdigest()
    return {"name": _full(model), "model": _full(model), "size": model.size_bytes, "digest": digest, "details": details}


def _plain(body: Mapping[str, object]) -> dict[str, object]:
    """A request in OpenAI's words."""
    options = body.get("options")
    given = options if isinstance(options, dict) else {}
    return {**body, "max_tokens": given.get("num_predict"), "stop": given.get("stop"), "stream": body.get("stream") is not False}


def _full(model: Model) -> str:
    return model.key if ":" in model.key else f"{model.key}:latest"


def _line(value: object) -> bytes:
    return json.dumps(value).encode() + b"\n"


def _moment() -> str:
    return datetime.now(UTC).isoformat()
