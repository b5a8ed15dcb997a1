"""What is still needed never goes, however old it is; and what is not needed goes."""

from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps
from django.contrib.sessions.models import Session
from django.db.models import Model
from django_q.models import Task

from cluster import queue, read
from cluster.hurry import NotQueued, again
from cluster.models import Generation, LanguageModel, Placement
from conversations.models import Ensemble, Feed, Message, Reply, Voice
from conversations.requeue import Refused, requeue
from conversations.strikes import count
from entities.models import Permit
from swwbot_site.lib import clock
from swwbot_site.models import Delivery, Event, LoginAttempt, Reckoning, Repeat, Webhook
from swwbot_site.retention.row import Retention
from tests import build
from tests.verbs.retention import ages
from tests.verbs.retention.ages import ago, whole

pytestmark = pytest.mark.django_db
TOLD = 10**6


def old_generation(**over: Any) -> Generation:
    at = ago()
    state = over.get("state", "done")
    ended = {} if state in ("queued", "running") else {"ended_at": at}
    return build.generation(**{"state": "done", "queued_at": at} | ended | over)


def voiced() -> tuple[Ensemble, Voice]:
    ensemble = build.ensemble(state="done", created_at=ago(), ended_at=ago(), text="So it is.")
    return ensemble, Voice.objects.filter(ensemble=ensemble).order_by("ordinal")[0]


def held_ensemble() -> Message:
    said = ages.message()
    build.ensemble(message=said, created_at=ago(1))
    return said


def asked_yesterday() -> Message:
    said = ages.message()
    build.ensemble(message=said, state="done", created_at=ago(1), ended_at=ago(1))
    return said


def uncounted_feed() -> Message:
    return ages.message(feed=build.feed(cursor=None))


def in_the_overlap() -> Message:
    """A feed where nobody has said anything since: every poll still shows it."""
    return ages.message(feed=build.feed(cursor=clock.millis(ago())))


def with_reply(days: float = 100, **over: Any) -> Callable[[], Message]:
    return lambda: ages.reply(days, message=ages.message(), **over).message


def followed() -> Generation:
    first = old_generation()
    build.generation(state="done", leader=first)
    return first


def spoken() -> Generation:
    ensemble, voice = voiced()
    Ensemble.objects.filter(pk=ensemble.pk).update(ended_at=clock.now())
    voice.generation = old_generation()
    voice.save()
    return voice.generation


def placed() -> Placement:
    placement = build.placement(state="gone", created_at=ago(), ended_at=ago())
    build.generation(state="done", placement=placement)
    return placement


def seated() -> Placement:
    placement = build.placement(state="gone", created_at=ago(), ended_at=ago())
    build.seat(placement=placement)
    return placement


def window() -> Permit:
    limit = build.limit(kind="day", every=200)
    return build.permit(entity=limit.entity, state="spent", reserved_at=ago(), settled_at=ago())


def delivery(**over: Any) -> Delivery:
    """Of an old event, to a webhook that was told of everything."""
    hook = Webhook.objects.filter(cursor=TOLD).first() or build.webhook(cursor=TOLD)
    return build.delivery(webhook=hook, event=build.event(at=ago()), **over)


def untold() -> Event:
    event = build.event(at=ago())
    build.webhook(cursor=event.pk - 1, since=ago(200))
    return event


