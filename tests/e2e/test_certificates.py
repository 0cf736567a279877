"""The cluster's CA and the sidecar's token are replaced while it runs, and a CA that is not as RFC 5280 asks."""

import base64
import json
from collections import Counter
from collections.abc import Iterator
from typing import Final

import pytest

from tests.e2e.app import SCRIPT
from tests.e2e.cluster import until
from tests.e2e.configuration import IPV4, TRUSTED
from tests.e2e.node import Node
from tests.e2e.workload import NAME, Workload
from tests.support.authority import Authority

pytestmark = pytest.mark.timeout(500)
RIDES_OUT: Final = {"LEADER_LEASE_DURATION": "60s", "LEADER_RENEW_DEADLINE": "45s"}
"""One API server is down while it is restarted, for longer than the default times allow on a busy machine; a cluster has several."""
LOAD: Final = r"""
while :; do  # some twenty requests a second; the status of each, written by forties
    curl -s -o /dev/null -w '%{http_code}\n' --rate 20/s "localhost:4040/leader#[1-40]" >> /ledger/load; sleep 0.05
done &
"""


def test_ca_and_token_are_rotated_under_load_and_no_other_term_begins(workload: Workload, node: Node) -> None:
    """As a cluster does it: the new CA beside the old one, a certificate of the new one, then the new one alone; with the key likewise.

    At the end the API server refuses the token and its certificate is of a CA that the sidecars had at the start, and they renew.
    """
    pods = [pod["metadata"]["uid"] for pod in workload.deploy(settings=RIDES_OUT, script=LOAD + SCRIPT)]
    workload.leader()
    began, term = workload.ledger.lines("acts")[-1], workload.lease()["spec"]
    assert term["holderIdentity"].endswith(began.uid)
    first, second = node.authority, Authority()
    old = node.mounted(pods[0], "leader-token", "token")
    old_keys = _keys(node, pods)

    node.trust(first.pem + second.pem)
    until("every Pod has both CAs", lambda: _bundles(node, pods) == {first.pem + second.pem}, 120)
    away = [node.restart_apiserver(authority=second, token_keys=("second.key", "sa.key"))]
    _goes_on(workload)
    node.restart_kubelet()
    until("every Pod has a token of the new key", lambda: not _keys(node, pods) & old_keys, 120)
    assert _status(node, workload, old) == 200, "not yet refused"
    away.append(node.restart_apiserver(token_keys=("second.key",)))
    _goes_on(workload)
    assert _status(node, workload, old) == 401, "refused: the sidecars show another one"
    node.trust(second.pem)
    until("every Pod has the new CA alone", lambda: _bundles(node, pods) == {second.pem}, 120)
    _goes_on(workload)

    ended, lease = workload.ledger.lines("acts")[-1], workload.lease()["spec"]
    assert (ended.uid, ended.token) == (began.uid, began.token)
    assert len(workload.ledger.lines("told")) == 1, "the application was never told otherwise"
    same = ("holderIdentity", "leaseTransitions", "acquireTime")
    assert [lease[key] for key in same] == [term[key] for key in same]
    answers = Counter((node.folder / "ledgers" / workload.namespace / "load").read_text(encoding="utf-8").split())
    print(f"{dict(answers)} answers, no other term; the API server was away for {' and '.join(f'{seconds:.1f} s' for seconds in away)}")
    assert set(answers) == {"200"}
    assert answers["200"] > 500
    _nothing_was_restarted(workload)
    node.wait_ready()


@pytest.fixture
def lenient(workload: Workload) -> Iterator[Workload]:
    """A second application, in a namespace of its own."""
    mine = Workload(workload.cluster)
    try:
        yield mine
        mine.ledger.check()
    finally:
        mine.end()


def test_a_cluster_ca_without_key_identifiers(workload: Workload, lenient: Workload, node: Node) -> None:
    """For kubectl and the kubelet it is good enough. The sidecar says what is wrong and what to do, and with the setting it leads.

    A good certificate heals it without a restart.
    """
    good, bad = node.authority, Authority(key_identifiers=False)
    node.trust(good.pem + bad.pem)
    node.restart_apiserver(authority=bad)
    try:
        (pod,) = (pod["metadata"]["name"] for pod in workload.deploy(replicas=1))
        lenient.deploy(replicas=1, settings={"LEADER_TLS_STRICT": "false"})
        lenient.leader()
        for said in (workload.log(pod), workload.ask(pod, "/readyz?verbose")):
            assert "does not follow RFC 5280: Missing Authority Key Identifier" in said
            assert "set LEADER_TLS_STRICT=false: the sidecar then accepts it too" in said
        assert not workload.ledger.lines("acts")
    finally:
        node.restart_apiserver(authority=good)
    workload.leader()
    lenient.leader()
    _nothing_was_restarted(workload)
    node.trust(good.pem)
    node.wait_ready()


def _goes_on(workload: Workload) -> None:
    """Wait until the leader has renewed what it holds, every sidecar has heard of that, and nothing fails in any."""
    before = workload.lease()["spec"]["renewTime"]
    pods = [pod["metadata"]["name"] for pod in workload.pods()]
    until("every sidecar hears of a renewal", lambda: all(_heard(workload, pod) > before for pod in pods))
    until("nothing fails", lambda: all("[-]" not in (workload.ask(pod, "/readyz?verbose") or "[-]") for pod in pods))
    workload.leader()


def _heard(workload: Workload, pod: str) -> str:
    """The last renewal that the sidecar of that Pod has heard of, as RFC 3339 has it."""
    answer = workload.ask(pod, "/leader")
    return str(json.loads(answer)["renewed_at"]) if answer else ""


def _bundles(node: Node, pods: list[str]) -> set[str]:
    """The CA bundles that the sidecars of these Pods have now."""
    return {node.mounted(uid, "leader-token", "ca.crt") for uid in pods}


def _keys(node: Node, pods: list[str]) -> set[str]:
    """Which keys signed the tokens that the sidecars of these Pods have now (RFC 7515, kid)."""
    heads = [node.mounted(uid, "leader-token", "token").split(".", maxsplit=1)[0] for uid in pods]
    return {json.loads(base64.urlsafe_b64decode(head + "=="))["kid"] for head in heads}


def _status(node: Node, workload: Workload, token: str) -> int:
    """What the API server answers a reader of the Lease who shows that token: the HTTP status."""
    path = f"{IPV4.api_url}/apis/coordination.k8s.io/v1/namespaces/{workload.namespace}/leases/{NAME}"
    bearer = f"Authorization: Bearer {token.strip()}"
    command = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", f"{node.folder}/{TRUSTED}", "-H", bearer, path]
    return int(node.space.call(*command))


def _nothing_was_restarted(workload: Workload) -> None:
    statuses = [
        entry for pod in workload.pods() for kind in ("containerStatuses", "initContainerStatuses") for entry in pod["status"][kind]
    ]
    assert statuses
    assert not [entry for entry in statuses if entry["restartCount"]]
