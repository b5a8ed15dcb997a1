"""The states of a reply and of a claimed message, and the moves between them.

::

    Reply     waiting → ready → posting → posted
              waiting → dropped, failed ; ready → held, dropped ; held → ready, dropped ; posting → failed, dropped
              posted → posting, if a KV backend has written over it
              failed, dropped → ready, waiting, if a person wants it again
    Message   its debt to the feed's own queue: none ; owed → settled, given up
    Ensemble  running → done, failed, cancelled
    Voice     waiting → asked → done, failed ; waiting → cancelled ; asked → cancelled
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class ReplyState(StrEnum):
    WAITING = "waiting"
    READY = "ready"
    HELD = "held"
    POSTING = "posting"
    POSTED = "posted"
    DROPPED = "dropped"
    FAILED = "failed"


_R = ReplyState

REPLY: Final[Mapping[ReplyState, frozenset[ReplyState]]] = {
    _R.WAITING: frozenset({_R.READY, _R.HELD, _R.DROPPED, _R.FAILED}),
    _R.READY: frozenset({_R.POSTING, _R.HELD, _R.DROPPED}),
    _R.HELD: frozenset({_R.READY, _R.DROPPED}),
    _R.POSTING: frozenset({_R.POSTED, _R.DROPPED, _R.FAILED}),
    _R.POSTED: frozenset({_R.POSTING}),
    _R.FAILED: frozenset({_R.READY, _R.WAITING}),
    _R.DROPPED: frozenset({_R.READY, _R.WAITING}),
}

ENDED: Final = (_R.POSTED, _R.DROPPED, _R.FAILED)
"""Replies that will not change by themselves any more (a failed one may be requeued by a person)."""


class Mode(StrEnum):
    """Why an entity answers."""

    DIRECTED = "directed"
    AMBIENT = "ambient"
    VOICE = "voice"


class Debt(StrEnum):
    """What we still owe the feed's own queue for a message: to tell it that the message is dealt with."""

    NONE = "none"
    OWED = "owed"
    SETTLED = "settled"
    GIVEN_UP = "given-up"


DEBT: Final[Mapping[Debt, frozenset[Debt]]] = {
    Debt.OWED: frozenset({Debt.SETTLED, Debt.GIVEN_UP}),
}


class EnsembleState(StrEnum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class VoiceState(StrEnum):
    WAITING = "waiting"
    ASKED = "asked"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENSEMBLE: Final[Mapping[EnsembleState, frozenset[EnsembleState]]] = {
    EnsembleState.RUNNING: frozenset({EnsembleState.DONE, EnsembleState.FAILED, EnsembleState.CANCELLED}),
}

VOICE: Final[Mapping[VoiceState, frozenset[VoiceState]]] = {
    VoiceState.WAITING: frozenset({VoiceState.ASKED, VoiceState.FAILED, VoiceState.CANCELLED}),
    VoiceState.ASKED: frozenset({VoiceState.DONE, VoiceState.FAILED, VoiceState.CANCELLED}),
}
