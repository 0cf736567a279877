"""A real headless Chromium: the system's, or Debian's package, which is installed where that can be done."""

import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.apiserver.sidecar_process import Sidecar, ending, the_leader
from tests.page.looking import SETTINGS
from tests.support.debian import install

NAMES = ("chromium", "chromium-browser", "google-chrome")


def _chromium() -> str | None:
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Skipped loudly where there is none; a failure in CI.

    Of the module, whose tests stay together: while Playwright is up, no other event loop can run in this thread.
    """
    install(lambda: [] if _chromium() is not None else ["chromium"])
    path = _chromium()
    if path is None:
        message = "the page is not tested: no Chromium is here; install it (Debian: apt install chromium)"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def sidecars(tmp_path: Path) -> Iterator[list[Sidecar]]:
    """Two of them, on one local store; one leads."""
    store, uid = {"LEADER_STORE": f"local:{tmp_path}/leases.db"}, uuid.uuid4().hex
    two = [Sidecar(name, tmp_path, SETTINGS | store, uid=uid) for name in ("web-0", "web-1")]
    with ending(two):
        for sidecar in two:
            sidecar.start().serving()
        the_leader(two, within_seconds=10)
        yield two


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Every fault of its script fails the test, and so does every request to anywhere but the sidecar."""
    context = browser.new_context()
    page, faults, asked = context.new_page(), [], []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    yield page
    assert faults == []
    assert not [url for url in asked if not url.startswith(("http://127.0.0.1:", "data:"))]
    context.close()
