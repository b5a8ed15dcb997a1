"""Addresses as a file writes them, in one form: `http://host:port` for servers, `https://host/api` for message backends."""

import re
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from swwbot_site.config.kinds import Wrong

PORT: Final = 1234
"""Where LM Studio listens unless told otherwise."""

_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")


def joined(ip: str, port: int) -> str:
    """`http://ip:port`. Raises Wrong if `ip` is neither an IP address nor a host's name."""
    return f"http://{_host(ip)}:{port}"


def _host(host: str) -> str:
    try:
        address = ip_address(host)
    except ValueError:
        if _HOST.fullmatch(host):
            return host.lower()
        raise Wrong(f"is {host[:60]!r}; it must be an IP address or a host's name, without http:// and port") from None
    return f"[{address}]" if address.version == 6 else str(address)


def normal(url: str, *, without: str = "") -> str:
    """A URL in lower case up to its path, without a slash at its end and without the last step `without`. Raises Wrong."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as exc:
        raise Wrong(f"is {url[:60]!r}, which is no URL: {exc}") from exc
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Wrong(f"is {url[:60]!r}; it must be a URL such as http://10.0.0.102:1234")
    if parts.username is not None or parts.query or parts.fragment:
        raise Wrong("is a URL with a name, query or fragment in it; write only scheme, host, port and path")
    path = parts.path.rstrip("/").removesuffix(without).rstrip("/")
    if any(sign.isspace() or not sign.isprintable() for sign in path):
        raise Wrong("is a URL with a space in it")
    return f"{parts.scheme}://{_host(parts.hostname)}{f':{port}' if port is not None else ''}{path}"


def place(url: str) -> str:
    """Host and port of a normal URL, as a name for people."""
    return urlsplit(url).netloc


def parted(url: str) -> tuple[str, int] | None:
    """(host, port) of a normal `http://host:port`; None for any other URL."""
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.port is None or not parts.hostname or url != f"http://{parts.netloc}":
        return None
    return parts.hostname, parts.port
