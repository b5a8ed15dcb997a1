"""A chat in Ollama's words: what OpenAI's API has beside the messages stands in `options`, some of it under other names."""

from collections.abc import Mapping

from cluster.lmstudio.errors import BadRequest
from cluster.lmstudio.values import ChatRequest
from cluster.lmstudio.wire import Json, mapping, objects, text

_NAMES = {"max_tokens": "num_predict", "max_completion_tokens": "num_predict"}
_SAMPLING = frozenset(
    ("temperature", "top_p", "top_k", "min_p", "typical_p", "seed", "repeat_penalty", "repeat_last_n", "presence_penalty")
) | frozenset(("frequency_penalty", "mirostat", "mirostat_eta", "mirostat_tau", "num_predict", "stop"))
"""What may change from chat to chat; all else (`num_ctx`, `num_gpu`, `num_batch` …) would make it load the model again."""


def options(sampling: Mapping[str, object], context_length: int | None = None) -> dict[str, object]:
    """The `options` of a request; the context's length is the one of the model as it is loaded."""
    named = {_NAMES.get(name, name): value for name, value in sampling.items() if value is not None}
    chosen = {name: value for name, value in named.items() if name in _SAMPLING}
    return chosen | ({"num_ctx": context_length} if context_length else {})


def body(request: ChatRequest) -> dict[str, object]:
    """The body of a streamed chat. Raises BadRequest for pictures that are elsewhere: Ollama fetches none."""
    given = dict(request.sampling)
    if request.max_tokens is not None:
        given["max_tokens"] = request.max_tokens
    if request.stop:
        given["stop"] = list(request.stop)
    whole: dict[str, object] = {"model": request.model, "messages": [_message(one) for one in request.messages], "stream": True}
    if (think := given.get("think", given.get("reasoning_effort"))) is not None:
        whole["think"] = False if think == "none" else think
    if form := _format(mapping(given.get("response_format"))):
        whole["format"] = form
    return whole | {"options": options(given, request.context_length)}


def _message(message: Json) -> Json:
    parts = objects(message.get("content"))
    if parts is None:
        return dict(message)
    texts = [text(part.get("text")) for part in parts if text(part.get("type")) == "text"]
    images = [_image(text(mapping(part.get("image_url")).get("url"))) for part in parts if text(part.get("type")) == "image_url"]
    return dict(message) | {"content": "\n".join(texts)} | ({"images": images} if images else {})


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
