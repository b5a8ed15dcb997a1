"""What the emulator does badly, slowly or differently, and the profiles it starts from."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Literal, Self, get_args, get_type_hints

Fault = Literal[
    "", "drop", "html500", "unavailable", "rate-limit", "busy", "quota", "credit", "loading", "channel", "fetch-failed", "link", "no-models",
    "wrong-model", "overflow", "crowded", "hang", "stall", "crash", "unload", "reset", "cut", "silent-cut", "failed", "plain", "proxy-error",
]  # fmt: skip
LoadError = Literal["", "sigabrt", "format", "canceled", "observer", "memory", "memory-gb", "missing", "exists"]
Answer = Literal["", "reasoning", "empty", "skip", "long", "think", "thought", "leak"]
Overflow = Literal["keep", "n_keep", "exceed"]


@dataclass(slots=True, kw_only=True)
class Habits:
    """Everything that can be switched at run time. Seconds, tokens; GB are 2^30 bytes.

    `fault` strikes chats, completions and embeddings; `fault_times` says how often (0: until switched off) and `fault_model`
    whom (empty: all). `load_error` and `load_error_times` do the same to loads, `list_fault` to lists.
    """

    tokens_per_s: float = 0.0
    """Of the whole machine, shared by what runs; 0 is instant."""
    first_token_s: float = 0.0
    prefill_tokens_per_s: float = 0.0
    load_gbps: float = 0.0
    """GB a second; 0 is instant."""
    load_seconds: float = 0.0
    """On top of what `load_gbps` takes."""
    parallel: int = 4
    default_context: int = 4096
    jit: bool = True
    jit_ttl_s: int = 3600
    jit_race: bool = False
    """Every first request starts a load of its own."""
    auto_evict: bool = True
    """A JIT load unloads earlier JIT loads, busy or not."""
    second_load: Literal["duplicate", "same", "error"] = "duplicate"
    overlap: Literal["", "newer", "older"] = ""
    """Which of two overlapping loads is cancelled."""
    mlx_ignores_context: bool = True
    closed_schema: bool = True
    guardrail: bool = True
    guardrail_names_gb: bool = False
    guardrail_status: int = 500
    estimate_factor: float = 1.0
    """What the guardrail thinks a model needs, as a multiple of what it takes."""
    load_error: LoadError = ""
    load_error_times: int = 0
    html500_at_load: bool = False
    """The first list after the start of a load is an HTML 500."""
    list_fault: Literal["", "html500", "hang"] = ""
    stuck: str = ""
    """The model whose engine, one of a router's, says nothing of itself any more."""
    v0: bool = True
    ttl_field: bool = False
    strict_404: bool = False
    """404 for unknown paths under /api/v1."""
    parallel_field: bool = False
    """MLX instances report `parallel`."""
    fault: Fault = ""
    fault_times: int = 0
    fault_model: str = ""
    exit_code: str = "null"
    retry_after: str = "2"
    answer: Answer = ""
    answer_times: int = 0
    """So many answers are of that kind, then it answers well; 0 is until switched off."""
    overflow: Overflow = "n_keep"
    sse_event_line: bool = True
    loading: bool = False
    """The server itself is still loading its only model: 503 on every path."""
    any_name: Literal["", "alias", "echo"] = ""
    """Its model answers any name: as itself, or as whoever was asked for."""
    dated: bool = False
    """Answers as a snapshot of the model: `gpt-4o` as `gpt-4o-2026-08-06`."""
    refuses: str = ""
    """Keys of a chat, with commas between them, that are refused as unknown."""
    interrupts: bool = False
    """A new request cuts the stream of the one before."""
    max_models: int = 0
    """More than so many are never in memory: an idle one goes; 0 is no limit."""
    evicts: bool = False
    """What does not fit makes an idle one go, and waits for one where none is idle."""
    head_of_line: bool = False
    """While one waits for room, everybody behind it waits."""
    max_queue: int = 0
    """More waiting requests than that are refused; 0 is no limit."""
    gpu: bool = True
    """Ollama's list tells what a model takes of the GPU; while it loads that is 0."""
    no_sizes: bool = False
    """While a model loads, Ollama's list has no size of it at all."""
    late_disconnect_s: float = 0.0
    """How long a generation goes on after its client has gone."""
    auth: bool = False
    forbidden: bool = False
    token: str = field(default="", repr=False)
    offline: bool = False
    """Hangs up on everybody."""

    def changed(self, values: Mapping[str, object]) -> Self:
        """The habits with other values. Raises ValueError for an unknown name or a value of the wrong kind."""
        kinds = get_type_hints(Habits)
        for name, value in values.items():
            if name not in kinds:
                raise ValueError(f"there is no habit {name!r}; there are {', '.join(sorted(kinds))}")
            kind = kinds[name]
            choices = get_args(kind)
            if choices and value not in choices:
                raise ValueError(f"habit {name!r} is one of {', '.join(map(repr, choices))}, not {value!r}")
            if not choices and not _fits(value, kind):
                raise ValueError(f"habit {name!r} is a {kind.__name__}, not {value!r}")
        return replace(self, **dict(values))  # type: ignore[arg-type]  # each value was checked against its field above

    def counted(self, name: Literal["fault", "answer"]) -> Self:
        """The habits after one more fault or bad answer of those that are counted; after the last it ends."""
        left = int(getattr(self, f"{name}_times")) - 1
        return self.changed({f"{name}_times": left} if left > 0 else {f"{name}_times": 0, name: ""})

    def shown(self) -> dict[str, object]:
        """All values for people; the token is not one of them."""
        return {one.name: getattr(self, one.name) for one in fields(self) if one.name != "token"}


