"""Which addresses this installation speaks to: nobody can have it ask cloud metadata, or a network that its operator has not allowed.

An address is judged twice: when it is written down (`allowed`), and when a connection is opened (`door`), on the very address that is
connected to; so a name that resolves to something else by then gains nothing.

::

    never                                   metadata services of clouds, multicast, unspecified
    unless ALLOWED_NETWORKS lists it        link-local 169.254.0.0/16, fe80::/10; reserved
    without ALLOWED_NETWORKS                everything else
    with ALLOWED_NETWORKS                   what it lists: networks, or the words loopback, private, public
"""

import errno
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as Late
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final
from urllib.parse import urlsplit

from django.conf import settings

from swwbot_site.lib.errors import BotError, Fault

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

PATIENCE_S: Final = 2.0
"""How long a name may take to be looked up when it is written down."""

METADATA: Final[frozenset[Address]] = frozenset(
    ip_address(text)
    for text in (
        *("169.254.169.254", "169.254.169.253", "169.254.170.2", "169.254.170.23", "100.100.100.200", "168.63.129.16", "192.0.0.192"),
        *("fd00:ec2::254", "fd00:ec2::253", "fd00:ec2::23", "fd20:ce::254"),
    )
)
"""Where clouds tell their machines secrets: Amazon, Google, Azure, Alibaba, Oracle."""

NAMES: Final = frozenset({"metadata", "metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal"})
"""Names of the same."""

_EMBEDDING: Final = tuple(IPv6Network(text) for text in ("64:ff9b::/96", "64:ff9b:1::/48", "::ffff:0:0:0/96", "::/96"))
"""IPv6 networks whose last 32 bits are an IPv4 address."""

_WORDS: Final[dict[str, tuple[Network, ...]]] = {
    "loopback": (ip_network("127.0.0.0/8"), ip_network("::1/128")),
    "private": tuple(ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")),
}


class Refused(BotError):
    """An address that this installation must not speak to."""

    code = "address-refused"
    fault = Fault.OPERATOR


class RefusedConnection(OSError):
    """The same, told to whoever opens connections."""


def allowed(url: str) -> None:
    """Raises Refused for a URL whose host is, or at this moment resolves to, nothing but what must not be spoken to.

    A name that nobody knows now is let through: it is judged again whenever a connection is opened.
    """
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".").lower()
    except ValueError as exc:
        raise Refused(f"This is no address: {exc}.") from exc
    if parts.username is not None:
        raise Refused("An address is shown to people: write no name and password into it.")
    if host in NAMES:
        raise Refused(f"{host} is the metadata service of a cloud; nothing of ours speaks to it.")
    found = [_refusal(address) for address in _addresses(host)]
    if found and all(found):
        raise Refused(f"{host}: {found[0]}")


def door(info: tuple[Any, ...]) -> socket.socket:
    """The socket for one resolved address (family, kind, protocol, name, address), as aiohttp asks for it. Raises RefusedConnection."""
    family, kind, protocol, _, address = info
    if why := _refusal(ip_address(address[0])):
        raise RefusedConnection(errno.EACCES, why)  # aiohttp tells the text of an error with a number
    return socket.socket(family=family, type=kind, proto=protocol)


def within(address: str, networks: Sequence[str]) -> bool:
    """Whether an address is in one of these networks; what is no address is in none."""
    try:
        plain = _plain(ip_address(address.strip()))
    except ValueError:
        return False
    return any(plain in network for network in _read(tuple(networks))[0])


def problem(texts: Sequence[str]) -> str:
    """What is wrong with a list of networks; empty if nothing is."""
    try:
        _read(tuple(texts))
    except ValueError as exc:
        return str(exc)
    return ""


def _refusal(address: Address) -> str:
    """Why an address must not be spoken to; empty if it may."""
    plain = _plain(address)
    if plain in METADATA:
        return f"{plain} is the metadata service of a cloud; nothing of ours speaks to it."
    if plain.is_multicast or plain.is_unspecified or plain in ip_network("0.0.0.0/8"):
        return f"{plain} is no address of a machine."
    networks, public = _read(tuple(settings.ALLOWED_NETWORKS))
    if any(plain in network for network in networks) or (public and plain.is_global):
        return ""
    if plain.is_link_local or plain in ip_network("240.0.0.0/4"):
        return f"{plain} is link-local or reserved; the setting ALLOWED_NETWORKS must name its network before it is spoken to."
    return f"{plain} is outside of the networks in the setting ALLOWED_NETWORKS." if settings.ALLOWED_NETWORKS else ""


def _plain(address: Address) -> Address:
    """The IPv4 address within an IPv6 one that only wraps it; otherwise the address."""
    if isinstance(address, IPv4Address):
        return address
    address = IPv6Address(int(address))  # without its zone: fd00:ec2::254%1 is fd00:ec2::254
    inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
    if inner is None and int(address) > 1 and any(address in network for network in _EMBEDDING):
        inner = IPv4Address(int(address) & 0xFFFFFFFF)
    return inner or address


@lru_cache(maxsize=8)
def _read(texts: tuple[str, ...]) -> tuple[tuple[Network, ...], bool]:
    """The networks of a list, and whether it lets everything public in. Raises ValueError."""
    networks: list[Network] = []
    for text in texts:
        if text in _WORDS:
            networks += _WORDS[text]
        elif text != "public":
            try:
                networks.append(ip_network(text))
            except ValueError as exc:
                raise ValueError(f"{exc}; it must be a network such as 10.0.0.0/24, or loopback, private or public") from exc
    return tuple(networks), "public" in texts


def _addresses(host: str) -> list[Address]:
    """What a host is, or resolves to now; nothing if nobody knows it, or not in time."""
    try:
        return [ip_address(host)]
    except ValueError:
        pass
    helper = ThreadPoolExecutor(max_workers=1, thread_name_prefix="resolver")
    try:
        infos = helper.submit(socket.getaddrinfo, host, None, type=socket.SOCK_STREAM).result(PATIENCE_S)
    except (OSError, UnicodeError, Late):
        return []
    finally:
        helper.shutdown(wait=False)
    return [ip_address(str(info[4][0])) for info in infos]
