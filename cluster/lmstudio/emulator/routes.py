"""Which paths a profile has."""

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from cluster.lmstudio.emulator.answering import Answering
from cluster.lmstudio.emulator.habits import Profile
from cluster.lmstudio.emulator.managing import Managing

Route = Callable[[web.Request, dict[str, object]], Awaitable[object] | object]
Routes = Mapping[tuple[str, str], Route]


def routes(profile: Profile, managing: Managing, answering: Answering) -> Routes:
    """The routes by method and path; what they return is a response, or a value to be sent as JSON."""
    found: dict[tuple[str, str], Route] = {
        ("GET", "/v1/models"): lambda _request, _body: managing.list_openai(),
        ("POST", "/v1/chat/completions"): answering.chat,
        ("POST", "/v1/completions"): answering.complete,
        ("POST", "/v1/embeddings"): lambda _request, body: answering.embed(body),
    }
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
    return found
