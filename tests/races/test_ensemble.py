"""The same ensembles in many hands at one moment."""

import pytest

from cluster.models import Generation
from conversations import clean, convene, cycle, ensemble
from conversations.convene import Wish
from conversations.models import Ensemble, Message, Reply, Voice
from entities.models import Entity, Permit
from swwbot_site.lib import clock
from tests import build
from tests.races.hands import at_once

pytestmark = pytest.mark.django_db(transaction=True)
WORKERS = 8
VOICES = ("a", "b", "c")


def choir() -> None:
    for slug in (*VOICES, "sum"):
        build.entity(slug=slug, username=slug.upper(), model="maker/small")


def wish(n: int, **over: object) -> Wish:
    values: dict[str, object] = {"question": f"Number {n}?", "who": VOICES, "synthesizer": "sum"} | over
    return Wish(**values)  # type: ignore[arg-type]


def written() -> None:
    """Whatever waits is answered."""
    Generation.objects.filter(state="queued").update(state="done", text="So it is.", finish_reason="stop", ended_at=clock.now())


@pytest.mark.parametrize("post", [False, True])
def test_ensembles_that_eight_engines_advance_ask_everybody_once_in_order(post: bool) -> None:
    choir()
    build.limit(entity=None, kind="day", amount=10_000)
    feed = build.feed()
    for n in range(6):
        message = build.message(feed=feed, decided_at=clock.now())
        convene.convene(wish(n, message=message.pk, post=post), clock.now())

    def work(worker: int) -> None:
        for _ in range(3):
            clean.clean(clock.now())
            ensemble.advance(clock.now())

    for _ in range(5):
        at_once(WORKERS, work)
        assert Voice.objects.filter(state="asked").count() in (0, 6)
        written()
    assert set(Ensemble.objects.values_list("state", "text")) == {("done", "So it is.")}
    assert Generation.objects.count() == 6 * 4
    assert Reply.objects.count() == Permit.objects.count() == (6 * 4 if post else 0)
    for row in Ensemble.objects.all():
        voices = row.voices.select_related("generation", "reply__generation").order_by("ordinal")
        ids = [voice.reply.generation_id if voice.reply else voice.generation_id for voice in voices]
        assert None not in ids
        assert ids == sorted(ids, key=lambda pk: pk or 0)


def test_who_is_asked_as_a_voice_while_its_message_is_judged_answers_once_and_nobody_waits_in_a_circle() -> None:
    choir()
    Entity.objects.update(response_chance=0.0)
    feed = build.feed()
    for n in range(16):
        message = build.message(feed=feed, text="A, what is time?")
        convene.convene(wish(n, who=("a",), message=message.pk, post=True), clock.now())

    def work(worker: int) -> None:
        for _ in range(2):
            (cycle.judge if worker % 2 else ensemble.advance)(clock.now())

    at_once(WORKERS, work)
    assert Message.objects.filter(decided_at__isnull=True).count() == 0
    assert Reply.objects.count() == Permit.objects.filter(state="reserved").count() == 16
    assert Generation.objects.filter(reply=None, voice=None).count() == 0


def test_one_key_in_eight_hands_begins_one_ensemble() -> None:
    choir()

    def begin(worker: int) -> int:
        return convene.convene(wish(1, key="the same"), clock.now())

    assert len(set(at_once(WORKERS, begin))) == 1
    assert Ensemble.objects.count() == 1
    assert Voice.objects.count() == 4


def test_calling_off_against_advancing_leaves_nothing_under_way() -> None:
    choir()
    ids = [convene.convene(wish(n), clock.now()) for n in range(8)]

    def work(worker: int) -> int:
        if worker % 2:
            ensemble.advance(clock.now())
            return 0
        return sum(ensemble.cancel(pk, f"worker {worker}", clock.now()) for pk in ids)

    assert sum(at_once(WORKERS, work)) == 8
    assert set(Ensemble.objects.values_list("state", flat=True)) == {"cancelled"}
    assert set(Voice.objects.values_list("state", flat=True)) == {"cancelled"}
    assert set(Generation.objects.values_list("state", flat=True)) <= {"cancelled"}


def test_an_entity_deleted_while_others_advance_hangs_nothing() -> None:
    choir()
    for n in range(8):
        convene.convene(wish(n), clock.now())

    def work(worker: int) -> None:
        if worker == 0:
            Entity.objects.filter(slug="a").delete()
        else:
            ensemble.advance(clock.now())

    at_once(WORKERS, work)
    ensemble.advance(clock.now())
    assert Voice.objects.filter(state="asked", entity__slug="b").count() == 8
    assert Ensemble.objects.filter(state="running").count() == 8
