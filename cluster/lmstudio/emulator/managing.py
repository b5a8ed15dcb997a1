"""The lists, loads and unloads, in each dialect's format."""

from collections.abc import Mapping

from cluster.lmstudio.emulator import complaints
from cluster.lmstudio.emulator.machine import Instance, Machine, Model, Trouble
from cluster.lmstudio.emulator.work import Work

_LOAD_KEYS = frozenset(
    {"model", "context_length", "eval_batch_size", "flash_attention", "num_experts", "offload_kv_cache_to_gpu", "echo_load_config"}
)


class Managing:
    """The endpoints that list and move models."""

    def __init__(self, work: Work) -> None:
        self._work = work

    @property
    def _machine(self) -> Machine:
        return self._work.machine

    def list_v1(self) -> dict[str, object]:
        """`GET /api/v1/models`: everything downloaded; instances from the start of their load."""
        return {"models": [self._native(model) for model in self._machine.models.values()]}

    def list_v0(self) -> dict[str, object]:
        """`GET /api/v0/models`: states; only what is loaded while JIT is off."""
        return {"data": [item for model in self._machine.models.values() if (item := self._older(model))], "object": "list"}

    def one_v0(self, key: str) -> dict[str, object]:
        """`GET /api/v0/models/{id}`. Raises Trouble."""
        model = self._machine.models.get(key)
        item = self._older(model) if model else None
        if item is None:
            raise complaints.invalid_identifier(key, sorted(self._machine.models), 404)
        return item

    def list_openai(self) -> dict[str, object]:
        """`GET /v1/models`, with the design document's flags in its profile."""
        machine, shape = self._machine, self._work.profile.shape
        if shape == "design":
            flags = {model.key for model in machine.models.values() if any(one.loaded for one in machine.copies(model))}
            data: list[dict[str, object]] = [
                {"id": key, "object": "model", "owned_by": "user", "permissions": [], "loaded": key in flags} for key in machine.models
            ]
        elif shape == "openai":
            data = [{"id": key, "object": "model", "created": 0, "owned_by": self._work.profile.owner} for key in machine.models]
        else:
            names = list(machine.models) if self._work.habits.jit else [instance.id for instance in machine.loaded()]
            data = [{"id": name, "object": "model", "owned_by": "organization_owner"} for name in names]
        return {"data": data, "object": "list"}

    def list_vllm(self) -> dict[str, object]:
        """`GET /v1/models` of vLLM: one model and the length of its context."""
        context = self._work.habits.default_context
        data = [
            {"id": key, "object": "model", "created": 0, "owned_by": "vllm", "root": key, "parent": None, "max_model_len": context}
            for key in self._machine.models
        ]
        return {"object": "list", "data": data}

    async def load(self, body: Mapping[str, object]) -> dict[str, object]:
        """`POST /api/v1/models/load`: blocks until loaded. Raises Trouble."""
        work, name = self._work, body.get("model")
        unknown = sorted(set(body) - _LOAD_KEYS)
        if unknown and work.habits.closed_schema:
            raise complaints.unrecognized(unknown)
        if not isinstance(name, str):
            raise complaints.required("model")
        model = self._machine.models.get(name)
        if model is None:
            raise complaints.missing(name)
        copies = self._machine.copies(model)
        if copies and work.habits.second_load == "error":
            raise complaints.native(400, "invalid_request", f"Model {name} is already loaded")
        context = body.get("context_length")
        begun = work.now()
        if copies and work.habits.second_load == "same":
            instance = await _ready(copies[0])
        else:
            instance = await work.load(model, context if isinstance(context, int) else None)
        reply: dict[str, object] = {
            "type": model.kind,
            "instance_id": instance.id,
            "load_time_seconds": round(work.now() - begun, 3),
            "status": "loaded",
        }
        return reply | ({"load_config": self._config(instance)} if body.get("echo_load_config") is True else {})

    def unload(self, body: Mapping[str, object]) -> dict[str, object]:
        """`POST /api/v1/models/unload`: at once, whatever is running. Raises Trouble."""
        unknown = sorted(set(body) - {"instance_id"})
        if unknown and self._work.habits.closed_schema:
            raise complaints.unrecognized(unknown)
        name = body.get("instance_id")
        if not isinstance(name, str):
            raise complaints.required("instance_id")
        instance = self._machine.instances.get(name)
        if instance is None:
            raise complaints.not_loaded(name)
        self._work.drop(instance, self._work.words.unloaded(), "unloaded")
        return {"instance_id": name}

    async def load_design(self, body: Mapping[str, object]) -> dict[str, object]:
        """`POST /v1/models/load` of the design document. Raises Trouble."""
        model = self._machine.models.get(str(body.get("model", "")))
        if model is None:
            raise complaints.openai(404, f"Model {body.get('model')} not found", "model_not_found")
        copies = self._machine.copies(model)
        config = body.get("config")
        context = config.get("context_length") if isinstance(config, dict) else None
        instance = await _ready(copies[0]) if copies else await self._work.load(model, context if isinstance(context, int) else None)
        return {"model": instance.model.key, "status": "loaded"}

    def unload_design(self, body: Mapping[str, object]) -> dict[str, object]:
        """`POST /v1/models/unload`: the named model, or everything when none is named."""
        name = body.get("model")
        for instance in list(self._machine.instances.values()):
            if name is None or instance.model.key == name:
                self._work.drop(instance, self._work.words.unloaded(), "unloaded")
        return {}

    def _native(self, model: Model) -> dict[str, object]:
        item: dict[str, object] = {
            "type": model.kind,
            "publisher": model.key.partition("/")[0] if "/" in model.key else "emulated",
            "key": model.key,
            "display_name": model.key.rpartition("/")[2].replace("-", " ").title(),
            "quantization": {"name": "4bit" if model.format == "mlx" else "Q4_K_M", "bits_per_weight": 4},
            "size_bytes": model.size_bytes,
            "params_string": f"{model.billions}B" if model.kind == "llm" else None,
            "loaded_instances": [self._instance(instance) for instance in self._machine.copies(model)],
            "max_context_length": model.max_context,
            "format": model.format,
        }
        if model.kind == "llm":
            item |= {"architecture": "llama", "capabilities": {"vision": False, "trained_for_tool_use": False}, "description": None}
        return item

    def _instance(self, instance: Instance) -> dict[str, object]:
        item: dict[str, object] = {"id": instance.id, "config": self._config(instance)}
        if self._work.habits.ttl_field and instance.ttl_s is not None:
            item["remaining_ttl_seconds"] = max(0, round(instance.ttl_s - (self._work.now() - instance.last_used)))
        return item

    def _config(self, instance: Instance) -> dict[str, object]:
        mlx = instance.model.format == "mlx"
        config: dict[str, object] = {"context_length": instance.context}
        if mlx and self._work.habits.parallel_field:
            return config | {"parallel": instance.parallel, "reasoning_budget_message": ""}
        return config if mlx else config | {"parallel": instance.parallel, "eval_batch_size": 512, "flash_attention": True}

    def _older(self, model: Model) -> dict[str, object] | None:
        copies = self._machine.copies(model)
        loaded = [instance for instance in copies if instance.loaded]
        if not loaded and not self._work.habits.jit:
            return None
        item: dict[str, object] = {
            "id": model.key,
            "object": "model",
            "type": "embeddings" if model.kind == "embedding" else "llm",
            "publisher": model.key.partition("/")[0] if "/" in model.key else "emulated",
            "arch": "llama",
            "compatibility_type": model.format,
            "quantization": "4bit" if model.format == "mlx" else "Q4_K_M",
            "state": "loaded" if loaded else "loading" if copies else "not-loaded",
            "max_context_length": model.max_context,
        }
        if loaded:
            item["loaded_context_length"] = loaded[0].context
        return item if model.kind == "embedding" else item | {"capabilities": ["tool_use"]}


async def _ready(instance: Instance) -> Instance:
    await instance.ready.wait()
    if isinstance(instance.trouble, Trouble):
        raise instance.trouble
    return instance
