"""The REST API's page as a browser shows it."""

import pytest
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from tests import build

pytestmark = pytest.mark.browser


def test_the_page_of_the_api_lists_everything_answers_and_asks_no_other_site(page: Page, live_server: LiveServer) -> None:
    build.server(name="Studio")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto("/api/docs/")
    operation = page.locator("#operations-servers-servers_list")
    operation.click()
    operation.get_by_role("button", name="Try it out").click()
    operation.get_by_role("button", name="Execute").click()
    expect(operation.locator(".live-responses-table tbody .response-col_status").first).to_contain_text("200")
    expect(operation.locator(".live-responses-table")).to_contain_text("Studio")
    paths = page.request.get("/api/schema/?format=json").json()["paths"]
    expect(page.locator(".opblock-get")).to_have_count(sum("get" in one for one in paths.values()))
    assert {url.partition("?")[0] for url in asked if not url.startswith((live_server.url, "data:", "blob:"))} == set()
