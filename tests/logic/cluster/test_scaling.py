"""Whether the servers are enough."""

from typing import Any

import pytest

from cluster.logic.memory import headroom_gb
from cluster.logic.scaling import SCALE_IN, SCALE_OUT, Call, Machine, Want, budget_for, calls

HOUR = 3600.0


def want(**over: Any) -> Want:
    return Want(**{"model_id": 1, "model": "m", "need_gb": 20.0, "waiting": 10, "oldest_s": 90.0, "answer_s": 5.0} | over)


def machine(name: str = "a", **over: Any) -> Machine:
    """A server with the model in memory and all its slots taken."""
    values: dict[str, Any] = {"gb": 60.0, "held_gb": 20.0, "offers": frozenset({1}), "free": {1: 0}, "slots": {1: 4}, "held": {1: 20.0}}
    return Machine(name=name, **values | over)


def idle(name: str, **over: Any) -> Machine:
    """A server that nobody needed for an hour."""
    return machine(name, **{"idle_s": HOUR, "free": {1: 4}, "idle_gb": 20.0} | over)


def called(wants: list[Want], machines: list[Machine], *, lately: dict[int, float] | None = None, standing: Any = ()) -> tuple[Call, ...]:
    return calls(wants, machines, lately or {}, standing, wait_s=60.0, idle_s=1800.0)


def subjects(found: tuple[Call, ...]) -> list[tuple[str, str]]:
    return [(call.event, call.subject) for call in found]


def test_requests_that_wait_too_long_for_busy_servers_call_for_more_with_the_figures() -> None:
    (call,) = called([want()], [machine(), machine("b", slots={1: 2})])
    assert (call.event, call.subject, call.candidate) == (SCALE_OUT, "model:m", True)
    assert call.reason == {
        "model": "m",
        "waiting": 10,
        "oldest_s": 90.0,
        "expected_s": 8.3,
        "servers": 2,
        "missing_slots": 1,
        "missing_gb": 0.0,
        "memory_gb": 23,
    }
    assert "all 2 servers that could answer are busy or full" in call.text


COLD: dict[str, Any] = {"free": {}, "slots": {}, "held": {2: 55.0}, "held_gb": 55.0}
"""Full of something else."""

FULL: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "every slot is taken": ({}, {}),
    "memory is full of what works": ({}, COLD),
    "it loads something else": ({}, COLD | {"held_gb": 10.0, "held": {2: 10.0}, "loading": 2}),
    "it cannot be told to load": ({}, COLD | {"held_gb": 0.0, "held": {}, "loads": False}),
    "idle models do not leave although requests wait": ({}, COLD | {"idle_gb": 55.0}),
    "it is too small": ({}, COLD | {"gb": 10.0, "held_gb": 0.0, "held": {}}),
    "it is not well": ({}, {"well": False, "free": {1: 4}}),
    "it does not have the model": ({}, {"offers": frozenset(), "free": {}, "slots": {}, "held": {}, "held_gb": 0.0}),
    "the backlog will take too long": ({"oldest_s": 1.0, "waiting": 100}, {}),
}


@pytest.mark.parametrize(("waiting", "server"), FULL.values(), ids=FULL.keys())
def test_more_are_called_for_when(waiting: dict[str, Any], server: dict[str, Any]) -> None:
    assert subjects(called([want(**waiting)], [machine(**server)])) == [(SCALE_OUT, "model:m")]


ENOUGH: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "nobody waits long": ({"oldest_s": 59.0}, {}),
    "a slot is free": ({}, {"free": {1: 1}}),
    "the model is on its way": ({}, {"free": {}, "slots": {}, "loading": 1}),
    "there is room for a load": ({}, COLD | {"held_gb": 30.0}),
    "what is idle can leave": ({"oldest_s": 1.0, "waiting": 100}, COLD | {"idle_gb": 55.0}),
}


@pytest.mark.parametrize(("waiting", "server"), ENOUGH.values(), ids=ENOUGH.keys())
def test_no_more_are_called_for_when(waiting: dict[str, Any], server: dict[str, Any]) -> None:
    # A second, busy server makes the expected wait long where that is what the case is about.
    assert called([want(**waiting)], [machine(**server), machine("busy", slots={1: 4})]) == ()