STAYS: dict[str, Callable[[], Model]] = {
    "a new message": lambda: ages.message(1),
    "a message that is not judged": lambda: ages.message(decided_at=None),
    "a message that was judged late": lambda: ages.message(decided_at=ago(2)),
    "a message whose end the feed waits to hear": lambda: ages.message(state="owed", settle_at=ago()),
    "a message from the future": lambda: ages.message(timestamp=clock.millis(ago(-300))),
    "a message of a feed that was never polled": uncounted_feed,
    "a message that every poll still shows": in_the_overlap,
    "a message that an ensemble answers": held_ensemble,
    "a message that an ensemble answered lately": asked_yesterday,
    "a message whose answer waits": with_reply(state="waiting", ended_at=None),
    "a message whose answer is held": with_reply(state="held", ended_at=None),
    "a message whose answer is to be posted": with_reply(state="ready", ended_at=None),
    "a message whose answer is being posted": with_reply(state="posting", ended_at=None),
    "a message that was answered lately": with_reply(1),
    "a message one of whose answers is open": lambda: ages.reply(message=with_reply()(), state="waiting", ended_at=None).message,
    "a request that waits": lambda: old_generation(state="queued"),
    "a request that runs": lambda: build.seat(generation=old_generation(state="running")).generation,
    "a request that ended lately": lambda: old_generation(ended_at=ago(1)),
    "a request of an answer that is kept": lambda: ages.reply(1, generation=old_generation()).generation,
    "a request of a voice that is kept": spoken,
    "a request whose answer others got": followed,
    "a model that a server lists": lambda: build.offer(model=build.model(key="listed", size_source="guess")).model,
    "a model that a kept request asked for": lambda: build.generation(model=queue.resolve("asked")).model,
    "a model that an entity asks for": lambda: (build.entity(model=" Named "), queue.resolve("named"))[1],
    "a model that a disabled entity asks for": lambda: (build.entity(model="off", enabled=False), queue.resolve("off"))[1],
    "the default model": lambda: (build.policy(default_model="Usual"), queue.resolve(""))[1],
    "a model of a size set by hand": lambda: build.model(key="sized", size_source="operator"),
    "a model of a size that a server told": lambda: build.model(key="told"),
    "a model with another name": lambda: build.model(key="also", size_source="guess", aliases=["too"]),
    "a model with a context set by hand": lambda: build.model(key="long", size_source="guess", context_length=4096),
    "a model whose answers are not shared": lambda: build.model(key="fresh", size_source="guess", cache_ttl_s=0),
    "a model that has a successor": lambda: build.model(key="old", size_source="guess", successor=build.offer().model),
    "a model that is a successor": lambda: build.model(key="older", size_source="guess", successor=build.model(key="new")).successor,
    "a model that was mentioned lately": lambda: build.model(key="soon", size_source="guess", expected_at=ago(1)),
    "a model in memory": lambda: build.placement(created_at=ago()),
    "a model that loads": lambda: build.placement(state="loading", created_at=ago()),
    "a model that left memory lately": lambda: build.placement(state="gone", created_at=ago(), ended_at=ago(1)),
    "a placement that a kept request ran on": placed,
    "a placement with a seat": seated,
    "a reserved permit": lambda: build.permit(reserved_at=ago()),
    "a permit that was spent lately": lambda: build.permit(state="spent", reserved_at=ago(), settled_at=ago(1)),
    "a permit of an answer that is kept": lambda: (
        ages.reply(1, permit=build.permit(state="spent", reserved_at=ago(), settled_at=ago())).permit
    ),
    "a running ensemble": lambda: build.ensemble(created_at=ago()),
    "an event that is on its way": lambda: delivery().event,
    "a delivery that waits": delivery,
    "an engine that runs": lambda: build.engine(started_at=ago()),
    "a call for servers that stands": lambda: build.notice(at=ago()),
}


def kept(rows: dict[str, Model]) -> set[str]:
    """The names of those that are there."""
    return {name for name, row in rows.items() if type(row)._default_manager.filter(pk=row.pk).exists()}


def test_what_is_still_needed_stays() -> None:
    rows = {name: make() for name, make in STAYS.items()}
    whole()
    Retention.objects.update(day=None)
    whole()
    assert kept(rows) == set(STAYS)


@pytest.mark.parametrize("make", [window, untold])
def test_what_a_limit_counts_and_a_webhook_is_to_be_told_stays(make: Callable[[], Model]) -> None:
    row = make()
    assert not whole()
    assert kept({"it": row})


