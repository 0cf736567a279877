"""The shipped Role is enough and no verb in it is unused; and under the guard the token of a Pod does what its sidecar does, no more."""

import json
from typing import Any

import pytest

from tests.e2e.app import SCRIPT
from tests.e2e.cluster import until
from tests.e2e.workload import NAME, Workload

pytestmark = pytest.mark.timeout(400)
VERBS = ("get", "watch", "patch")
ROLE = "web-leader-sidecar"


def _grant(workload: Workload, *verbs: str) -> None:
    """Leave these verbs in the Role, and wait until the API server goes by it."""
    patch = json.dumps([{"op": "replace", "path": "/rules/0/verbs", "value": verbs}])
    workload.kubectl("patch", "role", ROLE, "--type=json", "-p", patch)
    account = f"system:serviceaccount:{workload.namespace}:{ROLE}"

    def may(verb: str) -> bool:
        asked = workload.cluster.attempt("-n", workload.namespace, "auth", "can-i", verb, f"leases/{NAME}", "--as", account)
        return asked.stdout.strip() == "yes"

    until(f"the Role is {verbs}", lambda: all(may(verb) == (verb in verbs) for verb in VERBS))


def _without(workload: Workload, verb: str) -> str:
    """Start two Pods whose sidecars have all rights but that one; gives the name of one of them when it has said so, and shows that."""
    workload.apply("Deployment", replicas=0, components=(), settings={}, container={}, script=SCRIPT, spec={}, pod_spec={})
    _grant(workload, *(each for each in VERBS if each != verb))
    name = str(workload.scale(2)[0]["metadata"]["name"])
    until(f"/readyz?verbose of {name} says what fails", lambda: "[-]" in workload.ask(name, "/readyz?verbose"))
    until("the log says so as well", lambda: " failed" in workload.log(name))
    print(workload.ask(name, "/readyz?verbose"))
    print(*(line for line in workload.log(name).splitlines() if " failed" in line), sep="\n")
    return name


def test_without_get_nobody_can_read_the_lease(workload: Workload) -> None:
    """The watch may show it; what asks for a read is refused, and each sidecar says so."""
    name = _without(workload, "get")
    assert "[-]read failed" in workload.ask(name, "/readyz?verbose")
    assert "read failed" in workload.log(name)
    _grant(workload, *VERBS)
    workload.leader()
    until("reads work again", lambda: "[-]read" not in workload.ask(name, "/readyz?verbose"))


def test_without_watch_it_polls_and_says_so(workload: Workload) -> None:
    """One leads all the same, and the next hears of a release a retry period later."""
    name = _without(workload, "watch")
    assert "polling" in workload.ask(name, "/readyz?verbose")
    first = workload.leader()
    mark = workload.ledger.length()
    workload.kubectl("delete", "pod", workload.name_of(first), "--wait=false")
    ended = workload.ledger.next("ended", uid=first, after=mark)
    told = workload.ledger.next("told", after=mark)
    print(f"without a watch the next was told {told.seconds - ended.seconds:.2f} s after the old one's end")
    assert told.uid != first


def test_without_patch_nobody_leads(workload: Workload) -> None:
    """No container ends over it, and with the right given back one leads, with no restart."""
    name = _without(workload, "patch")
    assert "[-]patch failed" in workload.ask(name, "/readyz?verbose")
    assert not workload.ledger.lines("acts")
    _grant(workload, *VERBS)
    workload.leader()
    pods = workload.running(2)
    assert not [entry for pod in pods for entry in pod["status"]["initContainerStatuses"] if entry["restartCount"]]


class _Intruder:
    """Who has got hold of one sidecar's token: the very one that the kubelet has mounted."""

    def __init__(self, workload: Workload, pod: str) -> None:
        self._workload, self._pod = workload, pod
        read = "print(open('/var/run/secrets/kubernetes.io/serviceaccount/token').read())"
        self._token = workload.kubectl("exec", pod, "-c", "leader", "--", "python", "-c", read).strip()
        assert self._token

    def ask(self, method: str, path: str, body: Any) -> tuple[int, str]:
        """One request; its status and what the API server says of it. `path`: below the namespace, after the group."""
        group, _, rest = path.partition(" ")
        url = f"https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT/{group}/namespaces/{self._workload.namespace}/{rest}"
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        headers = f'-H "Authorization: Bearer $0" -H "Content-Type: {kind}"'
        script = f'curl -sk --max-time 20 -w "\\n%{{http_code}}" -X {method} {headers} -d "$1" "{url}"'
        command = ("exec", self._pod, "-c", "app", "--", "sh", "-c", script, self._token, json.dumps(body))
        answer, _, status = self._workload.kubectl(*command).rpartition("\n")
        return int(status), str(json.loads(answer).get("message", ""))

    def refused(self, method: str, path: str, body: Any) -> None:
        """By the guard and not by RBAC: the Role allows it."""
        status, message = self.ask(method, path, body)
        print(f"{method} {path}: {status} {message}")
        assert (status, "leader-sidecar's guard" in message) == (403, True)


def test_under_the_guard_a_token_writes_in_its_own_pods_name_alone(workload: Workload) -> None:
    """With the Roles of `create` and `pod-label`, which alone would let it write any Lease's and any Pod's."""
    if not workload.cluster.guarded:
        pytest.skip("the cluster has no guard: kubectl apply -k k8s/guard")
    pods = workload.deploy(replicas=2, components=("create", "pod-label"))
    first = workload.leader()
    token = workload.ledger.lines("acts")[-1].token
    leader = workload.name_of(first)
    other = next(pod["metadata"]["name"] for pod in pods if pod["metadata"]["uid"] != first)
    leases, core = "apis/coordination.k8s.io/v1", "api/v1"
    intruder = _Intruder(workload, other)

    held = workload.lease()["spec"]["holderIdentity"]
    intruder.refused("PATCH", f"{leases} leases/{NAME}", {"spec": {"holderIdentity": held, "leaseDurationSeconds": 3600}})
    intruder.refused("PATCH", f"{leases} leases/{NAME}", {"spec": {"holderIdentity": ""}})
    intruder.refused("POST", f"{leases} leases", {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "another"}})
    intruder.refused("PATCH", f"{core} pods/{leader}", {"metadata": {"labels": {"leader-sidecar/role": "follower"}}})
    intruder.refused("PATCH", f"{core} pods/{other}", {"spec": {"activeDeadlineSeconds": 3600}})
    assert intruder.ask("PATCH", f"{core} pods/{other}", {"metadata": {"labels": {"leader-sidecar/role": "follower"}}})[0] == 200

    assert workload.leader() == first
    assert workload.ledger.lines("acts")[-1].token == token
