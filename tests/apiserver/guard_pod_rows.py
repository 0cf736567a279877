"""The guard's table ends: Pods, and the RoleBindings that it goes by."""

# ruff: noqa: E501 - a row of the table is a line

from typing import Any

from sidecar.election.record import JSON
from sidecar.features.pod_fields import Condition, Label
from tests.apiserver.guard_rows import Row
from tests.apiserver.guard_stage import APPLY, JSON_PATCH, PUT, STRATEGIC, WALL_US, Stage
from tests.apiserver.kustomized import MERGE

POD = "a Pod"
ADMIN = "the administrator"
SINCE = "2026-11-23T08:00:00Z"
CONDITIONS: list[JSON] = [
    {"type": name, "status": "True", "lastTransitionTime": SINCE} for name in ("PodScheduled", "Initialized", "ContainersReady", "Ready")
]


def running(there: Stage) -> None:
    """web-1 runs, as a kubelet would report it."""
    patch = {"status": {"phase": "Running", "conditions": CONDITIONS}}
    status, found = there.server.request("PATCH", there.pods(there.second, "/status"), patch, STRATEGIC)
    assert status == 200, found


def _patch(  # noqa: PLR0913 - what a request may be
    what: str, refused: str, body: Any, kind: str = STRATEGIC, *, path: str = "", other: bool = False, method: str = "PATCH"
) -> Row:
    """A patch by web-1 of its own Pod, or of the other."""

    def ask(there: Stage) -> tuple[int, JSON]:
        found = body(there) if callable(body) else body
        return there.ask(there.second, found, kind, method=method, path=there.pods(there.first if other else there.second, path))

    return Row("held", POD, what, refused, ask)


def _own(**more: str) -> JSON:
    """The condition as the sidecar writes it."""
    (found,) = Condition("shop/web").patch(WALL_US, leads=True)["status"]["conditions"]
    return dict(found | more)


def _conditions(*conditions: JSON) -> JSON:
    return {"status": {"conditions": [*conditions]}}


def _whole(there: Stage, subresource: str = "") -> JSON:
    status, found = there.server.request("GET", there.pods(there.second, subresource))
    assert status == 200
    return found


def _put(there: Stage, **status: Any) -> JSON:
    found = _whole(there)
    return found | {"status": found["status"] | status}


STATUS = "/status"
SCHEDULED, INITIALIZED, CONTAINERS, READY = CONDITIONS

