"""What is asked of every page: that it fits, and that everybody can use it."""

from pathlib import Path

import axe_playwright_python
from playwright.sync_api import Page

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
GRAVE = ("serious", "critical")


def fits(page: Page) -> bool:
    """Whether nothing of the page, once it is there, sticks out to the right."""
    page.wait_for_load_state()
    return bool(page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


def serious(page: Page) -> list[str]:
    """What axe finds on the page that is serious or worse."""
    page.evaluate(AXE)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    return [f"{one['id']}: {one['help']} ({[node['target'] for node in one['nodes'][:3]]})" for one in found if one["impact"] in GRAVE]
