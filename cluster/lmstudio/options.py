"""A request in Ollama's words: what OpenAI's API has beside the messages stands in `options`, some of it under other names."""

from collections.abc import Mapping

from cluster.lmstudio.errors import BadRequest, Unable
from cluster.lmstudio.values import ChatRequest, CompletionRequest
from cluster.lmstudio.wire import Json, mapping, objects, parsed, text

_NAMES = {"max_tokens": "num_predict", "max_completion_tokens": "num_predict"}
_SAMPLING = frozenset(
    ("temperature", "top_p", "top_k", "min_p", "typical_p", "seed", "repeat_penalty", "repeat_last_n", "presence_penalty")
) | frozenset(("frequency_penalty", "mirostat", "mirostat_eta", "mirostat_tau", "num_predict", "stop"))
"""What may change from chat to chat; all else (`num_ctx`, `num_gpu`, `num_batch` …) would make it load the model again."""
_WORDLESS = ("logit_bias", "functions", "function_call", "audio", "prediction", "web_search_options")
"""What changes an answer and has no words in Ollama's API."""
_BARE = ("suffix", "echo", "logprobs")
"""The same of a bare text."""


def options(sampling: Mapping[str, object], context_length: int | None = None) -> dict[str, object]:
    """The `options` of a request; the context's length is the one of the model as it is loaded."""
    named = {_NAMES.get(name, name): value for name, value in sampling.items() if value is not None}
    chosen = {name: value for name, value in named.items() if name in _SAMPLING}
    return chosen | ({"num_ctx": context_length} if context_length else {})


def body(request: ChatRequest) -> dict[str, object]:
    """The body of a streamed chat. Raises BadRequest for pictures that are elsewhere, for Ollama fetches none, and Unable."""
    given = _given(request, request.sampling)
    whole: dict[str, object] = {"model": request.model, "messages": _messages(request.messages), "stream": True}
    if (think := given.get("think", given.get("reasoning_effort"))) is not None:
        whole["think"] = False if think == "none" else think
    if form := _format(mapping(given.get("response_format"))):
        whole["format"] = form
    if given.get("tools") and given.get("tool_choice") != "none":
        if given.get("tool_choice") not in (None, "auto"):
            raise Unable("Ollama cannot be made to call a tool: its tool_choice is 'auto' or 'none'")
        whole["tools"] = given["tools"]
    if given.get("logprobs") is True:
        whole |= {"logprobs": True, "top_logprobs": given.get("top_logprobs") or 0}
    return whole | {"options": options(given, request.context_length)}


def bare(request: CompletionRequest) -> dict[str, object]:
    """The body of a streamed completion. Raises Unable."""
    given = _given(request, request.fields)
    if (asked := next((name for name in _BARE if given.get(name)), "")) or (given.get("best_of") or 1) != 1:
        raise Unable(f"Ollama has no {asked or 'best_of'!r} for a completion")
    whole: dict[str, object] = {"model": request.model, "prompt": request.prompt, "raw": True, "stream": True}
    return whole | {"options": options(given, request.context_length)}


def _given(request: ChatRequest | CompletionRequest, fields: Json) -> dict[str, object]:
    """The fields with the length and the ends of the answer. Raises Unable."""
    given = dict(fields)
    if request.max_tokens is not None:
        given["max_tokens"] = request.max_tokens
    if ends := [end for end in request.stop if end]:
        given["stop"] = ends
    if (given.get("n") or 1) != 1:
        raise Unable(f"Ollama gives one answer to a request, not n = {given['n']}")
    if asked := next((name for name in _WORDLESS if given.get(name)), ""):
        raise Unable(f"Ollama has no {asked!r}")
    return given


def _messages(messages: tuple[Json, ...]) -> list[Json]:
    """The messages; each result of a tool bears the name of its tool."""
    calls: dict[str, str] = {}
    told: list[Json] = []
    for message in messages:
        for call in objects(message.get("tool_calls")) or ():
            calls[text(call.get("id"))] = text(mapping(call.get("function")).get("name"))
        one = _message(message)
        if (known := calls.get(text(message.get("tool_call_id")))) and "tool_name" not in one:
            one["tool_name"] = known
        told.append(one)
    return told


def _message(message: Json) -> dict[str, object]:
    one = dict(message)
    if one.get("role") == "developer":
        one["role"] = "system"  # its templates know no developer, and leave out what he says
    if calls := objects(message.get("tool_calls")):
        one["tool_calls"] = [_call(call) for call in calls]
    parts = objects(message.get("content"))
    if parts is None:
        return one
    texts = [text(part.get("text")) for part in parts if text(part.get("type")) == "text"]
    images = [_image(text(mapping(part.get("image_url")).get("url"))) for part in parts if text(part.get("type")) == "image_url"]
    if other := next((kind for part in parts if (kind := text(part.get("type"))) not in ("text", "image_url", "refusal")), ""):
        raise Unable(f"Ollama takes no parts of the type {other!r}")
    return one | {"content": "\n".join(texts)} | ({"images": images} if images else {})


def _call(call: Json) -> Json:
    """A call as Ollama keeps it: its arguments are an object, not the text of one."""
    function = mapping(call.get("function"))
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        arguments = parsed(arguments or "{}")
    if not isinstance(arguments, dict):
        raise BadRequest(f"the arguments of the call of {text(function.get('name'))!r} are no JSON object")
    return {"id": text(call.get("id")), "type": "function", "function": dict(function) | {"arguments": arguments}}


def _image(url: str) -> str:
    head, _, data = url.partition(",")
    if not (head.startswith("data:") and head.endswith(";base64")):
        raise BadRequest("Ollama takes pictures only inside the message, as data URLs")
    return data


def _format(form: Json) -> object:
    """OpenAI's `response_format` as Ollama's `format`; None for plain text."""
    if text(form.get("type")) == "json_object":
        return "json"
    return mapping(form.get("json_schema")).get("schema") if text(form.get("type")) == "json_schema" else None
