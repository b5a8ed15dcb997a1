"""Whatever strangers, peers and models write is only words, on every page that shows it."""

import pytest
from django.test import Client
from django.urls import reverse

from tests import build
from tests.doors import everything, evil

AT_ONCE = 12
"""So many stand on one page."""


def opened(browser: Client, path: str) -> evil.Reader:
    """A page, read; of the live board, the pieces of HTML that its script is sent."""
    if path != "/status/live/":
        return evil.read(everything.seen(browser, path))
    regions = browser.get(path).json()["regions"].values()
    return evil.read("".join(text for region in regions for text in region["html"].values()))


def test_there_are_enough_of_them_and_each_is_found_when_it_is_not_escaped() -> None:
    assert len(evil.MESSAGES) >= 40
    live = [one for one in evil.MESSAGES if "<" in one.replace("\0", "") and evil.read(f"<p>{one}</p>").wrong]
    assert len(live) > 25
    assert evil.read(f"<b {evil.MARK}=1>").wrong
    assert evil.read(f"<b x-text='{evil.MARK}'>").wrong
    assert evil.read(f"<a href='javascript:{evil.MARK}'>").wrong
    assert evil.read(f"<script>'{evil.MARK}'</script>").wrong
    assert not evil.read(f"<a title='{evil.MARK}' href='/?q={evil.MARK}'>{evil.MARK}</a>").wrong


@pytest.mark.parametrize("first", range(0, len(evil.MESSAGES), AT_ONCE))
def test_it_is_only_words_where_people_look_first(browser: Client, first: int) -> None:
    paths = ["/status/", "/status/live/"]
    for number, text in enumerate(evil.MESSAGES[first : first + AT_ONCE]):
        plain = text.replace("\0", "")
        server = build.server(name=f"{number}{plain}"[:60], state="offline", state_reason=plain)
        model = build.model(key=f"{number}{plain}"[:60])
        build.placement(server=server, model=model)
        build.generation(model=model, decision={"waits": plain})
        feed = build.feed(name=f"{number}{plain}"[:60], failures=2, error=plain)
        who = {"username": plain[:200], "color": plain[:100], "domain": plain[:200]}
        message = build.message(text=plain, feed=feed, verdict={"why": plain}, **who)
        done = build.generation(state="done", model=model, server=server, text=plain)
        identity = {"username": plain[:16], "color": plain[:40]}
        reply = build.reply(state="posted", message=message, text=plain, generation=done, reason=plain, **identity)
        paths += [reverse("why-reply", args=[reply.pk]), reverse("why-message", args=[message.pk])]
    for path in paths:
        found = opened(browser, path)
        assert not found.wrong, f"{path}: {found.wrong[:3]}"
        assert found.words, path


def test_it_is_only_words_on_every_page_there_is(browser: Client) -> None:
    everything.scene("\n".join(evil.MESSAGES))
    everything.scene(f"\"><img src=x onerror='{evil.DEED}'>")
    shown = 0
    for path in everything.addresses():
        if "logout" in path or path.startswith(("/api/v1/", "/api/schema", "/metrics", "/admin/entities/export/")):
            continue
        found = opened(browser, path)
        assert not found.wrong, f"{path}: {found.wrong[:5]}"
        shown += bool(found.words)
    assert shown > 40


@pytest.mark.parametrize("path", ["/api/v1/messages/", "/api/v1/replies/", "/api/v1/events/", "/api/v1/servers/", "/api/v1/entities/"])
def test_programs_get_it_as_json_that_no_browser_takes_for_a_page(browser: Client, path: str) -> None:
    everything.scene("\n".join(evil.MESSAGES))
    response = browser.get(path, HTTP_ACCEPT="text/html,*/*")
    assert response.headers["Content-Type"].startswith("application/json")
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert evil.MARK in response.content.decode()


@pytest.mark.parametrize(
    "path", [f"/{evil.MESSAGES[0]}", f"/admin/{evil.MESSAGES[4]}/", f"/why/reply/{evil.MESSAGES[0]}", f"/static/{evil.MESSAGES[0]}"]
)
def test_an_address_is_not_repeated_as_a_page(browser: Client, path: str) -> None:
    response = browser.get(path)
    assert response.status_code in (302, 404)
    assert not evil.read(response.content.decode()).wrong


@pytest.mark.parametrize(
    "query", [f"q={evil.MESSAGES[0]}", f"e=1&{evil.MARK}=<script>", "p=%00", "q=%00", "o=%3Cscript%3E", "state__exact=%27%22%3E"]
)
def test_a_search_is_only_words(browser: Client, query: str) -> None:
    build.reply(state="posted")
    for path in ("/admin/conversations/reply/", "/admin/conversations/message/", "/admin/swwbot_site/event/"):
        response = browser.get(f"{path}?{query}", follow=True)
        assert response.status_code < 500
        assert not evil.read(response.content.decode()).wrong
