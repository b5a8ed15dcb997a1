"""Files of November that say nothing here, with the reasons for the warnings."""

from collections.abc import Mapping
from typing import Final

from swwbot_site.config.section import Field

_WORKER: Final = "every engine does every kind of work; the settings in docs/settings.md and the rows say what"
WORKER: Final = (
    Field(key="workerId", dead="engines name themselves"),
    Field(key="backend.type", dead="servers stand under lmStudioServers, each with its dialect"),
    Field(key="backend.endpoint", dead="servers stand under lmStudioServers, each with its url"),
    Field(key="polling.pollHumanAI", dead=_WORKER),
    Field(key="polling.pollGodMode", dead=_WORKER),
)

WHOLE: Final[Mapping[str, str]] = {
    "god-mode.json": "several voices get their prompts when they are asked: on the admin's page of ensembles, or with manage.py ensemble",
    "eq-score.json": "messages are not scored",
}
"""Files that look like an entity's and are none: why."""

NAMES: Final = frozenset({"worker-config.json", *WHOLE})
