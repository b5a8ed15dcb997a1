"""LM Studio's older REST API: states, and loads by asking (sections 5 and 8)."""

from cluster.lmstudio.errors import WrongModel
from cluster.lmstudio.names import same
from cluster.lmstudio.openai import CHAT, COMPLETION, checked, completion, items, no_unload, vectors
from cluster.lmstudio.openai import chat as openai_chat
from cluster.lmstudio.values import ChatRequest, CompletionRequest, Dialect, Instance, ListedModel, Listing, LoadResult, State
from cluster.lmstudio.wire import Conversation, Json, Reply, Request, text, whole

__all__ = ["chats", "completions", "listing", "load", "read", "unload", "vectors"]

MODELS = "/api/v0/models"
CHAT_V0 = "/api/v0/chat/completions"
COMPLETION_V0 = "/api/v0/completions"
EMBEDDINGS_V0 = "/api/v0/embeddings"
_KINDS = {"embeddings": "embedding"}
_STATES = {state.value: state for state in State}


def chats(request: ChatRequest) -> tuple[Request, ...]:
    """The native place, which tells why an answer stopped; then OpenAI's, should it be missing."""
    return openai_chat(request, CHAT_V0, ttl=True), openai_chat(request, CHAT, ttl=True)


def completions(request: CompletionRequest) -> tuple[Request, ...]:
    """The same two places for a completion."""
    return completion(request, COMPLETION_V0, ttl=True), completion(request, COMPLETION, ttl=True)


def listing() -> Conversation[Listing]:
    """What the server lists. While JIT is off that is only what is loaded."""
    return read((yield Request(method="GET", path=MODELS)))


def read(reply: Reply) -> Listing:
    """The listing in a reply to `GET /api/v0/models`. A model that is not loaded betrays that JIT is on."""
    models = tuple(_model(item) for item in items(reply) if text(item.get("id")))
    return Listing(
        dialect=Dialect.LMSTUDIO_V0,
        models=models,
        jit=True if any(model.state is State.NOT_LOADED for model in models) else None,
    )


def load(model_key: str, context_length: int | None, kind: str, ttl_s: int) -> Conversation[LoadResult]:
    """Loads by asking for one token (or one vector). The context length cannot be chosen. Raises WrongModel if another one answers."""
    del context_length
    if kind == "embedding":
        request = Request(method="POST", path=EMBEDDINGS_V0, body={"model": model_key, "input": ["."], "ttl": ttl_s}, once=True)
    else:
        body = {"model": model_key, "messages": [{"role": "user", "content": "."}], "max_tokens": 1, "stream": False, "ttl": ttl_s}
        request = Request(method="POST", path=CHAT_V0, body=body, once=True)
    value = checked((yield request))
    answered = text(value.get("model"))
    if answered and not same(answered, model_key):
        raise WrongModel(f"{answered} answered where {model_key} was to be loaded", got=answered)
    return LoadResult(instance_id=answered or model_key)


def unload(instance_id: str, model_key: str) -> Conversation[None]:
    """Impossible: only its TTL ends a JIT load. Raises CapabilityMissing."""
    del model_key
    yield from ()
    raise no_unload(instance_id, Dialect.LMSTUDIO_V0)


def _model(item: Json) -> ListedModel:
    key, state = text(item.get("id")), _STATES.get(text(item.get("state")), State.UNKNOWN)
    kind = text(item.get("type"))
    held = state in (State.LOADED, State.LOADING)
    return ListedModel(
        key=key,
        state=state,
        instances=(Instance(id=key, state=state, context_length=whole(item.get("loaded_context_length"))),) if held else (),
        kind=_KINDS.get(kind, kind) or "llm",
        format=text(item.get("compatibility_type")),
        max_context_length=whole(item.get("max_context_length")),
    )
