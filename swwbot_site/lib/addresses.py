"""Addresses as people write them, in one spelling, so that one peer is one row."""

from typing import Final
from urllib.parse import urlsplit

PORTS: Final = {"http": 80, "https": 443}


def tidy(url: str, *tails: str) -> str:
    """`url` without white space around it, a trailing slash, or one of `tails` (such as "/v1") at its end."""
    plain = url.strip().rstrip("/")
    for tail in tails:
        plain = plain.removesuffix(tail).rstrip("/")
    return plain


def elsewhere(old: str, new: str) -> bool:
    """Whether somebody else may be spoken to at `new` than at `old`: another scheme, host or port, or nothing that can be read."""
    try:
        return _peer(old) != _peer(new)
    except ValueError:
        return True


def _peer(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port. Raises ValueError."""
    parts = urlsplit(tidy(url))
    if "@" in parts.netloc or "\\" in url:
        raise ValueError(f"{url!r} can be read in more than one way")
    return parts.scheme, (parts.hostname or "").rstrip("."), parts.port or PORTS.get(parts.scheme)
