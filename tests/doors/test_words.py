"""Times and texts as people read them."""

from datetime import UTC, datetime, timedelta

import pytest
from django.template import engines

from swwbot_site.lib import words

NOW = datetime(2025, 9, 27, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0, "0.0 s"),
        (0.44, "0.4 s"),
        (9.9, "9.9 s"),
        (9.96, "10 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7_199, "120 min"),
        (7_200, "2 h"),
        (172_800, "2 d"),
    ],
)
def test_a_length_of_time(seconds: float | None, text: str) -> None:
    assert words.span(seconds) == text


@pytest.mark.parametrize(
    ("offset", "text"),
    [(-12, "12 s ago"), (180, "in 3 min"), (0.4, "now"), (-0.9, "now"), (-1, "1.0 s ago")],
)
def test_how_long_ago(offset: float, text: str) -> None:
    assert words.ago(NOW + timedelta(seconds=offset), NOW) == text


def test_never() -> None:
    assert words.ago(None, NOW) == "–"


@pytest.mark.parametrize(("text", "expected"), [("", "–"), ("a\n  b", "a b"), ("abcdef", "abcd…"), ("abcde", "abcde")])
def test_a_short_text(text: str, expected: str) -> None:
    assert words.short(text, 5) == expected


def test_the_templates_speak_the_same() -> None:
    template = engines["django"].from_string("{% load figures %}{{ 2.5|seconds }}, {{ none|when }}")
    assert template.render({"none": None}) == "2.5 s, –"
