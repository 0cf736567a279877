"""The socket that keeps a second process of one identity out, and the place it is valid in (S9)."""

import errno
import os
import re
import socket
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from sidecar.runtime import identity

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="abstract sockets are Linux's")

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def me() -> str:
    """An identity that no other test has."""
    return f"web-0_{uuid.uuid4()}"


def test_a_second_one_is_told_who_it_collides_with_and_what_to_do(me: str) -> None:
    """Namespace, Lease and identity together are the name."""
    with identity.take("shop", "web", me) or pytest.fail("there is no identity lock"):
        with pytest.raises(identity.IdentityTakenError, match=rf"shop/web as {me}.*LEADER_IDENTITY"):
            identity.take("shop", "web", me)
        for other in (("shop", "web", f"{me}x"), ("shop", "api", me), ("dev", "web", me)):
            lock = identity.take(*other)
            assert lock is not None
            lock.close()


def test_it_is_free_again_when_its_process_is_gone(me: str) -> None:
    """Also by kill -9: nothing has to be cleaned up."""
    takes = f"from sidecar.runtime import identity; held = identity.take('shop', 'web', {me!r})"
    code = f"import sys; {takes}; print('ok', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(ROOT)}
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"ok\n"
        with pytest.raises(identity.IdentityTakenError):
            identity.take("shop", "web", me)
        other.kill()
        other.wait(10)
    lock = identity.take("shop", "web", me)
    assert lock is not None
    lock.close()


@pytest.mark.parametrize("name", ["x" * 512, "ü" * 512, "a/b", "\udcff"])
def test_any_identity_fits(name: str) -> None:
    """A socket's name has 107 bytes, an identity has more."""
    lock = identity.take("n" * 63, "l" * 253, name + uuid.uuid4().hex)
    assert lock is not None
    lock.close()


def test_no_child_inherits_it(me: str) -> None:
    """A kubeconfig's exec plugin must not hold the identity after our end."""
    lock = identity.take("shop", "web", me)
    assert lock is not None
    assert not lock.get_inheritable()
    lock.close()


def test_where_it_cannot_be_taken_nobody_is_accused(me: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile that forbids it is another fault than a second process."""

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(socket, "socket", refuse)
    with pytest.raises(identity.IdentityLockError, match=r"Operation not permitted.*seccomp") as refused:
        identity.take("shop", "web", me)
    assert not isinstance(refused.value, identity.IdentityTakenError)


def test_the_place_is_the_boot_and_the_network_namespace() -> None:
    """The reach of abstract sockets: constant while both are."""
    assert re.fullmatch(r"[0-9a-f-]{36}/\d+", identity.place())
    assert identity.place() == identity.place()


def test_without_either_there_is_no_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And so nothing is resumed there."""
    monkeypatch.setattr(identity, "_BOOT_ID", tmp_path / "none")
    assert identity.place() == ""


def test_each_process_has_an_instance_of_its_own() -> None:
    """Short, and random."""
    assert identity.process() != identity.process()
    assert re.fullmatch("[0-9a-f]{16}", identity.process())
