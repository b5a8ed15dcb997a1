"""The generic OpenAI dialect: one static list, chats, embeddings, no life cycle (section 6). Clouds speak it too."""

from collections.abc import Sequence
from dataclasses import replace

from cluster.lmstudio.classification import classify
from cluster.lmstudio.errors import CapabilityMissing, Malformed, PeerError
from cluster.lmstudio.values import ChatRequest, CompletionRequest, Dialect, EmbeddingResult, ListedModel, Listing, LoadResult, State
from cluster.lmstudio.wire import Conversation, Json, Reply, Request, mapping, number, objects, parsed, text, whole

MODELS = "/v1/models"
CHAT = "/v1/chat/completions"
COMPLETION = "/v1/completions"
EMBEDDINGS = "/v1/embeddings"
_OURS = frozenset({"model", "messages", "prompt", "stream", "stream_options"})
_NEEDED = frozenset({"model", "messages", "prompt", "stream"})
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
    said: dict[str, object] = {"model": request.model, "messages": [dict(message) for message in request.messages]}
    return _streamed(request, request.sampling, said, path, ttl=ttl)


def completion(request: CompletionRequest, path: str = COMPLETION, *, ttl: bool = False) -> Request:
    """The same for a bare text that is to go on."""
    return _streamed(request, request.fields, {"model": request.model, "prompt": request.prompt}, path, ttl=ttl)


def choices(request: ChatRequest | CompletionRequest) -> int:
    """How many answers are asked for."""
    return max(1, whole((request.sampling if isinstance(request, ChatRequest) else request.fields).get("n")) or 1)


def _streamed(request: ChatRequest | CompletionRequest, given: Json, said: dict[str, object], path: str, *, ttl: bool) -> Request:
    body = {name: value for name, value in given.items() if value is not None and name not in _OURS} | said
    if request.max_tokens is not None:
        body["max_tokens"] = request.max_tokens
    if ends := [end for end in request.stop if end]:  # an empty one would end every answer before its first word
        body["stop"] = ends
    if ttl and request.ttl_s is not None:
        body["ttl"] = request.ttl_s
    return Request(method="POST", path=path, body=body | {"stream": True, "stream_options": {"include_usage": True}})


def chats(request: ChatRequest) -> tuple[Request, ...]:
    """The request, in the order of places to try while the server says that there is no such place."""
    return (chat(request),)


def completions(request: CompletionRequest) -> tuple[Request, ...]:
    """The same for a completion."""
    return (completion(request),)


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


def vectors(
    model: str, inputs: Sequence[str], context_length: int | None, fields: Json, path: str = EMBEDDINGS
) -> Conversation[EmbeddingResult]:
    """Vectors of all inputs in one request; `fields` are sent beside them as they are."""
    del context_length
    body = {**fields, "model": model, "input": list(inputs)}
    return embedded((yield Request(method="POST", path=path, body=body)), len(inputs))


def embedded(reply: Reply, count: int) -> EmbeddingResult:
    """The vectors of `count` inputs, in order. Raises Malformed when some are missing."""
    value = checked(reply)
    rows = objects(value.get("data")) or []
    if all(whole(row.get("index")) is not None for row in rows):
        rows = sorted(rows, key=lambda row: whole(row.get("index")) or 0)
    found = numbers([row.get("embedding") for row in rows], count)
    usage = mapping(value.get("usage"))
    return EmbeddingResult(vectors=found, model=text(value.get("model")), prompt_tokens=whole(usage.get("prompt_tokens")))


def numbers(rows: Sequence[object], count: int) -> tuple[tuple[float, ...], ...]:
    """So many vectors. Raises Malformed for anything else."""
    if len(rows) != count:
        raise Malformed(f"{len(rows)} embeddings for {count} inputs")
    return tuple(_vector(row) for row in rows)


def _vector(row: object) -> tuple[float, ...]:
    vector = [number(part) for part in row] if isinstance(row, list) else []
    found = tuple(part for part in vector if part is not None)
    if not vector or len(found) != len(vector):
        raise Malformed("an embedding that is no list of numbers")
    return found


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
