"""A desk for each test."""

from collections.abc import Iterator

import pytest

from conversations import ingest
from tests.harness import Background
from tests.verbs.conversations.desk import Desk


@pytest.fixture
def desk(background: Background, transactional_db: None) -> Iterator[Desk]:
    """An engine's hands."""
    ingest._told.clear()
    one = Desk(background)
    yield one
    one.close()
