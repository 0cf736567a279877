"""A validating webhook with failurePolicy Fail is down: no write is possible, and everything says so for as long as that lasts."""

import time

from tests.apiserver.conftest import Field
from tests.apiserver.sidecar_process import Witness, the_leader, until
from tests.apiserver.webhook import Webhook

SEVEN = {"LEADER_LEASE_DURATION": "7s", "LEADER_RENEW_DEADLINE": "5s", "LEADER_RETRY_PERIOD": "500ms"}
"""A request may take 2.25 s: on a busy machine, too, the answer is the API server's, and one and the same."""
FAILS = "[-]patch failed"
DOWN_SECONDS = 20


def test_while_no_write_is_possible_it_is_said_once_and_shown_all_the_time(ground: Field) -> None:
    """That it works again is said of a write that landed, never of news from the watch; then somebody leads within the bound (L1)."""
    with Webhook(ground.server, ground.namespace, validating=True) as hook:
        sidecars = [ground.sidecar(f"web-{number}", times=SEVEN).start() for number in range(2)]
        leader = the_leader([sidecar.serving() for sidecar in sidecars], within_seconds=10)
        for sidecar in sidecars:
            sidecar.informed(leader.name)
        with Witness(sidecars, every_seconds=0.02) as witness:
            hook.down()
            begun = time.monotonic()
            looks = {sidecar.name: [False] for sidecar in sidecars}
            while time.monotonic() < begun + DOWN_SECONDS:
                for sidecar in sidecars:
                    looks[sidecar.name].append(FAILS in sidecar.ask("/readyz?verbose").body.decode())
                time.sleep(0.1)
            assert not any(sidecar.leads() for sidecar in sidecars)
            for sidecar in sidecars:
                seen = looks[sidecar.name]
                assert any(seen), f"{sidecar.name} has tried to write\n{sidecar.log}"
                hidden = seen[seen.index(True) :].count(False)
                assert not hidden, f"{sidecar.name}: not shown in {hidden} of {len(seen)} looks\n{sidecar.log}"
                assert (sidecar.log.count("patch failed"), sidecar.log.count("patch works again")) == (1, 0), sidecar.log
                assert "webhook" in sidecar.log, "the API server's own words say what it is"
                assert sidecar.ask("/livez").status == 200
                assert sidecar.ask("/readyz").status == 200
            hook.up()
            leader = the_leader(sidecars, within_seconds=7 + 1 + 1.5 * 0.5 + 2)
            until(lambda: FAILS not in leader.ask("/readyz?verbose").body.decode(), within_seconds=2)
            time.sleep(2)
        assert {sidecar.name: sidecar.log.count("patch works again") for sidecar in sidecars} == {
            sidecar.name: int(sidecar is leader) for sidecar in sidecars
        }
        witness.check()
