"""The generic OpenAI dialect: one static list, chats, embeddings, no life cycle (section 6). Clouds speak it too."""

from collections.abc import Sequence
from dataclasses import replace

from cluster.lmstudio.classification import classify
from cluster.lmstudio.errors import CapabilityMissing, Malformed, PeerError, WrongModel
from cluster.lmstudio.names import known
from cluster.lmstudio.values import ChatRequest, Dialect, EmbeddingResult, ListedModel, Listing, LoadResult, State
from cluster.lmstudio.wire import Conversation, Json, Reply, Request, mapping, number, objects, parsed, text, whole

MODELS = "/v1/models"
CHAT = "/v1/chat/completions"
EMBEDDINGS = "/v1/embeddings"
_OURS = frozenset({"model", "messages", "stream", "stream_options"})
_NEEDED = frozenset({"model", "messages", "stream"})
_CONTEXTS = ("max_model_len", "context_length", "context_window", "max_context_length")


def checked(reply: Reply) -> Json:
    """The object of a successful reply. Raises the `PeerError` it is, or Malformed."""
    if error := classify(reply.status, reply.body, reply.headers):
        raise error
    value = parsed(reply.body)
    if not isinstance(value, dict):
        raise Malformed(f"expected an object, got {reply.body[:80].decode('utf-8', 'replace')!r}", status=reply.status)
    return value


def items(reply: Reply, key: str = "data") -> list[Json]:
    """The objects of a successful list; a list that is `null` is empty. Raises the `PeerError` it is, or Malformed."""
    value = checked(reply)
    found = [] if key in value and value[key] is None else objects(value.get(key))
    if found is None:
        raise Malformed(f"a model list without a list `{key}`", status=reply.status)
    return found


def chat(request: ChatRequest, path: str = CHAT, *, ttl: bool = False) -> Request:
    """A streamed chat with usage at its end; `ttl` where the server knows that key."""
    body: dict[str, object] = {name: value for name, value in request.sampling.items() if value is not None and name not in _OURS}
    body |= {"model": request.model, "messages": [dict(message) for message in request.messages]}
    if request.max_tokens is not None:
        body["max_tokens"] = request.max_tokens
    if request.stop:
        body["stop"] = list(request.stop)
    if ttl and request.ttl_s is not None:
        body["ttl"] = request.ttl_s
    return Request(method="POST", path=path, body=body | {"stream": True, "stream_options": {"include_usage": True}})


def chats(request: ChatRequest) -> tuple[Request, ...]:
    """The request, in the order of places to try while the server says that there is no such place."""
    return (chat(request),)


def pared(request: Request, keys: Sequence[str]) -> Request | None:
    """The request without the keys that its server does not know; None if it has none of them to spare.

    Of the two names for the length of an answer the other one is tried.
    """
    body = dict(request.body or {})
    spare = [key for key in keys if key in body and key not in _NEEDED]
    for key in spare:
        value = body.pop(key)
        if key == "max_tokens":
            body["max_completion_tokens"] = value
    return replace(request, body=body) if spare else None


def embedding(model: str, inputs: Sequence[str], wanted: Sequence[str], path: str = EMBEDDINGS) -> Conversation[EmbeddingResult]:
    """Vectors of all inputs in one request. Raises WrongModel when none of `wanted` answered."""
    body = {"model": model, "input": list(inputs)}
    result = embedded((yield Request(method="POST", path=path, body=body)), len(inputs))
    if result.model and not known(result.model, wanted):
        raise WrongModel(f"{result.model} answered where {model} was asked", got=result.model)
    return result


def embedded(reply: Reply, count: int) -> EmbeddingResult:
    """The vectors of `count` inputs, in order. Raises Malformed when some are missing."""
    value = checked(reply)
    rows = objects(value.get("data")) or []
    if all(whole(row.get("index")) is not None for row in rows):
        rows = sorted(rows, key=lambda row: whole(row.get("index")) or 0)
    vectors: list[tuple[float, ...]] = []
    for row in rows:
        raw = row.get("embedding")
        vector = [number(part) for part in raw] if isinstance(raw, list) else []
        vectors.append(tuple(part for part in vector if part is not None))
        if not vector or len(vectors[-1]) != len(vector):
            raise Malformed("an embedding that is no list of numbers", status=reply.status)
    if len(vectors) != count:
        raise Malformed(f"{len(vectors)} embeddings for {count} inputs", status=reply.status)
    usage = mapping(value.get("usage"))
    return EmbeddingResult(vectors=tuple(vectors), model=text(value.get("model")), prompt_tokens=whole(usage.get("prompt_tokens")))


def listing() -> Conversation[Listing]:
    """What the server lists; nothing says whether it is in memory."""
    return read((yield Request(method="GET", path=MODELS)))


def read(reply: Reply) -> Listing:
    """The listing in a reply to `GET /v1/models`."""
    return Listing(dialect=Dialect.OPENAI, models=tuple(_model(item) for item in items(reply) if text(item.get("id"))))


def load(model_key: str, context_length: int | None, kind: str, ttl_s: int) -> Conversation[LoadResult]:
    """Nothing to do: the request itself loads, or the model is there."""
    del context_length, kind, ttl_s
    yield from ()
    return LoadResult(instance_id=model_key)


def unload(instance_id: str, model_key: str) -> Conversation[None]:
    """Impossible. Raises CapabilityMissing."""
    del model_key
    yield from ()
    raise no_unload(instance_id, Dialect.OPENAI)


def no_unload(instance_id: str, dialect: Dialect) -> PeerError:
    """What to raise where the dialect cannot unload."""
    return CapabilityMissing(f"the dialect {dialect} cannot unload {instance_id}")


def named(item: Json) -> tuple[str, ...]:
    """The further names that a list gives a model."""
    aliases = item.get("aliases")
    return tuple(name for name in aliases if isinstance(name, str)) if isinstance(aliases, list) else ()


def kind(key: str) -> str:
    """What a model is for, as far as its name tells."""
    return "embedding" if "embed" in key.lower() else "llm"


def _model(item: Json) -> ListedModel:
    key, meta = text(item.get("id")), mapping(item.get("meta"))
    contexts = (whole(item.get(name)) for name in _CONTEXTS)
    return ListedModel(
        key=key,
        state=State.UNKNOWN,
        aliases=named(item),
        kind=kind(key),
        size_bytes=whole(meta.get("size")),
        max_context_length=next((each for each in contexts if each), None) or whole(meta.get("n_ctx")),
    )
