"""LM Studio's native REST API of 0.4.0 and later (section 4)."""

from dataclasses import replace

from cluster.lmstudio import v0
from cluster.lmstudio.classification import classify
from cluster.lmstudio.errors import AlreadyLoaded, CapabilityMissing, Malformed, NotLoaded, PeerError, UnknownKey
from cluster.lmstudio.names import same
from cluster.lmstudio.openai import CHAT, COMPLETION, chat, checked, completion, items, vectors
from cluster.lmstudio.values import ChatRequest, CompletionRequest, Dialect, Instance, ListedModel, Listing, LoadResult, State
from cluster.lmstudio.wire import Conversation, Json, Reply, Request, mapping, number, objects, text, whole

__all__ = ["chats", "completions", "listing", "load", "merged", "read", "unload", "vectors"]

MODELS = "/api/v1/models"
LOAD = "/api/v1/models/load"
UNLOAD = "/api/v1/models/unload"


def chats(request: ChatRequest) -> tuple[Request, ...]:
    """The OpenAI-compatible place: the native one keeps state on one server."""
    return (chat(request, CHAT, ttl=True),)


def completions(request: CompletionRequest) -> tuple[Request, ...]:
    """The OpenAI-compatible place; there is no other."""
    return (completion(request, COMPLETION, ttl=True),)


def listing() -> Conversation[Listing]:
    """Models and instances of the v1 list, their readiness from the v0 list: an instance is listed as soon as its load starts.

    Where the server has no v0 list, instances count as loaded; where that list fails just now, their state is unknown.
    """
    listed = read((yield Request(method="GET", path=MODELS)))
    try:
        states = v0.read((yield Request(method="GET", path=v0.MODELS)))
    except CapabilityMissing:
        return listed
    except PeerError:
        return merged(listed, None)
    return merged(listed, states)


def read(reply: Reply) -> Listing:
    """The listing in a reply to `GET /api/v1/models`, every instance taken for loaded."""
    return Listing(dialect=Dialect.LMSTUDIO_V1, models=tuple(_model(item) for item in items(reply, "models") if text(item.get("key"))))


def merged(listed: Listing, states: Listing | None) -> Listing:
    """The v1 listing with states and JIT setting of the v0 listing; None when that one failed.

    While JIT is off the v0 list has only what is loaded: an instance that it leaves out is still loading.
    """
    if states is None:
        return replace(listed, models=tuple(_ready(model, State.UNKNOWN) for model in listed.models))
    told = {model.key: model for model in states.models}
    idle_told = any(model.state is State.NOT_LOADED for model in states.models)
    idle_left_out = any(not model.instances and _told(model, told) is None for model in listed.models)
    jit = True if idle_told else False if idle_left_out else None
    absent = State.LOADING if jit is False else State.LOADED
    return replace(listed, models=tuple(_joined(model, _told(model, told), absent) for model in listed.models), jit=jit)


def load(model_key: str, context_length: int | None, kind: str, ttl_s: int) -> Conversation[LoadResult]:
    """An explicit load; blocks until loaded. A key that the closed schema does not know is dropped, once.

    Raises OutOfMemory, EngineFailed, LoadCanceled, ModelMissing, FormatUnsupported, LoadFailed, CapabilityMissing.
    """
    del kind, ttl_s
    body: dict[str, object] = {"model": model_key, "echo_load_config": True}
    if context_length is not None:
        body["context_length"] = context_length
    reply = yield _post(LOAD, body)
    error = classify(reply.status, reply.body, reply.headers)
    if isinstance(error, UnknownKey) and "model" not in error.keys and any(key in body for key in error.keys):
        reply = yield _post(LOAD, {key: value for key, value in body.items() if key not in error.keys})
        error = classify(reply.status, reply.body, reply.headers)
    if isinstance(error, AlreadyLoaded):
        return LoadResult(instance_id=model_key, already=True)
    value = checked(reply)
    instance = text(value.get("instance_id"))
    if not instance or text(value.get("status")) not in ("loaded", ""):
        raise Malformed(f"a load of {model_key} that does not say `loaded`", status=reply.status)
    config = mapping(value.get("load_config"))
    return LoadResult(
        instance_id=instance,
        context_length=whole(config.get("context_length")),
        parallel=whole(config.get("parallel")),
        seconds=number(value.get("load_time_seconds")) or 0.0,
    )


def unload(instance_id: str, model_key: str) -> Conversation[None]:
    """Ends one instance and whatever it is answering; that it is not there is a success."""
    del model_key
    try:
        checked((yield Request(method="POST", path=UNLOAD, body={"instance_id": instance_id})))
    except NotLoaded:
        return


def _post(path: str, body: Json) -> Request:
    return Request(method="POST", path=path, body=body, once=True)


def _told(model: ListedModel, told: dict[str, ListedModel]) -> ListedModel | None:
    for name in (model.key, *model.aliases):
        if name in told:
            return told[name]
    return next((other for key, other in told.items() if same(key, model.key)), None)


def _joined(model: ListedModel, told: ListedModel | None, absent: State) -> ListedModel:
    if told is None:
        return _ready(model, absent)
    if not model.instances:
        # The v1 list has been seen to leave out a model that was loaded on demand.
        return replace(model, state=told.state, instances=told.instances)
    # An instance that v0 calls not loaded is one whose load has just begun, or is just ending: not ready, memory taken.
    return _ready(model, told.state if told.state is not State.NOT_LOADED else State.LOADING)


def _ready(model: ListedModel, state: State) -> ListedModel:
    if not model.instances:
        return model
    return replace(model, state=state, instances=tuple(replace(instance, state=state) for instance in model.instances))


def _model(item: Json) -> ListedModel:
    instances = tuple(_instance(one) for one in objects(item.get("loaded_instances")) or () if text(one.get("id")))
    variants = item.get("variants")
    names = [name for name in variants if isinstance(name, str)] if isinstance(variants, list) else []
    key = text(item.get("key"))
    return ListedModel(
        key=key,
        state=State.LOADED if instances else State.NOT_LOADED,
        instances=instances,
        aliases=tuple(dict.fromkeys(name for name in (*names, *(one.id for one in instances)) if name != key)),
        kind=text(item.get("type")) or "llm",
        size_bytes=whole(item.get("size_bytes")),
        format=text(item.get("format")),
        max_context_length=whole(item.get("max_context_length")),
        params=text(item.get("params_string")),
    )


def _instance(item: Json) -> Instance:
    config = mapping(item.get("config"))
    return Instance(
        id=text(item.get("id")),
        context_length=whole(config.get("context_length")),
        parallel=whole(config.get("parallel")),
        ttl_s=whole(item.get("remaining_ttl_seconds")),
    )