PODS = [
    _patch("the label leader-sidecar/role: leader", "", Label().patch(WALL_US, leads=True)),
    _patch("the label leader-sidecar/role: follower", "", Label().patch(WALL_US, leads=False)),
    _patch("the label leader-sidecar/role: boss", "leader or follower", {"metadata": {"labels": {"leader-sidecar/role": "boss"}}}),
    _patch("the label of another Pod", "only the Pod", Label().patch(WALL_US, leads=True), other=True),
    _patch("the condition of another Pod", "only the Pod", _conditions(_own()), other=True, path=STATUS),
    _patch("another label", "metadata", {"metadata": {"labels": {"app": "x"}}}),
    _patch("another label, by pods/status", "metadata", {"metadata": {"labels": {"app": "x"}}}, path=STATUS),
    _patch("all labels removed", "metadata", {"metadata": {"labels": None}}, MERGE),
    _patch("an annotation", "metadata", {"metadata": {"annotations": {"leader-sidecar/x": "y"}}}),
    _patch("a finalizer", "metadata", {"metadata": {"finalizers": ["example.com/held"]}}),
    _patch("an owner", "metadata", {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": "u"}]}}),
    _patch("generateName", "metadata", {"metadata": {"generateName": "x-"}}),
    _patch("another image", "spec", lambda s: {"spec": {"containers": [{"name": _whole(s)["spec"]["containers"][0]["name"], "image": "evil"}]}}),
    _patch("activeDeadlineSeconds", "spec", {"spec": {"activeDeadlineSeconds": 1}}),
    _patch("another image by server-side apply, forced", "spec", lambda s: {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-1"},
        "spec": {"containers": [{"name": _whole(s)["spec"]["containers"][0]["name"], "image": "evil"}]},
    }, APPLY),
    _patch("the condition leader-sidecar/leading", "", _conditions(_own()), path=STATUS),
    _patch("the condition leader-sidecar/leading, by a merge patch that keeps the others", "", _conditions(*CONDITIONS, _own()), MERGE, path=STATUS),
    _patch("the condition leader-sidecar/leading, by a JSON patch", "", [{"op": "add", "path": "/status/conditions/-", "value": _own()}], JSON_PATCH, path=STATUS),
    _patch("the condition leader-sidecar/leading, by a PUT", "", lambda s: _put(s, conditions=[*CONDITIONS, _own()]), PUT, method="PUT", path=STATUS),
    _patch("a condition twice in place of another", "conditions of others", _conditions(SCHEDULED, SCHEDULED, INITIALIZED, CONTAINERS), MERGE, path=STATUS),
    _patch("one condition four times", "conditions of others", _conditions(*[SCHEDULED] * 4), MERGE, path=STATUS),
    _patch("a condition twice beside the others", "conditions of others", _conditions(*CONDITIONS, READY), MERGE, path=STATUS),
    _patch("a condition left out", "conditions of others", _conditions(*CONDITIONS[:3]), MERGE, path=STATUS),
    _patch("the conditions in another order", "conditions of others", _conditions(*CONDITIONS[::-1]), MERGE, path=STATUS),
    _patch("all conditions removed", "conditions of others", {"status": {"conditions": None}}, MERGE, path=STATUS),
    _patch("all conditions removed, by a JSON patch", "conditions of others", [{"op": "remove", "path": "/status/conditions"}], JSON_PATCH, path=STATUS),
    _patch("the condition Ready, deleted", "conditions of others", _conditions({"type": "Ready", "$patch": "delete"}), path=STATUS),
    _patch("the conditions replaced", "conditions of others", _conditions({"$patch": "replace"}, SCHEDULED), path=STATUS),
    _patch("the condition Ready: False", "conditions of others", _conditions(READY | {"status": "False"}), path=STATUS),
    _patch("another condition", "conditions of others", _conditions({"type": "mine", "status": "True"}), path=STATUS),
    _patch("a condition left out, by a PUT", "conditions of others", lambda s: _put(s, conditions=CONDITIONS[:3]), PUT, method="PUT", path=STATUS),
    _patch("its condition twice", "leader-sidecar/leading once", _conditions(*CONDITIONS, _own(), _own(status="False")), MERGE, path=STATUS),
    _patch("its condition with the status `Junk`", "leader-sidecar/leading once", _conditions(_own(status="Junk")), path=STATUS),
    _patch("its condition with a reason of 65 letters", "leader-sidecar/leading once", _conditions(_own(reason="R" * 65)), path=STATUS),
    _patch("its condition with a newline in the reason", "leader-sidecar/leading once", _conditions(_own(reason="a\nb")), path=STATUS),
    _patch("its condition with a message of 513 characters", "leader-sidecar/leading once", _conditions(_own(message="m" * 513)), path=STATUS),
    _patch("the phase", "in a Pod's status", {"status": {"phase": "Failed"}}, path=STATUS),
    _patch("an address", "in a Pod's status", {"status": {"podIP": "10.0.0.9", "podIPs": [{"ip": "10.0.0.9"}]}}, path=STATUS),
    _patch("a message", "in a Pod's status", {"status": {"message": "x"}}, path=STATUS),
    _patch("container statuses", "in a Pod's status", {"status": {"containerStatuses": [
        {"name": "x", "ready": True, "restartCount": 0, "image": "i", "imageID": "i"},
    ]}}, path=STATUS),
    _patch("no status", "in a Pod's status", {"status": None}, MERGE, path=STATUS),
]  # fmt: skip


def _binding(
    what: str, refused: str, subjects: list[JSON] | None, *, kind: str = "RoleBinding", label: str | None = "true", **more: str
) -> Row:
    def ask(there: Stage) -> tuple[int, JSON]:
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
        labels = {"leader-sidecar/guard": label} if label is not None else {}
        body = {"metadata": {"name": "more", "labels": labels, "annotations": {"leader-sidecar/lease": "web"} | more}, "roleRef": reference}
        where = f"/namespaces/{there.guarded.namespace}/rolebindings" if kind == "RoleBinding" else "/clusterrolebindings"
        path = f"/apis/rbac.authorization.k8s.io/v1{where}?dryRun=All"
        return there.server.request("POST", path, body | ({"subjects": subjects} if subjects is not None else {}))

    return Row("held", ADMIN, what, refused, ask)


def _changed(what: str, refused: str, patch: JSON) -> Row:
    def ask(there: Stage) -> tuple[int, JSON]:
        path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{there.guarded.namespace}/rolebindings/web-leader-sidecar?dryRun=All"
        return there.server.request("PATCH", path, patch, MERGE)

    return Row("held", ADMIN, what, refused, ask)


def _unmarked(what: str, refused: str, patch: JSON) -> Row:
    """A patch of a RoleBinding without the label, with a Group for a subject."""

    def ask(there: Stage) -> tuple[int, JSON]:
        path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{there.guarded.namespace}/rolebindings"
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
        there.server.request("POST", path, {"metadata": {"name": "unmarked"}, "roleRef": reference, "subjects": [GROUP]})
        return there.server.request("PATCH", f"{path}/unmarked?dryRun=All", patch, MERGE)

    return Row("held", ADMIN, what, refused, ask)


ACCOUNT = {"kind": "ServiceAccount", "name": "web-leader-sidecar"}
ELSEWHERE = ACCOUNT | {"namespace": "default"}
GROUP = {"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "system:serviceaccounts:shop"}
USER = {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "system:serviceaccount:shop:web-leader-sidecar"}
LABELLED: JSON = {"metadata": {"labels": {"leader-sidecar/guard": "true"}}}

BINDINGS = [
    _binding("a labelled RoleBinding of ServiceAccounts in this and another namespace", "", [ACCOUNT, ELSEWHERE]),
    _binding("a labelled RoleBinding with no subjects", "", None),
    _binding("a labelled RoleBinding of a group", "only ServiceAccounts", [GROUP]),
    _binding("a labelled RoleBinding of a user whose name looks like a ServiceAccount", "only ServiceAccounts", [USER]),
    _binding("a labelled RoleBinding of a ServiceAccount and a group", "only ServiceAccounts", [ACCOUNT, GROUP]),
    _binding("a labelled RoleBinding with a leader-sidecar/group of 254 characters", "leader-sidecar/group", [ACCOUNT], **{"leader-sidecar/group": "x" * 254}),
    _binding("a RoleBinding of a group, without the label", "", [GROUP], label=None),
    _binding("a RoleBinding of a group, with the label `false`", "", [GROUP], label="false"),
    _binding("a ClusterRoleBinding with the label", "ClusterRoleBinding", [ELSEWHERE], kind="ClusterRoleBinding"),
    _binding("a ClusterRoleBinding without the label", "", [GROUP], kind="ClusterRoleBinding", label=None),
    _changed("adds a group to a labelled RoleBinding", "only ServiceAccounts", {"subjects": [ACCOUNT, GROUP]}),
    _changed("replaces its subjects by a user", "only ServiceAccounts", {"subjects": [USER]}),
    _changed("removes the label, and binds a group", "", {"metadata": {"labels": {"leader-sidecar/guard": None}}, "subjects": [GROUP]}),
    _unmarked("adds the label to a RoleBinding of a group", "only ServiceAccounts", LABELLED),
    _unmarked("adds the label, and binds a ServiceAccount instead of the group", "", LABELLED | {"subjects": [ACCOUNT]}),
]  # fmt: skip
