"""llama-server, with one model or as a router over many (section 13)."""

import asyncio
from collections.abc import Mapping

from aiohttp import web

from cluster.lmstudio.emulator.answering import Answering
from cluster.lmstudio.emulator.machine import Instance, Model, Trouble
from cluster.lmstudio.emulator.work import Work

_FAILED = 1
"""The exit code of an engine that could not load."""


class Llama(Answering):
    """llama-server with one model."""

    def models(self) -> dict[str, object]:
        """`GET /v1/models`, with a second list in Ollama's manner."""
        data = [self._one(model) for model in self._machine.models.values()]
        return {"models": [{"name": item["id"], "model": item["id"]} for item in data], "object": "list", "data": data}

    def health(self) -> dict[str, object]:
        """`GET /health`."""
        return {"status": "ok"}

    def props(self, request: web.Request) -> dict[str, object]:
        """`GET /props`: slots, and the context of each."""
        del request
        return _props(next(iter(self._machine.instances.values())))

    def _one(self, model: Model) -> dict[str, object]:
        context = self._work.habits.default_context
        meta = {"n_ctx": context, "n_ctx_train": model.max_context, "n_params": model.billions * 10**9, "size": model.size_bytes}
        return {"id": model.key, "aliases": [model.key], "tags": [], "object": "model", "created": 0, "owned_by": "llamacpp", "meta": meta}


class Router(Answering):
    """llama-server without a model of its own: a process for each."""

    def __init__(self, work: Work, seed: int) -> None:
        super().__init__(work, seed)
        self._failed: set[str] = set()
        self._starting: set[str] = set()

    def models(self) -> dict[str, object]:
        """`GET /models`."""
        return {"object": "list", "data": [self._one(model) for model in self._machine.models.values()]}

    def health(self) -> dict[str, object]:
        """`GET /health`."""
        return {"status": "ok"}

    async def props(self, request: web.Request) -> dict[str, object]:
        """`GET /props?model=`. Raises Trouble."""
        name = request.query.get("model", "")
        if name and name == self._work.habits.stuck:
            await asyncio.Event().wait()
        if not name:
            return {"role": "router", "model_path": "none", "default_generation_settings": None}
        copies = self._machine.copies(self._model(name))
        if not copies:
            raise _refused(400, "model is not loaded")
        return _props(copies[0])

    async def load(self, body: Mapping[str, object]) -> dict[str, object]:
        """`POST /models/load`: at once, except for the room it may have to wait for. Raises Trouble."""
        work, model = self._work, self._machine.models.get(str(body.get("model", "")))
        if model is None:
            raise _refused(404, "File Not Found", "not_found_error")  # as for any 404, whatever the router meant to say
        if model.key in self._starting or self._machine.copies(model):
            raise _refused(400, "model is already running")
        await work.room(model.need(work.habits.default_context))
        self._failed.discard(model.key)
        self._starting.add(model.key)
        work.later(self._loaded(model))
        return {"success": True}

    def unload(self, body: Mapping[str, object]) -> dict[str, object]:
        """`POST /models/unload`: kills what runs. Raises Trouble."""
        name = str(body.get("model", ""))
        if name not in self._machine.models:
            raise _refused(400, "model is not found")
        copies = self._machine.copies(self._machine.models[name])
        if not copies:
            raise _refused(400, "model is not running")
        for instance in copies:
            self._work.drop(instance, self._work.words.unloaded(), "unloaded")
        return {"success": True}

    async def instance(self, name: str, body: Mapping[str, object], *, load: bool = True) -> Instance:
        """The model of exactly that name, loaded if that is allowed. Raises Trouble."""
        del body
        work, model = self._work, self._model(name)
        found = next(iter(self._machine.copies(model)), None)
        if found is None and not (load and work.habits.jit):
            raise _refused(400, "model is not loaded")
        try:
            found = found or await work.demanded(model, None)
            await found.ready.wait()
        except Trouble as trouble:
            self._failed.add(model.key)
            raise _refused(500, f"model name={name} failed to load", "server_error") from trouble
        if found.trouble is not None:
            raise found.trouble
        found.ttl_s, found.last_used = None, work.now()
        return found

    async def _loaded(self, model: Model) -> None:
        try:
            await self._work.load(model)
        except Trouble:  # an unload kills what is loading, and the list shows that like any other end of it
            self._failed.add(model.key)
        finally:
            self._starting.discard(model.key)

    def _model(self, name: str) -> Model:
        found = self._machine.models.get(name)
        if found is None:
            raise self._work.words.missing(name, ())
        return found

    def _one(self, model: Model) -> dict[str, object]:
        copies = self._machine.copies(model)
        held = "loading" if model.key in self._starting else "unloaded"
        status: dict[str, object] = {"value": held if not copies else "loaded" if copies[0].loaded else "loading", "args": []}
        if held == "unloaded" and not copies and model.key in self._failed:
            status |= {"failed": True, "exit_code": _FAILED}
        item = {"id": model.key, "aliases": [], "tags": [], "object": "model", "owned_by": "llamacpp", "created": 0, "status": status}
        return item | ({"meta": {"n_ctx_train": model.max_context, "size": model.size_bytes}} if copies and copies[0].loaded else {})


def _props(instance: Instance) -> dict[str, object]:
    return {
        "default_generation_settings": {"n_ctx": instance.context, "params": {}},
        "total_slots": instance.parallel,
        "model_path": f"/models/{instance.model.key}.gguf",
    }


def _refused(status: int, message: str, kind: str = "invalid_request_error") -> Trouble:
    return Trouble(status, {"error": {"code": status, "message": message, "type": kind}})
