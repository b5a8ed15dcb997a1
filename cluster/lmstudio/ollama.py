"""Ollama's own API (section 13): loads and unloads by asking for no words, and a list of what is in memory.

Chats go to `/api/chat`, not to its OpenAI-compatible place: that one can name no context length, and a request without the
one the model was loaded with makes Ollama load it again, for everybody. `/api/chat` also gives exact token counts and times.
"""

from collections.abc import Mapping, Sequence

from cluster.lmstudio.classification import classify
from cluster.lmstudio.errors import CapabilityMissing, LoadCanceled, Malformed, ModelMissing, PeerError
from cluster.lmstudio.names import same
from cluster.lmstudio.openai import checked, items, numbers
from cluster.lmstudio.options import bare, body, options
from cluster.lmstudio.values import (
    ChatRequest,
    CompletionRequest,
    Dialect,
    EmbeddingResult,
    Instance,
    ListedModel,
    Listing,
    LoadResult,
    State,
)
from cluster.lmstudio.wire import Conversation, Json, Request, mapping, text, whole

VERSION = "/api/version"
TAGS = "/api/tags"
RUNNING = "/api/ps"
CHAT = "/api/chat"
GENERATE = "/api/generate"
EMBED = "/api/embed"
FOREVER = -1
"""`keep_alive` while the cluster holds a model: it decides what goes, not Ollama's five minutes."""


def chats(request: ChatRequest) -> tuple[Request, ...]:
    """A streamed chat that keeps the model where it is, as it is, and is refused rather than cut when it is too long."""
    return (Request(method="POST", path=CHAT, body=body(request) | {"keep_alive": FOREVER, "truncate": False}),)


def completions(request: CompletionRequest) -> tuple[Request, ...]:
    """A streamed completion of the text as it is, without the model's template around it."""
    return (Request(method="POST", path=GENERATE, body=bare(request) | {"keep_alive": FOREVER, "truncate": False}),)


def vectors(model: str, inputs: Sequence[str], context_length: int | None, fields: Json) -> Conversation[EmbeddingResult]:
    """Vectors from its own place: the OpenAI-compatible one names no context, and would make it load the model again."""
    asked: dict[str, object] = {"model": model, "input": list(inputs), "keep_alive": FOREVER, "options": options({}, context_length)}
    if fields.get("dimensions") is not None:
        asked["dimensions"] = fields["dimensions"]
    value = checked((yield Request(method="POST", path=EMBED, body=asked | {"truncate": False})))
    found = value.get("embeddings")
    return EmbeddingResult(
        vectors=numbers(found if isinstance(found, list) else [], len(inputs)),
        model=text(value.get("model")),
        prompt_tokens=whole(value.get("prompt_eval_count")),
    )


def listing() -> Conversation[Listing]:
    """What is on its disk, and what is in memory with context and size. Models that its makers' cloud runs are left out."""
    tags = items((yield Request(method="GET", path=TAGS)), "models")
    running = yield from _running()
    local = [item for item in tags if _name(item) and not text(item.get("remote_model"))]
    models = [_model(item, running) for item in local]
    known = {model.key for model in models}
    models += [_model(item, running) for key, item in running.items() if key not in known]  # deleted from the disk while in memory
    return Listing(dialect=Dialect.OLLAMA, models=tuple(models), jit=True)


def load(model_key: str, context_length: int | None, kind: str, ttl_s: int) -> Conversation[LoadResult]:
    """Loads by asking for nothing; blocks until it is in memory, and may wait for idle room. It ends with the connection.

    Raises OutOfMemory, EngineFailed, ModelMissing, Busy, LoadFailed; LoadCanceled when it is gone again at once.
    """
    del ttl_s
    wanted: dict[str, object] = {"model": model_key, "keep_alive": FOREVER, "options": options({}, context_length)}
    ask = Request(method="POST", path=GENERATE, body=wanted | {"stream": False}, once=True)
    reply = yield Request(method="POST", path=EMBED, body=wanted | {"input": "."}, once=True) if kind == "embedding" else ask
    error = classify(reply.status, reply.body, reply.headers)
    if error is not None and "does not support generate" in error.detail:
        reply = yield Request(method="POST", path=EMBED, body=wanted | {"input": "."}, once=True)
    value = checked(reply)
    if value.get("done") is not True and "embeddings" not in value:
        raise Malformed(f"a load of {model_key} that does not say `done`", status=reply.status)
    found = (yield from _running()).get(_bare(model_key))
    if found is None:
        raise LoadCanceled(f"{model_key} was loaded and is gone again")
    return LoadResult(instance_id=_bare(model_key), context_length=whole(found.get("context_length")))


def unload(instance_id: str, model_key: str) -> Conversation[None]:
    """Lets it go when it has finished what it is answering; the list tells when. That it is not there is a success."""
    del model_key
    try:
        checked((yield Request(method="POST", path=GENERATE, body={"model": instance_id, "keep_alive": 0, "stream": False})))
    except ModelMissing:
        return
    except PeerError as exc:
        if "does not support generate" not in exc.detail:
            raise
        checked((yield Request(method="POST", path=EMBED, body={"model": instance_id, "input": "", "keep_alive": 0})))


def _running() -> Conversation[Mapping[str, Json]]:
    """What is in memory, by name. Versions too old for that list are too old for us."""
    try:
        return {_bare(_name(item)): item for item in items((yield Request(method="GET", path=RUNNING)), "models")}
    except CapabilityMissing as exc:
        raise CapabilityMissing("this Ollama is too old to say what is in memory: update it to 0.1.38 or later") from exc


def _model(item: Json, running: Mapping[str, Json]) -> ListedModel:
    name = _name(item)
    key, details = _bare(name), mapping(item.get("details"))
    held = next((found for other, found in running.items() if same(other, key)), None)
    instance = None if held is None else _instance(key, held)
    families = f"{text(details.get('family'))} {key}".lower()
    return ListedModel(
        key=key,
        state=State.NOT_LOADED if instance is None else instance.state,
        instances=() if instance is None else (instance,),
        aliases=(name,) if name != key else (),
        kind="embedding" if "embed" in families or "bert" in families else "llm",
        size_bytes=whole(item.get("size")),
        format=text(details.get("format")),
        params=text(details.get("parameter_size")),
    )


def _instance(key: str, item: Json) -> Instance:
    """While a model loads its sizes are missing: first both, then that in the GPU, which a machine without one never has."""
    size, gpu = whole(item.get("size")) or 0, whole(item.get("size_vram")) or 0
    return Instance(
        id=key,
        state=State.LOADED if size or gpu else State.LOADING,
        context_length=whole(item.get("context_length")) or None,
        memory_bytes=gpu or size or None,
    )


def _name(item: Json) -> str:
    return text(item.get("name")) or text(item.get("model"))


def _bare(name: str) -> str:
    return name.removesuffix(":latest")
