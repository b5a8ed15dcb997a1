"""Who may do what in the REST API.

A program has a token with scopes, and acts for a person: it needs the scope, and the person the permission of the admin for the same
deed. A request to a model needs the scope alone. A person who is logged in has to be staff, and needs the permission.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, ClassVar, Final

from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle
from rest_framework.views import APIView


class Scope(StrEnum):
    """What a token may be good for."""

    READ = "read"
    OPERATE = "operate"
    GENERATE = "generate"
    ADMINISTER = "administer"


VERBS: Final = {"list": "view", "retrieve": "view", "create": "add", "destroy": "delete"}
"""The permission that an action needs on the rows of its view; all others need to change them."""


class MissingScope(PermissionDenied):
    """A token is not good for this."""

    default_code = "missing_scope"


class Guarded:
    """A view that says what its actions need."""

    scopes: ClassVar[Mapping[str, tuple[Scope, ...]]] = {}
    """Action → scopes of which one is enough; others need `read` to look and `administer` to change."""
    needs: ClassVar[Mapping[str, str]] = {}
    """Action → permission ("app.verb_model"), where it is not the usual one; several with spaces between: all of them."""

    @classmethod
    def enough(cls, action: str, method: str) -> tuple[Scope, ...]:
        """The scopes of which one lets a token do this."""
        return cls.scopes.get(action) or ((Scope.READ,) if method in ("GET", "HEAD") else (Scope.ADMINISTER,))

    def permission(self, action: str, method: str) -> str:
        """The permission that a person needs for this, or several with spaces between; empty: none but being staff."""
        if action in self.needs:
            return self.needs[action]
        rows: Any = getattr(self, "queryset", None)
        if rows is None:
            return ""
        verb = VERBS.get(action, "view" if method in ("GET", "HEAD") else "change")
        return f"{rows.model._meta.app_label}.{verb}_{rows.model._meta.model_name}"


class Rights(BasePermission):
    """Whether this request may be answered; says what is missing."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Raises PermissionDenied with the reason; False where nobody is there at all."""
        if not request.user.is_authenticated:
            return False
        assert isinstance(view, Guarded)
        action, method = str(getattr(view, "action", None) or ""), str(request.method)
        if not action:
            return True  # no such method: it is refused as that
        token: Any = request.auth
        if token is None and not request.user.is_staff:
            raise PermissionDenied(f"{request.user.get_username()} is not staff.")
        if token is not None:
            wanted = view.enough(action, method)
            had = [scope for scope in wanted if scope in token.scopes]
            if not had:
                raise MissingScope(f"The token {token.name} lacks the scope {' or '.join(wanted)}.")
            if Scope.GENERATE in had:
                return True
        lacking = lacks(request, view.permission(action, method))
        if lacking:
            raise PermissionDenied(f"{request.user.get_username()} lacks the permission {' and '.join(lacking)}.")
        return True


def lacks(request: Request, permissions: str) -> list[str]:
    """Those of these permissions, with spaces between, that the person does not have."""
    return [one for one in permissions.split() if not request.user.has_perm(one)]


class Throttle(SimpleRateThrottle):
    """A token's requests a minute, counted by each web process; people are not counted."""

    rate = "1/min"

    def allow_request(self, request: Request, view: APIView) -> bool:
        """Whether there is room for one more."""
        token: Any = request.auth
        if token is None:
            return True
        self.num_requests = token.per_minute
        return super().allow_request(request, view)

    def get_cache_key(self, request: Request, view: APIView) -> str:
        """Whose requests are counted together."""
        token: Any = request.auth
        return f"api-token-{token.pk}"


def who(request: Request) -> str:
    """Who asks, for the record."""
    token: Any = request.auth
    name = str(request.user.get_username())
    return name if token is None else f"{name} (token {token.name})"
