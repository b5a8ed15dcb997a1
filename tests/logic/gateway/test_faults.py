"""How what goes wrong is told to clients."""

from collections.abc import Iterator

from cluster.lmstudio import errors
from cluster.lmstudio.errors import PeerError
from cluster.logic.relaying import Unanswered
from swwbot_site.gateway import faults

QUEUE = {"impossible", "deadline", "cancelled"}
"""What the queue itself ends a request with."""


def kinds(kind: type[PeerError] = PeerError) -> Iterator[type[PeerError]]:
    yield kind
    for one in kind.__subclasses__():
        yield from kinds(one)


def test_every_code_that_is_told_in_its_own_way_is_one_that_something_can_end_with() -> None:
    there = {kind.code for kind in kinds()} | QUEUE
    assert errors.PeerError in set(kinds())
    assert set(faults.CODES) - there == set()


def test_what_is_the_fault_of_a_request_is_told_as_one_and_everything_else_is_not() -> None:
    for kind in kinds():
        status, body, headers = faults.told(Unanswered(kind.code, "Something.", 7))
        known = faults.CODES.get(kind.code, faults.OTHER)
        assert status == known[0]
        assert status < 500 or kind.fault is not errors.Fault.REQUEST, kind
        assert isinstance(body["error"], dict)
        assert faults.LAST in headers
