"""Who tries passwords is slowed down: by the address that they come from and by the name that they try, in all web processes together.

Each try is a row before its password is looked at, and goes away when that was right; so however many are made at once, no more than the
limit are looked at. While too many rows lie in the window, nothing is looked at, not even the right password; refused tries leave no row,
so that nobody is locked out for longer by going on.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any, Final

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from swwbot_site.lib import clock
from swwbot_site.lib.events import Level, say
from swwbot_site.models import LoginAttempt

WINDOW: Final = timedelta(minutes=15)

BY_NAME: Final = 10
"""Wrong passwords for one name in the window."""

BY_ADDRESS: Final = 20
"""Wrong passwords from one address in the window, whatever the names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One try. `wait_s` above 0: it is not made, and may be then. `last`: if it fails, the next ones have to wait."""

    row: int
    wait_s: float = 0.0
    last: bool = False


class Backend(ModelBackend):
    """Django's, with the throttle in front of it. A login that comes from no web request (a command, a test) is not throttled."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        """The user of these credentials. Raises PermissionDenied, which ends the login, while it has to wait; `request.login_wait_s` says how long."""
        if request is None:
            return super().authenticate(request, username=username, password=password, **kwargs)
        address, name = place(request.META.get("REMOTE_ADDR", "")), secret(username or "")
        entry = tried(address, name, clock.now())
        if entry.wait_s:
            request.login_wait_s = entry.wait_s  # type: ignore[attr-defined]
            raise PermissionDenied
        user = super().authenticate(request, username=username, password=password, **kwargs)
        if user is not None:
            LoginAttempt.objects.filter(address=address, name=name).delete()
        elif entry.last:
            text = f"Too many wrong passwords from {address}: for {WINDOW.seconds // 60} minutes no more are looked at"
            say("login.throttled", text, subject=f"address:{address}", level=Level.WARNING)
        return user


def tried(address: str, name: str, now: datetime) -> Entry:
    """Note a try, unless there were too many."""
    since = now - WINDOW
    LoginAttempt.objects.filter(at__lte=since).delete()
    row = LoginAttempt.objects.create(at=now, address=address, name=name)
    last, wait = False, timedelta()
    for most, which in ((BY_ADDRESS, {"address": address}), (BY_NAME, {"name": name})):
        others = LoginAttempt.objects.filter(**which, at__gt=since).exclude(pk=row.pk).order_by("-at", "-pk")
        moments = list(others.values_list("at", flat=True)[:most])
        if len(moments) == most:
            wait = max(wait, moments[-1] - since)
        last = last or len(moments) == most - 1
    if wait:
        row.delete()
        return Entry(row=0, wait_s=wait.total_seconds())
    return Entry(row=row.pk, last=last)


def place(address: str) -> str:
    """Where a request comes from; of IPv6 the network of 64 bits, for one customer has all of it."""
    try:
        found = ip_address(address)
    except ValueError:
        return "unknown"
    return str(ip_network((found, 64), strict=False)) if isinstance(found, IPv6Address) else str(found)


def secret(name: str) -> str:
    """A name as it is kept: nobody can read from it what was typed."""
    return hashlib.sha256(name.strip().casefold().encode(errors="replace")).hexdigest()
