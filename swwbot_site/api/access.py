"""What the OpenAPI document says of tokens."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension

from swwbot_site.bearer import Bearer


class Described(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """What the OpenAPI document says of it."""

    target_class = Bearer
    name = "bearerAuth"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """A token in the header."""
        return {"type": "http", "scheme": "bearer", "description": "A token; see docs/api.md."}
