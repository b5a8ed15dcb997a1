"""The tables of moves."""

from collections.abc import Mapping
from typing import Any

import pytest

from cluster.logic.lifecycle import ENDED, GENERATION, HELD, PLACEMENT, SERVER, GenerationState, PlacementState, ServerState


@pytest.mark.parametrize(
    ("moves", "states", "final"),
    [
        (SERVER, ServerState, set()),
        (PLACEMENT, PlacementState, {"gone", "failed"}),
        (GENERATION, GenerationState, {"done", "failed", "expired", "cancelled"}),
    ],
    ids=["server", "placement", "generation"],
)
def test_every_state_is_reached_and_only_the_last_ones_are_final(moves: Mapping[Any, frozenset[Any]], states: Any, final: set[str]) -> None:
    reached = {new for news in moves.values() for new in news}
    beginning = {"unknown", "loading"}
    assert {s.value for s in states if s not in reached} <= beginning
    assert {s.value for s in states if not moves.get(s)} == final
    assert all(old not in news for old, news in moves.items())


def test_what_ended_holds_nothing() -> None:
    assert {s for s in PlacementState if s not in HELD} == {"gone", "failed"}
    assert {s for s in GenerationState if s not in ENDED} == {"queued", "running"}


def test_nobody_becomes_unknown_again() -> None:
    assert all(ServerState.UNKNOWN not in news for news in SERVER.values())


def test_a_failed_load_was_never_loaded() -> None:
    assert PlacementState.FAILED not in PLACEMENT[PlacementState.LOADED]
    assert PlacementState.LOADED not in PLACEMENT.get(PlacementState.GONE, frozenset())