def test_without_any_server_requests_that_wait_call_for_one() -> None:
    (call,) = called([want()], [])
    assert (call.reason["servers"], call.reason["missing_gb"], call.reason["memory_gb"]) == (0, 20.0, 23)
    assert "no server that is well can answer" in call.text


@pytest.mark.parametrize(("oldest_s", "stands"), [(90.0, True), (40.0, True), (29.0, False)])
def test_a_call_stands_until_the_wait_is_half_of_the_limit(oldest_s: float, stands: bool) -> None:
    found = called([want(oldest_s=oldest_s, waiting=1)], [machine()], standing={(SCALE_OUT, "model:m")})
    assert bool(found) is stands


@pytest.mark.parametrize("need_gb", [0.5, 4.0, 7.9, 8.0, 12.0, 17.9, 18.0, 40.0, 200.0])
def test_the_suggested_server_holds_the_model_beside_its_headroom(need_gb: float) -> None:
    budget = budget_for(need_gb)
    assert need_gb <= budget - headroom_gb(budget) + 1e-9 < need_gb + 1.25


def test_an_idle_server_whose_work_the_others_can_do_may_go() -> None:
    (call,) = called([], [idle("a"), machine("b")], lately={1: 20.0})
    assert (call.event, call.subject, call.server, call.candidate) == (SCALE_IN, "server:a", "a", False)
    assert call.reason == {"idle_s": 3600, "held_gb": 20.0, "budget_gb": 60.0, "pool": ""}


def test_a_pools_server_goes_first_even_if_another_is_idle_for_longer() -> None:
    (call,) = called([], [idle("mine", idle_s=9 * HOUR), idle("cloud", pool="ec2")])
    assert (call.server, call.candidate) == ("cloud", True)


def test_one_server_a_look_the_last_one_never() -> None:
    three = [idle(name, pool="ec2") for name in "abc"]
    first = called([], three)
    second = called([], three, standing=set(subjects(first)))
    third = called([], three, standing=set(subjects(second)))
    assert [[call.server for call in found] for found in (first, second, third)] == [["a"], ["a", "b"], ["a", "b"]]


KEPT: dict[str, tuple[list[Machine], dict[int, float]]] = {
    "it is needed": ([idle("a", idle_s=1799.0), machine("b")], {}),
    "there is no other": ([idle("a")], {}),
    "the other is not well": ([idle("a"), machine("b", well=False)], {}),
    "only it has a model that is asked for": ([idle("a", offers=frozenset({1, 7})), machine("b")], {7: 5.0}),
    "the model is too large for the other": ([idle("a", offers=frozenset({1, 7})), machine("b", offers=frozenset({1, 7}))], {7: 61.0}),
    "its memory does not fit": (
        [
            idle("a", offers=frozenset({1, 7}), held={7: 50.0}, held_gb=50.0),
            machine("b", offers=frozenset({1, 7})),
        ],
        {},
    ),
    "each of its models would fit, not both": (
        [
            idle("a", offers=frozenset({7, 8}), held={7: 25.0, 8: 25.0}, held_gb=50.0),
            machine("b", offers=frozenset({1, 7, 8})),
        ],
        {},
    ),
}


@pytest.mark.parametrize(("machines", "lately"), KEPT.values(), ids=KEPT.keys())
def test_an_idle_server_stays_when(machines: list[Machine], lately: dict[int, float]) -> None:
    assert called([], machines, lately=lately) == ()


def test_who_calls_for_more_sends_nobody_away() -> None:
    other = idle("b", offers=frozenset({2}), free={}, slots={}, held={}, held_gb=0.0)
    assert subjects(called([want()], [machine("a"), other, machine("c")])) == [(SCALE_OUT, "model:m")]


def test_the_order_of_what_comes_in_does_not_matter() -> None:
    wants = [want(), want(model_id=2, model="n")]
    machines = [machine("a"), machine("b"), idle("c", offers=frozenset())]
    assert called(wants, machines) == called(wants[::-1], machines[::-1])
