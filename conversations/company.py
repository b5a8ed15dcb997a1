"""The entities as the conversation needs them, kept by the process as long as their rows stay what they are."""

from conversations.logic.cast import Cast
from entities import read

_held: Cast | None = None


def cast() -> Cast:
    """Everybody who may answer, as the rows are now. Costs one small query while nothing changes."""
    global _held  # noqa: PLW0603 - a process has one cast
    version = read.version()
    held = _held
    if held is None or held.version != version:
        held = _held = Cast.of(read.personas(), version)
    return held
