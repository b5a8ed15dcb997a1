"""How the REST API's views describe themselves in the OpenAPI document."""

from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import get_doc
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter

KEY = OpenApiParameter(
    "Idempotency-Key",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="Sent again with the same key and body within 24 hours, a request is not done again and gets the same answer.",
)


class Schema(AutoSchema):
    """An action takes its form and shows its shape, its view's row where it names none."""

    view: Any

    def get_request_serializer(self) -> Any:
        """What the request may say; None: nothing."""
        return self.view.forms.get(self.view.action)

    def get_response_serializers(self) -> Any:
        """What is shown."""
        return self.view.shapes.get(self.view.action) or super().get_response_serializers()

    def _is_list_view(self, serializer: Any = None) -> bool:
        """A thing without a number is no list, though it is shown where lists are."""
        if self.view.action == "list" and self.view.pagination_class is None:
            return False
        return bool(super()._is_list_view(serializer))

    def get_override_parameters(self) -> list[Any]:
        """A request that changes something may have a key."""
        return [KEY] if self.method == "POST" else []

    def get_description(self) -> str:  # type: ignore[override]  # drf-spectacular has another idea of it than DRF
        """The action's sentence, and what it needs."""
        own = get_doc(getattr(self.view, self.view.action, None)) or get_doc(type(self.view))
        scopes = " or ".join(f"`{scope}`" for scope in self.view.enough(self.view.action, self.method))
        permission = "` and `".join(self.view.permission(self.view.action, self.method).split())
        needs = f"A token needs the scope {scopes}" + (f"; a person the permission `{permission}`." if permission else ".")
        return f"{own}\n\n{needs}" if own else needs
