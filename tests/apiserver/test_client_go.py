"""A program with client-go's election contends for the same Lease: leadership moves both ways and is never double."""

import signal

from tests.apiserver.conftest import SHORT, Field
from tests.apiserver.go_candidate import ROLE, GoCandidate
from tests.apiserver.sidecar_process import Witness, boottime_ns, until


def test_leadership_moves_between_a_sidecar_and_client_go_and_is_never_double(ground: Field) -> None:
    """Both ways by release, both ways by a kill; the sidecar names the Go holder, without a token."""
    sidecar = ground.sidecar("web-0", LEADER_APP_ENDS_FIRST="true", times=SHORT).start().serving()
    until(sidecar.leads, within_seconds=5)
    user, token = ground.server.user()
    ground.server.bind(ground.namespace, user, ROLE)
    kubeconfig = ground.server.kubeconfig(token, ground.folder / "go.kubeconfig", namespace=ground.namespace)
    go = GoCandidate(
        "go-1", kubeconfig, ground.namespace, ground.folder, lease_duration_seconds=3, renew_deadline_seconds=2, retry_period_seconds=0.5
    )
    tokens = [sidecar.leader()["fencing_token"]]
    go_terms: list[tuple[int, int]] = []
    with Witness([sidecar]) as witness, go:
        for how in (signal.SIGTERM, signal.SIGKILL):
            until(sidecar.leads, within_seconds=5)
            witness.ended(sidecar, sidecar.leader()["fencing_token"])
            sidecar.signal(how)
            sidecar.wait(5)
            until(lambda: len(_began(go)) > len(go_terms), within_seconds=3 + 3)
            sidecar.start().serving()
            until(lambda: sidecar.leader().get("name") == "go-1", within_seconds=5)
            assert sidecar.leader()["fencing_token"] is None
            assert not sidecar.leads()
            assert go.process is not None
            go_terms.append((_began(go)[-1], boottime_ns()))
            go.process.send_signal(how)
            go.process.wait(10)
            until(sidecar.leads, within_seconds=3 + 2)
            tokens.append(sidecar.leader()["fencing_token"])
            if how is signal.SIGTERM:
                go.start()
    assert tokens == sorted(set(tokens)), "tokens grow across the Go program's terms"
    for began_ns, ended_ns in go_terms:
        for row in witness.terms():
            overlap_ns = min(row.until_ns, ended_ns) - max(row.from_ns, began_ns)
            assert overlap_ns <= 0, f"two leaders for {overlap_ns / 1e9:.3f} s: {row} and client-go from {began_ns} to {ended_ns}"


def _began(go: GoCandidate) -> list[int]:
    return [event["boottime_ns"] for event in go.events() if event["event"] == "started-leading"]
