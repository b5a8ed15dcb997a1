"""The seats that a process holds, and who waits for them."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as some

from cluster.logic.line import Line, Seats


def line(**seats: int) -> Line[str, str]:
    """A line with so many seats on the placements p1, p2 …"""
    one: Line[str, str] = Line()
    for name, n in seats.items():
        one.add(int(name[1:]), n, name)
    return one


def take(one: Line[str, str], n: int = 1) -> list[Seats[str]]:
    found = [one.take() for _ in range(n)]
    return [seat for seat in found if seat is not None]


def test_seats_are_taken_where_the_smallest_part_of_them_is() -> None:
    one = line(p1=2, p2=4)
    assert sorted(seat.placement for seat in take(one, 6)) == [1, 1, 2, 2, 2, 2]
    assert one.take() is None
    one = line(p1=2, p2=4)
    assert sorted(seat.placement for seat in take(one, 3)) == [1, 2, 2]


def test_who_waits_has_his_turn_by_rank_and_among_equals_by_arrival() -> None:
    one = line()
    for name, rank in (("a", 50), ("b", 50), ("c", 10), ("d", 99), ("e", 10), ("f", 50), ("g", 0)):
        one.join(name, rank)
    assert one.drop("b")
    assert not one.drop("b")
    assert [one.pop() for _ in range(len(one.waiting))] == ["g", "c", "e", "a", "f", "d"]
    assert one.idle
    one.join("b", 0)
    assert one.pop() == "b"


def test_a_seat_that_is_left_is_free_for_the_next() -> None:
    one = line(p1=1)
    (seat,) = take(one)
    assert one.take() is None
    assert one.leave(seat) == 0
    assert one.take() is seat


def test_seats_that_were_needed_at_once_since_the_last_count_stay_until_the_next() -> None:
    one = line(p1=4)
    taken = take(one, 3)
    assert one.shrink() == {1: 1}
    for seat in taken:
        one.leave(seat)
    assert one.shrink() == {}
    assert one.shrink() == {1: 3}


def test_lost_seats_are_given_back_when_they_are_free_and_never_taken() -> None:
    one = line(p1=3)
    first, second = take(one, 2)
    assert one.lose(1) == 1
    assert one.free == 0
    assert one.take() is None
    assert one.leave(first) == 1
    assert one.leave(second) == 1
    assert one.idle
    assert one.lose(1) == 0


def test_seats_that_are_held_again_where_some_were_lost_can_be_taken() -> None:
    one = line(p1=2)
    (seat,) = take(one)
    one.lose(1)
    one.add(1, 2, "again")
    assert one.free == 2
    assert [again.placement for again in take(one, 3)] == [1, 1]
    assert one.leave(seat) == 0
    assert one.free == 1


def test_only_what_nobody_needed_since_the_last_count_is_given_back() -> None:
    one = line(p1=4)
    seats = take(one, 3)
    for seat in seats:
        one.leave(seat)
    assert one.shrink() == {1: 1}
    assert one.shrink() == {1: 3}
    assert one.idle


def test_after_forgetting_only_those_seats_are_held_where_somebody_sits() -> None:
    one = line(p1=3, p2=2)
    taken = take(one, 2)
    one.forget()
    assert one.free == 0
    assert sum(seat.n for seat in one.seats.values()) == 2
    assert sum(one.leave(seat) for seat in taken) == 2
    assert one.idle


@given(some.lists(some.tuples(some.sampled_from(["take", "leave", "lose", "add", "shrink", "forget"]), some.integers(1, 3)), max_size=60))
def test_whatever_happens_the_books_agree(moves: list[tuple[Any, int]]) -> None:
    one: Line[str, str] = Line()
    sitting: list[Seats[str]] = []
    held = dict.fromkeys((1, 2, 3), 0)
    for what, n in moves:
        if what == "take" and (seat := one.take()):
            sitting.append(seat)
        elif what == "leave" and sitting:
            seat = sitting.pop(n % len(sitting))
            held[seat.placement] -= one.leave(seat)
        elif what == "lose":
            held[n] -= one.lose(n)
        elif what == "add":
            one.add(n, n, "")
            held[n] += n
        elif what == "shrink":
            for placement, spare in one.shrink().items():
                held[placement] -= spare
        elif what == "forget":
            one.forget()
            held = {placement: one.seats[placement].n if placement in one.seats else 0 for placement in held}
        assert {placement: n for placement, n in held.items() if n} == {placement: seat.n for placement, seat in one.seats.items()}
        assert all(0 <= seat.used <= seat.n and seat.n > 0 for seat in one.seats.values())
        assert sum(seat.used for seat in one.seats.values()) == len(sitting)
