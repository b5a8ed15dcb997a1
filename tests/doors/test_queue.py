"""`manage.py queue`."""

import io
import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from cluster.models import Generation
from swwbot_site.lib import clock
from tests import build

pytestmark = pytest.mark.django_db


def run(*args: str) -> str:
    out = io.StringIO()
    call_command("queue", *args, stdout=out, stderr=out)
    return out.getvalue()


def listed(*args: str) -> list[int]:
    return [row["id"] for row in json.loads(run("list", "--json", *args))]


def test_it_lists_what_runs_and_what_waits_by_turn_and_why() -> None:
    running, model = build.seat().generation, build.model(key="maker/big")
    late = build.generation(model=model, priority=90, decision={"waits": "[bold]it loads[/]"})
    soon = build.generation(model=model, priority=1, caller="entity:sage")
    build.generation(state="done")
    assert listed() == [running.pk, soon.pk, late.pk]
    told = run()
    assert "[bold]it loads[/]" in told
    assert "entity:sage" in told


def test_the_list_is_filtered() -> None:
    big = build.generation(model=build.model(key="maker/big"), priority=5, caller="entity:sage")
    failed = build.generation(state="failed")
    assert (
        listed("--model", "BIG")
        == listed("--caller", "entity:")
        == listed("--priority", "critical")
        == listed("--priority", "0-5")
        == [big.pk]
    )
    assert listed("--priority", "6") == []
    assert listed("--state", "failed") == [failed.pk]
    assert run("list", "--state", "done").strip() == "Nothing of that is in the queue."


@pytest.mark.parametrize(
    "args", [["--priority", "100"], ["--priority", "9-3"], ["--priority", "urgent"], ["--state", "lost"], ["--limit", "0"]]
)
def test_what_is_no_filter_is_refused(args: list[str]) -> None:
    with pytest.raises(CommandError):
        run("list", *args)


def test_requests_are_called_off_brought_forward_and_asked_again() -> None:
    now = clock.now()
    row = build.generation(priority=80, queued_at=now - timedelta(seconds=1))
    ended = build.generation(state="failed")
    build.offer(model=ended.model)
    assert "has its turn at" in run("raise", str(row.pk), "--to", "3", "--by", "ann")
    assert "asked again for" in run("requeue", str(ended.pk))
    assert "is called off" in run("cancel", str(row.pk))
    row.refresh_from_db()
    assert (row.priority, row.state) == (3, "cancelled")
    assert Generation.objects.filter(caller="again:the command line").exists()


def test_each_number_is_done_by_itself_and_a_refusal_ends_with_an_error() -> None:
    row, out = build.generation(), io.StringIO()
    with pytest.raises(CommandError, match="1 of 2 were refused") as refused:
        call_command("queue", "cancel", str(row.pk), "4711", "--json", stdout=out)
    told: list[dict[str, Any]] = json.loads(out.getvalue())
    assert [(one["id"], one["done"]) for one in told] == [(row.pk, True), (4711, False)]
    assert refused.value.returncode == 1
