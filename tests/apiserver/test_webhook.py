"""A mutating admission webhook changes what the sidecars write: what stands there afterwards counts, and the field is named (S3)."""

import time
from collections.abc import Callable
from datetime import datetime

from tests.apiserver.conftest import SHORT, Field
from tests.apiserver.proxy import Mode
from tests.apiserver.sidecar_process import Sidecar, Witness, at_once, boottime_ns, the_leader, until
from tests.apiserver.webhook import Change, Webhook, duration, held_by, marked, nothing, rounded, unmarked

ALTERED = "the Lease does not hold what this sidecar wrote"
WHO = "find the admission webhook or policy that changes leases"
WHOLE = "the Lease again holds what this sidecar wrote"
SIX = {"LEADER_LEASE_DURATION": "6s", "LEADER_RENEW_DEADLINE": "4s", "LEADER_RETRY_PERIOD": "1s"}
DEFAULTS: dict[str, str] = {}
ROOM_SECONDS = 3.0
STARTS_SECONDS = 60.0
"""Many start side by side."""
Grounds = Callable[[str], Field]


def altered(sidecar: Sidecar) -> list[str]:
    """The lines of `/readyz?verbose` that say so."""
    return [line for line in sidecar.ask("/readyz?verbose").body.decode().splitlines() if ALTERED in line]


def names(sidecar: Sidecar, field: str) -> bool:
    """Whether that field is named there, with what may have changed it."""
    return any(field in line and WHO in line for line in altered(sidecar))


def said(sidecar: Sidecar) -> int:
    """How often the log says so."""
    return sum(ALTERED in line and WHO in line for line in sidecar.log.splitlines())


def two(ground: Field, times: dict[str, str]) -> tuple[Sidecar, Sidecar]:
    """web-0 behind a proxy and web-1, serving; web-0 had the Lease to itself for as long as web-1 took to start."""
    first, second = ground.sidecar("web-0", proxied=True, times=times), ground.sidecar("web-1", times=times)
    first.start().serving(STARTS_SECONDS)
    second.start().serving(STARTS_SECONDS)
    return first, second


def longest_seconds(witness: Witness) -> float:
    """The longest for which one answer let its application act."""
    return max((row.until_ns - row.from_ns) / 1e9 for row in witness.acting)


def test_a_duration_made_shorter_gives_no_two_leaders(grounds: Grounds) -> None:
    """Where it leaves less than two retry periods nobody leads, steadily; where it leaves more, for that share of it alone."""
    fifteen, six, mild = grounds("fifteen"), grounds("six"), grounds("mild")
    at_once(
        lambda: too_short(fifteen, DEFAULTS, stands_seconds=3, lease_seconds=15),
        lambda: too_short(six, SIX, stands_seconds=2, lease_seconds=6),
        lambda: a_little_shorter(mild),
    )


def too_short(ground: Field, times: dict[str, str], *, stands_seconds: int, lease_seconds: int) -> None:
    """Nobody leads, also when one is cut off; it is said once, and why; when the webhook is gone somebody leads, and that is said once."""
    with Webhook(ground.server, ground.namespace, duration(stands_seconds)) as hook:
        first, second = two(ground, times)
        with Witness([first, second], every_seconds=0.02) as witness:
            until(lambda: hook.written_ns, within_seconds=10)
            time.sleep(1)
            ground.proxies[0].mode = Mode.BLACK_HOLE
            time.sleep(2 * stands_seconds + 2)  # for as long as two would lead
            assert not witness.check(), f"nobody leads, steadily:\n{first.log}\n{second.log}"
            tried = len(hook.written_ns)
            until(lambda: len(hook.written_ns) > tried, within_seconds=lease_seconds + ROOM_SECONDS, message="it is tried all the time")
            until(lambda: names(second, "spec.leaseDurationSeconds"), within_seconds=2, message=f"it is said why\n{second.log}")
            assert not witness.check()
            assert said(first) <= said(second) == 1, f"once:\n{first.log}\n{second.log}"
            hook.remove()
            the_leader([second], within_seconds=2 * lease_seconds + ROOM_SECONDS)
            until(lambda: not altered(second), within_seconds=2)
            ground.proxies[0].heal()
            ground.proxies[0].reset()
            until(lambda: first.leader().get("name") == second.name, within_seconds=10)
            until(lambda: not altered(first), within_seconds=5, message="the other one's writes stand as written")
        witness.check()
        assert (said(second), second.log.count(WHOLE)) == (1, 1), second.log
        # A follower's own writes were never seen whole: once the other one renews it has nothing to complain of, and says nothing.
        assert first.log.count(WHOLE) <= said(first) <= 1, first.log


