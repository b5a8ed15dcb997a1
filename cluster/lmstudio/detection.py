"""Finding out which dialect a server speaks, in the reference's order (section 12)."""

from cluster.lmstudio import openai, v0, v1
from cluster.lmstudio.errors import Misconfigured, PeerError, RateLimited, StillLoading, Unavailable
from cluster.lmstudio.openai import checked
from cluster.lmstudio.values import Detected, Dialect
from cluster.lmstudio.wire import Conversation, Json, Reply, Request, mapping, objects, text

_OWNERS = {
    "organization_owner": "lm-studio",
    "llamacpp": "llama-server",
    "vllm": "vllm",
    "me": "llama-cpp-python",
    "library": "ollama",
}


def detect() -> Conversation[Detected]:
    """Asks for the native v1 list, the v0 list, then OpenAI's; the first that has its own marks wins.

    Raises Misconfigured for 401 and 403 at once, StillLoading, and CapabilityMissing for what is no model server. A server
    that fails (5xx) on a native list and turns out to be LM Studio is not degraded: its failure is raised.
    """
    native = yield Request(method="GET", path=v1.MODELS)
    models, trouble = _list(native, "models")
    if models is not None and all("key" in item and "loaded_instances" in item for item in models):
        return (yield from _native(native, models))
    older = yield Request(method="GET", path=v0.MODELS)
    models, older_trouble = _list(older, "data")
    if models is not None and all("state" in item for item in models):
        if trouble is not None:
            raise trouble
        return _older(older, models)
    return _generic((yield Request(method="GET", path=openai.MODELS)), trouble or older_trouble)


def _list(reply: Reply, key: str) -> tuple[list[Json] | None, PeerError | None]:
    """The list if the reply is one, and the failure if the reply is one. Raises what no other list could mend."""
    try:
        return objects(checked(reply).get(key)), None
    except (Misconfigured, RateLimited, StillLoading):
        raise
    except Unavailable as exc:
        return None, exc
    except PeerError:
        return None, None


def _native(reply: Reply, items: list[Json]) -> Conversation[Detected]:
    jit: bool | None = None
    try:
        states = v0.read((yield Request(method="GET", path=v0.MODELS)))
        jit = v1.merged(v1.read(reply), states).jit
        readiness = "with states from its v0 list"
    except PeerError as exc:
        readiness = f"without a v0 list ({exc.code})"
    instances = [one for item in items for one in objects(item.get("loaded_instances")) or ()]
    ttl = any("remaining_ttl_seconds" in one for one in instances)
    return Detected(
        dialect=Dialect.LMSTUDIO_V1,
        reason=f"GET {v1.MODELS} lists models with keys and loaded instances, {readiness}",
        product="lm-studio",
        version="0.4.16+" if ttl else "0.4.0+",
        jit=jit,
    )


def _older(reply: Reply, items: list[Json]) -> Detected:
    return Detected(
        dialect=Dialect.LMSTUDIO_V0,
        reason=f"no v1 list, and GET {v0.MODELS} lists models with states",
        product="lm-studio",
        version="0.3.16+" if any("capabilities" in item for item in items) else "0.3.6+",
        jit=v0.read(reply).jit,
    )


def _generic(reply: Reply, trouble: PeerError | None) -> Detected:
    items = openai.items(reply)
    owners = {text(item.get("owned_by")) for item in items}
    server = next((content for name, content in reply.headers.items() if name.lower() == "server"), "")
    product = next((name for owner, name in _OWNERS.items() if owner in owners), "llama-server" if server == "llama.cpp" else "")
    if trouble is not None and product == "lm-studio":
        raise trouble
    if items and all(isinstance(item.get("loaded"), bool) for item in items):
        return Detected(dialect=Dialect.DESIGN, reason=f"every model in GET {openai.MODELS} has a `loaded` flag", product=product)
    if product == "llama-server" and any("value" in mapping(item.get("status")) for item in items):
        product = "llama-server-router"
    return Detected(
        dialect=Dialect.OPENAI,
        reason=f"neither of LM Studio's native lists, and GET {openai.MODELS} is a plain list",
        product=product,
        version="before 0.3.6" if product == "lm-studio" else "",
    )
