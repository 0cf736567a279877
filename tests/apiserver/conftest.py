"""One API server for the session; for each test a namespace of its own with the shipped Lease, and sidecars with the shipped Role."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.apiserver.gate import Gate
from tests.apiserver.guarded import guarded, policy  # noqa: F401 - fixtures
from tests.apiserver.ports import free_port
from tests.apiserver.proxy import FaultProxy
from tests.apiserver.server import ApiServer
from tests.apiserver.sidecar_process import ROOT, Sidecar, ending
from tests.binaries.build import BinariesUnavailableError, ensure

SHORT = {"LEADER_LEASE_DURATION": "3s", "LEADER_RENEW_DEADLINE": "2s", "LEADER_RETRY_PERIOD": "500ms"}


def shipped(path: str) -> dict[str, Any]:
    """A manifest as the repository ships it."""
    loaded = yaml.safe_load((ROOT / "k8s" / path).read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    return loaded


_MISSING = pytest.StashKey[str]()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build what is missing before the first test, where it is seen and no test's time limit ends it."""
    wanted = any("apiserver" in getattr(item, "fixturenames", ()) for item in session.items)
    if wanted and not session.config.option.collectonly:
        capture = session.config.pluginmanager.getplugin("capturemanager")
        try:
            with capture.global_and_fixture_disabled() if capture else nullcontext():
                ensure()
        except BinariesUnavailableError as error:
            session.config.stash[_MISSING] = str(error)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """A skip of all of this must not be overlooked."""
    if missing := config.stash.get(_MISSING, ""):
        terminalreporter.section("NO REAL API SERVER: what needs one has not been tested", red=True, bold=True)
        terminalreporter.line(missing)


@pytest.fixture(scope="session")
def apiserver(pytestconfig: pytest.Config) -> Iterator[ApiServer]:
    """A real kube-apiserver and etcd. Where they cannot be had: a loud skip on a laptop, a failure under CI."""
    if missing := pytestconfig.stash.get(_MISSING, ""):
        if os.environ.get("CI") == "true":
            pytest.fail(f"no real API server: {missing}", pytrace=False)
        pytest.skip(missing)
    server = ApiServer()
    try:
        yield server.start()
    finally:
        server.stop()


@dataclass
class Field:
    """Where one test plays: a namespace with the shipped Lease, and the sidecars that it starts there."""

    server: ApiServer
    namespace: str
    folder: Path
    sidecars: list[Sidecar] = field(default_factory=list)
    proxies: list[FaultProxy] = field(default_factory=list)
    users: dict[str, str] = field(default_factory=dict)

    def sidecar(  # noqa: PLR0913 - each is what some test is about
        self,
        name: str,
        *,
        role: dict[str, Any] | None = None,
        proxied: bool = False,
        create: bool = False,
        uid: str = "u1",
        token_file: Path | None = None,
        port: int | None = None,
        launcher: tuple[str, ...] = (),
        times: Mapping[str, str] | None = None,
        **environment: str,
    ) -> Sidecar:
        """A sidecar with a token of its own and exactly the shipped Role (or `role` in its place); not yet started."""
        user, token = self.server.user()
        self.server.bind(self.namespace, user, shipped("base/role.yaml") if role is None else role)
        if create:
            self.server.bind(self.namespace, user, shipped("components/create/role.yaml"))
        if token_file is not None:
            token_file.write_text(token, encoding="utf-8")
        if proxied:
            proxy = FaultProxy(self.server.port).start()
            self.proxies.append(proxy)
            port = proxy.port
        folder = self.folder / f"{len(self.sidecars)}-{name}"
        folder.mkdir()
        kubeconfig = self.server.kubeconfig(token, folder / "kubeconfig", port, token_file, self.namespace)
        self.users[name] = user
        settings = {"KUBECONFIG": str(kubeconfig), "LEADER_LEASE_NAME": "web", "LEADER_LEASE_NAMESPACE": self.namespace}
        sidecar = Sidecar(name, folder, {**settings, **(times or {}), **environment}, uid=uid, launcher=launcher)
        self.sidecars.append(sidecar)
        return sidecar

    def three(
        self, *, proxied: bool = False, create: bool = False, times: Mapping[str, str] | None = None, **environment: str
    ) -> list[Sidecar]:
        """web-0, web-1 and web-2, started and serving."""
        given = {**(times or {}), **environment}
        sidecars = [self.sidecar(f"web-{number}", proxied=proxied, create=create, times=given).start() for number in range(3)]
        for sidecar in sidecars:
            sidecar.serving().informed()
        return sidecars

    def proxy_of(self, sidecar: Sidecar) -> FaultProxy:
        """The proxy of a sidecar, where every one has one."""
        return self.proxies[self.sidecars.index(sidecar)]

    def grant(self, sidecar: Sidecar, role: dict[str, Any]) -> None:
        """Give a sidecar one more Role."""
        self.server.bind(self.namespace, self.users[sidecar.name], role)

    @contextmanager
    def relay(self, path: Path, launcher: tuple[str, ...]) -> Iterator[int]:
        """The API server on a loopback port of another network namespace."""
        port = free_port()
        command = [sys.executable, str(ROOT / "tests" / "apiserver" / "relay.py")]
        relays = [
            subprocess.Popen([*command, f"unix:{path}", f"tcp:{self.server.port}"]),
            subprocess.Popen([*launcher, *command, f"tcp:{port}", f"unix:{path}"]),
        ]
        try:
            yield port
        finally:
            for relay in relays:
                relay.kill()
                relay.wait(10)

    def delete_lease(self) -> None:
        """Delete the Lease."""
        self.server.delete_lease(self.namespace)

    def patch_lease(self, patch: dict[str, Any]) -> dict[str, Any]:
        """An administrator's merge patch."""
        return self.server.patch_lease(self.namespace, patch)

    def apply_lease(self) -> None:
        """Apply the Lease as it is shipped."""
        self.server.apply(shipped("base/lease.yaml"), namespace=self.namespace)

    def kubectl(self, *arguments: str) -> str:
        """What kubectl prints, in this namespace."""
        return self.server.kubectl("--namespace", self.namespace, *arguments)

    def lease(self) -> dict[str, Any]:
        """The API server's own record."""
        found = self.server.lease(self.namespace)
        assert found is not None
        return found


@contextmanager
def _played(server: ApiServer, folder: Path) -> Iterator[Field]:
    here = Field(server, server.namespace(), folder)
    server.apply(shipped("base/lease.yaml"), namespace=here.namespace)
    with ending(here.sidecars):
        try:
            yield here
        finally:
            for proxy in here.proxies:
                proxy.stop()


@pytest.fixture
def ground(apiserver: ApiServer, tmp_path: Path) -> Iterator[Field]:
    """A fresh namespace with the Lease as it is shipped, empty."""
    with _played(apiserver, tmp_path) as here:
        yield here


@pytest.fixture
def grounds(apiserver: ApiServer, tmp_path: Path) -> Iterator[Callable[[str], Field]]:
    """The same by names, as many as are asked for: for what happens side by side (`at_once`)."""
    with ExitStack() as stack:

        def another(name: str) -> Field:
            folder = tmp_path / name
            folder.mkdir()
            return stack.enter_context(_played(apiserver, folder))

        yield another


@pytest.fixture
def gate(apiserver: ApiServer) -> Iterator[Gate]:
    """What the requests of those sidecars pass through that are given its port."""
    with Gate(apiserver) as mine:
        yield mine
