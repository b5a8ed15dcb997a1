"""In which words each kind of server refuses, quoted from the reference (sections 10 and 13)."""

from collections.abc import Sequence

from cluster.lmstudio.emulator import complaints
from cluster.lmstudio.emulator.habits import Fault, Habits, Profile
from cluster.lmstudio.emulator.machine import GB, Model, Trouble


class Words:
    """LM Studio's; the generic OpenAI server and the design document's share most of them."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile

    def unexpected(self, method: str, path: str, *, strict: bool) -> Trouble:
        """An unknown route."""
        if self._profile.shape != "lm-studio":
            return Trouble(404, {"error": {"message": "Not Found", "type": "not_found_error", "code": 404}})
        return complaints.unexpected(method, path, 404 if strict and path.startswith("/api/v1/") else 200)

    def unauthorized(self, token: str) -> Trouble:
        """No token, or a wrong one."""
        return complaints.unauthorized(token)

    def public(self, path: str) -> bool:
        """Whether a path asks for no token."""
        del path
        return False

    def unreadable(self, path: str) -> Trouble:
        """A body that is no JSON object."""
        if path.startswith("/api/v1"):
            return complaints.native(400, "invalid_request", "The request body is not valid JSON", "invalid_json")
        return complaints.engine("The request body is not valid JSON")

    def missing(self, name: str, known: Sequence[str]) -> Trouble:
        """A chat with a model that is not there."""
        if self._profile.shape == "lm-studio":
            return complaints.invalid_identifier(name, known, self._profile.missing_status)
        return complaints.openai(404, f"The model `{name}` does not exist or is not loaded", "model_not_found")

    def refused(self, model: Model, kind: str, need: float, free: float, habits: Habits) -> Trouble:
        """A load that fails: `kind` as in the habit `load_error`, `guardrail` when it does not fit; `need` and `free` in bytes."""
        del free
        if kind == "missing":
            return complaints.missing(model.key)
        if kind == "exists":
            return complaints.native(400, "invalid_request", f"Model {model.key} is already loaded")
        if kind == "guardrail":
            reason = complaints.memory(need, names_gb=habits.guardrail_names_gb)
            return complaints.load_failed(model.key, reason, habits.guardrail_status)
        return complaints.load_failed(model.key, complaints.load_reason(kind, model.format, need))

    def unloaded(self) -> Trouble:
        """To what was running when the model went."""
        return complaints.unloaded()

    def crashed(self, exit_code: str) -> Trouble:
        """To what was running when the engine died."""
        return complaints.crashed(exit_code)

    def overflow(self, habits: Habits, prompt: int, context: int) -> Trouble:
        """A prompt that does not fit; tokens."""
        return complaints.overflow(habits.overflow, prompt, context)

    def crowded(self) -> Trouble:
        """To all that was running when their answers filled the one context that they share."""
        return Trouble(500, {"error": {"code": 500, "message": "Context size has been exceeded.", "type": "server_error"}})

    def busy(self, habits: Habits) -> Trouble:
        """Its queue is full."""
        del habits
        return complaints.openai(503, "The engine is currently overloaded, please try again later", None)

    def loading(self) -> Trouble:
        """It is not ready yet."""
        return Trouble(503, {"error": {"message": "Loading model", "type": "unavailable_error", "code": 503}})

    def struck(self, fault: Fault, habits: Habits) -> Trouble | None:
        """What a fault that strikes before any work says; None for those that come later."""
        waits = {"Retry-After": habits.retry_after}
        match fault:
            case "html500":
                return complaints.html500()
            case "unavailable":
                return Trouble(503, {"error": {"message": "Service unavailable", "type": "server_error"}})
            case "loading":
                return self.loading()
            case "busy":
                return self.busy(habits)
            case "rate-limit":
                return Trouble(429, {"error": {"message": "Too many requests"}}, headers=waits)
            case "quota":
                said = "You exceeded your current quota, please check your plan and billing details."
                return Trouble(429, {"error": {"message": said, "type": "insufficient_quota", "param": None, "code": "insufficient_quota"}})
            case "credit":
                return Trouble(402, {"error": {"message": "Insufficient credits. Add more and try again.", "code": 402}})
            case "channel":
                return complaints.engine("Channel Error")
            case "fetch-failed":
                return complaints.engine("Engine protocol predict request failed: fetch failed")
            case "link":
                return complaints.engine("LM Link connection entered error state peer_keepalive_timeout")
            case "no-models":
                return complaints.no_models(self._profile.missing_status)
            case _:
                return None


class CloudWords(Words):
    """Of a server of OpenAI's shape that has never heard of LM Studio."""

    def unauthorized(self, token: str) -> Trouble:
        said = f"Incorrect API key provided: {token[:4]}****." if token else "You didn't provide an API key. One is required."
        return complaints.openai(401, said, "invalid_api_key")


