"""How soon a model is likely to be asked for."""

from math import exp

import pytest

from cluster.logic.preload import MENTION_S, likely, mention, usual

HOUR = 3600.0


@pytest.mark.parametrize(
    ("counts", "rate"),
    [
        ([], 0.0),
        ([0.0, 0.0], 0.0),
        ([3600.0], 1.0),
        ([1800.0] * 7, 0.5),
        ([3600.0, 0.0], 1 / 1.8),
        ([0.0, 3600.0], 0.8 / 1.8),
    ],
    ids=["no day yet", "nothing", "one day", "every day the same", "only yesterday", "only the day before"],
)
def test_what_is_usual_is_a_mean_in_which_the_latest_day_counts_most(counts: list[float], rate: float) -> None:
    assert usual(counts, HOUR) == pytest.approx(rate)


@pytest.mark.parametrize("window", [0.0, -1.0])
def test_a_window_without_length_is_refused(window: float) -> None:
    with pytest.raises(ValueError, match="holds no requests"):
        usual([1.0], window)


def test_a_mention_adds_one_request_that_becomes_less_likely_as_it_does_not_come() -> None:
    assert mention(None, 100.0) == 0.0
    assert mention(100.0, 100.0) == pytest.approx(1 / MENTION_S)
    assert mention(100.0, 160.0) == pytest.approx(exp(-1) / MENTION_S)
    assert mention(100.0, 99.0) == mention(100.0, 100.0), "another machine's clock may be ahead"
    assert mention(100.0, 100.0 + 3600) < 1e-20


@pytest.mark.parametrize(
    ("rate", "usually", "mentioned", "within", "requests"),
    [
        (0.0, 0.0, 0.0, 600.0, 0.0),
        (0.01, 0.0, 0.0, 600.0, 6.0),
        (0.0, 0.01, 0.0, 600.0, 6.0),
        (0.01, 0.02, 0.0, 600.0, 12.0),
        (0.0, 0.0, 1 / MENTION_S, 1e6, 1.0),
        (0.0, 0.0, 1 / MENTION_S, MENTION_S, 1 - exp(-1)),
        (0.01, 0.0, 1 / MENTION_S, 1e3, 10 + 1 - exp(-1000 / 60)),
    ],
    ids=["nothing", "asked lately", "usual now", "the larger of both", "a mention is one request", "soon most of it", "on top"],
)
def test_what_is_likely_within_a_time(rate: float, usually: float, mentioned: float, within: float, requests: float) -> None:
    assert likely(rate, usually, mentioned, within) == pytest.approx(requests)


def test_a_mention_that_lasts_expects_what_is_left_of_it() -> None:
    then, now = 50.0, 95.0
    assert likely(0.0, 0.0, mention(then, now), 1e6) == pytest.approx(exp(-(now - then) / MENTION_S))