def a_little_shorter(ground: Field) -> None:
    """5 s in place of 6 s: it leads, with 5 / (6 / 4) s at the most; cut off it has said false before the next one leads."""
    with Webhook(ground.server, ground.namespace, duration(5)):
        first, second = two(ground, SIX)
        leader = the_leader([first, second], within_seconds=10)
        with Witness([first, second], every_seconds=0.02) as witness:
            time.sleep(2.5)
            assert leader.leads()
            assert longest_seconds(witness) <= 5 / (6 / 4) + 0.001
            until(lambda: names(leader, "spec.leaseDurationSeconds"), within_seconds=5)
            if leader is first:
                ground.proxies[0].mode = Mode.BLACK_HOLE
            else:
                leader.kill()
            other = the_leader([first, second], within_seconds=5 + 1 + 1.5 + ROOM_SECONDS, other_than=leader)
            until(lambda: names(other, "spec.leaseDurationSeconds"), within_seconds=5)
            time.sleep(1)
        assert longest_seconds(witness) <= 5 / (6 / 4) + 0.001
        assert len(witness.check()) == 2
        assert (said(leader), said(other)) == (1, 1)


def test_what_else_a_webhook_changes_is_named(grounds: Grounds) -> None:
    """Longer: it leads. Another holder, time or term: nobody leads. What is somebody else's: it leads, and nothing is named."""
    term = "metadata.annotations[leader-sidecar/term]"
    parts: list[Callable[[], None]] = []
    for name, field, change in (
        ("unmarked", term, unmarked),
        ("seconds", "spec.renewTime", rounded(0)),
        ("milliseconds", "spec.renewTime", rounded(3)),
        ("holder", "spec.holderIdentity", held_by("somebody-else")),
    ):
        parts.append(_no_renewal(grounds(name), field, change))
    sixty, eight, foreign, begins = grounds("sixty"), grounds("eight"), grounds("foreign"), grounds("begins")
    at_once(*parts, lambda: much_longer(sixty), lambda: longer(eight), lambda: somebody_elses(foreign), lambda: it_begins(begins))


def _no_renewal(ground: Field, field: str, change: Change) -> Callable[[], None]:
    return lambda: no_renewal(ground, field, change)


def no_renewal(ground: Field, field: str, change: Change) -> None:
    """Nobody ever leads, and the field is named, once; when it is changed no more somebody leads, and it is named no more."""
    with Webhook(ground.server, ground.namespace, change) as hook:
        sidecar = ground.sidecar("web-0", times=SHORT).start().serving(STARTS_SECONDS)
        with Witness([sidecar], every_seconds=0.02) as witness:
            until(lambda: hook.written_ns, within_seconds=10)
            until(lambda: names(sidecar, field), within_seconds=2, message=f"{field} is named")
            until(lambda: len(hook.written_ns) > 1, within_seconds=2 * 3 + ROOM_SECONDS, message="it is tried again")
            time.sleep(0.5)
            assert not witness.acting, sidecar.log
            assert names(sidecar, field)
            assert said(sidecar) == 1, sidecar.log
            hook.change = nothing
            the_leader([sidecar], within_seconds=2 * 3 + ROOM_SECONDS)
            until(lambda: not altered(sidecar), within_seconds=2)
        assert "Traceback" not in sidecar.log


