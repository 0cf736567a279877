"""One cluster for the session: a whole node made on this machine, or the one that KUBECONFIG and IMAGE name."""

import os
import shutil
import subprocess
from collections.abc import Generator, Iterator
from contextlib import contextmanager, nullcontext

import pytest

from tests.binaries.build import NODE, BinariesUnavailableError, ensure
from tests.e2e.cluster import Cluster
from tests.e2e.configuration import IPV4, Network
from tests.e2e.image import ImageUnavailableError
from tests.e2e.images import APP_IMAGE, SIDECAR_IMAGE, app_image, sidecar_image
from tests.e2e.node import Node
from tests.e2e.packages import obstacle
from tests.e2e.workload import K8S, Workload

_FOREIGN_APP_IMAGE = "docker.io/curlimages/curl:8.11.1"
_MISSING = pytest.StashKey[str]()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Install and build what is missing before the first test, where it is seen and no test's time limit ends it."""
    wanted = any("cluster" in getattr(item, "fixturenames", ()) for item in session.items)
    if not wanted or session.config.option.collectonly or os.environ.get("KUBECONFIG"):
        return
    capture = session.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled() if capture else nullcontext():
        try:
            missing = obstacle()
            if not missing:
                ensure("etcd", "kube-apiserver", "kubectl", *NODE)
                sidecar_image()
        except (BinariesUnavailableError, ImageUnavailableError) as error:
            missing = str(error)
    session.config.stash[_MISSING] = missing


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """A skip of all of this must not be overlooked."""
    if missing := config.stash.get(_MISSING, ""):
        terminalreporter.section("NO NODE: nothing has been tested in a real Pod", red=True, bold=True)
        terminalreporter.line(missing)


@pytest.fixture(scope="session")
def cluster(pytestconfig: pytest.Config) -> Iterator[Cluster]:
    """The cluster. Where none can be had: a loud skip on a laptop, a failure under CI."""
    if os.environ.get("KUBECONFIG"):
        yield _given()
        return
    with made(pytestconfig, IPV4) as mine:
        yield mine


@contextmanager
def made(pytestconfig: pytest.Config, network: Network) -> Iterator[Cluster]:
    """A cluster of one node on this machine, with both images and the guard. Skips, or fails, where there can be none."""
    if missing := pytestconfig.stash.get(_MISSING, ""):
        if os.environ.get("CI") == "true":
            pytest.fail(f"no node: {missing}", pytrace=False)
        pytest.skip(missing)
    node = Node(network)
    try:
        node.start()
        node.import_image(app_image())
        node.import_image(sidecar_image())
        mine = Cluster(tuple(node.kubectl_command()), SIDECAR_IMAGE, APP_IMAGE, node, guarded=True)
        mine.kubectl("apply", "-k", str(K8S / "guard"))
        yield mine
    finally:
        node.stop()


def _given() -> Cluster:
    """What KUBECONFIG and IMAGE name."""
    image = os.environ.get("IMAGE")
    if not image:
        pytest.fail("KUBECONFIG is set, so these tests run on that cluster: set IMAGE to the sidecar's image there as well", pytrace=False)
    kubectl = shutil.which("kubectl") or str(ensure("kubectl")["kubectl"])
    guard = subprocess.run([kubectl, "get", "validatingadmissionpolicy", "leader-sidecar-guard-lease"], capture_output=True, check=False)
    return Cluster((kubectl,), image, os.environ.get("APP_IMAGE", _FOREIGN_APP_IMAGE), None, guarded=guard.returncode == 0)


@pytest.fixture
def node(cluster: Cluster) -> Node:
    """The node itself, for what no API can do to one: skipped on a cluster that was given."""
    if cluster.node is None:
        pytest.skip("this test kills or stops what runs on the node: only on the node that the tests make, with KUBECONFIG unset")
    return cluster.node


@pytest.fixture
def workload(cluster: Cluster) -> Iterator[Workload]:
    """A namespace of its own for one application with its sidecars; its ledger is checked and the namespace deleted at the end."""
    mine = Workload(cluster)
    try:
        yield mine
        mine.ledger.check()
    finally:
        mine.end()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that fails shows what its Pods have said."""
    report = yield
    mine = getattr(item, "funcargs", {}).get("workload")
    if report.failed and report.when == "call" and isinstance(mine, Workload):
        report.sections.append((f"namespace {mine.namespace}", mine.story()))
    return report
