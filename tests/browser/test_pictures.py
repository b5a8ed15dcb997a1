"""Pictures: of the documentation, into the folder PICTURES (`make screenshots`), and of every state to look at, into the folder STATES."""

import os
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from conversations.stop import stop
from tests import build
from tests.browser.scene import crowd, evening, explained
from tests.browser.serving import QUIET

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), *QUIET]

LARGEST = 300_000
"""Bytes of a picture of the documentation."""


def taken(page: Page, path: Path) -> None:
    """Take a picture of what is to be seen, with 256 colours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=path)
    with Image.open(path) as picture:
        few = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    few.save(path, optimize=True)


@pytest.mark.skipif(not os.environ.get("PICTURES"), reason="takes the pictures of the documentation into the folder that PICTURES names")
def test_pictures_of_the_documentation(watching: Page) -> None:
    folder, page = Path(os.environ["PICTURES"]), watching
    evening()

    def take(name: str, path: str, look: str, height: int, to: str = "") -> None:
        page.set_viewport_size({"width": 1440, "height": height})
        page.goto("/status/")
        page.evaluate(f"localStorage.setItem('sww-theme', '{look}'); localStorage.setItem('adminTheme', JSON.stringify('{look}'))")
        page.goto(path)
        if "status" in path:
            expect(page.locator("#link")).to_have_text("live, as it happens")
        if to:
            page.locator(to).evaluate("(node) => window.scrollTo(0, node.offsetTop - 12)")
        page.wait_for_function("document.fonts.status === 'loaded'")
        taken(page, folder / f"{name}.png")
        assert 10_000 < (folder / f"{name}.png").stat().st_size < LARGEST

    take("status", "/status/", "dark", 1000)
    take("dashboard", "/admin/", "dark", 640)
    reply = explained()
    reply.entity.system_prompt = (
        "You are Sage. You have read much and say little: short, calm sentences, and a question when one is worth asking."
    )
    reply.entity.model, reply.entity.aliases = "qwen/qwen3-32b", ["old one"]
    reply.entity.save()
    build.limit(entity=reply.entity)
    take("entity", f"/admin/entities/entity/{reply.entity_id}/change/", "light", 900)
    take("why", f"/why/reply/{reply.pk}", "light", 1000, to=".way")
    page.goto("about:blank")


@pytest.mark.skipif(not os.environ.get("STATES"), reason="takes pictures of every state into the folder that STATES names")
def test_pictures_of_every_state(watching: Page) -> None:
    folder, page = Path(os.environ["STATES"]), watching

    def take(name: str, path: str = "/status/", look: str = "dark") -> None:
        for width, height in ((360, 780), (1440, 1000), (1920, 1080), (3840, 2160)):
            page.set_viewport_size({"width": width, "height": height})
            page.goto(path)
            page.evaluate(f"document.documentElement.dataset.theme = '{look}'")
            if "status" in path:
                expect(page.locator("#link")).to_have_text("live, as it happens")
            taken(page, folder / f"{name}-{width}.png")

    take("empty")
    evening()
    take("evening")
    take("evening-light", look="light")
    take("wall", "/status/?screen=big")
    take("wall-terminal", "/status/?screen=big", "terminal")
    reply = explained()
    take("why", f"/why/reply/{reply.pk}")
    take("why-message", f"/why/message/{reply.message_id}", "light")
    stop("ann", "it swears")
    take("trouble")
    crowd()
    take("crowd")
    take("crowd-wall", "/status/?screen=big")
    page.goto("about:blank")
