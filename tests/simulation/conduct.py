"""What groups, an application's health, a time out and the hold of a release must obey; looked at from outside, as the rest is."""

from sidecar.clock import ns
from sidecar.election.events import UNHEALTHY_DURATIONS
from sidecar.election.record import JSON, PLACEHOLDER, Record, format_time
from sidecar.election.store import Done, Outcome
from sidecar.election.view import State, View
from sidecar.runtime.elector import HOLD_SECONDS
from tests.simulation.commits import Commits
from tests.simulation.life import MANY, Life
from tests.simulation.loop import Process
from tests.simulation.network import Weather
from tests.simulation.pod import Pod

FOUND_SECONDS = 0.1
"""On an idle, healthy link what is due is done within this."""


class Conduct(Commits):
    """Beside what every candidate owes."""

    # ---- health -------------------------------------------------------------------------------------------------------------------

    def sighted(self, life: Life, record: Record) -> None:
        """It is told of a state of the Lease."""
        self.counts["sights of another group's Lease"] += record.group not in ("", life.me.group)
        sight = _sight(record)
        if sight not in life.sights:
            life.sights[sight] = life.boottime_ns()
            if len(life.sights) > MANY:
                del life.sights[next(iter(life.sights))]

    def sending(self, process: Process, body: JSON | None, kind: str) -> None:
        """§3: who contends while its application is not healthy is excused until that has been well."""
        super().sending(process, body, kind)
        assert isinstance(process, Life)
        spec = (body or {}).get("spec", {})
        if kind != "patch" or spec.get("holderIdentity") != process.me.identity or spec["acquireTime"] != spec["renewTime"]:
            return
        if process.me.app_has_health and not process.healthy:
            newest = process.pod.elector.situation().record if process.pod.elector is not None else None
            if newest is not None:
                process.unwell_since[spec["renewTime"]] = process.sights.get(_sight(newest), 0)
            process.excused = True

    def felt(self, life: Life, *, ok: bool) -> None:
        """§3: with an application that is not healthy nobody leads on, but for who contended that way."""
        self.counts["applications found healthy" if ok else "applications found not healthy"] += 1
        if ok or life.pod.life is not life or not life.pod.leads():
            return
        if not life.excused:
            self.broken("§3", f"{life.pod.name} leads on, and its application is not healthy")
        self.counts["terms led with an application that is not healthy"] += 1

    # ---- what the server carries out ----------------------------------------------------------------------------------------------

    def committed(self, process: Process, before: Record | None, outcome: Outcome) -> None:
        """§3: no candidate begins a term or stands by on another group's Lease; S9 b: no process resumes a term without a known place."""
        assert isinstance(process, Life)
        begins = False
        if isinstance(outcome, Done) and before is not None:
            after = outcome.record
            stands_by = before.standbys != after.standbys and before.renewal == after.renewal
            begins = not stands_by and after.holder == process.me.identity and after.token not in process.terms
            foreign = before.group not in ("", process.me.group)
            if foreign and (stands_by or begins) and self.strict:
                what = "stands by" if stands_by else "leads"
                self.broken("§3", f"{process.pod.name}, of the group {process.me.group!r}, {what} on a Lease of the group {before.group!r}")
            self._patient(process, before, after)
        resumes = begins and process.last_commit is None and before is not None and before.holder == process.me.identity
        if resumes and isinstance(outcome, Done) and before is not None and before.token == outcome.record.token and not process.me.place:
            self.broken("S9", f"{process.pod.name} resumes a term, and cannot tell its place")
        super().committed(process, before, outcome)

    def _patient(self, life: Life, before: Record, after: Record) -> None:
        """§3: with an application that is not healthy one lets the others go first, for two of its lease durations."""
        since_ns = life.unwell_since.pop(format_time(after.renew_time_us) or "", None)
        sent = life.sends.get(format_time(after.renew_time_us) or "")
        if since_ns is None or sent is None or after.holder in ("", PLACEHOLDER) or not self.strict:
            return
        self.counts["terms begun with an application that is not healthy"] += 1
        waited_ns, patience_ns = sent[0] - since_ns, ns(UNHEALTHY_DURATIONS * life.me.lease_duration_seconds)
        if waited_ns < patience_ns:
            waited = f"{waited_ns / 1e9:.3f} s after {before.holder or 'nobody'}"
            self.broken("§3", f"{life.pod.name}'s application is not healthy, and it takes the Lease {waited}")

    # ---- what is answered ---------------------------------------------------------------------------------------------------------

    def met_duplicate(self, life: Life, record: Record) -> None:
        """S9 d: out until nothing of the other has been seen for both durations."""
        seconds = max(life.me.lease_duration_seconds, record.duration_seconds or 0)
        life.duplicate_until_ns = max(life.duplicate_until_ns, life.boottime_ns() + ns(seconds))

    def moved(self, life: Life, view: View) -> None:
        """S9 d: no candidate returns from a conflict too soon; L1: no label of a Pod delays a release for long."""
        before, life.state = life.state, view.state
        if before is State.CONFLICT and view.state is State.FOLLOWING and life.boottime_ns() < life.duplicate_until_ns and self.strict:
            early_seconds = (life.duplicate_until_ns - life.boottime_ns()) / 1e9
            self.broken("S9", f"{life.pod.name} contends again {early_seconds:.3f} s before what its duplicate has promised is over")
        if view.state is State.STEPPING_DOWN and before is not view.state and life.pod.plan.held:
            self._look_at_release(life.pod, life, view.token)

    def _look_at_release(self, pod: Pod, life: Life, token: int | None) -> None:
        """Again and again, until what was to be released is not there any more."""
        election = pod.elector._election if pod.elector is not None else None
        if pod.life is not life or not life.alive or election is None or election.state is not State.STEPPING_DOWN:
            return
        due_ns = election.release_ns + ns(HOLD_SECONDS + FOUND_SECONDS)
        if election.held is None or election.held.token != token:
            return
        now_ns, world_ns = life.boottime_ns(), self.agenda.now_ns
        idle = election.flight is None and election.next_ns <= now_ns and not election.doubt and pod.link.weather == Weather()
        if idle and now_ns > due_ns and life.stopped_until_ns <= world_ns and election.to_release():
            self.broken("L1", f"{pod.name} holds its release up for more than {HOLD_SECONDS} s")
        self.counts["releases that may be held"] += now_ns > due_ns
        next_ns = max(life.world_ns(due_ns), life.stopped_until_ns, world_ns) + ns(FOUND_SECONDS)
        self.agenda.at(next_ns, None, self._look_at_release, pod, life, token)


def _sight(record: Record) -> tuple[str, int | None, int | None]:
    """A renewal, whatever becomes of its annotation."""
    return (record.holder, record.renew_time_us, record.transitions)
