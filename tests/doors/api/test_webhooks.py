"""Webhooks: every event at least once, signed, in order; tried again, given up, sent again by hand; never to a forbidden address."""

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.test import Client

from swwbot_site.lib import clock, http
from swwbot_site.lib.events import say
from swwbot_site.models import Delivery, Event, Webhook
from swwbot_site.webhooks import attempts, outbox, sending, signature
from swwbot_site.webhooks.attempts import PAUSES_S
from tests import build
from tests.harness import Background, engines, until

V1 = "/api/v1/"
NOW = datetime(2026, 1, 2, tzinfo=UTC)


# --- the nouns ---------------------------------------------------------------------------------------------------
def test_a_signature_is_that_of_the_standard() -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body, at = b'{"test": 2432232314}', datetime.fromtimestamp(1614265330, UTC)
    told = signature.headers(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", at, body)
    assert told["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert (told["webhook-id"], told["webhook-timestamp"]) == ("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330")


@pytest.mark.parametrize("wrong", ["", "whsec_", "whsec_QUJD", "whsec_!!!!", "QUJD" * 8, "whsec_" + "QUJD" * 30])
def test_a_secret_that_is_none_signs_nothing(wrong: str) -> None:
    with pytest.raises(ValueError, match="whsec_"):
        signature.key(wrong)


def test_a_new_secret_is_a_key_of_32_bytes() -> None:
    assert signature.key(signature.secret(bytes)) == bytes(32)


@pytest.mark.parametrize(
    ("kind", "kinds", "told"),
    [
        ("reply.posted", [], True),
        ("reply.posted", ["reply."], True),
        ("reply.posted", ["reply.posted"], True),
        ("reply.posted", ["reply"], False),
        ("replying.posted", ["reply."], False),
        ("webhook.failed", [], False),
        ("webhook.failed", ["webhook.failed"], False),
    ],
)
def test_a_webhook_gets_the_kinds_it_names_and_nothing_about_webhooks(kind: str, kinds: list[str], told: bool) -> None:
    assert attempts.wanted(kind, kinds) is told


def test_pauses_grow_with_some_dice_and_end() -> None:
    for number, pause in enumerate(PAUSES_S, 1):
        for dice, factor in ((0.0, 0.8), (0.5, 1.0), (1.0, 1.2)):
            at = attempts.again_at(number, 500, NOW, lambda dice=dice: dice)
            assert at == NOW + timedelta(seconds=pause * factor)
    assert attempts.again_at(len(PAUSES_S) + 1, 500, NOW, lambda: 0.5) is None
    assert attempts.again_at(1, 410, NOW, lambda: 0.5) is None


# --- the rows ----------------------------------------------------------------------------------------------------
def test_every_event_has_one_delivery_to_each_webhook_that_wants_it(db: None) -> None:
    build.event(at=clock.now() - timedelta(minutes=1))
    everything, replies, off = build.webhook(), build.webhook(kinds=["reply."]), build.webhook(enabled=False)
    rows = [build.event(kind=kind) for kind in ("reply.posted", "server.added", "webhook.made")]
    for _ in range(3):
        assert not outbox.spread()
    assert list(everything.deliveries.order_by("event").values_list("event", flat=True)) == [rows[0].pk, rows[1].pk]
    assert list(replies.deliveries.values_list("event", flat=True)) == [rows[0].pk]
    assert not off.deliveries.exists()


def test_an_event_that_appears_behind_a_later_one_is_told_too(db: None) -> None:
    hook, early, late = build.webhook(), build.event(), build.event()
    Event.objects.filter(pk=early.pk).delete()
    outbox.spread()
    Event.objects.create(pk=early.pk, at=clock.now(), kind="test.late", text="It took its number first.")
    outbox.spread()
    assert set(hook.deliveries.values_list("event", flat=True)) == {early.pk, late.pk}


def test_a_flood_is_given_out_in_parts(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "BATCH", 3)
    hook = build.webhook()
    for _ in range(7):
        build.event()
    assert [outbox.spread() for _ in range(3)] == [True, True, False]
    assert hook.deliveries.count() == 7


def test_what_is_due_is_taken_by_one_engine_in_the_order_of_events(db: None) -> None:
    hook, events = build.webhook(), [build.event() for _ in range(3)]
    for event in reversed(events):
        build.delivery(webhook=hook, event=event)
    build.delivery(webhook=hook, attempt_at=clock.now() + timedelta(minutes=1))
    (parcels,) = outbox.claim(1, clock.now())
    assert [one.name for one in parcels] == [f"evt_{event.pk}" for event in events]
    build.delivery(webhook=hook)
    assert outbox.claim(2, clock.now()) == []
    assert outbox.give_back([one.delivery_id for one in parcels], 2) == 0
    assert outbox.give_back([one.delivery_id for one in parcels], 1) == 3
    assert len(outbox.claim(2, clock.now())[0]) == 4


def test_what_a_dead_engine_had_taken_is_sent_by_another(db: None) -> None:
    build.delivery()
    assert outbox.claim(1, clock.now())
    assert outbox.reap(clock.now(), frozenset({1})) == 0
    assert outbox.reap(clock.now() + timedelta(minutes=5), frozenset()) == 1
    assert outbox.claim(2, clock.now())


def settle(status: int | None, row: Delivery) -> Delivery:
    """One attempt of a delivery that was due."""
    Delivery.objects.filter(pk=row.pk).update(attempt_at=clock.now())
    ((parcel,),) = outbox.claim(1, clock.now())
    outbox.settle(parcel, status, "said", lambda: 0.5)
    row.refresh_from_db()
    return row


def test_a_delivery_is_tried_again_and_at_last_given_up(db: None, django_capture_on_commit_callbacks: Any) -> None:
    row = build.delivery()
    with django_capture_on_commit_callbacks(execute=True):
        for attempt in range(1, len(PAUSES_S) + 1):
            settle(500 if attempt % 2 else None, row)
            assert (row.state, row.attempts, row.lease_owner) == ("waiting", attempt, None)
            assert row.attempt_at > clock.now() + timedelta(seconds=PAUSES_S[attempt - 1] - 2)
        settle(302, row)
    assert (row.state, row.status, row.answer) == ("failed", 302, "said")
    assert row.ended_at
    assert Event.objects.filter(kind="webhook.failed").count() == 1
    assert outbox.claim(1, clock.now()) == []


def test_a_receiver_that_is_gone_is_switched_off(db: None) -> None:
    row = settle(410, build.delivery())
    assert (row.state, Webhook.objects.get().enabled) == ("failed", False)


def test_what_was_taken_is_over_and_may_be_sent_again_by_hand(db: None) -> None:
    row = settle(204, build.delivery())
    assert (row.state, row.status) == ("delivered", 204)
    assert outbox.resend([row.pk], "Ann") == 1
    assert outbox.resend([row.pk], "Ann") == 0
    assert settle(200, row).attempts == 1


# --- over the wire -----------------------------------------------------------------------------------------------
class Receiver:
    """A program that is told; it answers with the statuses it is given, the last one for ever."""

    def __init__(self, *statuses: int) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.left = list(statuses) or [204]
        self.full = threading.Condition()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with outer.full:
                    outer.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
                    status = outer.left[0] if len(outer.left) == 1 else outer.left.pop(0)
                    outer.full.notify_all()
                self.send_response(status)
                self.send_header("Location", "http://127.0.0.1:1/")
                self.send_header("Content-Length", "0" if status == 204 else "2")
                self.end_headers()
                if status != 204:
                    self.wfile.write(b"ok")

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join(60)
        self.server.server_close()


@pytest.fixture
def receivers() -> Iterator[list[Receiver]]:
    made: list[Receiver] = []
    yield made
    for one in made:
        one.close()


async def attempt(url: str, secret: str = "whsec_" + "QUJD" * 8) -> tuple[int | None, str]:
    """One attempt, as the engine makes it."""

    class Context:
        def __init__(self) -> None:
            self.http = http.client()

    parcel = outbox.Parcel(delivery_id=1, webhook="x", url=url, secret=secret, name="evt_1", attempt=1, body=b'{"type":"a"}')
    context: Any = Context()
    try:
        return await sending._attempt(context, parcel)
    finally:
        await context.http.aclose()


def test_what_is_sent_can_be_verified(background: Background, receivers: list[Receiver]) -> None:
    receivers.append(receiver := Receiver(200))
    assert background.run(attempt(receiver.url)) == (200, "ok")
    headers, body = receiver.got[0]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(base64.b64decode("QUJD" * 8), signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert headers["content-type"] == "application/json"
    assert abs(int(headers["webhook-timestamp"]) - clock.now().timestamp()) < 60


def test_a_redirect_is_not_followed_and_nobody_is_an_answer_too(background: Background, receivers: list[Receiver]) -> None:
    receivers.append(receiver := Receiver(302))
    assert background.run(attempt(receiver.url))[0] == 302
    status, told = background.run(attempt("http://127.0.0.1:1/"))
    assert status is None
    assert "cannot be reached" in told
    assert background.run(attempt(receiver.url, secret="nonsense"))[0] is None


def test_an_address_that_is_forbidden_is_not_even_tried(background: Background) -> None:
    status, told = background.run(attempt("http://169.254.169.254/latest/"))
    assert status is None
    assert "169.254.169.254" in told


# --- the door ----------------------------------------------------------------------------------------------------
def test_a_secret_is_shown_when_it_is_made_and_never_again(browser: Client) -> None:
    said = {"name": "pager", "url": "http://10.0.0.7/hook", "kinds": ["reply."]}
    made = browser.post(f"{V1}webhooks/", said, content_type="application/json")
    assert made.status_code == 201
    secret, pk = made.json()["secret"], made.json()["id"]
    assert signature.key(secret)
    for address in ("webhooks/", f"webhooks/{pk}/", "events/", "deliveries/", "configuration/"):
        assert secret.encode() not in browser.get(f"{V1}{address}").content
    changed = browser.patch(f"{V1}webhooks/{pk}/", {"kinds": []}, content_type="application/json").json()
    assert (changed["kinds"], "secret" in changed) == ([], False)
    other = browser.post(f"{V1}webhooks/{pk}/renew/", "", content_type="application/json").json()["secret"]
    assert other != secret
    assert Webhook.objects.get().secret == other
    assert browser.delete(f"{V1}webhooks/{pk}/").status_code == 204


@pytest.mark.parametrize("url", ["http://169.254.169.254/", "http://metadata.google.internal/x", "nonsense", "file:///etc/passwd", ""])
def test_a_webhook_at_a_forbidden_address_is_not_made(browser: Client, url: str) -> None:
    response = browser.post(f"{V1}webhooks/", {"name": "x", "url": url}, content_type="application/json")
    assert response.status_code == 400
    assert not Webhook.objects.exists()


def test_what_happened_while_it_was_off_is_not_told(browser: Client) -> None:
    hook = build.webhook(enabled=False)
    build.event()
    browser.patch(f"{V1}webhooks/{hook.pk}/", {"enabled": True}, content_type="application/json")
    build.event(kind="test.after")
    outbox.spread()
    assert list(hook.deliveries.values_list("event__kind", flat=True)) == ["test.after"]


def test_a_delivery_is_sent_again_once_it_has_ended(browser: Client) -> None:
    row = build.delivery(state="failed")
    assert browser.post(f"{V1}deliveries/{row.pk}/resend/", "", content_type="application/json").json()["state"] == "waiting"
    assert browser.post(f"{V1}deliveries/{row.pk}/resend/", "", content_type="application/json").status_code == 409


@pytest.mark.django_db(transaction=True)
def test_an_engine_tells_every_event_in_order(receivers: list[Receiver]) -> None:
    receivers.append(receiver := Receiver())
    build.webhook(url=receiver.url, kinds=["test."])
    with engines():
        for number in range(5):
            say("test.happened", f"number {number}", subject="test:1", number=number)
        with receiver.full:
            assert receiver.full.wait_for(lambda: len(receiver.got) >= 5, 60)
        until(lambda: Delivery.objects.filter(state="delivered").count() == 5)
    told = [json.loads(body) for _, body in receiver.got]
    assert [one["data"]["detail"]["number"] for one in told] == list(range(5))
    assert all(one["type"] == "test.happened" for one in told)


def test_the_admin_makes_switches_resends_and_removes(browser: Client) -> None:
    pages = "/admin/swwbot_site/webhook/"
    page = browser.post(f"{pages}add/", {"name": "pager", "url": "http://10.0.0.7/hook", "kinds": "reply.\nserver.added"})
    row = Webhook.objects.get()
    assert row.secret in page.content.decode()
    assert row.kinds == ["reply.", "server.added"]
    for address in (pages, f"{pages}{row.pk}/change/"):
        assert row.secret not in browser.get(address).content.decode()
    assert "metadata" in browser.post(f"{pages}add/", {"name": "x", "url": "http://169.254.169.254/"}).content.decode()
    chosen = {"_selected_action": [row.pk]}
    browser.post(pages, {"action": "switch_off", **chosen})
    assert not Webhook.objects.get().enabled
    failed = build.delivery(webhook=row, state="failed", answer="<script>")
    listed = browser.get("/admin/swwbot_site/delivery/").content.decode()
    assert "&lt;script&gt;" in listed
    browser.post("/admin/swwbot_site/delivery/", {"action": "resend", "_selected_action": [failed.pk]})
    assert Delivery.objects.get().state == "waiting"
    browser.post(pages, {"action": "forget", **chosen})
    assert Webhook.objects.exists()
    browser.post(pages, {"action": "forget", "sure": "yes", **chosen})
    assert not Webhook.objects.exists()
