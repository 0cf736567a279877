"""The commands that a text shows for a laptop are typed as they stand, in a shell with an empty HOME, in a fresh copy of the project."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.apiserver.sidecar_process import until
from tests.support.texts import ROOT, Block, blocks

pytestmark = [pytest.mark.xdist_group("usual ports"), pytest.mark.timeout(290)]  # a user types the ports that everybody types

PAGES: dict[str, list[Block]] = {}
for _block in blocks():
    if _block.mark.startswith("run: laptop"):
        PAGES.setdefault(_block.file, []).append(_block)
SETTLED = {"leading", "following"}
ENDS_WITHIN_SECONDS = 30


def environment(home: Path) -> dict[str, str]:
    """A user's who has just logged in, and this machine's way to a package index; the project's own command comes last on the PATH."""
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "UV_", "SSL_", "LANG", "LC_"))}
    own = home.parent / "bin"
    own.mkdir()
    (own / "leader-sidecar").write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m sidecar "$@"\n')
    (own / "leader-sidecar").chmod(0o755)
    path = [str(Path(sys.base_prefix) / "bin"), *os.get_exec_path(), str(own)]
    return kept | {"HOME": str(home), "PATH": ":".join(path), "TMPDIR": str(home.parent)}


def project(folder: Path) -> Path:
    """A copy of what is in the repository, so that nothing is left behind in it."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def keys(value: object) -> object:
    """The shape of a JSON answer: an object's keys, in their order."""
    return [*value] if isinstance(value, dict) else type(value)


def said(command: str, shown: str, printed: str) -> None:
    """An answer that the text shows as JSON has the fields of the one that came."""
    try:
        expected = json.loads(shown)
    except ValueError:
        return
    assert keys(json.loads(printed)) == keys(expected), f"{command}\n{printed}"


class Terminals:
    """A page's shells: those in which a sidecar stays in the foreground, and one after the other those that ask it."""

    def __init__(self, folder: Path) -> None:
        (folder / "home").mkdir()
        self._folder, self._env = project(folder / "project"), environment(folder / "home")
        self._stay: list[tuple[subprocess.Popen[bytes], Path]] = []

    def run(self, block: Block) -> None:
        """Type a block. One that stays is left running, once its sidecar leads or follows."""
        if block.mark.endswith(", stays"):
            self._start(block)
            return
        for command, shown in block.commands:
            done = subprocess.run(
                ["bash", "-ec", command], cwd=self._folder, env=self._env, capture_output=True, text=True, timeout=60, check=False
            )
            assert done.returncode == 0, f"{block}: {command}\n{done.stdout}{done.stderr}"
            said(command, shown, done.stdout)

    def _start(self, block: Block) -> None:
        text = "\n".join(command for command, _ in block.commands)
        log = self._folder.parent / f"terminal-{len(self._stay)}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                ["bash", "-ec", text], cwd=self._folder, env=self._env, stdout=out, stderr=out, start_new_session=True
            )
        self._stay.append((process, log))
        port = re.search(r"--listen=\S+:([0-9]+)", text)
        address = f"http://127.0.0.1:{port[1] if port else 4040}/leader"

        def settled() -> bool:
            assert process.poll() is None, f"{block} has ended\n{log.read_text()}"
            try:
                with urllib.request.urlopen(address, timeout=2) as answer:
                    return json.load(answer)["state"] in SETTLED
            except OSError:
                return False

        until(settled, within_seconds=240, every_seconds=0.2, message=f"{block}: the sidecar leads or follows")

    def end(self) -> None:
        """Ctrl-C in each terminal, the last one first."""
        for process, log in reversed(self._stay):
            os.killpg(process.pid, signal.SIGINT)
            try:
                code = process.wait(ENDS_WITHIN_SECONDS)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
            assert code in (0, 128 + signal.SIGINT), log.read_text()


@contextmanager
def terminals(folder: Path) -> Iterator[Terminals]:
    """Shells that are ended whatever happens."""
    found = Terminals(folder)
    try:
        yield found
    finally:
        found.end()


def test_the_readme_and_the_first_page_have_commands() -> None:
    """What takes them out of the texts finds them, and the quick start has three lines in its first terminal."""
    assert {"README.md", "docs/getting-started.md"} <= PAGES.keys()
    assert len(PAGES["README.md"][0].commands) == 3


@pytest.mark.parametrize("page", sorted(PAGES))
def test_the_commands_of_a_page_work_as_they_stand(page: str, tmp_path: Path) -> None:
    with terminals(tmp_path) as shells:
        for block in PAGES[page]:
            shells.run(block)
