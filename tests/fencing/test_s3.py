"""The S3 recipe of docs/guides/fencing.md, on a real S3 server: SeaweedFS."""

import importlib
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fencing import servers
from tests.fencing.page import block, loaded, weakened
from tests.fencing.scenarios import SCENARIOS, Scenario, caught, late_write, same_term

pytestmark = pytest.mark.xdist_group("fencing-s3")  # one server

BUCKET = "bucket"
_KEYS = (f"object-{number}" for number in itertools.count())


class Object:
    """One object of its own, written by the page's function."""

    def __init__(self, client: Any, shown: Any) -> None:
        self.client, self.shown, self.key = client, shown, next(_KEYS)

    def write(self, token: int, value: str) -> bool:
        """By the function that the page shows."""
        try:
            self.shown.fenced_update(self.client, BUCKET, self.key, token, lambda _: value)
        except self.shown.StaleTokenError:
            return False
        return True

    def stored(self) -> Any:
        """The body."""
        return json.load(self.client.get_object(Bucket=BUCKET, Key=self.key)["Body"])

    def read(self) -> str:
        """The data in it."""
        return str(self.stored()["data"])


class Interrupted:
    """A client whose process is paused right before its first write."""

    def __init__(self, client: Any, meanwhile: Callable[[], object], *, answer_is_lost: bool = False) -> None:
        self._client, self._meanwhile, self._lost = client, [meanwhile], answer_is_lost
        self.exceptions, self.get_object = client.exceptions, client.get_object

    def put_object(self, **request: Any) -> Any:
        """The first time something happens meanwhile."""
        if not self._meanwhile:
            return self._client.put_object(**request)
        self._meanwhile.pop()()
        if not self._lost:
            return self._client.put_object(**request)
        self._client.put_object(**request)  # stored, and sent once more by the client library after a timeout
        return self._client.put_object(**request)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A boto3 client of the server, with a bucket."""
    servers.packages()
    with servers.s3(tmp_path_factory.mktemp("s3")) as address:
        config = importlib.import_module("botocore.config").Config(s3={"addressing_style": "path"}, max_pool_connections=10)
        made = importlib.import_module("boto3").client("s3", endpoint_url=address, config=config, **servers.KEYS)
        made.create_bucket(Bucket=BUCKET)
        yield made
        made.close()


@pytest.fixture
def fenced(client: Any, tmp_path: Path) -> Object:
    """An object that is written by the page's function."""
    return Object(client, loaded(tmp_path, "fenced_update.py"))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.__name__)
def test_the_object_refuses_the_old_leader_and_nobody_else(fenced: Object, scenario: Scenario) -> None:
    scenario(fenced)


def paused_old_leader(resource: Object, data: str) -> bool:
    """The old leader reads, then the new one stores `data` with its token, then the old one's write arrives. Whether it goes through."""
    assert resource.write(7, "same")
    paused = Interrupted(resource.client, lambda: resource.write(9, data))
    try:
        resource.shown.fenced_update(paused, BUCKET, resource.key, 7, lambda _: "late")
    except resource.shown.StaleTokenError:
        return False
    return True


@pytest.mark.parametrize("data", ["new", "same"])
def test_an_old_leader_that_is_paused_between_its_read_and_its_write_is_refused(fenced: Object, data: str) -> None:
    """Also where the new leader stores the same data: the token in the body makes another ETag."""
    assert not paused_old_leader(fenced, data)
    assert (fenced.stored()["fencing_token"], fenced.read()) == (9, data)


def test_a_new_leader_that_an_old_write_overtakes_reads_it_first(fenced: Object) -> None:
    assert fenced.write(7, "1")
    paused = Interrupted(fenced.client, lambda: fenced.write(7, "2"))
    fenced.shown.fenced_update(paused, BUCKET, fenced.key, 9, lambda data: data + " and new")
    assert (fenced.stored()["fencing_token"], fenced.read()) == (9, "2 and new")


def created_by_both(resource: Object, first: int, second: int) -> bool:
    """The second leader finds no object, then the first one creates it, then the second one's write arrives. Whether it goes through."""
    paused = Interrupted(resource.client, lambda: resource.write(first, "first"))
    try:
        resource.shown.fenced_update(paused, BUCKET, resource.key, second, lambda data: f"{data} and second")
    except resource.shown.StaleTokenError:
        return False
    return True


