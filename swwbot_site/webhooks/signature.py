"""How a delivery is signed, so that its receiver knows whose it is and when it was sent: the scheme of Standard Webhooks 1.

::

    webhook-id         the same at every attempt
    webhook-timestamp  seconds since 1970, of this attempt
    webhook-signature  v1, and base64 of HMAC-SHA256 over "id.timestamp.body"

The key is what stands in base64 behind `whsec_`.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

MARK: Final = "whsec_"
BYTES: Final = 32


def secret(draw: Callable[[int], bytes]) -> str:
    """A new secret; `draw` gives so many random bytes."""
    return MARK + base64.b64encode(draw(BYTES)).decode()


def key(text: str) -> bytes:
    """The key of a secret. Raises ValueError for a text that is none: 24 to 64 bytes in base64 behind `whsec_`."""
    try:
        found = base64.b64decode(text.removeprefix(MARK), validate=True)
    except binascii.Error as exc:
        raise ValueError(f"A secret is {MARK} and 24 to 64 bytes in base64.") from exc
    if not (text.startswith(MARK) and 24 <= len(found) <= 64):
        raise ValueError(f"A secret is {MARK} and 24 to 64 bytes in base64.")
    return found


def headers(text: str, name: str, at: datetime, body: bytes) -> Mapping[str, str]:
    """The headers of one attempt; `text` is the secret, `name` the delivery's id. Raises ValueError."""
    stamp = str(int(at.timestamp()))
    signed = hmac.new(key(text), f"{name}.{stamp}.".encode() + body, hashlib.sha256).digest()
    return {"webhook-id": name, "webhook-timestamp": stamp, "webhook-signature": f"v1,{base64.b64encode(signed).decode()}"}
