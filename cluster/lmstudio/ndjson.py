"""Reading Ollama's stream: a JSON object a line, told on in the shape of OpenAI's events (section 13)."""

from dataclasses import dataclass, field

from cluster.lmstudio.wire import Json, mapping, number, parsed, text

_RAW_LIMIT = 1_000_000


@dataclass(slots=True)
class Reader:
    """Takes bytes as they come, gives whole values as `sse.Reader` does; `done` after the object that says so."""

    done: bool = False
    raw: list[str] = field(default_factory=list)
    _rest: bytes = b""
    _kept: int = 0

    def feed(self, chunk: bytes) -> list[object]:
        """The values that this chunk completes, in order."""
        lines = (self._rest + chunk).split(b"\n")
        self._rest = lines.pop()
        return [value for line in lines if (value := self._line(line)) is not None]

    def close(self) -> list[object]:
        """The values that the end of the stream completes: a last line may lack its newline."""
        rest, self._rest = self._rest, b""
        value = self._line(rest)
        return [] if value is None else [value]

    @property
    def body(self) -> str:
        """What came instead of objects, as one text."""
        return "\n".join(self.raw).strip()

    def _line(self, line: bytes) -> object | None:
        said = line.decode("utf-8", "replace").strip()
        value = parsed(said) if said else None
        if isinstance(value, dict):
            self.done = self.done or value.get("done") is True
            return shaped(value)
        if said and self._kept < _RAW_LIMIT:
            self.raw.append(said)
            self._kept += len(said)
        return None


def shaped(value: Json) -> object:
    """One object of the stream as one of OpenAI's; what has no message, such as an error, as it is."""
    if not isinstance(value.get("message"), dict):
        return value
    message, finished = mapping(value["message"]), value.get("done") is True
    delta = {"content": text(message.get("content")), "reasoning": text(message.get("thinking"))}
    finish = (text(value.get("done_reason")) or "stop") if finished else None
    told: dict[str, object] = {"model": text(value.get("model")), "choices": [{"delta": delta, "finish_reason": finish}]}
    if finished:
        tokens, nanoseconds = number(value.get("eval_count")), number(value.get("eval_duration"))
        told["usage"] = {"prompt_tokens": value.get("prompt_eval_count"), "completion_tokens": value.get("eval_count")}
        told["timings"] = {"predicted_per_second": tokens / nanoseconds * 1e9 if tokens and nanoseconds else None}
    return told
