"""What tests of imports share: the samples, and what was said."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from swwbot_site.config.apply import Diff, apply
from swwbot_site.lib import events
from swwbot_site.lib.events import Happening

DATA = Path(__file__).parents[2] / "data" / "config"


@pytest.fixture
def sample() -> Callable[[str], bytes]:
    """The content of a sample file."""
    return lambda name: (DATA / f"{name}.json").read_bytes()


@pytest.fixture
def heard() -> Iterator[list[Happening]]:
    """Everything said while the test runs."""
    happenings: list[Happening] = []
    events.listen(happenings.append)
    yield happenings
    events._listeners.remove(happenings.append)


@pytest.fixture
def put(db: None, heard: list[Happening], django_capture_on_commit_callbacks: Callable[..., Any]) -> Callable[..., Diff]:
    """Import a tree (or text) as the file `config.json`, and hear what is said at the commit."""

    def put(tree: Any, source: str = "config.json", *, dry: bool = False) -> Diff:
        content = tree if isinstance(tree, bytes) else json.dumps(tree).encode()
        with django_capture_on_commit_callbacks(execute=True):
            return apply(content, source, dry=dry)

    return put
