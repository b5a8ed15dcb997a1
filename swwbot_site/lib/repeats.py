"""Requests that may be sent twice and are done once: the header `Idempotency-Key`.

The deed and the record of its answer are one transaction, under an advisory lock of the key. So whoever asks again while it is being done
is told so, whoever asks later gets the same answer, and of a process that died in the middle nothing remains.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Final

from django.apps import apps
from django.db import connection
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from rest_framework import status
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from swwbot_site.lib import clock
from swwbot_site.lib.leases import REPEATED, REPEATING

HEADER: Final = "Idempotency-Key"
LONGEST: Final = 200

TOLD: Final = {
    "code": "idempotency_told",
    "detail": f"It was done, and the first answer to this {HEADER} held a secret, which is shown once and not kept. "
    "If you did not get it, renew it, or revoke it and make another.",
}
"""What is answered in the place of an answer that held a secret."""


class Clash(APIException):
    """The key was used for something else."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_code = "idempotency_clash"
    default_detail = f"This {HEADER} was sent with another request. Use a new one for a new request."


class Underway(APIException):
    """The same key is being dealt with."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "idempotency_underway"
    default_detail = f"A request with this {HEADER} is being done at this moment. Send it again in a second."


class Answered(Exception):
    """It was done before; this is what was answered."""

    def __init__(self, code: int, body: Any) -> None:
        super().__init__(code)
        self.response = Response(body, status=code, headers={"Idempotency-Replayed": "true"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key as its owner uses it, and what it is used for. `token` or `user` is the owner's primary key."""

    token: int | None
    user: int | None
    key: str
    digest: str


def carried(request: HttpRequest) -> bool:
    """Whether a request has a key."""
    return request.method == "POST" and HEADER in request.headers


def key(request: Request) -> Key:
    """The key of a request whose sender is known. Raises ValidationError, ParseError."""
    text = request.headers[HEADER]
    if not (0 < len(text) <= LONGEST and text.isascii() and text.isprintable()):
        raise ValidationError({HEADER: f"1 to {LONGEST} printable ASCII characters"})
    data: Any = request.data
    said = data if isinstance(data, bytes) else json.dumps(data, sort_keys=True).encode()
    digest = hashlib.sha256(f"{request.method} {request.get_full_path()}\n".encode() + said).hexdigest()
    token = getattr(request.auth, "pk", None)
    return Key(token=token, user=None if token else request.user.pk, key=text, digest=digest)


def begin(one: Key) -> None:
    """Hold the key until the running transaction ends. Raises Underway, Clash, Answered."""
    number = int.from_bytes(hashlib.sha256(f"{one.token} {one.user} {one.key}".encode()).digest()[:4], signed=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [REPEATING, number])
        if not cursor.fetchone()[0]:
            raise Underway
    row = _rows().filter(token=one.token, user=one.user, key=one.key, created_at__gt=clock.now() - REPEATED).first()
    if row is not None and row.digest != one.digest:
        raise Clash
    if row is not None:
        raise Answered(row.status, row.body)


def keep(one: Key, response: HttpResponseBase, *, secret: bool = False) -> None:
    """Keep what was answered, unless that is `secret`; only a deed that was done is kept. Forgets what is too old."""
    if not (isinstance(response, Response) and status.is_success(response.status_code)):
        return
    now = clock.now()
    _rows().filter(created_at__lte=now - REPEATED).delete()
    code, body = response.status_code, None if response.data is None else json.loads(JSONRenderer().render(response.data))
    if secret:
        code, body = status.HTTP_409_CONFLICT, TOLD
    owner = {"token_id": one.token, "user_id": one.user}
    _rows().create(**owner, key=one.key, digest=one.digest, status=code, body=body, created_at=now)


def _rows() -> Any:
    return apps.get_model("swwbot_site", "Repeat")._default_manager
