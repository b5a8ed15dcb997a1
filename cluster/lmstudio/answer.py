"""Putting an answer together from the pieces of a stream, and judging whether it is whole (sections 1 and 6)."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from cluster.lmstudio.classification import classify, complaint, of_object
from cluster.lmstudio.errors import Malformed, ModelUnloaded, PeerError, Truncated, WrongModel
from cluster.lmstudio.names import known
from cluster.lmstudio.values import ChatOutcome, Delta
from cluster.lmstudio.wire import Json, mapping, number, objects, parsed, text, whole

_ACTS = ("tool_calls", "function_call", "refusal", "audio")
"""What an answer may hold beside text, for whoever passes it on."""
_ENDED_BADLY = ("error", "abort")
_REASON = 30
"""Characters of a reason for the end that are kept."""
_MOST = 2**31
_FEW = 8
"""Tokens; of fewer the time between the first and the last tells nothing of the speed."""


@dataclass(slots=True)
class Answer:
    """Takes a stream's JSON values in order. `wanted` are the names that may answer, `known` says whether a reply's is one of them.

    The outcome's text is that of the first of `n` choices. `acts`: calls of tools and the like count as pieces too.
    """

    wanted: tuple[str, ...]
    known: Callable[[str, Iterable[str]], bool] = known
    n: int = 1
    acts: bool = False
    model: str = ""
    finish_reason: str = ""
    started: bool = False
    _texts: list[str] = field(default_factory=list)
    _reasons: list[str] = field(default_factory=list)
    _seen: set[int] = field(default_factory=set)
    _finished: set[int] = field(default_factory=set)
    _usage: Json = field(default_factory=dict)
    _speed: float | None = None
    _stop: str = ""

    def take(self, value: object) -> Delta | None:
        """The piece of text in one value, None if it has none. Raises the error it reports; WrongModel before any piece."""
        if not isinstance(value, dict):
            return None
        if complaint(value):
            raise self._marked(of_object(value))
        if value.get("model") != self.model:
            self._check(text(value.get("model")))
        if usage := mapping(value.get("usage")):
            self._usage = usage
        if "stats" in value or "timings" in value:
            self._measured(mapping(value.get("stats")), mapping(value.get("timings")))
        delta, choices = None, value.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict):
                delta = self._choice(choice) or delta
        return delta

    def body(self, raw: str) -> Json:
        """The whole completion in a plain body that came where a stream was expected. Raises the error it is instead."""
        if error := classify(200, raw):
            raise self._marked(error)
        value = parsed(raw)
        if not isinstance(value, dict) or not objects(value.get("choices")):
            if self.started or self.model:
                raise Truncated(f"the stream broke off: {raw[:80]!r}", started=self.started)
            raise Malformed(f"neither a stream nor a completion: {raw[:80]!r}", started=self.started)
        return value

    @property
    def settled(self) -> bool:
        """Whether each choice that has begun has ended."""
        return bool(self._finished) and self._seen <= self._finished

    @property
    def complete(self) -> bool:
        """Whether all that was asked for has come: only a tail may follow."""
        return len(self._finished) >= self.n and self._seen <= self._finished

    def outcome(self, *, first_token_s: float | None, total_s: float) -> ChatOutcome:
        """The whole answer. Raises Truncated or ModelUnloaded when the stream ended too early, `[DONE]` or not."""
        if self._stop == "modelUnloaded":
            raise ModelUnloaded("the model was unloaded while it answered", started=self.started)
        if self._stop == "failed" or self.finish_reason in _ENDED_BADLY:
            raise Truncated(f"the answer stopped with {self._stop or self.finish_reason}", started=self.started)
        if not self.settled:
            raise Truncated("the stream ended without a finish_reason", started=self.started)
        tokens = _counted(self._usage.get("completion_tokens"))
        spent = total_s - (first_token_s or 0.0)
        speed = self._speed or (tokens / spent if tokens and tokens >= _FEW and spent > 0 else None)
        return ChatOutcome(
            text=storable("".join(self._texts)),
            reasoning=storable("".join(self._reasons)),
            finish_reason=storable(self.finish_reason)[:_REASON],
            model=self.model,
            prompt_tokens=_counted(self._usage.get("prompt_tokens")),
            completion_tokens=tokens,
            first_token_s=first_token_s,
            total_s=total_s,
            tokens_per_s=speed,
        )

    def _choice(self, choice: Json) -> Delta | None:
        index = whole(choice.get("index")) or 0
        parts = mapping(choice.get("delta")) or mapping(choice.get("message"))
        said = text(parts.get("content")) or text(choice.get("text"))
        thought = text(parts.get("reasoning_content")) or text(parts.get("reasoning"))
        if finish := text(choice.get("finish_reason")):
            self._finished.add(index)
            if index == 0 or finish in _ENDED_BADLY:
                self.finish_reason = finish
        if not said and not thought:
            if self.acts and any(parts.get(act) for act in _ACTS):
                self._seen.add(index)
                self.started = True
            return None
        self._seen.add(index)
        self.started = True
        if index:
            return None
        self._texts.append(said)
        self._reasons.append(thought)
        return Delta(text=said, reasoning=thought)

    def _measured(self, stats: Json, timings: Json) -> None:
        self._stop = text(stats.get("stop_reason")) or self._stop
        self._speed = number(stats.get("tokens_per_second")) or number(timings.get("predicted_per_second")) or self._speed

    def _check(self, model: str) -> None:
        if not model or model == self.model:
            return
        if not self.known(model, self.wanted):
            raise self._marked(WrongModel(f"{model} answered where {self.wanted[0]} was asked", got=model))
        self.model = model

    def _marked(self, error: PeerError) -> PeerError:
        error.started = error.started or self.started
        return error


def _counted(value: object) -> int | None:
    """A number of tokens, if it can be one."""
    number = whole(value)
    return number if number is not None and 0 <= number < _MOST else None


def storable(said: str) -> str:
    """Text as a database takes it: halves of a character that were sent in two pieces joined, lone halves and NULs replaced."""
    return said.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\x00", "\ufffd")
