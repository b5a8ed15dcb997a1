"""What tests of entities share."""

from collections.abc import Iterator

import pytest

from swwbot_site.lib import events
from swwbot_site.lib.events import Happening


@pytest.fixture
def heard() -> Iterator[list[Happening]]:
    """Everything said while the test runs."""
    happenings: list[Happening] = []
    events.listen(happenings.append)
    yield happenings
    events._listeners.remove(happenings.append)
