"""Finding out which dialect a server speaks, in the reference's order (section 12)."""

from cluster.lmstudio import ollama, openai, v0, v1
from cluster.lmstudio.errors import Misconfigured, PeerError, RateLimited, StillLoading, Unavailable
from cluster.lmstudio.openai import checked
from cluster.lmstudio.values import Detected, Dialect
from cluster.lmstudio.wire import Conversation, Json, Reply, Request, mapping, objects, text

_OWNERS = {
    "organization_owner": "lm-studio",
    "llamacpp": "llama-server",
    "vllm": "vllm",
    "me": "llama-cpp-python",
    "koboldcpp": "koboldcpp",
}
_SERVERS = {"llama.cpp": "llama-server", "basehttp": "mlx-lm"}
"""How some that do not say it in their lists begin their `Server` header."""
_DIALECTS = {"llama-server": Dialect.LLAMACPP, "llama-server-router": Dialect.LLAMACPP_ROUTER, "vllm": Dialect.VLLM}


def detect() -> Conversation[Detected]:
    """Asks for the native v1 list, the v0 list, then OpenAI's, last for Ollama's; the first that has its own marks wins.

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
    return (yield from _generic((yield Request(method="GET", path=openai.MODELS)), trouble or older_trouble))


def _list(reply: Reply, key: str) -> tuple[list[Json] | None, PeerError | None]:
    """The list if the reply is one, and the failure if the reply is one. Raises what no other list could mend."""
    try:
        return objects(checked(reply).get(key)), None
    except (Misconfigured, RateLimited, StillLoading) as exc:
        if exc.status is not None and 300 <= exc.status < 400:  # clouds send strangers' paths to their front page
            return None, None
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


def _generic(reply: Reply, trouble: PeerError | None) -> Conversation[Detected]:
    items = openai.items(reply)
    product = _product(reply, items)
    if trouble is not None and product == "lm-studio":
        raise trouble
    if items and all(isinstance(item.get("loaded"), bool) for item in items):
        return Detected(dialect=Dialect.DESIGN, reason=f"every model in GET {openai.MODELS} has a `loaded` flag", product=product)
    if product in _DIALECTS:
        return Detected(dialect=_DIALECTS[product], reason=f"GET {openai.MODELS} is {product}'s", product=product)
    if not product and (version := (yield from _ollama())) is not None:
        reason = f"GET {ollama.VERSION} and GET {ollama.TAGS} are Ollama's"
        return Detected(dialect=Dialect.OLLAMA, reason=reason, product="ollama", version=version, jit=True)
    return Detected(
        dialect=Dialect.OPENAI,
        reason=f"neither of LM Studio's native lists, and GET {openai.MODELS} is a plain list",
        product=product,
        version="before 0.3.6" if product == "lm-studio" else "",
    )


def _product(reply: Reply, items: list[Json]) -> str:
    """Which program it is; empty when nothing tells. A llama-server without a model in its list is a router without models."""
    owners = {text(item.get("owned_by")) for item in items}
    header = next((content for name, content in reply.headers.items() if name.lower() == "server"), "").lower()
    found = next((name for owner, name in _OWNERS.items() if owner in owners), "")
    found = found or next((name for start, name in _SERVERS.items() if header.startswith(start)), "")
    if found == "llama-server" and (not items or any("value" in mapping(item.get("status")) for item in items)):
        return "llama-server-router"
    return found


def _ollama() -> Conversation[str | None]:
    """Ollama's version; None where it is none. Some imitate one of its lists: both have to be there."""
    try:
        version = text(checked((yield Request(method="GET", path=ollama.VERSION))).get("version"))
        tags = openai.items((yield Request(method="GET", path=ollama.TAGS)), "models") if version else []
    except PeerError:
        return None
    return version if version and all(text(item.get("digest")) for item in tags) else None
