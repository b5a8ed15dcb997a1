"""The benchmarks, in small."""

import pytest
from django.core.management import CommandError, call_command

from conversations.models import Message, Reply
from swwbot_site.bench import chatter, crowd, figures, listening, pages, planning
from swwbot_site.lib import clock


@pytest.mark.parametrize(("share", "value"), [(0.0, 1), (0.5, 51), (0.95, 96), (0.99, 100), (1.0, 100)])
def test_a_percentile_is_a_value_that_was_measured(share: float, value: float) -> None:
    assert figures.percentile(list(range(100, 0, -1)), share) == value


def test_of_nothing_every_percentile_is_nothing() -> None:
    assert figures.spread([]) == {"p50": 0.0, "p95": 0.0, "p99": 0.0, "max": 0.0}


def test_the_clusters_that_are_planned_for_are_sound_and_the_same_each_time() -> None:
    one, same, other = (planning.scene(20, 50, 1000, seed) for seed in (1, 1, 2))
    assert one == same != other
    assert sum(d.waiting for d in one.demand) == 1000
    assert any(d.pin_id for d in one.demand)
    for server in one.servers:
        here = [p for p in one.placements if p.server_id == server.id]
        assert sum(p.gb for p in here) <= server.budget_gb
        assert len({p.model_id for p in here}) == len(here)
        assert all(p.in_flight <= p.slots for p in here)


def test_plans_are_timed_for_every_number_of_waiting() -> None:
    rows = planning.run(2, sizes=((2, 5),))
    assert [(row["servers"], row["models"], row["waiting"]) for row in rows] == [(2, 5, 0), (2, 5, 100), (2, 5, 10_000)]


@pytest.mark.django_db
def test_a_cluster_read_from_rows_is_planned_for() -> None:
    found = planning.rows(3, 6, 30, 2)
    assert set(found) >= {"offers_anew", "demand", "state", "plan"}


def test_an_unknown_part_is_refused() -> None:
    with pytest.raises(CommandError, match=r"There is no part nonsense\. There are plan, rows"):
        call_command("bench", "cluster", "--part", "plan,nonsense")


def test_the_crowd_and_what_is_said_in_front_of_it_are_the_same_each_time() -> None:
    crowd = chatter.crowd(1500)
    assert crowd == chatter.crowd(1500)
    assert len({figure.name for figure in crowd}) == len({figure.slug for figure in crowd}) == 1500
    said, again = (list(chatter.said(crowd, 300, 0.05, 0, 60)) for _ in range(2))
    assert said == again
    assert any(message.bot_params for message in said)


@pytest.mark.django_db
def test_everything_that_is_listened_to_is_decided() -> None:
    crowd, now = chatter.crowd(30), clock.now()
    feed = listening._people(crowd)
    listening._listen(feed, list(chatter.said(crowd, 90, 0.1, clock.millis(now), 60)), now)
    assert Message.objects.filter(decided_at__isnull=False).count() == 90
    assert Reply.objects.exists()


def test_the_pure_analysis_is_timed_part_by_part() -> None:
    rows = listening._pure(listening.Cast.of(()), list(chatter.said(chatter.crowd(5), 20, 0.1, 0, 60)))
    assert [row["part"] for row in rows][-1] == "all of it"


@pytest.mark.parametrize("words", [("--entities", "0"), ("--messages", "0")])
def test_listening_to_nothing_is_refused(words: tuple[str, str]) -> None:
    with pytest.raises(CommandError, match="at least 1"):
        call_command("bench", "listening", *words)


@pytest.mark.django_db(transaction=True)
def test_every_page_is_measured_over_the_rows_that_the_database_writes_itself() -> None:
    crowd.settle(60, 20, lambda _: None)
    found = pages.measure(1, wanted=lambda name: name.endswith((" list", " row", "queued", "'garden'")) or name.startswith("why"))
    told = {str(row["page"]): row for row in found["pages"]}  # type: ignore[attr-defined]
    assert {row["status"] for row in told.values()} <= {200, 302}
    assert {"message list", "message row", "reply list, 'garden'", "why-reply", "generation list, state queued"} <= set(told)
    assert {name: row["queries"] for name, row in told.items() if row["queries"] >= 20} == {}
