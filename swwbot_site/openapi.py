"""How the REST API behaves and describes itself: the settings of Django REST framework and drf-spectacular."""

from typing import Any, Final

from cluster.logic.lifecycle import GenerationState, PlacementState, ServerState
from conversations.logic.lifecycle import EnsembleState, ReplyState
from entities.logic.turns import ROLES
from swwbot_site.webhooks.attempts import DeliveryState

REST_FRAMEWORK: Final[dict[str, Any]] = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["swwbot_site.bearer.Bearer", "rest_framework.authentication.SessionAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAdminUser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["swwbot_site.lib.payload.Json"],
    "DEFAULT_METADATA_CLASS": None,
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "swwbot_site.lib.problems.problem",
}


def spectacular(version: str) -> dict[str, Any]:
    """The OpenAPI document of this version of the bot; its page takes nothing from other sites."""
    return {
        "TITLE": "Say What Want bot",
        "DESCRIPTION": "What the bot knows and does: its cluster, its personas, its conversation. For programs with a token, and for staff with the admin's login.",
        "VERSION": version,
        "OAS_VERSION": "3.1.0",
        "SCHEMA_PATH_PREFIX": "/api/v1",
        "SERVE_INCLUDE_SCHEMA": False,
        "SERVE_PERMISSIONS": ["rest_framework.permissions.IsAdminUser"],
        "SWAGGER_UI_DIST": "SIDECAR",
        "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
        "POSTPROCESSING_HOOKS": ["drf_spectacular.hooks.postprocess_schema_enums", "swwbot_site.lib.problems.describe"],
        "ENUM_NAME_OVERRIDES": {
            "MarksEnum": "entities.models.Entity.Marks",
            "ServerState": [*ServerState],
            "PlacementState": [*PlacementState],
            "GenerationState": [*GenerationState],
            "ReplyState": [*ReplyState],
            "EnsembleState": [*EnsembleState],
            "DeliveryState": [*DeliveryState],
            "LimitKind": "entities.models.RateLimit.Kind",
            "RoleEnum": [*ROLES],
            "MessageKind": ["human", "AI"],
        },
    }
