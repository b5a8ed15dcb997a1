"""Memory: the reference's figures."""

import pytest

from cluster.logic.memory import GIB, KV_PER_TOKEN, billions, guess_gb, headroom_gb, need_gb


@pytest.mark.parametrize(
    ("key", "gb"),
    [
        ("google/gemma-3-27b", 17.0),
        ("fullspecgemma-3-27b-it", 17.0),
        ("HigherMind_The-Eternal-1", 29.0),
        ("mistralai/Mixtral-8x7B", 45.0),
        ("llama-3.3-70b", 40.0),
        ("qwen3-30b-a3b", 20.0),
        ("some-27b", 17.0),
        ("mistral-7b", 4.0),
        ("mystery", 8.0),
    ],
)
def test_a_name_alone_is_guessed_as_the_document_does(key: str, gb: float) -> None:
    assert guess_gb(key) == gb


@pytest.mark.parametrize(
    ("params", "key", "number"),
    [
        ("26B-A4B", "", 26.0),
        ("270M", "", 0.27),
        ("1B", "google/gemma-3-27b", 1.0),
        ("", "google/gemma-3-27b", 27.0),
        ("", "qwen2.5-0.5b-instruct", 0.5),
        ("", "4b-lab/mystery", None),
        ("", "mystery", None),
    ],
)
def test_parameters_are_read_from_the_listing_then_from_the_name(params: str, key: str, number: float | None) -> None:
    assert billions(params, key) == number


@pytest.mark.parametrize(
    ("params", "kib"), [("1B", 144), ("4B", 144), ("8B", 128), ("9B", 128), ("14B", 192), ("27B", 256), ("35B", 256), ("70B", 320)]
)
def test_the_context_costs_by_the_number_of_parameters(params: str, kib: int) -> None:
    more = need_gb(10 * GIB, context=8192, params=params) - need_gb(10 * GIB, context=4096, params=params)
    assert more == pytest.approx(4096 * kib / 2**20)


def test_8b_and_70b_need_half_and_one_and_a_quarter_gb_at_4096_tokens_and_16_and_40_at_131072() -> None:
    def cache(params: str, context: int) -> float:
        return need_gb(0, context=context, params=params) - 0.5

    assert [cache("8B", 4096), cache("70B", 4096), cache("8B", 131_072), cache("70B", 131_072)] == [0.5, 1.25, 16, 40]


def test_the_need_is_weights_and_a_twentieth_and_context_and_engine() -> None:
    assert need_gb(20 * GIB, context=4096, params="27B") == pytest.approx(21.0 + 1.0 + 0.5)
    assert need_gb(20 * GIB, context=None, params="27B") == need_gb(20 * GIB, context=4096, params="27B")


def test_without_any_name_the_size_tells_the_parameters() -> None:
    assert need_gb(5 * GIB, context=4096) == need_gb(5 * GIB, context=4096, params="8B")
    assert [kib for _, kib in KV_PER_TOKEN] == [144, 128, 192, 256, 320]


@pytest.mark.parametrize(("budget", "headroom"), [(96, 9.6), (128, 12.8), (20, 2.0), (12, 2.0), (5, 1.0), (0.1, 0.02)])
def test_head_room_is_two_gb_or_a_tenth_and_at_most_a_fifth(budget: float, headroom: float) -> None:
    assert headroom_gb(budget) == pytest.approx(headroom)
