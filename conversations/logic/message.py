"""A message as deciding sees it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One message of the chat. `timestamp` is ms since 1970; `own` says that we posted it."""

    id: int
    """Primary key."""
    remote_id: str
    text: str
    username: str
    color: str = ""
    kind: str = "human"
    timestamp: int = 0
    born: datetime | None = None
    """When it appeared, by our clock: its author's may be off. None: by its timestamp."""
    own: bool = False
    context: tuple[str, ...] | None = None
    """The lines its author saw; None if the feed gave none, which is not the same as an empty conversation."""
    params: Mapping[str, Any] | None = None
    """What it says to bots: entity, priority, model, nom, ais, processed, status, claimed_by."""
    domain: str = ""
    reply_to: str = ""
    """The `remote_id` of the message that it answers."""
    conversation: str = ""
    """What it is part of; see `conversations.logic.grouping`."""

    @property
    def human(self) -> bool:
        return self.kind == "human"

    def age_s(self, now: datetime) -> float:
        """Seconds since it appeared."""
        return now.timestamp() - (self.born.timestamp() if self.born else self.timestamp / 1000)

    @property
    def spoken(self) -> str:
        """The line as a prompt shows it."""
        return f"{self.username or 'anon'}: {self.text}"
