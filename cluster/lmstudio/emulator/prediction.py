"""One answer on its way, in the formats of OpenAI's API and of LM Studio's v0 API, and what a request says about it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from cluster.lmstudio.emulator import complaints, voice
from cluster.lmstudio.emulator.acting import Act, odds
from cluster.lmstudio.emulator.habits import Fault
from cluster.lmstudio.emulator.machine import Instance, Trouble

_ROLES = ("user", "assistant", "system", "tool")
_DIMENSIONS = 64


@dataclass(slots=True, kw_only=True)
class Prediction:
    """One answer on its way. `v0`: with the native extras; `legacy`: the text completions' format."""

    id: str
    model: str
    instance: Instance
    prompt_tokens: int
    reasoning: str
    pieces: list[str]
    finish: str
    act: Act
    v0: bool
    legacy: bool
    fault: Fault
    created: int
    stop_reason: str = ""

    @property
    def tokens(self) -> int:
        """Completion tokens."""
        return len(self.pieces) + len(voice.pieces(self.reasoning))

    def usage(self) -> dict[str, object]:
        """OpenAI's usage numbers."""
        return {"prompt_tokens": self.prompt_tokens, "completion_tokens": self.tokens, "total_tokens": self.prompt_tokens + self.tokens}

    def extras(self, seconds: float) -> dict[str, object]:
        """The v0 API's additions; elsewhere only empty stats."""
        if not self.v0:
            return {"stats": {}}
        model = self.instance.model
        reason = self.stop_reason or {"stop": "eosFound", "length": "maxPredictedTokensReached", "tool_calls": "toolCalls"}[self.finish]
        speed = self.tokens / seconds if seconds > 0 else 0.0
        stats = {"tokens_per_second": speed, "time_to_first_token": 0.0, "generation_time": seconds, "stop_reason": reason}
        info = {"arch": "llama", "quant": "Q4_K_M", "format": model.format, "context_length": self.instance.context}
        runtime = {"name": "llama.cpp", "version": "2.0.0", "supported_formats": ["gguf"]}
        return {"stats": stats, "model_info": info, "runtime": runtime}

    def whole(self, seconds: float) -> dict[str, object]:
        """The answer in one body."""
        text = "".join(self.pieces)
        message: dict[str, object] = {"role": "assistant", "content": None if self.act.call else text}
        if self.act.call:
            message["tool_calls"] = [self.call(text)]
        if self.reasoning:
            message["reasoning_content"] = self.reasoning
        said: dict[str, object] = {"text": text} if self.legacy else {"message": message}
        return {
            "id": self.id,
            "object": "text_completion" if self.legacy else "chat.completion",
            "created": self.created,
            "model": self.model,
            "choices": [{"index": n, "logprobs": None, "finish_reason": self.finish, **said} for n in range(self.act.choices)],
            "usage": self.usage(),
            "system_fingerprint": self.model,
            **self.extras(seconds),
        }

    @property
    def headers(self) -> dict[str, str]:
        """The headers of its stream."""
        return {"Content-Type": "text/event-stream", "Cache-Control": "no-cache", "Connection": "keep-alive"}

    def head(self) -> bytes:
        """What a stream begins with."""
        head = self.event('""' if self.legacy else '{"role":"assistant","content":""}')
        if self.act.call:
            head += self.event(json.dumps({"tool_calls": [{"index": 0, **self.call("")}]}))
        return head

    def call(self, arguments: str) -> dict[str, object]:
        """The call of the tool."""
        return {"id": f"call-{self.id}", "type": "function", "function": {"name": self.act.call, "arguments": arguments}}

    def cut(self) -> bytes:
        """An end without a reason."""
        return b"data: [DONE]\n\n"

    def complaint(self, trouble: Trouble, *, event_line: bool) -> bytes:
        """A refusal in the middle: an event in OpenAI's error shape, or the bare text that a proxy writes."""
        if isinstance(trouble.body, str):
            return f"{trouble.body}\n".encode()
        error = trouble.body.get("error") if isinstance(trouble.body, dict) else str(trouble.body)
        shaped = error if isinstance(error, dict) else {"message": error, "type": "server_error", "code": None}
        line = "event: error\n" if event_line else ""
        return f"{line}data: {json.dumps({'error': shaped})}\n\n".encode()

    def event(self, delta: str, finish: str = "null", more: str = "", chances: str = "null") -> bytes:
        """One event of the stream for each choice; `delta`, `finish`, `more` and `chances` are JSON already."""
        return b"".join(self._event(n, delta, finish, more, chances) for n in range(self.act.choices))

    def _event(self, index: int, delta: str, finish: str, more: str, chances: str) -> bytes:
        said = f'"text":{delta}' if self.legacy else f'"delta":{delta}'
        kind = "text_completion" if self.legacy else "chat.completion.chunk"
        return (
            f'data: {{"id":"{self.id}","object":"{kind}","created":{self.created},"model":{json.dumps(self.model)},'
            f'"system_fingerprint":{json.dumps(self.model)},"choices":[{{"index":{index},{said},"logprobs":{chances},"finish_reason":{finish}}}]{more}}}\n\n'
        ).encode()

    def piece(self, text: str, name: str = "content") -> bytes:
        """One event with text."""
        if self.act.call and name == "content":
            return self.event(json.dumps({"tool_calls": [{"index": 0, "function": {"arguments": text}}]}))
        said, chances = json.dumps(text), json.dumps(odds(text)) if self.act.odds else "null"
        return self.event(said if self.legacy else f'{{"{name}":{said}}}', chances=chances)

    def last(self, seconds: float, *, usage: bool) -> bytes:
        """The events after the last piece."""
        more = "," + json.dumps(self.extras(seconds))[1:-1] if self.v0 else ""
        end = self.event('""' if self.legacy else "{}", f'"{self.finish}"', more)
        if usage:
            counted = {"id": self.id, "object": "chat.completion.chunk", "created": self.created, "model": self.model}
            end += f"data: {json.dumps({**counted, 'choices': [], 'usage': self.usage()})}\n\n".encode()
        return end + b"data: [DONE]\n\n"


