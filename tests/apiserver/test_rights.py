"""The shipped Role is enough, and each of its verbs is needed; what is missing is said, and never a crash."""

import copy
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.apiserver.conftest import SHORT, Field, shipped
from tests.apiserver.sidecar_process import the_leader, until


def role_without(verb: str) -> dict[str, Any]:
    """The shipped Role less one verb."""
    role = copy.deepcopy(shipped("base/role.yaml"))
    role["metadata"]["name"] = f"without-{verb}"
    role["rules"][0]["verbs"].remove(verb)
    return role


def test_without_watch_it_polls_and_says_so(ground: Field) -> None:
    """Polling takes the watch's place: leadership is handed over all the same, and /readyz?verbose says why it is slower."""
    role = role_without("watch")
    sidecars = [ground.sidecar(f"web-{number}", role=role, times=SHORT, LEADER_NATIVE_SIDECAR="true").start() for number in range(2)]
    leader = the_leader([sidecar.serving() for sidecar in sidecars], within_seconds=5)
    other = next(sidecar for sidecar in sidecars if sidecar is not leader)
    until(lambda: "polling" in other.ask("/readyz?verbose").body.decode(), within_seconds=5)
    assert "watch" in other.ask("/readyz?verbose").body.decode()
    assert "watch failed" in other.log
    assert "leases" in other.log
    leader.signal(signal.SIGTERM)
    until(other.leads, within_seconds=0.5 * 1.5 + 1)


def test_without_patch_it_names_what_is_missing_once_and_goes_on(ground: Field) -> None:
    """One clear line with verb and resource, no crash loop, no leader."""
    sidecar = ground.sidecar("web-0", role=role_without("patch"), times=SHORT).start().serving()
    until(lambda: "patch failed" in sidecar.log, within_seconds=5)
    time.sleep(2)
    assert sidecar.log.count("patch failed") == 1
    line = next(line for line in sidecar.log.splitlines() if "patch failed" in line)
    assert "patch" in line
    assert "leases" in line
    assert "web" in line
    assert not sidecar.exited()
    assert not sidecar.leads()
    assert "patch" in sidecar.ask("/readyz?verbose").body.decode()
    assert sidecar.ask("/livez").status == 200
    ground.grant(sidecar, shipped("base/role.yaml"))
    until(sidecar.leads, within_seconds=5, message="rights are retried, without a restart")
    assert "patch works again" in sidecar.log


def test_without_get_it_says_so(ground: Field) -> None:
    """The watch may show the Lease, but what calls for a read is refused, and that stands in /readyz?verbose."""
    sidecar = ground.sidecar("web-0", role=role_without("get"), times=SHORT).start().serving()
    until(lambda: "[-]read failed" in sidecar.ask("/readyz?verbose").body.decode(), within_seconds=5)
    assert "get" in sidecar.log


@pytest.mark.parametrize("verb", shipped("base/role.yaml")["rules"][0]["verbs"])
def test_each_verb_of_the_shipped_role_is_needed(ground: Field, verb: str) -> None:
    """Taken away, something fails and is said."""
    sidecar = ground.sidecar("web-0", role=role_without(verb), times=SHORT).start().serving()
    until(lambda: "[-]" in sidecar.ask("/readyz?verbose").body.decode() and "failed why" in sidecar.log, within_seconds=5)


def test_a_token_file_that_is_replaced_is_used_without_a_restart(ground: Field, tmp_path: Path) -> None:
    """As a projected token is: the new one is read, the old one no longer sent."""
    path = tmp_path / "token"
    sidecar = ground.sidecar("web-0", token_file=path, times=SHORT).start().serving()
    until(sidecar.leads, within_seconds=5)
    path.write_text("no-such-token", encoding="utf-8")
    until(lambda: not sidecar.leads(), within_seconds=2 + 2, message="the junk token is refused")
    user, token = ground.server.user()
    ground.server.bind(ground.namespace, user, shipped("base/role.yaml"))
    path.write_text(token, encoding="utf-8")
    until(sidecar.leads, within_seconds=6)
    assert not sidecar.exited()
