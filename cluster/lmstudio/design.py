"""The dialect of the owner's design document: a `loaded` flag and two verbs (section 12).

No LM Studio ever spoke it; gateways may. Its reply bodies are unspecified, so a load or unload counts only when the list says so.
"""

from cluster.lmstudio.classification import classify
from cluster.lmstudio.errors import AlreadyLoaded, CapabilityMissing, ModelMissing, NotLoaded
from cluster.lmstudio.names import same
from cluster.lmstudio.openai import MODELS, chats, completions, items, vectors
from cluster.lmstudio.values import Dialect, Instance, ListedModel, Listing, LoadResult, State
from cluster.lmstudio.wire import Conversation, Json, Pause, Reply, Request, text

__all__ = ["chats", "completions", "listing", "load", "read", "unload", "vectors"]

LOAD = "/v1/models/load"
UNLOAD = "/v1/models/unload"
_PAUSES = (0.05, 0.1, 0.2, 0.5)
"""Seconds between looks at the list; the last one repeats."""


def listing() -> Conversation[Listing]:
    """What the server lists, with its `loaded` flags; a missing flag is unknown."""
    return read((yield Request(method="GET", path=MODELS)))


def read(reply: Reply) -> Listing:
    """The listing in a reply to `GET /v1/models`."""
    return Listing(dialect=Dialect.DESIGN, models=tuple(_model(item) for item in items(reply) if text(item.get("id"))))


def load(model_key: str, context_length: int | None, kind: str, ttl_s: int) -> Conversation[LoadResult]:
    """Asks for the load, then looks at the list until it says `loaded`. Raises ModelMissing, CapabilityMissing."""
    del kind, ttl_s
    config: dict[str, object] = {"keep_in_memory": True}
    if context_length is not None:
        config["context_length"] = context_length
    already = yield from _told(Request(method="POST", path=LOAD, body={"model": model_key, "config": config}, once=True), AlreadyLoaded)
    yield from _seen(model_key, State.LOADED)
    return LoadResult(instance_id=model_key, already=already)


def unload(instance_id: str, model_key: str) -> Conversation[None]:
    """Asks for the unload of the model, then looks at the list until it is gone from memory."""
    del instance_id
    yield from _told(Request(method="POST", path=UNLOAD, body={"model": model_key}), NotLoaded)
    yield from _seen(model_key, State.NOT_LOADED)


def _told(request: Request, fine: type[Exception]) -> Conversation[bool]:
    """Sends a verb; whether the answer was the error that means it is so already."""
    reply = yield request
    error = classify(reply.status, reply.body, reply.headers)
    if error is not None and not isinstance(error, fine):
        raise error
    return error is not None


def _seen(model_key: str, state: State) -> Conversation[None]:
    for look in range(1_000_000):
        listed = yield from listing()
        found = next((model for model in listed.models if same(model.key, model_key)), None)
        if found is None:
            if state is State.NOT_LOADED:
                return
            raise ModelMissing(f"{model_key} is not in the server's list")
        if found.state is State.UNKNOWN:
            raise CapabilityMissing(f"the list does not say whether {model_key} is loaded")
        if found.state is state:
            return
        yield Pause(seconds=_PAUSES[min(look, len(_PAUSES) - 1)])


def _model(item: Json) -> ListedModel:
    key, loaded = text(item.get("id")), item.get("loaded")
    state = {True: State.LOADED, False: State.NOT_LOADED}[loaded] if isinstance(loaded, bool) else State.UNKNOWN
    instances = (Instance(id=key),) if state is State.LOADED else ()
    return ListedModel(key=key, state=state, instances=instances, kind="embedding" if "embed" in key.lower() else "llm")
