"""What a file of requirements/ pins, in a folder of its own in the cache, for tests that need more than make installs."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.kept import cache, once

_REQUIREMENTS = Path(__file__).resolve().parents[2] / "requirements"


def unavailable(message: str) -> None:
    """Skip, and in CI fail: what is not run is not known to work."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"not run: {message}")
    pytest.skip(f"not run: {message}")


def packages(name: str) -> Path:
    """The folder with what `requirements/NAME.txt` pins, installed when it is missing; its programs are in `bin`."""
    pinned = _REQUIREMENTS / f"{name}.txt"
    path = cache() / f"{name}-{hashlib.sha256(pinned.read_bytes()).hexdigest()[:12]}" / "packages"

    def install(folder: Path) -> None:
        print(f"installing what requirements/{pinned.name} pins, usually 10 to 30 s …", file=sys.stderr, flush=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", "--only-binary", ":all:"]
        command = [*pip, "--require-hashes", "--target", str(folder / "whole"), "-r", str(pinned)]
        subprocess.run(command, capture_output=True, text=True, check=True)

    try:
        return once(path, install)
    except subprocess.CalledProcessError as error:
        unavailable(f"the packages of requirements/{pinned.name} cannot be had here: {error.stderr[-500:]}")
        raise
