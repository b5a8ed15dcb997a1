"""What the tests of the REST API share: a few rows of everything, and the addresses."""

import pytest

from conversations.models import Feed
from tests import build

LISTS = (
    *("servers", "models", "placements", "generations", "entities", "limits", "feeds", "messages", "replies", "ensembles"),
    *("engines", "events", "tokens", "webhooks", "deliveries"),
)
THINGS = ("status", "policy", "conversation-policy", "posting", "retention", "configuration")
NASTY = "<script>alert(1)</script> \" ' & \u2028 {{ 7*7 }}"


def town(count: int) -> None:
    """A few of every row, related."""
    feed = Feed.objects.first() or build.feed()
    for _ in range(count):
        server, model, entity = build.server(), build.model(), build.entity()
        build.offer(server=server, model=model)
        build.seat(placement=build.placement(server=server, model=model))
        build.limit(entity=entity)
        done = build.generation(state="done", model=model, server=server, pin=server)
        permit = build.permit(entity=entity, state="spent")
        message = build.message(
            feed=feed, context=["Ann: hello"], bot_params={"entity": entity.slug}, verdict={"considered": [entity.slug]}
        )
        build.reply(state="posted", message=message, entity=entity, generation=done, permit=permit, verdict={"dice": 0.5})
        build.engine()
        build.delivery(event=build.event(detail={"seconds": 1.5}))
        build.ensemble(message=message, synthesizer=entity)
        build.token()


@pytest.fixture
def rows(db: None) -> None:
    """Three of every row."""
    town(3)
