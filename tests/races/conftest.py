"""The hostile backend, here too."""

from tests.verbs.conversations.conftest import hostile

__all__ = ["hostile"]
