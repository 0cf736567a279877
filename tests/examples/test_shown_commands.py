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
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.apiserver.sidecar_process import until
from tests.support.pinned import packages
from tests.support.texts import ROOT, Block, blocks

pytestmark = [pytest.mark.xdist_group("usual ports"), pytest.mark.timeout(290)]  # a user types the ports that everybody types

PAGES: dict[str, list[Block]] = {}
for _block in blocks():
    if _block.mark.startswith("run: laptop"):
        PAGES.setdefault(_block.file, []).append(_block)
SETTLED = {"leading", "following"}
ENDS_WITHIN_SECONDS = 30


def environment(home: Path, page: list[Block]) -> dict[str, str]:
    """A user's who has just logged in, with this machine's way to a package index. A page that installs nothing finds leader-sidecar."""
    typed = "\n".join(command for block in page for command, _ in block.commands)
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "UV_", "SSL_", "LANG", "LC_"))}
    own = home.parent / "bin"
    own.mkdir()
    if "pip install" not in typed:
        (own / "leader-sidecar").write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m sidecar "$@"\n')
        (own / "leader-sidecar").chmod(0o755)
    path = [str(Path(sys.base_prefix) / "bin"), *os.get_exec_path(), str(own)]
    path = [each for each in path if page_has_none(each, typed)]
    if "uvx " in typed:
        path.append(str(packages("lock") / "bin"))
    return kept | {"HOME": str(home), "PATH": ":".join(path), "TMPDIR": str(home.parent)}


def page_has_none(folder: str, typed: str) -> bool:
    """Whether a folder of the PATH may stay: where the page installs leader-sidecar, no other one may stand in for it."""
    return "pip install" not in typed or not (Path(folder) / "leader-sidecar").exists()


def project(folder: Path) -> Path:
    """A copy of what is in the repository, so that nothing is left behind in it."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def plain(text: str) -> list[str]:
    """Lines without what differs from run to run."""
    return [re.sub("[0-9]+", "0", line.rstrip()) for line in text.splitlines()]


def keys(value: object) -> object:
    """The shape of a JSON answer: an object's keys, in their order."""
    return [*value] if isinstance(value, dict) else type(value)


def said(command: str, shown: str, printed: str) -> None:
    """An answer that the text shows as JSON has the fields of the one that came; any other output is the same but for numbers."""
    if not shown:
        return
    try:
        expected = json.loads(shown)
    except ValueError:
        assert plain(printed) == plain(shown), f"{command}\n{printed}"
        return
    assert keys(json.loads(printed)) == keys(expected), f"{command}\n{printed}"


class Terminals:
    """A page's shells: those in which a sidecar stays in the foreground, and one after the other those that ask it."""

    def __init__(self, folder: Path, page: list[Block]) -> None:
        (folder / "home").mkdir()
        self._folder, self._env = project(folder / "project"), environment(folder / "home", page)
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
        if "leader-sidecar" not in text:  # it asks one
            return
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
        """Ctrl-C in each terminal, the last one first; none is left. SIGTERM for curl: what CI starts may ignore SIGINT."""
        codes = [(self._ended(process), log) for process, log in reversed(self._stay)]
        wrong = [f"{code}\n{log.read_text()}" for code, log in codes if code not in (0, 128 + signal.SIGINT, -signal.SIGTERM)]
        assert not wrong, "\n".join(wrong)

    @staticmethod
    def _ended(process: subprocess.Popen[bytes]) -> int | None:
        """The exit code; None where it had to be killed."""
        is_sidecar = "leader-sidecar" in str(process.args)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT if is_sidecar else signal.SIGTERM)
        try:
            return process.wait(ENDS_WITHIN_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
            return None

    def heard(self, number: int) -> str:
        """What has been printed in the terminal in which the block with this number stays."""
        return self._stay[number][1].read_text()


@contextmanager
def terminals(folder: Path, page: list[Block]) -> Iterator[Terminals]:
    """Shells that are ended whatever happens."""
    found = Terminals(folder, page)
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
    """The page's own install brings the command that it types; a stream that it opens tells of the handover that it causes."""
    with terminals(tmp_path, PAGES[page]) as shells:
        for block in PAGES[page]:
            shells.run(block)
        streams = [block for block in PAGES[page] if "/leader/events" in block.text]
        stays = [block for block in PAGES[page] if block.mark.endswith(", stays")]
        for stream in streams:
            number = stays.index(stream)
            until(lambda number=number: '"name":"two"' in shells.heard(number).replace(" ", ""), within_seconds=20)  # type: ignore[misc]