def _fits(value: object, kind: type) -> bool:
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return isinstance(value, kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A kind of server. `native`: the v1 REST API exists; `shape`: whose endpoints and sentences it has; `fixed`: all its models are
    always in memory; `single`: it has only the first of them; `prefix` stands before every path; `headers` name the program.
    """

    shape: Literal["lm-studio", "design", "openai", "ollama", "llamacpp", "router", "vllm"] = "lm-studio"
    fixed: bool = False
    single: bool = False
    owner: str = "emulator"
    prefix: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    native: bool = False
    missing_status: int = 400
    """Status of model errors: 404 on 0.3.x, 400 later."""
    habits: Mapping[str, object] = field(default_factory=dict)


_PLAIN: dict[str, object] = {"v0": False, "jit": False, "auto_evict": False, "overflow": "exceed", "sse_event_line": False}
_LLAMA = {"Server": "llama.cpp"}

PROFILES: Mapping[str, Profile] = MappingProxyType(
    {
        "0.3.16": Profile(missing_status=404, habits={"parallel": 1, "overflow": "keep", "sse_event_line": False}),
        "0.4.0": Profile(native=True, habits={"overflow": "n_keep"}),
        "0.4.25": Profile(native=True, habits={"overflow": "exceed", "ttl_field": True, "strict_404": True, "parallel_field": True}),
        "design": Profile(shape="design", habits={"v0": False, "jit": False}),
        "openai": Profile(shape="openai", fixed=True, habits=_PLAIN),
        "cloud": Profile(shape="openai", fixed=True, prefix="/api", owner="somebody", habits=_PLAIN | {"auth": True, "dated": True}),
        "llama-cpp-python": Profile(
            shape="openai", fixed=True, single=True, owner="me", habits=_PLAIN | {"parallel": 1, "any_name": "echo", "interrupts": True}
        ),
        "llamacpp": Profile(shape="llamacpp", fixed=True, single=True, headers=_LLAMA, habits=_PLAIN | {"any_name": "alias"}),
        "llamacpp-router": Profile(shape="router", headers=_LLAMA, habits=_PLAIN | {"jit": True, "max_models": 4, "evicts": True}),
        "ollama": Profile(
            shape="ollama",
            habits=_PLAIN
            | {"jit": True, "jit_ttl_s": 300, "parallel": 1, "max_models": 3, "max_queue": 512, "evicts": True, "head_of_line": True},
        ),
        "vllm": Profile(shape="vllm", fixed=True, single=True, headers={"Server": "uvicorn"}, habits=_PLAIN | {"parallel": 256}),
    }
)
