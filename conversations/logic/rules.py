"""The project's own rules of what chances are multiplied with. Each gives entity id → factor; nothing where it does not apply.

A rule is a few lines that can be read; together they say when somebody who was not asked speaks.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Final

from conversations.logic.scene import Room
from conversations.logic.signals import Signals
from conversations.logic.weights import EVERYBODY

Factors = Mapping[str, float]

QUESTION: Final = 2.0
TOPIC: Final = 1.0
"""What a perfect fit of interests adds to 1."""

CALM: Final = 6.0
"""Messages a minute up to which nobody holds back."""

BUSIEST: Final = 0.25
SILENCE: Final = 1.5
TURNS: Final = 10
"""So many of the last answers are shared out fairly."""

GREEDIEST: Final = 0.5


def question(signals: Signals) -> Factors:
    """A question is answered twice as readily."""
    return {EVERYBODY: QUESTION} if signals.question else {}


def topic(signals: Signals) -> Factors:
    """Who is interested in what it is about, up to twice as readily. Nobody is held back for having no interests."""
    return {slug: 1 + TOPIC * fit for slug, fit in signals.interests.items() if fit > 0}


def activity(signals: Signals) -> Factors:
    """In a busy conversation less readily, so that beyond CALM messages a minute about as many answers a minute remain."""
    return {EVERYBODY: max(BUSIEST, CALM / signals.activity)} if signals.activity > CALM else {}


def silence(signals: Signals, room: Room) -> Factors:
    """Who breaks a long silence, or begins the conversation, is answered more readily."""
    return {EVERYBODY: SILENCE} if signals.silence_s is None or signals.silence_s >= room.silence_s else {}


def fairness(room: Room, others: int) -> Factors:
    """Who has had more than its share of the last answers speaks up to half as readily; `others` are how many share them with it."""
    turns = [slug for slug, _ in room.spoken[:TURNS]]
    if not turns or others < 1:
        return {}
    fair = 1 / (others + 1)
    shares = {slug: count / len(turns) for slug, count in Counter(turns).items()}
    return {slug: 1 - (1 - GREEDIEST) * (share - fair) / (1 - fair) for slug, share in shares.items() if share > fair}
