"""A program with client-go's election contends for the same Lease: leadership moves both ways and is never double."""

import math
import signal
import time
from collections.abc import Callable

from tests.apiserver.conftest import SHORT, Field
from tests.apiserver.go_candidate import ROLE, GoCandidate
from tests.apiserver.proxy import FaultProxy, Mode
from tests.apiserver.sidecar_process import Sidecar, Witness, at_once, boottime_ns, until

NINE = {"LEADER_LEASE_DURATION": "9s", "LEADER_RENEW_DEADLINE": "6s", "LEADER_RETRY_PERIOD": "1s"}


def test_leadership_moves_between_a_sidecar_and_client_go_and_is_never_double(ground: Field) -> None:
    """Both ways by release, both ways by a kill; the sidecar names the Go holder, without a token."""
    sidecar = ground.sidecar("web-0", LEADER_NATIVE_SIDECAR="true", times=SHORT).start().serving()
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


def test_a_lease_emptied_under_a_sidecar_is_not_free_to_whoever_last_saw_client_go(grounds: Callable[[str], Field]) -> None:
    """A late release by client-go, or a wipe, in the term of a sidecar that came later: its given deadline is waited out (S7)."""
    released, wiped = grounds("released"), grounds("wiped")
    at_once(lambda: emptied_late(released, by_client_go=True), lambda: emptied_late(wiped, by_client_go=False))


def emptied_late(ground: Field, *, by_client_go: bool) -> None:
    """go-1 is stopped, the first sidecar takes the Lease and is cut off; go-1 wakes and empties it, or somebody wipes it: the second,
    which saw none of that, hears of the emptiness first.
    """
    user, token = ground.server.user()
    ground.server.bind(ground.namespace, user, ROLE)
    proxy = FaultProxy(ground.server.port).start()
    kubeconfig = ground.server.kubeconfig(token, ground.folder / "go.kubeconfig", proxy.port, namespace=ground.namespace)
    go = GoCandidate(
        "go-1", kubeconfig, ground.namespace, ground.folder, lease_duration_seconds=4, renew_deadline_seconds=3, retry_period_seconds=0.5
    )
    with go:
        until(go.leads, within_seconds=10)
        first, second = (ground.sidecar(f"web-{number}", proxied=True, times=NINE).start() for number in range(2))
        ground.proxies.append(proxy)  # ended with theirs
        for sidecar in (first, second):
            sidecar.serving(within_seconds=60).informed("go-1")  # four start side by side
        with Witness([first, second]) as witness:
            proxy.refuse()  # it has no connection when it wakes, so its release is the first request of a new one
            time.sleep(1)  # a renewal has failed: its renew deadline ends by the clock, also while it is stopped
            assert go.process is not None
            go.process.send_signal(signal.SIGSTOP)
            ground.proxy_of(second).mode = Mode.BLACK_HOLE
            until(first.leads, within_seconds=4 + 1 + 1.5 + 3)
            ground.proxy_of(first).mode = Mode.BLACK_HOLE
            given_ns = first.leader()["valid_until_boottime_ns"]
            if by_client_go:
                proxy.accept_again()
                go.process.send_signal(signal.SIGCONT)
                until(lambda: "failed to renew lease" in go.log, within_seconds=5)  # it has not read who holds the Lease, and releases
                until(lambda: not ground.lease()["spec"].get("holderIdentity"), within_seconds=4, message="it empties the Lease")
                assert ground.lease()["spec"]["leaseDurationSeconds"] == 1
            else:
                ground.patch_lease({"spec": dict.fromkeys(ground.lease()["spec"])})
            assert first.identity in ground.lease()["metadata"]["annotations"]["leader-sidecar/term"]
            emptied_ns = boottime_ns()
            ground.proxy_of(second).heal()
            ground.proxy_of(second).reset()
            until(lambda: boottime_ns() - _observed_ago(second) * 1e9 > emptied_ns, within_seconds=5, message="it hears of that")
            assert boottime_ns() < given_ns, "too late to show anything"
            until(second.leads, within_seconds=9 + 1 + 1.5 + 3)
            led_ns = boottime_ns()
        witness.check()
        assert led_ns > given_ns, f"it leads {(given_ns - led_ns) / 1e9:.3f} s before the deadline given by the first"


def _observed_ago(sidecar: Sidecar) -> float:
    """How old its knowledge is, in seconds."""
    return float(sidecar.leader().get("observed_ago", math.inf))


def _began(go: GoCandidate) -> list[int]:
    return [event["boottime_ns"] for event in go.events() if event["event"] == "started-leading"]
