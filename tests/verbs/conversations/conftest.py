"""A desk for each test."""

from collections.abc import Iterator

import pytest

from conversations import ingest
from tests.harness import Background
from tests.verbs.conversations.desk import Desk
from tests.verbs.conversations.hostile import Hostile


@pytest.fixture
def desk(background: Background, transactional_db: None) -> Iterator[Desk]:
    """An engine's hands."""
    ingest._told.clear()
    one = Desk(background)
    yield one
    one.close()


@pytest.fixture
def hostile(background: Background, transactional_db: None) -> Iterator[Hostile]:
    """A backend that answers as it likes, without a row."""
    one = Hostile()
    background.run(one.start())
    yield one
    background.run(one.stop())
