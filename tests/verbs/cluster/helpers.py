"""Values that the cluster's verbs hand to each other, made from rows."""

from datetime import datetime, timedelta
from typing import Any

from cluster.address import endpoint, timeouts
from cluster.health import fault
from cluster.lmstudio.errors import PeerError
from cluster.lmstudio.values import ChatOutcome, Dialect, Instance, ListedModel, Listing, State
from cluster.logic.order import Errand, Outcome, Ticket
from cluster.logic.request import Failure
from cluster.models import ClusterPolicy, Placement, Seat
from swwbot_site.lib import clock
from tests import build

GIB = 2**30


def running(placement: Placement | None = None, **over: Any) -> Seat:
    """A generation in flight, on a placement whose server is known."""
    placement = placement or build.placement()
    values = {"state": "running", "model": placement.model, "server": placement.server, "placement": placement}
    return build.seat(placement=placement, generation=build.generation(**values | over))


def ticket(seat: Seat) -> Ticket:
    placement, generation = seat.placement, seat.generation
    return Ticket(
        generation_id=generation.pk,
        placement_id=placement.pk,
        server_id=placement.server_id,
        server=placement.server.name,
        endpoint=endpoint(placement.server),
        model=placement.model.key,
        instance_id=placement.instance_id,
        names=(placement.model.key,),
        request=generation.request,
        timeouts=timeouts(ClusterPolicy.current()),
    )


def answered(seat: Seat, text: str = "Hello.", **over: Any) -> Outcome:
    """An answer that took two seconds."""
    now = clock.now()
    values: dict[str, Any] = {"finish_reason": "stop", "prompt_tokens": 20, "completion_tokens": 30, "total_s": 2.0, "tokens_per_s": 15.0}
    answer = ChatOutcome(text=text, reasoning="", model=seat.placement.model.key, **values | over)
    return Outcome(ticket=ticket(seat), asked_at=now - timedelta(seconds=2), ended_at=now, answer=answer)


def refused(seat: Seat, error: PeerError, at: datetime | None = None) -> Outcome:
    """An attempt that ended with an error."""
    now, placement = at or clock.now(), seat.placement
    failure = Failure(
        server_id=placement.server_id, server=placement.server.name, code=error.code, text=str(error), retry=error.retry.value, at=now
    )
    return Outcome(ticket=ticket(seat), asked_at=now, ended_at=now, failure=failure, fault=fault(error), gone=error.gone)


def errand(placement: Placement, **over: Any) -> Errand:
    values: dict[str, Any] = {
        "placement_id": placement.pk,
        "server_id": placement.server_id,
        "server": placement.server.name,
        "endpoint": endpoint(placement.server),
        "key": placement.model.key,
        "instance_id": placement.instance_id,
        "context_length": placement.model.context_length,
        "timeouts": timeouts(ClusterPolicy.current()),
        "poll_s": 0.01,
        "polls": 3,
    }
    return Errand(**values | over)


def listed(key: str, *instances: str, state: State = State.LOADED, parallel: int | None = 4, **over: Any) -> ListedModel:
    """A model of 10 GB as a server lists it, with the ids of its instances."""
    shown = tuple(Instance(id=i, state=state, context_length=4096, parallel=parallel) for i in instances)
    values: dict[str, Any] = {"size_bytes": 10 * GIB, "format": "gguf", "params": "14B", "max_context_length": 131_072}
    return ListedModel(key=key, state=state if instances else State.NOT_LOADED, instances=shown, **values | over)


def listing(*models: ListedModel, dialect: Dialect = Dialect.LMSTUDIO_V1, jit: bool | None = None) -> Listing:
    return Listing(dialect=dialect, models=models, jit=jit)
