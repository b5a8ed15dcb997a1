"""llama.cpp's llama-server with the one model it was started with (section 13): nothing to load, nothing to unload.

It answers any model's name, newer ones as the model they have, older ones as the name they were asked for: whoever asks must have
seen in the list that the model is the right one.
"""

from dataclasses import replace
from urllib.parse import urlencode

from cluster.lmstudio.errors import CapabilityMissing, Refused
from cluster.lmstudio.openai import MODELS, chats, checked, completions, items, kind, load, named, no_unload, vectors
from cluster.lmstudio.values import Dialect, Instance, ListedModel, Listing, State
from cluster.lmstudio.wire import Conversation, Json, Reply, Request, mapping, text, whole

__all__ = ["chats", "completions", "listing", "load", "read", "unload", "vectors"]

PROPS = "/props"
ENGINE_S = 0.5
"""Seconds that one engine of a router is waited for: it has its properties at hand."""


def listing() -> Conversation[Listing]:
    """Its model, with slots and context of `/props` where it tells them. Raises StillLoading until it has loaded it.

    Older ones want no API key for the list, but for `/props`: a wrong key is found out here.
    """
    listed = read((yield Request(method="GET", path=MODELS)))
    slots, context = yield from properties()
    return replace(listed, models=tuple(_with(model, slots, context) for model in listed.models))


def read(reply: Reply) -> Listing:
    """The listing in a reply to `GET /v1/models`, everything in it loaded."""
    return Listing(dialect=Dialect.LLAMACPP, models=tuple(_model(item) for item in items(reply) if text(item.get("id"))))


def properties(model: str = "") -> Conversation[tuple[int | None, int | None]]:
    """Answers at once and context of each, of the only model or, on a router, of that one; None for what is not told.

    Raises like any request, but not for a server without `/props`.
    """
    query = "?" + urlencode({"model": model, "autoload": "false"}) if model else ""
    within = ENGINE_S if model else None  # one engine of a router that is stuck says nothing of the others
    try:
        told = checked((yield Request(method="GET", path=PROPS + query, within_s=within)))
    except (CapabilityMissing, Refused):
        return None, None
    return whole(told.get("total_slots")), whole(mapping(told.get("default_generation_settings")).get("n_ctx"))


def unload(instance_id: str, model_key: str) -> Conversation[None]:
    """Impossible. Raises CapabilityMissing."""
    del model_key
    yield from ()
    raise no_unload(instance_id, Dialect.LLAMACPP)


def stem(name: str) -> str:
    """The name of a model's file without folders and ending: `/models/gemma-3-4b-Q4_K_M.gguf` is `gemma-3-4b-Q4_K_M`."""
    return name.replace("\\", "/").rpartition("/")[2].removesuffix(".gguf") if name.endswith(".gguf") else name


def _model(item: Json) -> ListedModel:
    key, meta = text(item.get("id")), mapping(item.get("meta"))
    return ListedModel(
        key=key,
        state=State.LOADED,
        instances=(Instance(id=key, context_length=whole(meta.get("n_ctx"))),),
        aliases=tuple(name for name in dict.fromkeys((*named(item), stem(key))) if name != key),
        kind=kind(key),
        size_bytes=whole(meta.get("size")),
        format="gguf",
        max_context_length=whole(meta.get("n_ctx_train")) or whole(meta.get("n_ctx")),
    )


def _with(model: ListedModel, slots: int | None, context: int | None) -> ListedModel:
    instances = (replace(one, parallel=slots, context_length=context or one.context_length) for one in model.instances)
    return replace(model, instances=tuple(instances))
