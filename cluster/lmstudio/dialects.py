"""The dialects a server may speak, each a module, and what they mean for whoever places models."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol

from cluster.lmstudio import design, llamacpp, ndjson, ollama, openai, router, sse, v0, v1, vllm
from cluster.lmstudio.classification import classify
from cluster.lmstudio.names import dated, known
from cluster.lmstudio.values import ChatRequest, CompletionRequest, Dialect, EmbeddingResult, Listing, LoadResult
from cluster.lmstudio.wire import Conversation, Json, Request


class Heard(Protocol):
    """A reader of streams: bytes in, whole values of OpenAI's shape out."""

    done: bool

    @property
    def body(self) -> str:
        """What came instead of values, as one text."""
        ...

    def feed(self, chunk: bytes) -> list[object]:
        """The values that this chunk completes, in order."""
        ...

    def close(self) -> list[object]:
        """The values that the end of the stream completes."""
        ...


class Speech(Protocol):
    """What a dialect's module offers: requests to make and conversations to hold, never a connection."""

    def chats(self, request: ChatRequest) -> tuple[Request, ...]:
        """The same chat for each place to try, the next one only where the server has no such place."""
        ...

    def completions(self, request: CompletionRequest) -> tuple[Request, ...]:
        """The same for a bare text."""
        ...

    def vectors(self, model: str, inputs: Sequence[str], context_length: int | None, fields: Json) -> Conversation[EmbeddingResult]:
        """One vector for each input, from whichever model answers."""
        ...

    def listing(self) -> Conversation[Listing]:
        """All models and which are in memory."""
        ...

    def load(self, model_key: str, context_length: int | None, kind: str, ttl_s: int) -> Conversation[LoadResult]:
        """Ends when the model is in memory."""
        ...

    def unload(self, instance_id: str, model_key: str) -> Conversation[None]:
        """Ends when the instance is out of memory, or when its server has promised that it will be."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How a dialect is spoken: its module, the cheapest path that answers only when the server is well, what reads its streams,
    and whether a reply's model is one of the wanted ones."""

    speech: Speech
    ping: str = openai.MODELS
    reader: Callable[[], Heard] = sse.Reader
    answers: Callable[[str, Iterable[str]], bool] = known

    def places(self, request: ChatRequest | CompletionRequest) -> tuple[Request, ...]:
        """Where a request may be answered, in the order to try. Raises what the dialect cannot say."""
        return self.speech.chats(request) if isinstance(request, ChatRequest) else self.speech.completions(request)


MANNERS: Final[Mapping[Dialect, Manner]] = MappingProxyType(
    {
        Dialect.LMSTUDIO_V1: Manner(speech=v1),
        Dialect.LMSTUDIO_V0: Manner(speech=v0),
        Dialect.OPENAI: Manner(speech=openai, answers=dated),
        Dialect.OLLAMA: Manner(speech=ollama, ping=ollama.VERSION, reader=ndjson.Reader),
        Dialect.LLAMACPP: Manner(speech=llamacpp, ping="/health"),
        Dialect.LLAMACPP_ROUTER: Manner(speech=router, ping="/health"),
        Dialect.VLLM: Manner(speech=vllm, ping="/health"),
        Dialect.DESIGN: Manner(speech=design),
    }
)
_FIXED: Final = frozenset({Dialect.OPENAI, Dialect.LLAMACPP, Dialect.VLLM})
_SELF_WILLED: Final = frozenset({Dialect.LMSTUDIO_V0, Dialect.OLLAMA, Dialect.LLAMACPP_ROUTER})
_AT_MOST: Final = MappingProxyType({Dialect.LMSTUDIO_V0: 1, Dialect.OLLAMA: 3, Dialect.LLAMACPP_ROUTER: 4})


def fixed(dialect: str) -> bool:
    """Whether everything such a server lists is always there: it takes none of our memory, is never loaded and never unloaded."""
    return dialect in _FIXED


def evicts_alone(dialect: str) -> bool:
    """Whether such a server may throw a model out by itself when another one is loaded or asked for."""
    return dialect in _SELF_WILLED


def unloads(dialect: str) -> bool:
    """Whether such a server can be told to let a model go."""
    return bool(dialect) and not fixed(dialect) and dialect != Dialect.LMSTUDIO_V0


def at_most(dialect: str) -> int | None:
    """How many models such a server holds as it comes, before it evicts by itself; None where only memory counts."""
    return next((most for one, most in _AT_MOST.items() if one == dialect), None)


def ping(dialect: str) -> Conversation[None]:
    """The cheapest question; `dialect` may be empty. Raises what the reply says."""
    reply = yield Request(method="GET", path=MANNERS[Dialect(dialect)].ping if dialect else openai.MODELS)
    if error := classify(reply.status, reply.body, reply.headers):
        raise error
