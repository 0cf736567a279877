"""The grounds on which the one suite runs: two of the local store, the simulated API server and a real one."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.apiserver.conftest import apiserver, shipped  # noqa: F401 - a fixture
from tests.apiserver.server import ApiServer
from tests.contract.grounds import ApiServerGround, FakeGround, Ground, LocalFileGround, LocalGround, Opened, closing
from tests.simulation.fake_apiserver import FakeApiServer


@pytest.fixture(scope="session")
def real(apiserver: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Opened], ApiServerGround]:  # noqa: F811 - the fixture
    """One namespace and one user for the whole suite."""
    namespace = apiserver.namespace()
    user, token = apiserver.user()
    apiserver.bind(namespace, user, shipped("base/role.yaml"))
    apiserver.bind(namespace, user, shipped("components/create/role.yaml"))
    kubeconfig = apiserver.kubeconfig(token, tmp_path_factory.mktemp("contract") / "kubeconfig", namespace=namespace)
    return lambda opened: ApiServerGround(apiserver, namespace, kubeconfig, opened)


@pytest.fixture(params=["local", "local-file", "fake", pytest.param("apiserver", marks=pytest.mark.xdist_group("apiserver"))])
async def ground(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ground]:
    """The Lease shop/web, empty."""
    async with closing() as opened:
        match request.param:
            case "local":
                ground = LocalGround(tmp_path / "lease.db", opened)
                await ground.store()
                yield ground
            case "local-file":
                yield LocalFileGround(tmp_path / "lease.db", opened)
            case "fake":
                server = FakeApiServer()
                server.put("shop", "web", {})
                async with server.serve() as url:
                    yield FakeGround(server, url, opened)
                    await opened.close()
            case _:
                real_ground = request.getfixturevalue("real")(opened)
                await real_ground.afresh()
                yield real_ground
