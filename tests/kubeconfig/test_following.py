"""What a kubeconfig gives is loaded anew when it ends, is refused or is no longer trusted; what cannot be loaded is told, once."""

import asyncio
import base64
import json
import ssl
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
import trustme

from sidecar.election.store import Denied, Missing, Outcome, Unknown
from sidecar.kubernetes import credentials, exec_plugin
from sidecar.kubernetes.credentials import Access
from sidecar.kubernetes.in_cluster import Configuration
from sidecar.kubernetes.store import KubernetesStore
from tests.kubeconfig.echo import Echo, echoing
from tests.kubeconfig.table import V1, config
from tests.support.scripted import until


@pytest.fixture(name="echo")
def serve() -> Iterator[Echo]:
    with echoing() as echo:
        yield echo


class Clock:
    """Both clocks are set by hand; a limit is as short as `limit_seconds`."""

    def __init__(self) -> None:
        self.seconds = 1_800_000_000.0
        self.limit_seconds: float | None = None

    def boottime_ns(self) -> int:
        """CLOCK_BOOTTIME."""
        return round(self.seconds * 1e9)

    def wall_us(self) -> int:
        """The wall clock."""
        return round(self.seconds * 1e6)

    def timeout(self, seconds: float) -> AbstractAsyncContextManager[object]:
        """A limit."""
        return asyncio.timeout(seconds if self.limit_seconds is None else self.limit_seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    mine = Clock()
    monkeypatch.setattr(credentials, "SystemClock", lambda: mine)
    return mine


def write(folder: Path, cluster: Any = None, user: Any = None, authority: trustme.CA | None = None, **top: Any) -> dict[str, str]:
    """A kubeconfig and the environment that names it."""
    given = {} if authority is None else {"certificate-authority-data": base64.b64encode(authority.cert_pem.bytes()).decode()}
    (folder / "config").write_text(json.dumps(config(given | (cluster or {}), user, **top)))
    return {"KUBECONFIG": str(folder / "config")}


def with_plugin(folder: Path, echo: Echo, script: str) -> dict[str, str]:
    """One whose user is a plugin; the script may count its runs in `runs` and prints what stands in `answer.json`."""
    (folder / "tok.sh").write_text(f"#!/bin/sh\ncd {folder}\nprintf x >> runs\n{script}\ncat answer.json\n")
    (folder / "tok.sh").chmod(0o755)
    (folder / "runs").touch()
    run = {"apiVersion": V1, "interactiveMode": "Never", "command": "./tok.sh"}
    return write(folder, {"server": echo.https}, {"exec": run}, echo.authority)


def answers(folder: Path, given: str = "", **status: Any) -> None:
    """What the plugin gives from now on: this token, and these."""
    (folder / "answer.json").write_text(json.dumps({"apiVersion": V1, "kind": "ExecCredential", "status": {"token": given} | status}))


def runs(folder: Path) -> int:
    return len((folder / "runs").read_text())


async def connect(environ: dict[str, str]) -> KubernetesStore:
    return await KubernetesStore.connect(await credentials.load(environ), "shop", "web")


async def in_time(ask: Callable[[], Awaitable[Outcome]], kind: type) -> Outcome:
    """The first outcome of that kind of at most ten."""
    found: Outcome = Missing()
    for _ in range(10):
        if isinstance(found := await ask(), kind):
            return found
    raise AssertionError(found)


def pair(authority: trustme.CA, name: str) -> dict[str, str]:
    """A client certificate as a plugin gives it."""
    made = authority.issue_cert("web@example.org", common_name=name)
    return {"clientCertificateData": made.cert_chain_pems[0].bytes().decode(), "clientKeyData": made.private_key_pem.bytes().decode()}


async def test_a_plugin_is_run_again_when_its_credentials_have_ended_and_not_before(echo: Echo, clock: Clock, tmp_path: Path) -> None:
    answers(tmp_path, given="one", expirationTimestamp="2027-01-15T09:00:00Z")
    store = await connect(with_plugin(tmp_path, echo, ""))
    clock.seconds = 1_800_003_599  # a second before
    await store.read()
    await store.read()
    assert runs(tmp_path) == 1
    answers(tmp_path, **pair(echo.clients, "two"), expirationTimestamp="2027-01-15T11:00:00.5+01:00")
    clock.seconds += 1
    await store.read()
    assert [(seen.authorization, seen.certificate) for seen in echo.take()] == [("Bearer one", ""), ("", "two")]
    assert runs(tmp_path) == 2
    await store.close()


async def test_a_plugin_whose_credentials_have_ended_before_they_came_is_not_run_for_each_request(
    echo: Echo, clock: Clock, tmp_path: Path
) -> None:
    answers(tmp_path, given="one", expirationTimestamp="2020-01-01T00:00:00Z")
    store = await connect(with_plugin(tmp_path, echo, ""))
    for _ in range(5):
        assert isinstance(await store.read(), Missing)
    assert runs(tmp_path) <= 2
    clock.seconds += credentials.REST_SECONDS
    await store.read()
    assert runs(tmp_path) == 3
    await store.close()


async def test_a_plugins_certificate_that_the_server_refuses_in_the_handshake_is_asked_for_anew(echo: Echo, tmp_path: Path) -> None:
    """No 401 ever comes, and nothing says when it ends."""
    echo.context.verify_mode = ssl.CERT_REQUIRED
    others = trustme.CA()
    answers(tmp_path, **pair(others, "old"))
    store = await connect(with_plugin(tmp_path, echo, ""))
    assert isinstance(await store.read(), Unknown)
    answers(tmp_path, **pair(echo.clients, "new"))
    await until(lambda: runs(tmp_path) >= 2)
    store._client._transport._access._rests_until_ns = 0
    await in_time(store.read, Missing)
    assert [seen.certificate for seen in echo.take()] == ["new"]
    await store.close()


async def test_certificate_authority_data_that_is_replaced_is_taken_up_after_a_certificate_error(echo: Echo, tmp_path: Path) -> None:
    old = trustme.CA()
    store = await connect(write(tmp_path, {"server": echo.https}, authority=old))
    write(tmp_path, {"server": echo.https}, authority=echo.authority)
    first = await store.read()
    assert isinstance(first, Unknown)
    assert "certificate verify failed" in first.message
    await in_time(store.read, Missing)
    await store.close()


async def test_nothing_of_a_kubeconfig_lies_in_a_folder_that_a_cleaner_empties(
    echo: Echo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CA, client certificate and key: also where there is no such folder at all."""
    monkeypatch.setenv("TMPDIR", str(tmp_path / "gone"))
    monkeypatch.setattr("tempfile.tempdir", None)
    made = pair(echo.clients, "me")
    user = {
        "client-certificate-data": base64.b64encode(made["clientCertificateData"].encode()).decode(),
        "client-key-data": base64.b64encode(made["clientKeyData"].encode()).decode(),
        "token": "t1",
    }
    echo.accepts = "t1"
    store = await connect(write(tmp_path, {"server": echo.https}, user, echo.authority))
    assert isinstance(await store.read(), Missing)
    echo.accepts = "t2"
    write(tmp_path, {"server": echo.https}, user | {"token": "t2"}, echo.authority)
    assert isinstance(await store.read(), Missing)
    assert [seen.certificate for seen in echo.take()] == ["me", "me"]
    await store.close()


async def test_a_reload_that_fails_is_a_warning_once_and_told_where_the_401_is(
    echo: Echo, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    echo.accepts = "t2"
    store = await connect(write(tmp_path, {"server": echo.https}, authority=echo.authority))
    (tmp_path / "config").write_text("{{{ : -")
    for _ in range(3):
        found = await store.read()
        assert isinstance(found, Denied)
        assert "not YAML" in found.message
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert str(tmp_path / "config") in warnings[0]
    write(tmp_path, {"server": echo.https}, {"token": "t2"}, echo.authority)
    assert isinstance(await store.read(), Missing)
    await store.close()


async def test_the_context_that_was_current_at_the_start_stays(echo: Echo, tmp_path: Path) -> None:
    """Whoever turns to another cluster at the terminal gives no credentials of that one to this one."""
    two = {
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}, {"name": "y", "context": {"cluster": "c", "user": "v"}}],
        "users": [{"name": "u", "user": {"token": "t2"}}, {"name": "v", "user": {"token": "others"}}],
    }
    echo.accepts = "t2"
    store = await connect(write(tmp_path, {"server": echo.https}, authority=echo.authority))
    write(tmp_path, {"server": echo.https}, authority=echo.authority, **two, current_context="y")
    assert isinstance(await store.read(), Missing)
    echo.accepts = "t3"
    write(tmp_path, {"server": "https://127.0.0.1:1"}, {"token": "t3"}, echo.authority)
    found = await store.read()
    assert isinstance(found, Denied)
    assert "another server" in found.message
    assert "Bearer t3" not in [seen.authorization for seen in echo.take()]
    await store.close()


async def test_a_plugin_that_hangs_is_named_where_the_requests_fail_and_killed_with_the_store(
    echo: Echo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what it has started."""
    monkeypatch.setattr(credentials, "PATIENCE_SECONDS", 0.2)
    answers(tmp_path, given="t1")
    environ = with_plugin(tmp_path, echo, "if [ -e hang ]; then sleep 600 & echo $! > child; wait; fi")
    store = await connect(environ)
    (tmp_path / "hang").touch()
    echo.accepts = "t2"
    found = await store.read()
    assert isinstance(found, Denied)
    assert "waiting for the credential plugin" in found.message
    assert "tok.sh" in found.message
    assert "users[u].user.exec.command" in found.message
    await until(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text().endswith("\n"))
    await store.close()
    await until(lambda: not _lives(int((tmp_path / "child").read_text())))


def _lives(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


async def test_a_plugin_that_hangs_at_the_start_is_killed_at_a_limit_and_named(echo: Echo, clock: Clock, tmp_path: Path) -> None:
    answers(tmp_path, given="t1")
    environ = with_plugin(tmp_path, echo, "sleep 600")
    clock.limit_seconds = 0.3
    with pytest.raises(credentials.ConfigurationError) as error:
        await credentials.load(environ)
    for words in ("tok.sh", "users[u].user.exec.command", f"not answered in {exec_plugin.LIMIT_SECONDS:g} s"):
        assert words in str(error.value)


async def test_an_access_without_a_kubeconfig_loads_nothing() -> None:
    access = Access(Configuration("http://127.0.0.1:1"))
    await access.refresh()
    access.distrust()
    assert not await access.renew(access.shown)
    assert access.trouble == ""
