"""The states of a permit and the moves between them: reserved → spent, refunded; spent → forgiven, if a person lets the count begin anew."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class PermitState(StrEnum):
    RESERVED = "reserved"
    SPENT = "spent"
    REFUNDED = "refunded"
    FORGIVEN = "forgiven"


PERMIT: Final[Mapping[PermitState, frozenset[PermitState]]] = {
    PermitState.RESERVED: frozenset({PermitState.SPENT, PermitState.REFUNDED}),
    PermitState.SPENT: frozenset({PermitState.FORGIVEN}),
}
