"""llama.cpp's llama-server as a router over many models (section 13): a process for each model in memory.

A load is answered at once and done later; the list tells when, and how it ended. Chats forbid it to load by itself: it would evict,
unasked, what others wait for.
"""

from collections.abc import Sequence
from dataclasses import replace

from cluster.lmstudio import openai
from cluster.lmstudio.classification import classify
from cluster.lmstudio.errors import (
    AlreadyLoaded,
    CapabilityMissing,
    EngineFailed,
    LoadCanceled,
    Malformed,
    ModelMissing,
    NotLoaded,
    PeerError,
)
from cluster.lmstudio.llamacpp import properties, stem
from cluster.lmstudio.names import known
from cluster.lmstudio.openai import CHAT, COMPLETION, EMBEDDINGS, chat, checked, completion, items, kind, named
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
from cluster.lmstudio.wire import Conversation, Json, Pause, Reply, Request, mapping, text, whole

MODELS = "/models"
LOAD = "/models/load"
UNLOAD = "/models/unload"
_STATES = {"unloaded": State.NOT_LOADED, "downloading": State.NOT_LOADED, "downloaded": State.NOT_LOADED, "loading": State.LOADING,
           "loaded": State.LOADED, "sleeping": State.LOADED}  # fmt: skip
_PAUSES = (0.05, 0.1, 0.2, 0.5, 1.0)
"""Seconds between looks at the list; the last one repeats."""


def chats(request: ChatRequest) -> tuple[Request, ...]:
    """The OpenAI-compatible place, without leave to load."""
    return (chat(request, f"{CHAT}?autoload=false"),)


def completions(request: CompletionRequest) -> tuple[Request, ...]:
    """The same for a completion."""
    return (completion(request, f"{COMPLETION}?autoload=false"),)


def vectors(model: str, inputs: Sequence[str], context_length: int | None, fields: Json) -> Conversation[EmbeddingResult]:
    """And for vectors."""
    return openai.vectors(model, inputs, context_length, fields, f"{EMBEDDINGS}?autoload=false")


def listing() -> Conversation[Listing]:
    """All models with their states; of those in memory also slots and context."""
    listed = read((yield Request(method="GET", path=MODELS)))
    models = {model.key: model for model in listed.models}
    for model in listed.models:
        if model.state is State.LOADED:
            models[model.key] = yield from _detailed(model)
    return replace(listed, models=tuple(models.values()))


def read(reply: Reply) -> Listing:
    """The listing in a reply to `GET /models`. One that sleeps counts as loaded: the next request wakes it, memory and all."""
    return Listing(dialect=Dialect.LLAMACPP_ROUTER, models=tuple(_model(item) for item in items(reply) if text(item.get("id"))))


def load(model_key: str, context_length: int | None, kind: str, ttl_s: int) -> Conversation[LoadResult]:
    """Asks for the load, then looks at the list until it is over. The context is the router's to choose.

    Raises EngineFailed with the exit code, mostly also when somebody unloaded it meanwhile, for that kills it; LoadCanceled, ModelMissing.
    """
    del context_length, kind, ttl_s
    try:
        already = yield from _told(Request(method="POST", path=LOAD, body={"model": model_key}, once=True), AlreadyLoaded)
    except CapabilityMissing as exc:  # said of the path and of an unknown model in the same words
        listed = items((yield Request(method="GET", path=MODELS)))
        if not listed or any("status" not in item for item in listed):
            raise
        raise ModelMissing(f"the router does not know {model_key}", status=exc.status) from exc
    for look in range(1_000_000):
        reply = yield Request(method="GET", path=MODELS)
        item = next((each for each in items(reply) if known(model_key, (text(each.get("id")), *named(each)))), None)
        if item is None:
            raise ModelMissing(f"{model_key} is not in the router's list")
        status, model = mapping(item.get("status")), _model(item)
        if model.state is State.LOADED:
            (one,) = (yield from _detailed(model)).instances
            return LoadResult(instance_id=one.id, context_length=one.context_length, parallel=one.parallel, already=already)
        if status.get("failed") is True:
            raise EngineFailed(
                f"the engine of {model_key} ended with exit code {whole(status.get('exit_code'))} while it loaded: it failed, or somebody "
                "unloaded it; the router's log says which"
            )
        if model.state is not State.LOADING:
            raise LoadCanceled(f"{model_key} was unloaded while it was loading")
        yield Pause(seconds=_PAUSES[min(look, len(_PAUSES) - 1)])
    raise AssertionError("a load ends, or its time does")


def unload(instance_id: str, model_key: str) -> Conversation[None]:
    """Asks for the unload, which kills what it is answering; the list tells when it is over. That it does not run is a success."""
    del model_key
    try:
        yield from _told(Request(method="POST", path=UNLOAD, body={"model": instance_id}), NotLoaded)
    except ModelMissing:
        return


def _told(request: Request, fine: type[PeerError]) -> Conversation[bool]:
    """Sends a verb; whether the answer was the error that means it is so already."""
    reply = yield request
    if isinstance(classify(reply.status, reply.body, reply.headers), fine):
        return True
    if checked(reply).get("success") is not True:
        raise Malformed(f"a reply to POST {request.path} that does not say `success`", status=reply.status)
    return False


def _detailed(model: ListedModel) -> Conversation[ListedModel]:
    """A model with slots and context; without them when it goes at that very moment."""
    try:
        slots, context = yield from properties(model.key)
    except PeerError:
        return model
    return replace(model, instances=tuple(replace(one, parallel=slots, context_length=context) for one in model.instances))


def _model(item: Json) -> ListedModel:
    key, meta = text(item.get("id")), mapping(item.get("meta"))
    state = _STATES.get(text(mapping(item.get("status")).get("value")), State.UNKNOWN)
    held = state in (State.LOADED, State.LOADING)
    return ListedModel(
        key=key,
        state=state,
        instances=(Instance(id=key, state=state),) if held else (),
        aliases=tuple(name for name in dict.fromkeys((*named(item), stem(key))) if name != key),
        kind=kind(key),
        size_bytes=whole(meta.get("size")),
        format="gguf",
        max_context_length=whole(meta.get("n_ctx_train")),
    )
