"""What is said to a server and what it answers, as values. Times in seconds, sizes in bytes, contexts in tokens."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Self

from cluster.lmstudio.names import known

_VERSIONED = re.compile(r"/v\d[^/]*(?:/|$)")

JIT_TTL_S = 86_400
"""Idle seconds given to a load that only a request can do: a day, for the cluster decides what goes."""


class Dialect(StrEnum):
    """How a server wants to be spoken to."""

    LMSTUDIO_V1 = "lmstudio-v1"
    """LM Studio 0.4.0 and later: loads and unloads by REST."""
    LMSTUDIO_V0 = "lmstudio-v0"
    """LM Studio 0.3.6 and later: lists states, loads by being asked (JIT), never unloads."""
    OPENAI = "openai"
    """Any server of OpenAI's shape, clouds among them: a static model list, no life cycle."""
    OLLAMA = "ollama"
    """Ollama's own API: loads, unloads, and tells what each model takes."""
    LLAMACPP = "llamacpp"
    """llama-server with the one model it was started with."""
    LLAMACPP_ROUTER = "llamacpp-router"
    """llama-server without a model of its own: loads and unloads by REST, and says at once that it will."""
    VLLM = "vllm"
    """vLLM: the one model it was started with."""
    DESIGN = "design"
    """The owner's design document: a `loaded` flag, `/v1/models/load` and `/v1/models/unload`."""


class State(StrEnum):
    """What a server says of a model."""

    LOADED = "loaded"
    LOADING = "loading"
    NOT_LOADED = "not-loaded"
    UNKNOWN = "unknown"
    """The server could not or would not say just now: keep what you believed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One server's address. `url` is its root; a trailing `/` or `/v1` is allowed. `dialect` is a `Dialect` or empty (detect).

    Raises ValueError for an unknown dialect.
    """

    url: str
    token: str = field(default="", repr=False)
    dialect: str = ""

    def __post_init__(self) -> None:
        if self.dialect:
            Dialect(self.dialect)

    @property
    def base(self) -> str:
        """The URL that paths such as `/v1/models` are appended to."""
        return self.url.strip().rstrip("/").removesuffix("/v1").rstrip("/")

    def at(self, path: str) -> str:
        """The URL of a path. A base that names a version of its own (`/v1beta/openai`, `/paas/v4`) takes the place of `/v1`."""
        base = self.base
        return base + (path.removeprefix("/v1") if _VERSIONED.search(base.partition("://")[2]) else path)

    @property
    def where(self) -> str:
        """The server's name in messages: its address without credentials."""
        return (self.base.partition("://")[2] or self.base).rpartition("@")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Limits of one operation, seconds; each stands alone (section 11)."""

    connect_s: float = 3
    probe_s: float = 5
    """A list, a detection step, a ping, an unload: whole answer."""
    load_s: float = 600
    first_token_s: float = 120
    """From sending to the first token; the queue inside the server and the prompt's processing are in it."""
    idle_s: float = 60
    """Between two tokens."""
    total_s: float = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Detected:
    """What a probe found out. `reason` is a sentence for people; `product` and `version` are hints and may be empty."""

    dialect: Dialect
    reason: str
    product: str = ""
    version: str = ""
    jit: bool | None = None
    """Whether a request loads its model by itself; None when the lists do not betray it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One copy of a model in a server's memory. None means the server does not say."""

    id: str
    state: State = State.LOADED
    context_length: int | None = None
    parallel: int | None = None
    ttl_s: int | None = None
    """Remaining idle seconds of a JIT load; None for an explicit one."""
    memory_bytes: int | None = None
    """What it takes by the server's own count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedModel:
    """One model a server has. `state` is the best of its instances' states; None and "" mean the server does not say.

    `size_bytes` is the size on disk. `aliases` are other names it answers to (variants, instance ids).
    """

    key: str
    state: State
    instances: tuple[Instance, ...] = ()
    aliases: tuple[str, ...] = ()
    kind: str = "llm"
    """`llm`, `vlm` or `embedding`."""
    size_bytes: int | None = None
    format: str = ""
    max_context_length: int | None = None
    params: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """All models of one server. `jit` as in `Detected`."""

    dialect: Dialect
    models: tuple[ListedModel, ...]
    jit: bool | None = None

    def among(self, names: Iterable[str]) -> Self:
        """The same with only the models that one of `names` means: a cloud lists hundreds."""
        wanted = tuple(names)
        return replace(self, models=tuple(m for m in self.models if any(known(name, (m.key, *m.aliases)) for name in wanted)))

    def find(self, name: str) -> ListedModel | None:
        """The model of that key or alias; an exact name wins over a mere variant or copy of it."""
        exact = (model for model in self.models if name in (model.key, *model.aliases))
        close = (model for model in self.models if known(name, (model.key, *model.aliases)))
        return next(exact, None) or next(close, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadResult:
    """A confirmed load. `context_length` and `parallel` are what was really loaded, None when the server does not say."""

    instance_id: str
    context_length: int | None = None
    parallel: int | None = None
    seconds: float = 0.0
    already: bool = False
    """It was in memory before we asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What every request has. `model` is what is sent: a model key or an instance id. `names` are further names that may answer for it."""

    model: str
    names: tuple[str, ...] = ()
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    ttl_s: int | None = None
    """Idle seconds after which a JIT load goes away; LM Studio only, and only if this request does the load."""
    context_length: int | None = None
    """The context the model was loaded with: Ollama loads it again for a request that names another one, or none."""

    @property
    def wanted(self) -> tuple[str, ...]:
        """Every name that may stand in the reply's `model`."""
        return (self.model, *self.names)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest(Asked):
    """One chat: mappings with `role` and `content`. `sampling` is sent as it is, without its None values."""

    messages: tuple[Mapping[str, object], ...]
    sampling: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionRequest(Asked):
    """A bare text to go on from. `fields` are sent as they are, without their None values."""

    prompt: str
    fields: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """A piece of an answer; at least one of both is not empty."""

    text: str = ""
    reasoning: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatOutcome:
    """A whole answer. Token counts are None when the server gives none; `first_token_s` is None when no token came."""

    text: str
    reasoning: str
    finish_reason: str
    model: str
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    first_token_s: float | None = None
    total_s: float = 0.0
    tokens_per_s: float | None = None

    @property
    def empty(self) -> bool:
        """Nothing to say: no text, whatever was thought. Valid, and worth one more try (row 14)."""
        return not self.text.strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingResult:
    """One vector per input, in the inputs' order."""

    vectors: tuple[tuple[float, ...], ...]
    model: str
    prompt_tokens: int | None = None
