"""The Redis recipe of docs/guides/fencing.md, on a real Redis and on a real Valkey."""

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fencing import servers
from tests.fencing.page import block, loaded, weakened
from tests.fencing.scenarios import SCENARIOS, Scenario, caught

pytestmark = pytest.mark.xdist_group("fencing-redis")  # one server of each
FENCE = "{shop/web}:fence"


class Key:
    """One key, on an empty server, written by the page's script and function."""

    def __init__(self, client: Any, shown: Any) -> None:
        self.client, self._shown = client, shown
        client.flushall()

    def write(self, token: int, value: str) -> bool:
        """By the function that the page shows."""
        try:
            self._shown.fenced_set(self.client, token, {"job": value})
        except self._shown.StaleTokenError:
            return False
        return True

    def read(self) -> str:
        """The value."""
        return str(self.client.get("{shop/web}:job"))


@pytest.fixture(scope="module", params=["redis-server", "valkey-server"])
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A client of the server."""
    servers.packages()
    connect = importlib.import_module("redis").Redis
    with servers.redis(tmp_path_factory.mktemp("redis"), request.param) as port, connect(port=port, decode_responses=True) as connected:
        yield connected


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Load the page's Python with a script beside it."""
    monkeypatch.chdir(tmp_path)

    def load(script: str) -> Any:
        (tmp_path / "fenced_set.lua").write_text(script, encoding="utf-8")
        return loaded(tmp_path, "fenced_set.py")

    return load


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.__name__)
def test_the_script_refuses_the_old_leader_and_nobody_else(client: Any, shown: Callable[[str], Any], scenario: Scenario) -> None:
    scenario(Key(client, shown(block("fenced_set.lua"))))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("tonumber(ARGV[1]) < tonumber(largest)", "false"),
        (" < tonumber(largest)", " <= tonumber(largest)"),
        ("tonumber(ARGV[1]) < tonumber(largest)", "ARGV[1] < largest"),
        ("redis.call('SET', KEYS[1], ARGV[1])", ""),
        ("redis.call('SET', KEYS[1], ARGV[1])", "redis.call('SET', KEYS[1], tostring(tonumber(ARGV[1])))"),
    ],
)
def test_a_weaker_script_is_noticed(client: Any, shown: Callable[[str], Any], old: str, new: str) -> None:
    script = weakened(block("fenced_set.lua"), old, new)
    assert caught(lambda: Key(client, shown(script)))


def test_several_keys_are_written_or_refused_together(client: Any, shown: Callable[[str], Any]) -> None:
    function, names = shown(block("fenced_set.lua")), ["{shop/web}:a", "{shop/web}:b"]
    client.flushall()
    function.fenced_set(client, 9, {"a": "1", "b": "2"})
    with pytest.raises(function.StaleTokenError):
        function.fenced_set(client, 8, {"a": "late", "b": "late"})
    assert client.mget(names) == ["1", "2"]


def test_a_new_leader_uses_its_token_before_it_writes(client: Any, shown: Callable[[str], Any]) -> None:
    key = Key(client, function := shown(block("fenced_set.lua")))
    assert key.write(7, "old")
    function.fenced_set(client, 9, {})
    assert not key.write(7, "late")
    assert key.read() == "old"
    assert client.ttl(FENCE) == -1  # it never expires


@pytest.mark.parametrize("token", ["None", "nan", "1e3", "-1", "0x10", ""])
def test_what_is_no_token_writes_nothing(client: Any, shown: Callable[[str], Any], token: Any) -> None:
    """In Lua "nan" is neither smaller nor larger than any number."""
    key = Key(client, shown(block("fenced_set.lua")))
    with pytest.raises(importlib.import_module("redis").ResponseError, match="not an integer"):
        key.write(token, "late")
    assert client.dbsize() == 0
