"""What a document says about one row."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

SERVER: Final = "server"
POLICY: Final = "policy"
ENTITY: Final = "entity"
LIMIT: Final = "limit"
FEED: Final = "feed"
TALK: Final = "conversation"
"""The one row of the conversation's settings."""
RETENTION: Final = "retention"
"""How long rows are kept."""
CADENCE: Final = "cadence"
"""The polling interval of feeds that the document itself does not describe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One row: `name` is its natural key (empty where there is one row only), `path` where the file describes it.

    `said` is column → value for what the file says; `assumed` column → value where it says nothing and the row's own default would not
    do: used when the row is made, or when the file stops saying it.
    """

    kind: str
    name: str = ""
    path: str = "$"
    said: Mapping[str, Any] = field(default_factory=dict)
    assumed: Mapping[str, Any] = field(default_factory=dict)
