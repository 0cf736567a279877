"""Each small client in `examples/` is run as an application beside two sidecars, through a graceful handover and a crash.

The ledger that both write to is the protected resource: the order of its lines is the order of what was done. Tokens that never get
smaller there are all that "never two leaders" means to it.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.apiserver.sidecar_process import Sidecar, ending, the_leader, until
from tests.support.debian import install
from tests.support.texts import block

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
MAX_LINES = 60
NOBODY = "127.0.0.1:9"
PROXIED = {key: value for key, value in os.environ.items() if key.lower() != "no_proxy"} | {
    **{name: f"http://{NOBODY}" for each in ("http_proxy", "https_proxy", "all_proxy") for name in (each, each.upper())},
    "NODE_USE_ENV_PROXY": "1",
    "JAVA_TOOL_OPTIONS": "-Dhttp.proxyHost=127.0.0.1 -Dhttp.proxyPort=9 -Dhttp.nonProxyHosts=",
}
"""Of a machine whose proxy for everything is down, in each language's own way."""


@dataclass(frozen=True)
class Language:
    """A client, the tools that it needs, and how it is built and started."""

    file: str
    tools: tuple[str, ...]
    build: tuple[str, ...]
    run: tuple[str, ...]


LANGUAGES = [
    Language("leader.sh", ("curl", "jq"), (), ("sh", "{file}")),
    Language("leader.py", (), (), (sys.executable, "{file}")),
    Language("leader.go", ("go",), ("go", "build", "-o", "{folder}/app", "{file}"), ("{folder}/app",)),
    Language("Leader.java", ("java", "javac"), ("javac", "-d", "{folder}", "{file}"), ("java", "-cp", "{folder}", "Leader")),
    Language("leader.mjs", ("node",), (), ("node", "{file}")),
    Language("leader.rs", ("rustc",), ("rustc", "-O", "-o", "{folder}/app", "{file}"), ("{folder}/app",)),
]


PACKAGES = {"go": "golang-go", "java": "default-jre-headless", "javac": "default-jdk-headless", "node": "nodejs"}
"""Debian's packages of tools that have another name."""


def found(tool: str) -> str | None:
    """The first one on the PATH that runs: a version manager leaves a shim there for what it has not installed."""
    version = {"go": "version", "java": "-version", "javac": "-version"}.get(tool, "--version")
    for folder in os.get_exec_path():
        path = shutil.which(tool, path=folder)
        if path is not None and subprocess.run([path, version], capture_output=True, check=False).returncode == 0:
            return path
    return None


def needs(tools: tuple[str, ...]) -> None:
    """Install what is missing where that can be done; skip where a tool cannot be had; in CI fail."""
    install(lambda: [PACKAGES.get(tool, tool) for tool in tools if found(tool) is None])
    if missing := [tool for tool in tools if found(tool) is None]:
        message = f"not run: {', '.join(missing)} cannot be found; install it to run this client"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)


class Ledger:
    """What the applications did, in order."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def lines(self) -> list[tuple[int, str]]:
        """Token and name; a line that is being written is left out."""
        text = self.path.read_text() if self.path.exists() else ""
        return [(int(token), name) for token, name in (line.split() for line in text.splitlines(keepends=True) if line.endswith("\n"))]

    def acts(self, sidecar: Sidecar, within_seconds: float) -> int:
        """Wait for that Pod's application to act anew; its token."""
        before = len(self.lines())
        until(
            lambda: any(name == sidecar.name for _, name in self.lines()[before:]),
            within_seconds=within_seconds,
            message=f"{sidecar.name}'s application acts",
        )
        return self.lines()[-1][0]