class LlamaWords(Words):
    """llama-server's."""

    def unexpected(self, method: str, path: str, *, strict: bool) -> Trouble:
        del method, path, strict
        return _llama(404, "File Not Found", "not_found_error")

    def unauthorized(self, token: str) -> Trouble:
        del token
        return _llama(401, "Invalid API Key", "authentication_error")

    def public(self, path: str) -> bool:
        return path in ("/health", "/v1/health")

    def unreadable(self, path: str) -> Trouble:
        del path
        return _llama(400, "[json.exception.parse_error.101] parse error at line 1, column 2", "invalid_request_error")

    def missing(self, name: str, known: Sequence[str]) -> Trouble:
        del known
        return _llama(400, f"model '{name}' not found", "invalid_request_error")

    def unloaded(self) -> Trouble:
        return Trouble(500, "proxy error: Failed to read connection")

    def crashed(self, exit_code: str) -> Trouble:
        del exit_code
        return self.unloaded()

    def overflow(self, habits: Habits, prompt: int, context: int) -> Trouble:
        del habits
        return complaints.overflow("exceed", prompt, context)

    def busy(self, habits: Habits) -> Trouble:
        del habits
        return _llama(503, "no slot available", "unavailable_error")


class OllamaWords(Words):
    """Ollama's: an `error` that is a string."""

    def unexpected(self, method: str, path: str, *, strict: bool) -> Trouble:
        del method, path, strict
        return Trouble(404, "404 page not found")

    def unauthorized(self, token: str) -> Trouble:
        del token
        return Trouble(401, {"error": "unauthorized"})

    def unreadable(self, path: str) -> Trouble:
        del path
        return complaints.engine("invalid character 'x' looking for beginning of value")

    def missing(self, name: str, known: Sequence[str]) -> Trouble:
        del known
        return Trouble(404, {"error": f'model "{name}" not found, try pulling it first'})

    def refused(self, model: Model, kind: str, need: float, free: float, habits: Habits) -> Trouble:
        del habits
        if kind == "missing":
            return self.missing(model.key, ())
        said = {
            "guardrail": f"model requires more system memory ({need / GB:.1f} GiB) than is available ({max(free, 0) / GB:.1f} GiB)",
            "memory": "llama runner process has terminated: cudaMalloc failed: out of memory",
            "memory-gb": f"model requires more system memory ({need / GB:.1f} GiB) than is available ({max(free, 0) / GB:.1f} GiB)",
            "canceled": "timed out waiting for llama runner to start - progress 0.00 -",
            "format": f"unable to load model: unsupported format '{model.format}'",
        }
        return Trouble(500, {"error": said.get(kind, "llama runner process has terminated: exit status 2")})

    def unloaded(self) -> Trouble:
        return Trouble(500, {"error": "an error was encountered while running the model: unexpected EOF"})

    def crashed(self, exit_code: str) -> Trouble:
        del exit_code
        said = "model runner has unexpectedly stopped, this may be due to resource limitations or an internal error"
        return Trouble(500, {"error": said})

    def overflow(self, habits: Habits, prompt: int, context: int) -> Trouble:
        del habits, prompt, context
        return complaints.engine("the input length exceeds the context length")

    def busy(self, habits: Habits) -> Trouble:
        del habits
        return Trouble(503, {"error": "server busy, please try again.  maximum pending requests exceeded"})


class VllmWords(Words):
    """vLLM's."""

    def unexpected(self, method: str, path: str, *, strict: bool) -> Trouble:
        del method, path, strict
        return Trouble(404, {"detail": "Not Found"})

    def unauthorized(self, token: str) -> Trouble:
        del token
        return Trouble(401, {"error": "Unauthorized"})

    def missing(self, name: str, known: Sequence[str]) -> Trouble:
        del known
        said = f"The model `{name}` does not exist."
        return Trouble(404, {"object": "error", "message": said, "type": "NotFoundError", "param": None, "code": 404})

    def unloaded(self) -> Trouble:
        said = "EngineCore encountered an issue. See stack trace (above) for the root cause."
        return Trouble(500, {"error": {"message": said, "type": "InternalServerError", "param": None, "code": 500}})

    def crashed(self, exit_code: str) -> Trouble:
        del exit_code
        return self.unloaded()

    def overflow(self, habits: Habits, prompt: int, context: int) -> Trouble:
        del habits
        said = f"This model's maximum context length is {context} tokens. However, you requested {prompt} tokens in the messages."
        return Trouble(400, {"object": "error", "message": said, "type": "BadRequestError", "param": None, "code": 400})


def words(profile: Profile) -> Words:
    """The words of a profile."""
    kinds = {"llamacpp": LlamaWords, "router": LlamaWords, "ollama": OllamaWords, "vllm": VllmWords, "openai": CloudWords}
    return kinds.get(profile.shape, Words)(profile)


def _llama(status: int, message: str, kind: str) -> Trouble:
    return Trouble(status, {"error": {"code": status, "message": message, "type": kind}})