GOES: dict[str, Callable[[], Model]] = {
    "a message that nobody answered": ages.message,
    "our own post": lambda: ages.message(kind="AI", own=True),
    "a message that was answered": with_reply(),
    "an answer": ages.reply,
    "a dropped answer": lambda: ages.reply(state="dropped"),
    "a request": old_generation,
    "a failed request": lambda: old_generation(state="failed"),
    "a request whose answer goes": lambda: ages.reply(generation=old_generation()).generation,
    "a request that got another's answer": lambda: old_generation(leader=build.generation(state="done", queued_at=ago())),
    "an ensemble": lambda: voiced()[0],
    "a voice": lambda: voiced()[1],
    "a model that left memory": lambda: build.placement(state="gone", created_at=ago(), ended_at=ago()),
    "a load that failed": lambda: build.placement(state="failed", created_at=ago(), ended_at=ago()),
    "a name that no server knows": lambda: queue.resolve("nobody/has-this-70b"),
    "a name that was mentioned long ago": lambda: build.model(key="once", size_source="guess", expected_at=ago()),
    "a name whose requests go": lambda: old_generation(model=queue.resolve("asked-long-ago")).model,
    "a permit": lambda: build.permit(state="refunded", reserved_at=ago(), settled_at=ago()),
    "a permit whose answer goes": lambda: ages.reply(permit=build.permit(state="spent", reserved_at=ago(), settled_at=ago())).permit,
    "an event": lambda: build.event(at=ago()),
    "a delivery": lambda: delivery(state="delivered", ended_at=ago()),
    "the event of a delivery": lambda: delivery(state="failed", ended_at=ago()).event,
    "an engine that ended": lambda: build.engine(started_at=ago(), ended_at=ago()),
    "an engine that was never heard of again": lambda: build.engine(started_at=ago(), beat_at=ago()),
    "a call for servers that was closed": lambda: build.notice(at=ago(), closed_at=ago(), due_at=None),
    "a task that failed": lambda: Task.objects.create(id="a" * 32, name="a", func="a", started=ago(), stopped=ago(), success=False),
    "a login attempt": lambda: LoginAttempt.objects.create(at=ago(2), address="10.0.0.1", name="a" * 64),
    "a session": lambda: Session.objects.create(session_key="a", session_data="", expire_date=ago(1)),
    "a repeated request": lambda: Repeat.objects.create(key="a", digest="b", created_at=ago(2)),
}


def test_what_is_not_needed_goes() -> None:
    rows = {name: make() for name, make in GOES.items()}
    whole()
    assert kept(rows) == set()


def test_for_ever_is_for_ever() -> None:
    worthless = {"a login attempt", "a session", "a repeated request"}
    rows = {name: make() for name, make in GOES.items() if name not in worthless}
    ever = {field.name: 0 for field in Retention._meta.fields if field.name.endswith(("_days", "_most"))}
    assert not whole(**ever)
    assert kept(rows) == set(rows)


def test_nothing_goes_before_it_is_counted() -> None:
    said, request, permit = ages.message(), old_generation(), build.permit(state="spent", reserved_at=ago(), settled_at=ago())
    Reckoning.objects.all().delete()
    ages.counted()
    Reckoning.objects.update(until=ago(101), message=said.pk)
    counted, ages.counted = ages.counted, lambda: None
    try:
        assert not whole(details_days=0)
        Reckoning.objects.update(until=clock.now(), message=said.pk - 1)
        assert whole() == {"requests": 1, "permits": 1}
    finally:
        ages.counted = counted
    assert Message.objects.filter(pk=said.pk).exists()
    assert not Generation.objects.filter(pk=request.pk).exists()
    assert not Permit.objects.filter(pk=permit.pk).exists()


def test_ten_thousand_names_that_nobody_has_go() -> None:
    listed = build.offer().model
    LanguageModel.objects.bulk_create(LanguageModel(key=f"nobody/has-{n}", size_gb=1.0) for n in range(10_000))
    assert whole() == {"models": 10_000}
    assert LanguageModel.objects.get() == listed


def test_of_too_many_events_the_oldest_go() -> None:
    rows = [build.event() for _ in range(5)]
    assert whole(size=2, events_most=3) == {"events": 2}
    assert set(Event.objects.values_list("pk", flat=True)) == {row.pk for row in rows[-3:]}


def test_everything_of_a_message_goes_with_it() -> None:
    said = ages.message()
    answer = ages.reply(message=said, generation=old_generation(), permit=build.permit(state="spent", reserved_at=ago(), settled_at=ago()))
    ensemble = build.ensemble(message=said, post=True, state="done", created_at=ago(), ended_at=ago())
    Voice.objects.filter(ensemble=ensemble, ordinal=0).update(reply=answer, generation=old_generation())
    assert whole() == {"messages": 1, "replies": 1, "ensembles": 1, "requests": 2, "permits": 1}
    assert not any(kind.objects.exists() for kind in (Message, Reply, Ensemble, Voice, Generation, Permit))


def test_what_was_needed_goes_when_it_is_needed_no_more() -> None:
    said = ages.message(state="owed", settle_at=ago())
    whole()
    Message.objects.update(state="settled")
    whole()
    assert Message.objects.filter(pk=said.pk).exists(), "the same day nobody looks again"
    Retention.objects.update(day=ago(1).date())
    assert whole() == {"messages": 1}


