"""Which paths a profile has."""

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from cluster.lmstudio.emulator.answering import Answering
from cluster.lmstudio.emulator.habits import Profile
from cluster.lmstudio.emulator.llamacpp import Llama, Router
from cluster.lmstudio.emulator.managing import Managing
from cluster.lmstudio.emulator.ollama import VERSION, Ollama
from cluster.lmstudio.emulator.work import Work

Route = Callable[[web.Request, dict[str, object]], Awaitable[object] | object]
Routes = Mapping[tuple[str, str], Route]


def answering(work: Work, seed: int) -> Answering:
    """Who answers for a profile."""
    kinds: Mapping[str, type[Answering]] = {"ollama": Ollama, "llamacpp": Llama, "router": Router}
    return kinds.get(work.profile.shape, Answering)(work, seed)


def routes(profile: Profile, managing: Managing, answering: Answering) -> Routes:
    """The routes by method and path; what they return is a response, or a value to be sent as JSON."""
    found: dict[tuple[str, str], Route] = {
        ("GET", "/v1/models"): lambda _request, _body: managing.list_openai(),
        ("POST", "/v1/chat/completions"): answering.chat,
        ("POST", "/v1/completions"): answering.complete,
        ("POST", "/v1/embeddings"): lambda _request, body: answering.embed(body),
    }
    match answering:
        case Ollama():
            found |= _ollama(answering)
        case Llama() | Router():
            found |= _llama(answering)
    if profile.shape == "lm-studio":
        found |= {
            ("GET", "/lmstudio-greeting"): lambda _request, _body: {"lmstudio": True},
            ("GET", "/api/v0/models"): lambda _request, _body: managing.list_v0(),
            ("POST", "/api/v0/chat/completions"): lambda request, body: answering.chat(request, body, v0=True),
            ("POST", "/api/v0/completions"): lambda request, body: answering.complete(request, body, v0=True),
            ("POST", "/api/v0/embeddings"): lambda _request, body: answering.embed(body),
        }
    if profile.native:
        found |= {
            ("GET", "/api/v1/models"): lambda _request, _body: managing.list_v1(),
            ("POST", "/api/v1/models/load"): lambda _request, body: managing.load(body),
            ("POST", "/api/v1/models/unload"): lambda _request, body: managing.unload(body),
        }
    if profile.shape == "design":
        found |= {
            ("POST", "/v1/models/load"): lambda _request, body: managing.load_design(body),
            ("POST", "/v1/models/unload"): lambda _request, body: managing.unload_design(body),
        }
    if profile.shape == "vllm":
        found |= {
            ("GET", "/health"): lambda _request, _body: web.Response(),
            ("GET", "/v1/models"): lambda _request, _body: managing.list_vllm(),
        }
    return found


def _ollama(server: Ollama) -> Routes:
    return {
        ("GET", "/"): lambda _request, _body: web.Response(text="Ollama is running"),
        ("GET", "/api/version"): lambda _request, _body: {"version": VERSION},
        ("GET", "/api/tags"): lambda _request, _body: server.tags(),
        ("GET", "/api/ps"): lambda _request, _body: server.running(),
        ("GET", "/v1/models"): lambda _request, _body: server.models(),
        ("POST", "/api/chat"): server.talk,
        ("POST", "/api/generate"): server.generate,
        ("POST", "/api/embed"): lambda _request, body: server.vectors(body),
    }


def _llama(server: Llama | Router) -> Routes:
    found: dict[tuple[str, str], Route] = {
        (method, path): route
        for method, paths, route in (
            ("GET", ("/health", "/v1/health"), lambda _request, _body: server.health()),
            ("GET", ("/models", "/v1/models"), lambda _request, _body: server.models()),
            ("GET", ("/props",), lambda request, _body: server.props(request)),
        )
        for path in paths
    }
    if isinstance(server, Router):
        found |= {
            ("POST", "/models/load"): lambda _request, body: server.load(body),
            ("POST", "/models/unload"): lambda _request, body: server.unload(body),
        }
    return found
