"""What the analysis of a message and its surroundings found: the input of the decision, besides the text itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """An entity is called by a word of the text: its name, an alias, a trigger. `word` as the entity's row spells it."""

    slug: str
    word: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """Facts about one message. `activity` is messages a minute around it, `silence_s` the time since the message before it."""

    question: bool = False
    why_question: str = ""
    """The mark or words that make it a question."""
    mentions: tuple[Call, ...] = ()
    """Enabled or not, each entity at most once, in the order of the text."""
    triggers: tuple[Call, ...] = ()
    topics: tuple[tuple[str, float], ...] = ()
    """Weighted terms that stand out against the window's background, strongest first, weights 0 … 1."""
    interests: Mapping[str, float] = field(default_factory=dict)
    """Entity id → 0 … 1: how well the topics fit its interests. Entities that it does not fit at all are absent."""
    activity: float = 0.0
    silence_s: float | None = None
    """None: nothing came before."""
    participants: tuple[str, ...] = ()
    """Names of those who spoke in the window, the latest first."""
    company: tuple[str, ...] = ()
    """Names of those whom its author talks with: the speakers of its group in the window."""
    conversation: str = ""
    """Its conversation's key: a domain, or the private talk of one human and one identity."""