def messages_of(body: Mapping[str, object]) -> list[Mapping[str, object]]:
    """The messages of a chat's body. Raises Trouble."""
    messages = body.get("messages")
    if not isinstance(messages, list):
        raise complaints.engine("'messages' field is required")
    if not all(isinstance(message, dict) and message.get("role") in _ROLES for message in messages):
        raise complaints.engine("'messages' array must only contain objects with a 'role' field that is in [user, assistant, system, tool]")
    form = body.get("response_format")
    if isinstance(form, dict) and form.get("type") == "json_object":
        raise complaints.engine("'response_format.type' must be 'json_schema' or 'text'")
    return messages


def wants_usage(body: Mapping[str, object]) -> bool:
    """Whether a stream is to end with its usage."""
    options = body.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True


def limited(text: str, body: Mapping[str, object], room: int) -> tuple[list[str], str]:
    """The text's tokens up to the first stop string and the limit, and why it ends; `room` is what the context leaves."""
    stop = body.get("stop")
    for end in [stop] if isinstance(stop, str) else stop if isinstance(stop, list) else []:
        if isinstance(end, str) and end and end in text:
            text = text[: text.index(end)]
    pieces, wanted = voice.pieces(text), body.get("max_tokens")
    limit = min(wanted, room) if isinstance(wanted, int) and wanted >= 0 else room
    return (pieces, "stop") if len(pieces) <= limit else (pieces[:limit], "length")


def vector(text: str) -> list[float]:
    """An embedding that depends on nothing but the text."""
    dice = Random(text)
    return [round(dice.uniform(-1, 1), 6) for _ in range(_DIMENSIONS)]
