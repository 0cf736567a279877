"""A real headless Chromium: the system's, or Debian's package, which is installed where that can be done."""

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.debian import install

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
