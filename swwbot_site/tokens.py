"""The rights of programs to speak to the API: made, shown once, found again by what they say, taken back.

A secret is `sww_`, eight letters by which its row is found, and 43 that nobody can guess. The row keeps a hash of it; a fast one is
enough, because there is nothing to guess from.
"""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Q

from swwbot_site.lib import clock
from swwbot_site.lib.errors import BotError, Fault
from swwbot_site.lib.events import say
from swwbot_site.models import Token

MARK: Final = "sww_"
LONGEST: Final = 96
"""Characters of a name; behind `api:` it is the caller of the token's requests, and a cut name could be another token's."""

PREFIX: Final = 8
EVERY: Final = timedelta(minutes=1)
"""How often it is noted, at most, that a token was used."""


class Refused(BotError):
    """A token cannot be made like this."""

    code = "token-refused"
    fault = Fault.REQUEST


def make(
    name: str,
    user: User,
    scopes: Sequence[str],
    *,
    who: str,
    lasts: timedelta | None = None,
    priority: int = 50,
    models: Sequence[str] = (),
    per_minute: int = 600,
    at_once: int = 0,
    by: Any = None,
    through: Token | None = None,
) -> tuple[Token, str]:
    """A new token and its secret, which is kept nowhere. Raises Refused.

    `by` is the person who makes it: nobody can have a token act for somebody who may more. `through` is the token that is used for it: the new
    one may no more, and is good for no longer.
    """
    name = name.strip()
    wrong = sorted(set(scopes) - set(Token.Scope.values))
    if wrong or not scopes:
        raise Refused(f"{', '.join(wrong) or 'Nothing'} is no scope: there are {', '.join(Token.Scope.values)}.")
    if not 0 < len(name) <= LONGEST or "\0" in name:
        raise Refused(f"A token's name has 1 to {LONGEST} characters.")
    if not 0 <= priority <= 99:
        raise Refused(f"{priority} is no priority: it goes from 0, first, to 99, last.")
    if at_once < 0:
        raise Refused("A token may wait for any number of answers (0), or for some; not for less than none.")
    if per_minute < 1 or (lasts is not None and lasts <= timedelta()):
        raise Refused("A token is good for at least one request a minute, and for some time.")
    if by is not None and not by.is_superuser and (user.is_superuser or user.get_all_permissions() - by.get_all_permissions()):
        raise Refused(f"{user.get_username()} may more than you: only somebody who may as much can make a token for that login.")
    prefix, now = "".join(secrets.choice("abcdefghijkmnpqrstuvwxyz23456789") for _ in range(PREFIX)), clock.now()
    secret = f"{MARK}{prefix}{secrets.token_urlsafe(32)}"
    if through is not None and (why := _beyond(through, scopes, priority, models, now, lasts)):
        raise Refused(f"The token {through.name} cannot make one that may more than itself: {why}.")
    try:
        with transaction.atomic():
            row = Token.objects.create(
                name=name,
                prefix=prefix,
                digest=_digest(secret),
                user=user,
                scopes=[scope.value for scope in Token.Scope if scope in scopes],
                priority=priority,
                models_allowed=list(models),
                per_minute=per_minute,
                at_once=at_once,
                created_at=now,
                expires_at=now + lasts if lasts is not None else None,
            )
            text = f"{who} made the token {name} for {user.get_username()}: {', '.join(row.scopes)}"
            say("token.made", text, subject=f"token:{name}", who=who, scopes=row.scopes)
    except IntegrityError as exc:
        raise Refused(f"There is a token {name!r} already. Choose another name; a revoked one keeps its own.") from exc
    return row, secret


def _beyond(own: Token, scopes: Sequence[str], priority: int, models: Sequence[str], now: datetime, lasts: timedelta | None) -> str:
    """What a token that `own` makes would have that `own` has not; empty: nothing."""
    if more := sorted(set(scopes) - set(own.scopes)):
        return f"it lacks the scope {' and '.join(more)}"
    if priority < own.priority:
        return f"its priority is {own.priority}"
    if own.models_allowed and not (models and {one.lower() for one in models} <= {str(one).lower() for one in own.models_allowed}):
        return f"it may ask {', '.join(own.models_allowed)}"
    if own.expires_at and (lasts is None or now + lasts > own.expires_at):
        return f"it expires at {own.expires_at:%Y-%m-%d %H:%M} UTC"
    return ""


def find(secret: str, now: datetime) -> Token | None:
    """The token of this secret, if it is good at this moment and its person is active; notes that it was used."""
    if not secret.isascii() or not secret.startswith(MARK):
        return None
    prefix = secret[len(MARK) : len(MARK) + PREFIX]
    row = Token.objects.select_related("user").filter(prefix=prefix, revoked_at__isnull=True, user__is_active=True).first()
    if row is None or not hmac.compare_digest(row.digest, _digest(secret)) or (row.expires_at and row.expires_at <= now):
        return None
    if row.used_at is None or row.used_at < now - EVERY:
        Token.objects.filter(Q(used_at__isnull=True) | Q(used_at__lt=now - EVERY), pk=row.pk).update(used_at=now)
    return row


def revoke(ids: Sequence[int], who: str) -> int:
    """Take tokens back; they are good for nothing from now on. Returns how many were good."""
    with transaction.atomic():
        rows = list(Token.objects.select_for_update(of=("self",)).filter(pk__in=ids, revoked_at__isnull=True).order_by("pk"))
        Token.objects.filter(pk__in=[row.pk for row in rows]).update(revoked_at=clock.now())
        for row in rows:
            say("token.revoked", f"{who} revoked the token {row.name}", subject=f"token:{row.name}", who=who)
    return len(rows)


def state(row: Token) -> str:
    """Whether it is good: good, expired, revoked."""
    if row.revoked_at:
        return "revoked"
    return "expired" if row.expires_at and row.expires_at <= clock.now() else "good"


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
