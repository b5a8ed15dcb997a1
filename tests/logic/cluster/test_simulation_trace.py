"""Traces and changes: what is understood, and what is said of what is not."""

import json

import pytest

from cluster.logic.simulation.changes import change
from cluster.logic.simulation.trace import parse
from cluster.logic.simulation.values import TraceError
from tests.logic.cluster.traces import asked, meta

NAMED = [{"name": "Mac Studio", "memory_gb": 192, "region": "home", "speeds": {"big": 8}}, {"name": "Mini", "memory_gb": 32}]


def test_a_trace_has_its_servers_models_and_requests() -> None:
    trace = parse([meta(servers=3, warm_s=200), asked(0.5, priority=10, entity=7), "", asked(1, pin="server-2")])
    fleet = trace.fleet
    assert [server.name for server in fleet.servers] == ["server-1", "server-2", "server-3"]
    assert (fleet.servers[0].memory_gb, fleet.servers[0].load_gbps, fleet.servers[0].slots, fleet.warm_s) == (128, 2, 4, 200)
    first, second = trace.requests
    assert (first.t, first.model, first.tokens, first.entity, first.priority, first.pin) == (0.5, 0, 75, "7", 10, "")
    assert (second.priority, second.pin) == (50, "server-2")


def test_a_list_of_servers_says_what_differs_and_the_meta_the_rest() -> None:
    studio, mini = parse([meta(servers=NAMED), asked(0)]).fleet.servers
    assert (studio.memory_gb, studio.region, dict(studio.speeds), studio.tok_per_s) == (192, "home", {"big": 8}, 25)
    assert (mini.memory_gb, mini.slots, mini.load_gbps) == (32, 4, 2)


def test_a_list_of_servers_that_says_everything_needs_nothing_of_the_meta() -> None:
    whole = [{"name": "a", "memory_gb": 64, "slots": 2, "load_gbps": 1, "tok_per_s": 10}]
    fleet = parse([meta(servers=whole, memory_gb=None, slots=None, load_gbps=None, tok_per_s=None), asked(0)]).fleet
    assert (fleet.servers[0].memory_gb, fleet.template.memory_gb) == (64, 64)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "The trace is empty"),
        ([meta()], "no requests"),
        ([asked(0)], 'Line 1: there is no meta; the first line must be {"meta"'),
        ([meta(models=None), asked(0)], "Line 1: the meta has no models"),
        ([meta(slots=None), asked(0)], "Line 1: the meta has no slots"),
        ([meta(patience_s=None), asked(0)], "Line 1: the meta has no patience_s"),
        ([meta(load_gbps=0), asked(0)], "Line 1: load_gbps is 0.*above 0"),
        ([meta(servers=0), asked(0)], "Line 1: servers is 0; say 1 to"),
        ([meta(servers=[]), asked(0)], "Line 1: servers must be a number or a list"),
        ([meta(servers=[{"name": "a"}, {"name": "a"}]), asked(0)], "Line 1: two servers are called 'a'"),
        ([meta(servers=[{"name": "a", "memory_gb": "much"}]), asked(0)], "Line 1: memory_gb of a is 'much'"),
        ([meta(models={}), asked(0)], "Line 1: models must be an object"),
        ([meta(models={"big": -1}), asked(0)], "Line 1: big among the models is -1"),
        ([meta(warm_s=-1), asked(0)], "Line 1: warm_s is -1"),
        (
            [meta(), asked(0), asked(1, "small")],
            "Line 3: the model 'small' is not in the meta: add it to models with its size in GB; it has big",
        ),
        ([meta(), asked(5), asked(4.5)], "Line 3: t goes back from 5 to 4.5; sort the requests by t"),
        ([meta(), asked(0, tokens=-3)], "Line 2: tokens is -3; say how many"),
        ([meta(), '{"t": NaN, "model": "big", "tokens": 1}'], "Line 2: t is nan"),
        ([meta(), asked(0, priority=100)], "Line 2: priority is 100; say a whole number from 0"),
        ([meta(), asked(0, pin="nowhere")], "Line 2: pin names the server 'nowhere'"),
        ([meta(), "", "{"], "Line 3: this is no JSON"),
        ([meta(), "[1]"], "Line 2: this is JSON, but no object"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(lines: list[str], said: str) -> None:
    with pytest.raises(TraceError, match=said):
        parse(lines)


def test_changes_are_made_in_their_order() -> None:
    fleet = parse([meta(servers=NAMED, models={"big": 40, "small": 4}), asked(0)]).fleet
    changed = change(fleet, ["add server 192GB", "memory Mac Studio 96", "remove Mini", "move small added-1"])
    assert [(server.name, server.memory_gb) for server in changed.servers] == [("Mac Studio", 96), ("added-1", 192)]
    assert dict(changed.servers[1].speeds) == {"big": 8}
    assert dict(changed.homes) == {"small": "added-1"}
    assert fleet.servers[0].memory_gb == 192


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        ("buy a server", "is no change that is understood; say 'add server 192GB'"),
        ("add server 0GB", "more than 0 GB"),
        ("remove Max", "there is no server 'Max'; there are Mac Studio, Mini"),
        ("memory Max 96", "there is no server 'Max'"),
        ("move huge Mini", "there is no model 'huge' in the trace; it has big"),
        ("move big Max", "there is no server 'Max'"),
    ],
)
def test_a_change_that_makes_no_sense_says_why(sentence: str, said: str) -> None:
    fleet = parse([meta(servers=NAMED), asked(0)]).fleet
    with pytest.raises(TraceError, match=said):
        change(fleet, [sentence])


def test_the_last_server_cannot_be_removed() -> None:
    with pytest.raises(TraceError, match="last server"):
        change(parse([meta(), asked(0)]).fleet, ["remove server-1"])


def test_a_line_is_read_as_the_format_says() -> None:
    given = json.loads(asked(0.8123, conversation=17, entity=3))
    assert parse([meta(), json.dumps(given)]).requests[0].t == 0.8123