@contextmanager
def applications(command: list[str], sidecars: list[Sidecar], ledger: Ledger, folder: Path) -> Iterator[None]:
    """One beside each sidecar, ended at the end."""
    started = []
    try:
        with (folder / "applications.log").open("ab") as log:
            for sidecar in sidecars:
                arguments = [*command, f"127.0.0.1:{sidecar.port}", str(ledger.path)]
                started.append(subprocess.Popen(arguments, stdout=log, stderr=log, cwd=folder, start_new_session=True, env=PROXIED))
        yield
        assert [process.poll() for process in started] == [None] * len(started), (folder / "applications.log").read_text()
    finally:
        for process in started:  # a shell has children of its own
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language.file)
def test_a_client_acts_only_while_its_pod_leads(language: Language, tmp_path: Path) -> None:
    """It starts, stops and says so when its sidecar steps down, takes over, and stops by its deadline when its sidecar is killed."""
    needs(language.tools)
    words = {"file": str(EXAMPLES / language.file), "folder": str(tmp_path)}
    if language.build:
        build = [word.format(**words) for word in language.build]
        subprocess.run([found(build[0]) or build[0], *build[1:]], check=True, timeout=120, cwd=tmp_path)
    settings = {
        "LEADER_STORE": f"local:{tmp_path}/leases.db", "LEADER_LEASE_NAME": "web",
        "LEADER_LEASE_DURATION": "4s", "LEADER_RENEW_DEADLINE": "3s", "LEADER_RETRY_PERIOD": "500ms", "LEADER_DRAIN_TIMEOUT": "1m",
    }  # fmt: skip
    uid, ledger = uuid.uuid4().hex, Ledger(tmp_path / "ledger")
    sidecars = [Sidecar(name, tmp_path, settings, uid=uid) for name in ("web-0", "web-1")]
    with ending(sidecars), applications([word.format(**words) for word in language.run], sidecars, ledger, tmp_path):
        for sidecar in sidecars:
            sidecar.start().serving()
        first = the_leader(sidecars, within_seconds=10)
        second = sidecars[1 - sidecars.index(first)]
        token = ledger.acts(first, within_seconds=20)
        first.signal(signal.SIGTERM)  # it would renew for a minute: only the application's word ends it so soon
        assert first.wait(15) == 0
        later = ledger.acts(second, within_seconds=15)
        assert later > token
        second.kill()
        first.start().serving()
        assert ledger.acts(first, within_seconds=20) > later
    with pytest.raises(subprocess.TimeoutExpired):  # with no arguments it goes on as well: at the usual address, into the usual file
        subprocess.run([word.format(**words) for word in language.run], cwd=tmp_path, timeout=2, check=False, env=PROXIED)
    tokens = [number for number, _ in ledger.lines()]
    assert tokens == sorted(tokens), "somebody acted after a later leader had"
    assert len({*ledger.lines()}) == len({*tokens}), "two acted in one term"


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language.file)
def test_a_client_is_short_enough_to_be_read(language: Language) -> None:
    assert len((EXAMPLES / language.file).read_text().splitlines()) <= MAX_LINES


SHOWN = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted(EXAMPLES.iterdir())]


@pytest.mark.parametrize("path", SHOWN, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_curl_that_is_shown_asks_a_proxy(path: Path) -> None:
    """It would where http_proxy is set, for localhost as well."""
    commands = [line for line in path.read_text().splitlines() if re.search(r"\bcurl\b[^`]*(:4040|\$address)", line)]
    assert not [line for line in commands if "--noproxy '*'" not in line]


def test_the_readmes_python_runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its imports, and with a proxy in the environment that it does not ask."""
    code = block("README.md", "python")
    for name, value in PROXIED.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    sidecar = Sidecar("web-0", tmp_path, {"LEADER_STORE": f"local:{tmp_path}/leases.db", "LEADER_LEASE_NAME": "web"}, uid=uuid.uuid4().hex)
    written: list[tuple[str, int]] = []

    class Store:
        """What an application writes to."""

        def write(self, row: str, *, fencing_token: int) -> None:
            """Note it."""
            written.append((row, fencing_token))

    with ending([sidecar]):
        sidecar.start().serving()
        until(sidecar.leads, within_seconds=10)
        exec(code.replace("localhost:4040", f"127.0.0.1:{sidecar.port}"), {"store": Store(), "row": "a row"})  # noqa: S102 - the README's
        assert written == [("a row", sidecar.leader()["fencing_token"])]


def test_a_shell_that_is_shown_with_a_tool_of_its_own_says_so() -> None:
    """Few machines have jq; the shell names it, with curl."""
    code = block("docs/reference/http.md", "sh")
    assert "jq" in code.partition("\n")[2]
    assert "needs curl and jq" in code


def test_each_client_is_run() -> None:
    assert {path.name for path in EXAMPLES.iterdir()} - {"README.md"} == {language.file for language in LANGUAGES}
