"""Three sidecars on a real API server: one leads, all agree, and leadership is handed over."""

import re

from tests.apiserver.conftest import Field
from tests.apiserver.sidecar_process import the_leader

MICRO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def test_three_on_an_empty_lease_agree_on_one_leader(ground: Field) -> None:
    """One leads soon after the start, all three answer the same, and the Lease says so to kubectl and in the API server's own record."""
    sidecars = ground.three()
    leader = the_leader(sidecars, within_seconds=5)
    answers = [sidecar.informed(leader.name) for sidecar in sidecars]
    assert {(answer["name"], answer["fencing_token"], answer["holder"]) for answer in answers} == {
        (leader.name, leader.leader()["fencing_token"], leader.identity)
    }
    assert [answer["is_leader"] for answer in answers].count(True) == 1
    assert leader.identity in ground.server.kubectl("get", "lease", "web", "-n", ground.namespace)
    record = ground.lease()
    assert MICRO_TIME.fullmatch(record["spec"]["renewTime"])
    assert MICRO_TIME.fullmatch(record["spec"]["acquireTime"])
    assert record["spec"]["leaseTransitions"] == 0
    assert f'"token":{leader.leader()["fencing_token"]}' in record["metadata"]["annotations"]["leader-sidecar/term"]
