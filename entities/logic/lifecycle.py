"""The states of a permit and the moves between them: reserved → spent, refunded."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class PermitState(StrEnum):
    RESERVED = "reserved"
    SPENT = "spent"
    REFUNDED = "refunded"


PERMIT: Final[Mapping[PermitState, frozenset[PermitState]]] = {
    PermitState.RESERVED: frozenset({PermitState.SPENT, PermitState.REFUNDED}),
}
