"""Why a persona cannot be changed as somebody asked.

::

    BotError
    └── EntityError
        ├── NoVersion    there is no such entity, or no such version of it
        ├── Taken        the id belongs to another entity
        ├── Unsound      a value that no entity may have
        ├── Refused      a plugin objects; `problems` says why
        ├── Objections   the same of many entities at once
        └── NoFeed       a limit is to hold in a feed that there is not
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from swwbot_site.lib.errors import BotError, Fault


class EntityError(BotError):
    """The persona stays as it is."""

    code: ClassVar[str] = "entity-unchanged"
    fault: ClassVar[Fault] = Fault.OPERATOR


class NoVersion(EntityError):
    """There is no such entity, or no such version of it."""

    code: ClassVar[str] = "entity-version-unknown"


class Taken(EntityError):
    """The id belongs to another entity."""

    code: ClassVar[str] = "entity-id-taken"


class Unsound(EntityError):
    """A value that no entity may have."""

    code: ClassVar[str] = "entity-unsound"


class Refused(EntityError):
    """A plugin objects to what the persona would become."""

    code: ClassVar[str] = "entity-refused"

    def __init__(self, slug: str, problems: Sequence[str]) -> None:
        self.slug, self.problems = slug, tuple(problems)
        super().__init__(f"{slug} is not changed: {'; '.join(self.problems)}")


class Objections(EntityError):
    """Plugins object to several entities; `problems` is id → what they say."""

    code: ClassVar[str] = "entity-refused"

    def __init__(self, problems: Mapping[str, Sequence[str]]) -> None:
        self.problems = problems
        super().__init__("; ".join(f"{slug} is not changed: {'; '.join(told)}" for slug, told in problems.items()))


class NoFeed(EntityError):
    """A limit names a feed that there is not; `name` is the entity's id, empty for the limits of all together."""

    code: ClassVar[str] = "entity-limit-feed-unknown"

    def __init__(self, name: str, feed: str) -> None:
        self.name, self.feed = name, feed
        super().__init__(f"a limit of {name or 'all entities together'} is for the feed {feed}, and no feed is called so")
