"""The sentences in which LM Studio refuses, quoted from the reference."""

from collections.abc import Sequence

from cluster.lmstudio.emulator.habits import Overflow
from cluster.lmstudio.emulator.machine import GB, Trouble

HTML_500 = (
    '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>Error</title>\n</head>\n<body>\n'
    "<pre>Internal Server Error</pre>\n</body>\n</html>\n"
)
_NO_MODELS = "No models loaded. Please load a model in the developer page or use the 'lms load' command."
_RESOURCES = "Model loading was stopped due to insufficient system resources. "
_FREEZE = (
    "continuing to load the model would likely overload your system and cause it to freeze. "
    "If you think this is incorrect, you can adjust the model loading guardrails in settings."
)


def html500() -> Trouble:
    """What Express says when something broke."""
    return Trouble(500, HTML_500)


def unexpected(method: str, path: str, status: int = 200) -> Trouble:
    """An unknown route: status 200 nearly everywhere."""
    return Trouble(status, {"error": f"Unexpected endpoint or method. ({method} {path})"})


def native(status: int, kind: str, message: str, code: str = "", param: str = "") -> Trouble:
    """An error of the native API."""
    error = {"type": kind, "message": message} | ({"code": code} if code else {}) | ({"param": param} if param else {})
    return Trouble(status, {"error": error})


def required(name: str) -> Trouble:
    """A missing field of the native API."""
    return native(400, "invalid_request", f'"{name}" is required', "missing_required_parameter", name)


def unrecognized(names: Sequence[str]) -> Trouble:
    """A closed schema's refusal."""
    return native(400, "invalid_request", "Unrecognized key(s) in object: " + ", ".join(f"'{name}'" for name in names))


def missing(name: str) -> Trouble:
    """A load of what is not downloaded."""
    return native(404, "model_not_found", f"Model {name} not found in downloaded models")


def not_loaded(instance: str) -> Trouble:
    """An unload of what is not loaded."""
    return native(404, "model_not_found", f"Model with instance identifier '{instance}' is not loaded.")


def memory(need: float, *, names_gb: bool) -> str:
    """The guardrail's reason; `need` in bytes."""
    if names_gb:
        return f"{_RESOURCES}Under the current settings, this model requires approximately {need / GB:.2f} GB of memory, and {_FREEZE}"
    return _RESOURCES + _FREEZE[0].upper() + _FREEZE[1:]


def load_reason(kind: str, form: str, need: float) -> str:
    """Why a load fails, without its frame."""
    return {
        "sigabrt": "Engine protocol runtime llama-server for abc exited before becoming healthy. exitCode=null, signal=SIGABRT",
        "format": f"No LM Runtime found for model format '{form}'!",
        "canceled": "Operation canceled.",
        "observer": "System resources observer shutdown requested.",
        "memory": memory(need, names_gb=False),
        "memory-gb": memory(need, names_gb=True),
    }[kind]


def load_failed(key: str, reason: str, status: int = 500) -> Trouble:
    """A failed load, in the native API's frame."""
    return native(status, "model_load_failed", f"Failed to load LLM '{key}': Error: {reason}")


def openai(status: int, message: str, code: str | None = None, param: str | None = None) -> Trouble:
    """An error of OpenAI's shape."""
    return Trouble(status, {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}})


def invalid_identifier(name: str, known: Sequence[str], status: int) -> Trouble:
    """A chat with an unknown model; 404 was the style of 0.3.x."""
    if status == 404:
        listed = "\n".join(known)
        return openai(404, f'Model "{name}" not found. Please specify a valid model.\n\nYour models:\n\n{listed}\n', "model_not_found")
    examples = ", ".join(known[:3])
    sentence = f'Invalid model identifier "{name}". Please specify a valid downloaded model (e.g., {examples}).'
    return openai(400, sentence, "model_not_found", "model")


def no_models(status: int) -> Trouble:
    """A chat while nothing is loaded and nothing loads by itself."""
    return openai(status, _NO_MODELS, "model_not_found", "model")


def jit_failed(name: str, reason: str) -> Trouble:
    """A request whose load failed."""
    return openai(400, f'Failed to load model "{name}". Error: {reason}', "model_not_found")


def engine(sentence: str) -> Trouble:
    """An engine's trouble: a 400 with nothing but a string."""
    return Trouble(400, {"error": sentence})


def unloaded() -> Trouble:
    """To what was running when the model went."""
    return engine("Model unloaded.")


def crashed(exit_code: str) -> Trouble:
    """To what was running when the engine died."""
    return engine(f"The model has crashed without additional information. (Exit code: {exit_code})")


def overflow(kind: Overflow, prompt: int, context: int) -> Trouble:
    """A prompt that does not fit, in the words of three generations; tokens."""
    advice = "Try to load the model with a larger context length, or provide a shorter input"
    if kind == "keep":
        return engine(
            f"Trying to keep the first {prompt} tokens when context the overflows. However, the model is loaded with context length "
            f"of only {context} tokens, which is not enough. {advice}"
        )
    if kind == "n_keep":
        return engine(
            "The number of tokens to keep from the initial prompt is greater than the context length "
            f"(n_keep: {prompt}>= n_ctx: {context}). {advice}."
        )
    message = f"request ({prompt} tokens) exceeds the available context size ({context} tokens), try increasing it"
    return Trouble(
        400,
        {
            "error": {
                "code": 400,
                "message": message,
                "type": "exceed_context_size_error",
                "n_prompt_tokens": prompt,
                "n_ctx": context,
            }
        },
    )


def unauthorized(token: str) -> Trouble:
    """No token, or a wrong one, of which the first ten characters come back."""
    if not token:
        sentence = (
            "An LM Studio API token is required to make requests to this server, but none was provided using the Authorization "
            "header using the 'Bearer' scheme."
        )
    else:
        masked = token[:10] + "*" * max(0, len(token) - 10)
        sentence = f"Malformed LM Studio API token provided: {masked}. Ensure you are using a valid token."
    return Trouble(401, {"error": {"message": sentence, "type": "invalid_request", "code": "invalid_api_key"}})


def forbidden() -> Trouble:
    """A token without the permission."""
    return Trouble(403, {"error": {"message": "Permission denied to use this endpoint.", "type": "invalid_request"}})
