"""vLLM with the one model it was started with (section 13): nothing to load, nothing to unload. It is strict about names."""

from cluster.lmstudio.openai import MODELS, chats, completions, items, kind, load, named, no_unload, vectors
from cluster.lmstudio.values import Dialect, Instance, ListedModel, Listing, State
from cluster.lmstudio.wire import Conversation, Json, Reply, Request, text, whole

__all__ = ["chats", "completions", "listing", "load", "read", "unload", "vectors"]


def listing() -> Conversation[Listing]:
    """Its model under each name it is served as, and its adapters, all ready. How many answers at once it gives it does not tell."""
    return read((yield Request(method="GET", path=MODELS)))


def read(reply: Reply) -> Listing:
    """The listing in a reply to `GET /v1/models`."""
    return Listing(dialect=Dialect.VLLM, models=tuple(_model(item) for item in items(reply) if text(item.get("id"))))


def unload(instance_id: str, model_key: str) -> Conversation[None]:
    """Impossible. Raises CapabilityMissing."""
    del model_key
    yield from ()
    raise no_unload(instance_id, Dialect.VLLM)


def _model(item: Json) -> ListedModel:
    key, root, context = text(item.get("id")), text(item.get("root")), whole(item.get("max_model_len"))
    # An adapter's root is a folder too, but its parent says that it is no other name of the model.
    roots = (root,) if root and not item.get("parent") else ()
    return ListedModel(
        key=key,
        state=State.LOADED,
        instances=(Instance(id=key, context_length=context),),
        aliases=tuple(name for name in dict.fromkeys((*named(item), *roots)) if name != key),
        kind=kind(key),
        max_context_length=context,
    )
