"""Which servers are looked at, and what the looks leave in the rows."""

from datetime import timedelta
from typing import Any

import pytest

from cluster import probe
from cluster.lmstudio import errors
from cluster.lmstudio.values import Detected, Dialect
from cluster.models import Server
from swwbot_site.lib import clock
from swwbot_site.lib.leases import alone
from tests import build
from tests.verbs.cluster.helpers import listing

pytestmark = pytest.mark.django_db

NOW = clock.now()
SOON, LATELY, OLD = NOW + timedelta(seconds=3), NOW - timedelta(seconds=12), NOW - timedelta(minutes=2)


def due(owner: int = 1) -> list[int]:
    return [server_id for server_id, _, _ in probe.due(owner, NOW)]


DUE: dict[str, tuple[bool, dict[str, Any]]] = {
    "it was never seen": (True, {"state": "unknown", "listed_at": None}),
    "it was never seen, and the last look failed just now": (False, {"state": "unknown", "listed_at": None, "retry_at": SOON}),
    "it was listed lately": (False, {"listed_at": LATELY}),
    "it was listed long ago": (True, {"listed_at": OLD}),
    "it should be listed again": (True, {"listed_at": None}),
    "it is out and its pause is over": (True, {"state": "offline", "retry_at": LATELY}),
    "it is out and rests": (False, {"state": "offline", "retry_at": SOON}),
    "it asked for silence": (False, {"state": "rate-limited", "retry_at": SOON}),
    "it asked for silence that is over": (True, {"state": "rate-limited", "retry_at": LATELY}),
    "it is misconfigured and rests": (False, {"state": "misconfigured", "retry_at": SOON}),
    "it is misconfigured and was corrected": (True, {"state": "misconfigured", "retry_at": None}),
    "it is disabled": (False, {"state": "unknown", "enabled": False}),
    "somebody looks at it": (False, {"listed_at": OLD, "probe_lease_until": SOON, "probe_lease_owner": 9}),
    "somebody looked at it for too long": (True, {"listed_at": OLD, "probe_lease_until": LATELY, "probe_lease_owner": 9}),
    "somebody looked at it and died": (True, {"listed_at": OLD, "probe_lease_until": SOON, "probe_lease_owner": 8}),
    "it is draining": (True, {"listed_at": OLD, "draining": True}),
}


@pytest.mark.parametrize(("wanted", "row"), DUE.values(), ids=DUE.keys())
def test_a_server_is_looked_at_if(wanted: bool, row: dict[str, Any]) -> None:
    alone(9)  # engine 9 lives
    server = build.server(**row)
    assert due() == ([server.pk] if wanted else [])


def test_a_server_is_looked_at_by_one_engine() -> None:
    alone(1)  # engine 1 lives
    server = build.server(listed_at=None)
    assert due(1) == [server.pk]
    assert due(2) == []
    server.refresh_from_db()
    assert (server.probe_lease_owner, server.probe_lease_until) == (1, NOW + timedelta(seconds=15))


@pytest.mark.parametrize("how", ["policy", "setting"])
def test_with_the_monitor_on_servers_are_looked_at_more_often(settings: Any, how: str) -> None:
    build.server(listed_at=LATELY)
    assert not due()
    if how == "policy":
        build.policy(monitor=True)
    else:
        settings.ENABLE_HEALTH_MONITOR = True
    assert due()


def test_what_was_out_may_come_back_as_something_else() -> None:
    build.server(name="a", listed_at=OLD)
    build.server(name="b", state="offline")
    build.server(name="c", state="offline", dialect="openai")
    assert {Server.objects.get(pk=pk).name: target.dialect for pk, target, _ in probe.due(1, NOW)} == {
        "a": "lmstudio-v1",
        "b": "",
        "c": "openai",
    }


def look(**over: Any) -> probe.Look:
    found = Detected(dialect=Dialect.LMSTUDIO_V1, reason="it says so", product="lm-studio", version="0.4.16+")
    return probe.Look(**{"detected": found, "listing": listing(jit=True), "listed_at": NOW, "latency_ms": 12.0} | over)


def test_a_look_is_written_down_and_the_server_is_online() -> None:
    server = build.server(state="unknown", detected="", failures=2, probe_lease_owner=1, probe_lease_until=SOON, seen_at=None)
    probe.seen(server.pk, look())
    server.refresh_from_db()
    assert (server.state, server.failures, server.detected, server.version) == ("online", 0, "lmstudio-v1", "lm-studio 0.4.16+")
    assert (server.jit, server.latency_ms, server.probe_lease_owner, server.probe_lease_until) == (True, 12.0, None, None)
    assert server.seen_at is not None


def test_a_plain_list_leaves_what_was_detected() -> None:
    server = build.server(detected="lmstudio-v0", version="lm-studio 0.3.16+", jit=True)
    probe.seen(server.pk, look(detected=None, listing=listing()))
    server.refresh_from_db()
    assert (server.detected, server.version, server.jit) == ("lmstudio-v0", "lm-studio 0.3.16+", True)


UNSEEN: dict[str, tuple[str, Any, str]] = {
    "unknown and refused": ("unknown", errors.Unreachable("refused"), "offline"),
    "online and refused": ("online", errors.Unreachable("refused"), "offline"),
    "online and slow once": ("online", errors.ProbeTimeout("slow"), "online"),
    "offline and still refused": ("offline", errors.Unreachable("refused"), "offline"),
    "not let in": ("online", errors.Misconfigured("wants a token"), "misconfigured"),
    "too much asked of it": ("online", errors.RateLimited("too many", retry_after_s=9), "rate-limited"),
    "too much asked of it, and it names no time": ("online", errors.RateLimited("too many"), "rate-limited"),
    "never seen, and no model server": ("unknown", errors.CapabilityMissing("Not Found"), "misconfigured"),
    "out, and perhaps something else now": ("offline", errors.CapabilityMissing("Not Found"), "offline"),
}


@pytest.mark.parametrize(("state", "error", "becomes"), UNSEEN.values(), ids=UNSEEN.keys())
def test_a_look_that_failed_leaves_a_server(state: str, error: errors.PeerError, becomes: str) -> None:
    server = build.server(
        state=state,
        detected="" if state == "unknown" else "lmstudio-v1",
        retry_at=None if state == "online" else LATELY,
        probe_lease_until=SOON,
        probe_lease_owner=1,
    )
    before = clock.now()
    probe.unseen(server.pk, error)
    server.refresh_from_db()
    assert (server.state, server.probe_lease_until, server.probe_lease_owner) == (becomes, None, None)
    if becomes == "online":
        assert server.retry_at is None
    else:
        assert server.retry_at is not None
        assert server.retry_at > before
    if becomes not in ("online", state):
        assert server.state_reason == str(error)


def test_a_server_of_another_dialect_than_thought_is_detected_anew() -> None:
    server = build.server(detected="lmstudio-v1")
    probe.unseen(server.pk, errors.CapabilityMissing("Unexpected endpoint"))
    server.refresh_from_db()
    assert (server.state, server.detected) == ("online", "")


@pytest.mark.parametrize(
    ("column", "value", "again"), [("token", "sk-new", True), ("url", "http://10.9.9.9:1", True), ("weight", 2.0, False)]
)
def test_who_corrects_how_a_server_is_reached_has_it_looked_at_at_once(column: str, value: Any, again: bool) -> None:
    server = build.server(state="misconfigured", retry_at=SOON)
    setattr(server, column, value)
    server.save(update_fields=[column])
    assert bool(due()) is again
    server.refresh_from_db()
    assert getattr(server, column) == value
