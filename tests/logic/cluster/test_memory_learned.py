"""What a model needs: whose word counts, when it is forgotten, and what an instance really takes."""

from dataclasses import dataclass

import pytest

from cluster.logic.memory import GIB, File, believed, cache_gb, instance_gb, need_gb, settled


@dataclass(frozen=True, kw_only=True)
class Model:
    """What is kept of a model with a file of 10 GB."""

    key: str = "maker/model-14b"
    size_gb: float = 11.75
    size_source: str = "listing"
    context_length: int | None = None
    size_bytes: int | None = 10 * GIB
    params: str = ""


def files(*gb: int, slots: int = 1) -> list[File]:
    return [File(size_bytes=n * GIB, slots=slots) for n in gb]


SETTLED = {
    "a guess gives way to the list": (Model(size_source="guess", size_gb=99.0, size_bytes=None), files(10), (11.75, "listing", 10)),
    "of several files the largest counts": (Model(), files(10, 20, 5), (22.25, "listing", 20)),
    "and when that is gone the next": (Model(size_gb=22.25, size_bytes=20 * GIB), files(10, 5), (11.75, "listing", 10)),
    "a guardrail's figure stays for its file": (Model(size_source="guardrail", size_gb=15.0), files(10, 5), (15.0, "guardrail", 10)),
    "also where the file was not known": (
        Model(size_source="guardrail", size_gb=15.0, size_bytes=None),
        files(10),
        (15.0, "guardrail", 10),
    ),
    "a smaller file brings it down": (Model(size_source="guardrail", size_gb=15.0), files(5), (6.5, "listing", 5)),
    "a larger file does as well": (Model(size_source="guardrail", size_gb=15.0), files(20), (22.25, "listing", 20)),
    "the operator's figure stays": (Model(size_source="operator", size_gb=3.0), files(20), (3.0, "operator", 20)),
    "nothing listed, nothing learned": (Model(size_source="guardrail", size_gb=15.0), [], (15.0, "guardrail", None)),
    "the context counts": (Model(context_length=8192), files(10), (12.5, "listing", 10)),
    "for each slot where they have one each": (Model(), files(10, slots=4), (14.0, "listing", 10)),
}


@pytest.mark.parametrize(("model", "found", "expected"), SETTLED.values(), ids=SETTLED.keys())
def test_the_need_after_a_look_at_the_lists(model: Model, found: list[File], expected: tuple[float, str, int | None]) -> None:
    gb, source, largest = settled(model, found)
    assert (gb, source, largest and largest / GIB) == expected


def test_a_look_that_brings_nothing_new_changes_nothing() -> None:
    gb, source, largest = settled(Model(), files(10, 5))
    assert settled(Model(size_gb=gb, size_source=source, size_bytes=largest), files(5, 10)) == (gb, source, largest)


INSTANCES = {
    "what was reckoned": (Model(), 10, 4096, "gguf", 1, 11.75),
    "a larger context": (Model(), 10, 8192, "gguf", 1, 12.5),
    "a smaller file than the largest": (Model(), 5, 4096, "gguf", 1, 6.5),
    "an unknown context": (Model(), 5, None, "gguf", 1, 11.75),
    "a cache for each slot": (Model(), 10, 4096, "gguf", 4, 14.0),
    "a cache that grows with use": (Model(), 10, 131_072, "mlx", 1, 11.75),
    "a cache that grows, up to a small end": (Model(context_length=8192), 10, 4096, "mlx", 1, 11.75),
    "the operator's word": (Model(size_source="operator", size_gb=3.0), 10, 131_072, "gguf", 1, 3.0),
    "a guardrail's word and more context": (Model(size_source="guardrail", size_gb=15.0), 10, 8192, "gguf", 1, 15.75),
    "a guardrail's word and less context": (Model(size_source="guardrail", size_gb=15.0, context_length=8192), 10, 4096, "gguf", 1, 14.25),
    "a guess and more context": (Model(size_source="guess", size_gb=9.0), None, 8192, "", 1, 9.75),
    "never less than the engine": (Model(size_source="guess", size_gb=0.6, context_length=131_072), None, 4096, "", 1, 0.5),
}


@pytest.mark.parametrize(("model", "file", "context", "form", "slots", "gb"), INSTANCES.values(), ids=INSTANCES.keys())
def test_an_instance_takes(model: Model, file: int | None, context: int | None, form: str, slots: int, gb: float) -> None:
    size = None if file is None else file * GIB
    assert instance_gb(model, size_bytes=size, context=context, form=form, slots=slots) == pytest.approx(gb)


@pytest.mark.parametrize(
    ("said", "estimate", "file", "sound"),
    [
        (14.36, 12.0, 10 * GIB, True),
        (48.0, 12.0, 10 * GIB, True),
        (48.1, 12.0, 10 * GIB, False),
        (273.25, 12.0, None, False),
        (9.9, 12.0, 10 * GIB, False),
        (9.9, 12.0, None, True),
        (float("nan"), 12.0, None, False),
        (float("inf"), 12.0, None, False),
    ],
)
def test_a_guardrail_is_believed_within_reason(said: float, estimate: float, file: int | None, sound: bool) -> None:
    assert believed(said, estimate_gb=estimate, size_bytes=file) is sound


def test_the_cache_is_the_difference_of_two_needs() -> None:
    more = need_gb(10 * GIB, context=8192, key="m-14b") - need_gb(10 * GIB, context=4096, key="m-14b")
    assert cache_gb(4096, size_bytes=10 * GIB, key="m-14b") == pytest.approx(more)
