"""Calls for more servers or for one less: made once per need, told to plugins and to a webhook until they have been heard."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from aiohttp import web

from cluster import notify, scaling
from cluster.models import Notice, Placement
from swwbot_site.lib import clock, http
from swwbot_site.lib.hooks import hookimpl, manager
from swwbot_site.lib.wake import Channel, wake
from swwbot_site.models import Event
from tests import build
from tests.harness import Background, engines, until
from tests.races.hands import at_once

pytestmark = pytest.mark.django_db(transaction=True)

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


class Scaler:
    """A plugin that keeps what it is told; `broken` calls raise."""

    def __init__(self, broken: int = 0) -> None:
        self.out: list[Mapping[str, Any]] = []
        self.gone: list[str] = []
        self.broken = broken

    @hookimpl
    def scale_out(self, reason: Mapping[str, Any]) -> None:
        if self.broken:
            self.broken -= 1
            raise RuntimeError("the cloud is away")
        self.out.append(reason)

    @hookimpl
    def scale_in(self, server: str, reason: Mapping[str, Any]) -> None:
        self.gone.append(server)


@pytest.fixture
def scaler() -> Iterator[Callable[..., Scaler]]:
    made: list[Scaler] = []

    def make(**options: Any) -> Scaler:
        made.append(Scaler(**options))
        manager.register(made[-1])
        return made[-1]

    yield make
    for one in made:
        manager.unregister(one)


class Receiver:
    """A webhook on a real socket: keeps what it gets, and answers with `statuses`, the last one for ever."""

    def __init__(self, statuses: Sequence[int]) -> None:
        self.got: list[dict[str, Any]] = []
        self.statuses = list(statuses)
        self.url = ""

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/hook", self._take)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}/hook"

    async def _take(self, request: web.Request) -> web.Response:
        self.got.append(await request.json())
        return web.Response(status=self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0])

    async def stop(self) -> None:
        await self._runner.cleanup()


@pytest.fixture
def receiver(background: Background) -> Iterator[Callable[..., Receiver]]:
    made: list[Receiver] = []

    def make(*statuses: int) -> Receiver:
        made.append(Receiver(statuses or (204,)))
        background.run(made[-1].start())
        build.policy(scale_webhook=made[-1].url)
        return made[-1]

    yield make
    for one in made:
        background.run(one.stop())


def short(now: datetime, waiting: int = 3, waited: timedelta = 2 * MINUTE) -> Placement:
    """A busy server, and requests that have waited for it too long."""
    place = build.placement(slots=1, server=build.server(name="mac-1"), model=build.model(key="maker/model", size_gb=17.0))
    build.offer(server=place.server, model=place.model)
    build.seat(placement=place)
    for _ in range(waiting):
        build.generation(model=place.model, queued_at=now - waited)
    return place


def idle(name: str, now: datetime, **over: Any) -> None:
    """A server that was last used two hours ago."""
    build.server(name=name, state_since=now - 3 * HOUR, **over)


def nobody_looks() -> None:
    """The need of a notice that a test has made stands, whatever the rows say."""
    build.policy(scaled_at=clock.now() + HOUR)


def told(kind: str) -> list[str]:
    return list(Event.objects.filter(kind=kind).values_list("subject", flat=True))


def test_a_need_is_called_for_once_with_its_reason() -> None:
    now = clock.now()
    short(now)
    for seconds in (0, 10, 20):
        assert scaling.look(now + timedelta(seconds=seconds))
    notice = Notice.objects.get()
    assert (notice.event, notice.subject, notice.due_at) == ("scale_out", "model:maker/model", now)
    assert notice.reason["waiting"] == 3
    assert notice.reason["memory_gb"] == 19
    assert told("cluster.scale_out") == ["model:maker/model"]


def test_a_need_that_lasts_is_called_for_again_after_five_minutes() -> None:
    now = clock.now()
    short(now)
    for minutes in (0, 4, 6):
        scaling.look(now + minutes * MINUTE)
    old, new = Notice.objects.order_by("id")
    assert (old.closed_at, old.due_at, new.closed_at) == (now + 6 * MINUTE, None, None)


def test_a_need_that_is_over_is_not_told_any_more_and_a_new_one_is() -> None:
    now = clock.now()
    place = short(now)
    scaling.look(now)
    place.model.generations.filter(state="queued").delete()
    scaling.look(now + MINUTE)
    notice = Notice.objects.get()
    assert (notice.closed_at, notice.due_at) == (now + MINUTE, None)
    assert told("cluster.scale_out_over") == ["model:maker/model"]
    build.generation(model=place.model, queued_at=now - HOUR)
    scaling.look(now + 2 * MINUTE)
    assert Notice.objects.filter(closed_at=None).count() == 1


NO_NEED: dict[str, dict[str, Any]] = {
    "it is pinned": {"pin": True},
    "it follows another": {"leader": True},
    "it rests before its next attempt": {"not_before": HOUR},
    "it came just now": {"queued_at": timedelta()},
}


@pytest.mark.parametrize("values", NO_NEED.values(), ids=NO_NEED.keys())
def test_nothing_is_called_for_when(values: dict[str, Any]) -> None:
    now = clock.now()
    place = short(now, waiting=0)
    over = {name: now + value if isinstance(value, timedelta) else value for name, value in values.items()}
    if "pin" in over:
        over["pin"] = place.server
    if "leader" in over:
        over["leader"] = build.generation(model=place.model, state="running")
    build.generation(**{"model": place.model, "queued_at": now - HOUR} | over)
    scaling.look(now)
    assert not Notice.objects.exists()


def test_engines_that_look_at_one_moment_call_once() -> None:
    now = clock.now()
    short(now)
    at_once(6, lambda n: scaling.look(now + timedelta(milliseconds=n)))
    assert Notice.objects.count() == 1


def test_an_idle_server_of_a_pool_may_go_and_one_of_a_person_is_only_mentioned() -> None:
    now = clock.now()
    build.placement(server=build.server(name="needed"), used_at=now)
    idle("cloud-1", now, pool="ec2")
    idle("mac-9", now)
    for minutes in range(3):
        scaling.look(now + minutes * MINUTE)
    cloud, mac = Notice.objects.order_by("id")
    assert (cloud.subject, cloud.reason["server"], cloud.due_at) == ("server:cloud-1", "cloud-1", now)
    assert (mac.subject, mac.due_at) == ("server:mac-9", None)
    assert told("cluster.scale_in") == ["server:mac-9", "server:cloud-1"]
    for minutes in (7, 14):
        scaling.look(now + minutes * MINUTE)
    assert Notice.objects.filter(subject="server:cloud-1").count() == 3
    assert Notice.objects.filter(subject="server:mac-9").count() == 1


STAYS: dict[str, dict[str, Any]] = {
    "it was used lately": {"used": timedelta(minutes=20)},
    "it works": {"seat": True},
    "it loads": {"loading": True},
    "it came lately": {"since": MINUTE},
    "it is not well": {"state": "offline"},
    "it drains": {"draining": True},
}


@pytest.mark.parametrize("how", STAYS.values(), ids=STAYS.keys())
def test_a_server_stays_when(how: dict[str, Any]) -> None:
    now = clock.now()
    build.placement(server=build.server(name="needed"), used_at=now)
    known = {name: how[name] for name in ("state", "draining") if name in how}
    server = build.server(name="cloud-1", pool="ec2", state_since=now - how.get("since", 3 * HOUR), **known)
    model = build.model()
    build.offer(server=server, model=model)
    if "loading" in how:
        build.placement(server=server, model=model, state="loading")
    if "seat" in how:
        build.seat(placement=build.placement(server=server, model=model, used_at=now - HOUR))
    if "used" in how:
        build.placement(server=server, model=model, used_at=now - how["used"])
    scaling.look(now)
    assert not Notice.objects.filter(subject="server:cloud-1").exists()


def test_plugins_and_the_webhook_are_told_by_an_engine(scaler: Callable[..., Scaler], receiver: Callable[..., Receiver]) -> None:
    plugin, hook = scaler(), receiver()
    notice = build.notice(reason={"model": "maker/model", "waiting": 3})
    nobody_looks()
    with engines():
        until(lambda: Notice.objects.filter(due_at=None).exists(), what="the delivery")
    notice.refresh_from_db()
    assert plugin.out == [{"model": "maker/model", "waiting": 3}]
    assert hook.got == [{"id": notice.pk, "event": "scale_out", "at": notice.at.isoformat(), "reason": notice.reason}]
    assert (notice.attempts, notice.error) == (1, "")
    assert notice.told_at
    assert notice.delivered_at


def attempt(background: Background, now: datetime) -> None:
    """One round of telling, with the rows in this thread and the network on the real client."""
    for telling in notify.due(now):
        if not telling.told:
            notify.plugins(telling)

        async def deliver(telling: notify.Telling = telling) -> str:
            async with http.client() as client:
                return await notify.tell(client, telling)

        if why := background.run(deliver()):
            notify.failed(telling.notice_id, why)
        else:
            notify.delivered(telling.notice_id, now, webhook=bool(telling.url))


def test_a_webhook_that_fails_gets_it_again_later_and_the_plugins_do_not(
    background: Background, scaler: Callable[..., Scaler], receiver: Callable[..., Receiver]
) -> None:
    plugin, hook, now = scaler(), receiver(500, 302, 200), clock.now()
    notice = build.notice(at=now, due_at=now)
    pauses = []
    for _ in range(3):
        notice.refresh_from_db()
        assert notice.due_at
        pauses.append((notice.due_at - now).total_seconds())
        now = notice.due_at
        attempt(background, now)
    notice.refresh_from_db()
    assert [got["id"] for got in hook.got] == [notice.pk] * 3
    assert len(plugin.out) == 1
    assert pauses == [0.0, 10.0, 20.0]
    assert (notice.due_at, notice.delivered_at, notice.attempts, notice.error) == (None, now, 3, "")


def test_a_webhook_that_is_not_there_is_told_why(background: Background) -> None:
    build.policy(scale_webhook="http://127.0.0.1:9/hook")
    notice, now = build.notice(), clock.now()
    attempt(background, now)
    notice.refresh_from_db()
    assert notice.error.startswith("127.0.0.1 cannot be reached:")
    assert notice.due_at
    assert notice.due_at > now


def test_a_plugin_that_raises_is_told_again_and_the_webhook_is_told_at_once(
    scaler: Callable[..., Scaler], receiver: Callable[..., Receiver]
) -> None:
    plugin, hook = scaler(broken=1), receiver()
    notice = build.notice()
    nobody_looks()
    with engines():
        until(lambda: hook.got and Notice.objects.exclude(error="").exists(), what="the first attempt")
        Notice.objects.update(due_at=clock.now())
        wake(Channel.SETTINGS)
        until(lambda: Notice.objects.filter(due_at=None).exists(), what="the second attempt")
    assert len(plugin.out) == 1
    assert {got["id"] for got in hook.got} == {notice.pk}


def test_an_attempt_is_made_by_one_engine_and_an_attempt_that_died_is_made_again() -> None:
    build.notice()
    now = clock.now()
    assert len([telling for some in at_once(6, lambda _: notify.due(now)) for telling in some]) == 1
    assert notify.due(now) == []
    assert len(notify.due(now + timedelta(seconds=11))) == 1


def test_a_call_that_is_over_is_not_told() -> None:
    build.notice(closed_at=clock.now(), due_at=None)
    assert notify.due(clock.now()) == []


def test_a_server_less_is_told_with_its_name(background: Background, scaler: Callable[..., Scaler]) -> None:
    plugin = scaler()
    build.notice(event="scale_in", subject="server:cloud-1", reason={"server": "cloud-1", "idle_s": 7200})
    attempt(background, clock.now())
    assert plugin.gone == ["cloud-1"]
    assert Notice.objects.get().delivered_at is None
