"""A real headless Chromium: the system's, or Debian's package, which is installed where that can be done."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")


def _chromium() -> str | None:
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def _install() -> None:
    """As root on a Debian; one at a time."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return
    with (Path(tempfile.gettempdir()) / "leader-sidecar-apt").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _chromium() is not None:
            return
        install = ["apt-get", "install", "-y", "--no-install-recommends", "chromium"]
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        if subprocess.run(install, env=environment, capture_output=True, check=False).returncode:
            subprocess.run(["apt-get", "update"], env=environment, capture_output=True, check=False)
            subprocess.run(install, env=environment, capture_output=True, check=False)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Skipped loudly where there is none; a failure in CI.

    Of the module, whose tests stay together: while Playwright is up, no other event loop can run in this thread.
    """
    if _chromium() is None:
        _install()
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
