"""What every answer tells a browser it may do: the content security policy, and which of the machine's devices a page may use.

::

    our own pages     scripts, styles, pictures and connections of this site only; nothing inline, nothing evaluated
    /admin/           also 'unsafe-eval' for scripts: the theme's Alpine makes functions of its attributes; inline styles: the theme
                      writes its colours and widths into the page. Inline scripts are refused there as well
    /api/docs/        also inline styles, which Swagger UI draws with
"""

from typing import Final

from django.http import HttpRequest, HttpResponseBase
from django.utils.deprecation import MiddlewareMixin

_OWN: Final = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "manifest-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}
_STYLED: Final = {**_OWN, "style-src": "'self' 'unsafe-inline'"}
_THEMED: Final = {**_STYLED, "script-src": "'self' 'unsafe-eval'"}

POLICIES: Final = (("/admin/", _THEMED), ("/api/docs/", _STYLED), ("/", _OWN))
"""The first whose beginning fits the path."""

DEVICES: Final = "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), serial=(), usb=()"


class Headers(MiddlewareMixin):
    """Adds them, unless a view has its own."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """The answer with its headers."""
        response.headers.setdefault("Content-Security-Policy", policy(request.path_info))
        response.headers.setdefault("Permissions-Policy", DEVICES)
        response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        return response


def policy(path: str) -> str:
    """The content security policy of a page."""
    words = next(words for beginning, words in POLICIES if path.startswith(beginning) or beginning == "/")
    return "; ".join(f"{name} {value}" for name, value in words.items())
