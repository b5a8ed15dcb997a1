"""A real Chromium, where there is one."""

import gc
import os
import shutil
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Browser, Page, expect, sync_playwright
from pytest_django.live_server_helper import LiveServer

from tests.browser.serving import PATIENCE_MS, Served, opened

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The browser of one module. Its event loop runs in this thread, which Django would take for an asynchronous one."""
    found = next((path for path in map(shutil.which, NAMES) if path), None)
    if found is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(ARGUMENTS))
        yield browser
        browser.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def complaints() -> list[str]:
    """What the browser's console said that is not well."""
    return []


@pytest.fixture
def page(chromium: Browser, live_server: LiveServer, complaints: list[str]) -> Iterator[Page]:
    """An administrator's page, logged in through the form, which must end without complaints."""
    User.objects.create_superuser("admin", password="correct horse")
    context = chromium.new_context(base_url=live_server.url, viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto("/")
    page.fill("input[name=username]", "admin")
    page.fill("input[name=password]", "correct horse")
    page.press("input[name=password]", "Enter")
    page.wait_for_url("**/status/")
    yield page
    context.close()
    assert complaints == []


@pytest.fixture
def served(transactional_db: None) -> Iterator[Served]:
    """The site with streams."""
    one = Served()
    yield one
    one.stop()
    gc.collect()


@pytest.fixture
def cookie(transactional_db: None) -> str:
    """An administrator's session."""
    client = Client()
    client.force_login(User.objects.create_superuser("admin", password="correct horse"))
    return client.cookies["sessionid"].value


@pytest.fixture
def watching(chromium: Browser, served: Served, cookie: str, complaints: list[str]) -> Iterator[Page]:
    """An administrator's page on the server with streams."""
    with opened(chromium, served.url, complaints, cookie) as page:
        yield page
