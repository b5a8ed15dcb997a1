"""How a program says who it is: `Authorization: Bearer sww_…`."""

from typing import Any

from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from swwbot_site import tokens
from swwbot_site.lib import clock
from swwbot_site.models import Token


class Bearer(BaseAuthentication):
    """A token made in the admin or with `manage.py token`."""

    def authenticate(self, request: Request) -> tuple[Any, Token] | None:
        """The person it acts for, and the token. Raises AuthenticationFailed."""
        kind, _, secret = get_authorization_header(request).decode("latin-1").partition(" ")
        if kind.lower() != "bearer":
            return None
        token = tokens.find(secret.strip(), clock.now())
        if token is None:
            raise AuthenticationFailed("The token is unknown, expired or revoked.")
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        """What a program without a token is told to send."""
        return 'Bearer realm="api"'