def test_details_go_first_and_the_rest_stays() -> None:
    generation = old_generation(
        queued_at=ago(40), ended_at=ago(40), reasoning="Hm.", decision={"why": "warm", "candidates": [{"server": "a"}]}
    )
    answer = ages.reply(
        40,
        generation=generation,
        drafts=[{"text": "x"}],
        verdict={"rules": ["asked"], "dice": 0.25, "shown": ["Ann: Hi"], "prompt": {"room": 7}},
    )
    Message.objects.update(verdict={"why": "asked", "no": {"a": "b"}, "noes": {"b": 1}, "yes": ["c"]}, context=["Ann: Hi"])
    assert whole() == {"prompts and texts": 1, "verdicts": 1, "reasons": 1}
    assert not whole()
    answer.refresh_from_db()
    generation.refresh_from_db()
    assert answer.verdict == {"rules": ["asked"], "dice": 0.25, "kept": False}
    assert (answer.drafts, answer.text) == ([], "It means what you make of it.")
    assert (generation.request, generation.text, generation.reasoning, generation.decision) == ({}, "", "", {"why": "warm"})
    assert (generation.prompt_tokens, generation.completion_tokens) == (20, 3)
    said = Message.objects.get()
    assert (said.verdict, said.context) == ({"why": "asked", "yes": ["c"], "kept": False}, None)
    assert read.asked(generation.pk) is None


@pytest.mark.parametrize("state", ["waiting", "held", "ready", "posting"])
def test_the_words_of_an_open_answer_stay(state: str) -> None:
    generation = old_generation()
    ages.reply(generation=generation, state=state, ended_at=None)
    whole()
    generation.refresh_from_db()
    assert (generation.text, bool(generation.request)) == ("Hello.", True)


def test_the_words_for_a_follower_and_for_a_running_ensemble_stay() -> None:
    leader, spoken = old_generation(), old_generation()
    build.generation(leader=leader)
    ensemble = build.ensemble()
    Voice.objects.filter(ensemble=ensemble, ordinal=0).update(generation=spoken, state="done")
    whole()
    assert set(Generation.objects.filter(state="done").values_list("text", flat=True)) == {"Hello."}


def test_an_answer_without_its_request_cannot_be_asked_again_and_says_so() -> None:
    row = ages.reply(40, state="failed", text="", generation=old_generation(state="failed", queued_at=ago(40), ended_at=ago(40)))
    whole()
    with pytest.raises(Refused, match="is not kept any more"):
        requeue(row.pk, "Ann")
    with pytest.raises(NotQueued, match="is not kept any more"):
        again(row.generation_id or 0, "Ann", clock.now())


def test_failures_that_were_nobodys_fault_strike_nobody_when_their_requests_are_old() -> None:
    who = build.entity(max_failures=2)
    for _ in range(3):
        at = ago(40)
        away = old_generation(state="failed", queued_at=at, ended_at=at, error_code="unreachable")
        ages.reply(40, entity=who, state="failed", generation=away)
    whole(requests_days=35)
    assert not count(who.pk)
    who.refresh_from_db()
    assert who.enabled
    assert Generation.objects.count() == 3


def test_a_mark_never_goes_back_and_stays_behind_what_a_poll_shows() -> None:
    busy, quiet = ages.feed(), build.feed(cursor=clock.millis(ago(200)), overlap_s=3600)
    whole(messages_days=10)
    first = {row.pk: row.forgotten for row in Feed.objects.all()}
    assert abs(first[busy.pk] - clock.millis(ago(10))) < 60_000
    assert first[quiet.pk] == quiet.cursor - 3 * 3_600_000
    whole(messages_days=90)
    assert {row.pk: row.forgotten for row in Feed.objects.all()} == first


def test_every_table_of_ours_is_thought_of() -> None:
    """A new kind of rows is either pruned or named here with its reason."""
    pruned = {type(make()) for make in GOES.values()}
    small = {
        "cluster": ("Server", "Offer", "Seat", "Share", "ClusterPolicy"),
        "entities": ("Entity", "RateLimit", "HistoricalEntity", "HistoricalRateLimit"),
        "conversations": ("Feed", "Room", "Room_entities", "Scenario", "ConversationPolicy"),
        "swwbot_site": ("ConfigImport", "Token", "Webhook", "Tally", "Reckoning", "Retention"),
    }
    for app, names in small.items():
        found = set(apps.get_app_config(app).get_models(include_auto_created=True))
        left = {model.__name__ for model in found - pruned}
        assert left == set(names)
