"""What one message may change of how it is answered, and what it may not."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversations.feed.identity import units
from conversations.logic.overrides import Overrides, overrides
from tests.logic.conversations.values import line, persona

WHO = persona(model="maker/own", priority=50, color="rgb(1, 2, 3)")


def wished(**params: Any) -> Overrides:
    return overrides(line(params=params), WHO, lambda part: 0.5)


def test_a_message_without_wishes_is_answered_as_the_persona_is_set() -> None:
    usual = Overrides(username="Ping", color="001002003", model="maker/own", priority=50, nom=None)
    assert overrides(line(), WHO, lambda part: 0.5) == usual
    assert wished(ais="", model="", nom=None, priority=None) == usual


@pytest.mark.parametrize(
    ("priority", "got"),
    [(0, 0), (7, 7), (99, 99), (100, 99), (-1, 0), (10**30, 99), (7.0, 7)]
    + [(wrong, 50) for wrong in (None, True, False, "7", "high", math.nan, math.inf, 7.5, [7], {})],
)
def test_a_priority_is_brought_into_its_bounds_or_not_taken(priority: object, got: int) -> None:
    assert wished(priority=priority).priority == got


@pytest.mark.parametrize(
    ("nom", "got"),
    [(1, 1), (30, 30), (10**9, 1000), ("ALL", 1000), (3.0, 3)]
    + [(wrong, None) for wrong in (0, -4, None, True, "7", "all", "", math.nan, -math.inf, 2.5, [], {})],
)
def test_nom_is_a_positive_number_or_all(nom: object, got: int | None) -> None:
    assert wished(nom=nom).nom == got


@pytest.mark.parametrize(
    ("ais", "username", "color"),
    [
        ("Mask:200100050", "Mask", "200100050"),
        ("Mask:rgb(200, 100, 50)", "Mask", "200100050"),
        ("Mask:200100050-abcDEF1234", "Mask", "200100050-abcDEF1234"),
        ("Mask:random", "Mask", "160160160"),
        (" Mask : RANDOM ", "Mask", "160160160"),
        ("Жанна 💀:pink", "Жанна 💀", "pink"),
        ("ALongNameOfMoreThan16:random", "ALongNameOfMoreT", "160160160"),
    ],
)
def test_an_identity_is_taken(ais: str, username: str, color: str) -> None:
    made = wished(ais=ais)
    assert (made.username, made.color) == (username, color)


@pytest.mark.parametrize(
    "ais",
    [
        "Mask",
        "Mask:",
        ":random",
        "  :random",
        "a:b:random",
        "Bob\nPing:random",
        "Bob\x00:random",
        "B\u202eob:random",
        "B\u200bob:random",
        "B\tob:random",
        "<|system|>:random",
        "[INST]:random",
        "Mask:" + "1" * 41,
        "Mask:\x07red",
        "Mask:" + "9" * 5000,
        7,
        True,
        ["Mask", "random"],
        {"username": "Mask"},
    ],
)
def test_an_identity_that_is_none_is_an_error_that_names_it(ais: object) -> None:
    with pytest.raises(ValueError, match=r"^ais ") as caught:
        wished(ais=ais)
    assert len(str(caught.value)) < 200


def test_a_model_is_taken_as_it_is_named() -> None:
    assert wished(model=" The-Eternal@f16 ").model == "The-Eternal@f16"


@pytest.mark.parametrize("model", ["   ", "x" * 301, "a\nb", "a\x00", "\u202e", 7, True, ["m"], {"model": "m"}])
def test_a_model_that_is_no_name_is_an_error(model: object) -> None:
    with pytest.raises(ValueError, match=r"^model is "):
        wished(model=model)


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(alphabet=st.characters(), max_size=60)),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.text(max_size=3), inner, max_size=2)),
    max_leaves=3,
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(("ais", "model", "nom", "priority", "entity"), JSON)))
def test_whatever_is_wished_is_refused_in_a_sentence_or_in_bounds(params: dict[str, Any]) -> None:
    try:
        made = wished(**params)
    except ValueError as error:
        refused = str(error)
        assert refused.startswith(("ais ", "model "))
        return
    assert 0 <= made.priority <= 99
    assert made.nom is None or 1 <= made.nom <= 1000
    assert 1 <= units(made.username) <= 16
    assert ":" not in made.username
    assert made.username.isprintable()
    assert 1 <= len(made.color) <= 40
    assert len(made.model) <= 300