def much_longer(ground: Field) -> None:
    """60 s in place of 6 s: it leads, never for more than its renew deadline, and the field is named."""
    with Webhook(ground.server, ground.namespace, duration(60)):
        sidecar = ground.sidecar("web-0", times=SIX).start().serving(STARTS_SECONDS)
        until(sidecar.leads, within_seconds=10)
        with Witness([sidecar], every_seconds=0.02) as witness:
            until(lambda: names(sidecar, "spec.leaseDurationSeconds"), within_seconds=5)
            time.sleep(3)
            assert sidecar.leads()
        assert longest_seconds(witness) <= 4 + 0.001
        assert said(sidecar) == 1


def longer(ground: Field) -> None:
    """8 s in place of 3 s: after a crash the next one waits for what stands there, not for its own setting (S6)."""
    with Webhook(ground.server, ground.namespace, duration(8)):
        first, second = ground.sidecar("web-0", times=SHORT).start().serving(STARTS_SECONDS), ground.sidecar("web-1", times=SHORT)
        until(first.leads, within_seconds=10)
        second.start().serving(STARTS_SECONDS).informed(first.name)
        with Witness([first, second], every_seconds=0.02) as witness:
            until(lambda: names(first, "spec.leaseDurationSeconds"), within_seconds=5)
            first.kill()
            renewed = datetime.fromisoformat(ground.lease()["spec"]["renewTime"]).timestamp()
            the_leader([second], within_seconds=8 + 1 + ROOM_SECONDS)
        acquired = datetime.fromisoformat(ground.lease()["spec"]["acquireTime"]).timestamp()
        assert acquired - renewed >= 8 - 0.1, "two clocks: the record's is the wall's"
        witness.check()


def somebody_elses(ground: Field) -> None:
    """An annotation, a label and a finalizer of its own, others with each write: it leads, and nothing is named."""
    with Webhook(ground.server, ground.namespace, marked) as hook:
        sidecar = ground.sidecar("web-0", times=SHORT).start().serving(STARTS_SECONDS)
        until(sidecar.leads, within_seconds=10)
        until(lambda: len(hook.written_ns) > 5, within_seconds=10, message="it renews")
        assert sidecar.leads()
        assert ground.lease()["metadata"]["annotations"]["webhook.test/mark"]
        assert not altered(sidecar)
        assert "[-]" not in sidecar.ask("/readyz?verbose").body.decode()
        assert said(sidecar) == 0


def it_begins(ground: Field) -> None:
    """It begins while somebody leads: false at the first write that comes back so, and the Lease is its holder's until it runs out."""
    with Webhook(ground.server, ground.namespace) as hook:
        first, second = ground.sidecar("web-0", times=SIX).start().serving(STARTS_SECONDS), ground.sidecar("web-1", times=SIX)
        until(first.leads, within_seconds=10)
        second.start().serving(STARTS_SECONDS).informed(first.name)
        with Witness([first, second], every_seconds=0.02) as witness:
            time.sleep(0.5)
            before, begun_ns = len(hook.written_ns), boottime_ns()
            hook.change = duration(2)
            until(lambda: len(hook.written_ns) > before, within_seconds=4, every_seconds=0.005, message="it renews")
            changed_ns = hook.written_ns[before]
            holders = set()
            while boottime_ns() < changed_ns + 1.5e9:
                holder = ground.lease()["spec"].get("holderIdentity")
                if boottime_ns() < changed_ns + 2e9:  # from then on anybody may contend
                    holders.add(holder)
                time.sleep(0.05)
            until(lambda: not first.leads(), within_seconds=1 + ROOM_SECONDS)
            until(lambda: names(first, "spec.leaseDurationSeconds"), within_seconds=5)
            time.sleep(4)
            late = [row for row in witness.acting if row.from_ns > changed_ns + 1e9]
        assert begun_ns < changed_ns
        assert not late, f"{(late[-1].from_ns - changed_ns) / 1e9:.3f} s after the write that came back changed"
        assert holders <= {first.identity}, "it is not released"
