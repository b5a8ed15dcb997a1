"""Reading Ollama's stream: a JSON object a line, told on in the shape of OpenAI's events (section 13)."""

import json
from dataclasses import dataclass, field
from hashlib import sha256

from cluster.lmstudio.errors import Malformed
from cluster.lmstudio.sse import LONGEST
from cluster.lmstudio.wire import Json, mapping, number, objects, parsed, text

_RAW_LIMIT = 1_000_000


@dataclass(slots=True)
class Reader:
    """Takes bytes as they come, gives whole values as `sse.Reader` does; `done` after the object that says so."""

    done: bool = False
    raw: list[str] = field(default_factory=list)
    _rest: bytes = b""
    _kept: int = 0
    _calls: int = 0

    def feed(self, chunk: bytes) -> list[object]:
        """The values that this chunk completes, in order. Raises Malformed for what has no end."""
        lines = (self._rest + chunk).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > LONGEST:
            raise Malformed(f"a line of more than {LONGEST} bytes")
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
            before = self._calls
            self._calls += len(objects(mapping(value.get("message")).get("tool_calls")) or ())
            return shaped(value, before)
        if said and self._kept < _RAW_LIMIT:
            self.raw.append(said)
            self._kept += len(said)
        return None


def shaped(value: Json, calls: int = 0) -> object:
    """One object of the stream as one of OpenAI's; what is no piece of an answer, such as an error, as it is.

    `calls` is how many tools were called before.
    """
    if isinstance(value.get("message"), dict):
        said = _message(mapping(value["message"]), f"{value.get('created_at')}", calls)
    elif isinstance(value.get("response"), str):
        said = {"text": value["response"], "delta": {"reasoning": text(value.get("thinking"))}}
    else:
        return value
    finished = value.get("done") is True
    finish = (text(value.get("done_reason")) or "stop") if finished else None
    if finish == "stop" and (calls or mapping(said.get("delta")).get("tool_calls")):
        finish = "tool_calls"
    tokens = objects(value.get("logprobs"))
    choice = {"index": 0, **said, "finish_reason": finish} | ({"logprobs": {"content": tokens}} if tokens else {})
    told: dict[str, object] = {"model": text(value.get("model")), "choices": [choice]}
    if finished:
        count, nanoseconds = number(value.get("eval_count")), number(value.get("eval_duration"))
        told["usage"] = {"prompt_tokens": value.get("prompt_eval_count"), "completion_tokens": value.get("eval_count")}
        told["timings"] = {"predicted_per_second": count / nanoseconds * 1e9 if count and nanoseconds else None}
    return told


def _message(message: Json, moment: str, calls: int) -> dict[str, object]:
    delta: dict[str, object] = {"content": text(message.get("content")), "reasoning": text(message.get("thinking"))}
    called = objects(message.get("tool_calls"))
    if called:
        delta["tool_calls"] = [_call(call, moment, calls + at) for at, call in enumerate(called)]
    return {"delta": delta}


def _call(call: Json, moment: str, index: int) -> Json:
    """A call of a tool. Older versions give it no id: ours is the same for the same call only."""
    function = mapping(call.get("function"))
    arguments = function.get("arguments")
    said = arguments if isinstance(arguments, str) else json.dumps(arguments if arguments is not None else {})
    name = text(function.get("name"))
    made = sha256(f"{moment}|{index}|{name}|{said}".encode("utf-8", "replace")).hexdigest()[:24]
    return {"index": index, "id": text(call.get("id")) or f"call_{made}", "type": "function", "function": {"name": name, "arguments": said}}