def test_of_two_leaders_that_create_the_object_at_once_the_old_one_is_refused(fenced: Object) -> None:
    assert not created_by_both(fenced, first=9, second=7)
    assert (fenced.stored()["fencing_token"], fenced.read()) == (9, "first")


def test_of_two_leaders_that_create_the_object_at_once_the_new_one_builds_on_the_old_ones_data(fenced: Object) -> None:
    assert created_by_both(fenced, first=7, second=9)
    assert (fenced.stored()["fencing_token"], fenced.read()) == (9, "first and second")


def lost_answer(resource: Object) -> str:
    """What stands in the object after a write that was stored, and that the client library sent again."""
    assert resource.write(7, "1")
    lost = Interrupted(resource.client, lambda: None, answer_is_lost=True)
    resource.shown.fenced_update(lost, BUCKET, resource.key, 7, lambda data: data + "+1")
    return resource.read()


def test_a_write_whose_answer_was_lost_is_not_applied_twice(fenced: Object, tmp_path: Path) -> None:
    """Without the write id it is."""
    assert lost_answer(fenced) == "1+1"
    weaker = weakened(block("fenced_update.py"), 'stored["write"] == write', "False")
    assert lost_answer(Object(fenced.client, loaded(tmp_path, "fenced_update.py", weaker))) == "1+1+1"


def test_a_new_leader_takes_the_object_over_and_changes_nothing_else(fenced: Object) -> None:
    assert fenced.write(7, "old")
    fenced.shown.fenced_update(fenced.client, BUCKET, fenced.key, 9, lambda data: data)
    assert not fenced.write(7, "late")
    assert fenced.read() == "old"


def test_a_bucket_that_is_missing_ends_in_its_error(fenced: Object) -> None:
    with pytest.raises(fenced.client.exceptions.NoSuchBucket):
        fenced.shown.fenced_update(fenced.client, "no-such-bucket", fenced.key, 7, lambda data: data)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('stored["fencing_token"] > token', "False"),
        ('stored["fencing_token"] > token', 'stored["fencing_token"] >= token'),
        (', {"IfMatch": answer["ETag"]}', ", {}"),
        (', {"IfNoneMatch": "*"}', ", {}"),
        ('"fencing_token": token, "write"', '"fencing_token": 0, "write"'),
    ],
)
def test_a_weaker_update_is_noticed(client: Any, tmp_path: Path, old: str, new: str) -> None:
    shown = loaded(tmp_path, "fenced_update.py", weakened(block("fenced_update.py"), old, new))

    def fresh() -> Object:
        return Object(client, shown)

    late = caught(fresh, [late_write, same_term])
    assert late or paused_old_leader(fresh(), "new") or created_by_both(fresh(), first=9, second=7)


METADATA = {
    'json.load(answer["Body"])': '{**answer["Metadata"], "fencing_token": int(answer["Metadata"]["token"]), '
    '"write": "", "data": answer["Body"].read().decode()}',
    "Body=json.dumps(body), ": 'Body=body["data"], Metadata={"token": str(token)}, ',
}


def test_a_token_in_the_metadata_alone_lets_a_late_write_through(client: Any, tmp_path: Path) -> None:
    """As the page warns: the ETag is the body's."""
    text = block("fenced_update.py")
    for old, new in METADATA.items():
        text = weakened(text, old, new)
    assert paused_old_leader(Object(client, loaded(tmp_path, "fenced_update.py", text)), "same")


class Careless:
    """A store that ignores conditions."""

    def __init__(self, client: Any, ignored: str) -> None:
        self._client, self._ignored = client, ignored

    def put_object(self, **request: Any) -> Any:
        """Without the condition."""
        return self._client.put_object(**{name: value for name, value in request.items() if name != self._ignored})


def test_the_check_of_the_store_tells_one_that_ignores_a_condition(client: Any, tmp_path: Path) -> None:
    check = loaded(tmp_path, "check_store.py").refuses_stale_writes
    assert check(client, BUCKET)
    assert not check(Careless(client, "IfMatch"), BUCKET)
    assert not check(Careless(client, "IfNoneMatch"), BUCKET)
