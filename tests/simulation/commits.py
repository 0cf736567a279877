"""The rules, looked at in every step from outside: from what leaves a process, what the server carries out, and what an application reads.

Nothing here knows how the election works. What design S1 names as outside of it (a restore, a backup written back) suspends S1, S6 and S8
until every promise made before it is over.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from sidecar.clock import NS_PER_SECOND, ns
from sidecar.election.record import JSON, MAX_DURATION_SECONDS, PLACEHOLDER, Record, format_time
from sidecar.election.store import Conflict, Done, Outcome
from sidecar.runtime.rate_limiter import BURST
from tests.simulation import alterations
from tests.simulation.life import MANY, Life
from tests.simulation.loop import Agenda, Process
from tests.simulation.pod import Pod
from tests.simulation.versions import number


class ViolationError(AssertionError):
    """A rule that no schedule of events may break was broken. `rule` is its name."""

    def __init__(self, rule: str, text: str) -> None:
        super().__init__(f"{rule}: {text}")
        self.rule = rule


class Commits:
    """Looks at what leaves a process and at what etcd makes of it; raises at the first broken rule."""

    def __init__(self, agenda: Agenda, say: Callable[[str, str], None]) -> None:
        self.agenda, self.say = agenda, say
        self.counts: Counter[str] = Counter()
        self.pods: list[Pod] = []
        self.term: tuple[str, int | None] = ("", None)
        """The present term, or the last: its owner and token."""
        self.promises: dict[str, tuple[int, int]] = {}
        """By process: when its last own write was carried out, and the seconds it promised."""
        self.longest_seconds = 0
        """The longest promise that was ever made, a placeholder's included."""
        self.max_token = -1
        self.largest_token = -1
        """That ever was: until etcd's versions have passed it again, after a restore, tokens cannot grow beyond all that ever were."""
        self.resource_token = -1
        """The largest token that the protected resource has seen: it rejects smaller ones."""
        self.found: ViolationError | None = None
        self.amnesty_ns = 0
        """World's time before which S1, S6 and S8 are suspended."""
        self.calm = False
        """There are no faults but watches that are ended at once: a leader's renewals come in time (L2, schedule v)."""
        self.gone: Callable[[Pod], None] = lambda _pod: None
        """Called when a process has come to its end."""
        self.ended_pods: set[str] = set()
        """Owners, as `Pod.owner`: every process of theirs has ended for good."""

    def broken(self, rule: str, text: str) -> None:
        """Raise what was found, after a line in the timeline."""
        if self.found is None:
            self.found = ViolationError(rule, text)
            self.say("!", str(self.found))
            self.agenda.halted = True
        raise self.found

    def outside(self, record: Record | None) -> None:
        """Something has happened that S1 and S8 are outside of: suspend them until all that was promised is over."""
        self.amnesty_ns = self.agenda.now_ns + ns(2 * self.longest_seconds + 2)
        self.max_token = self.resource_token = -1
        self.term = ("", record.token if record is not None else None)
        version = number(record)
        for life in (pod.life for pod in self.pods if pod.life is not None):
            life.newest, life.newest_version = None, 0
            life.known_until_ns, life.stood_version, life.spoilt = {}, 0, set()
            life.terms = {token for token in life.terms if token < version}  # etcd that went back gives the others a second time
            life.ended_tokens = {token for token in life.ended_tokens if token < version}

    @property
    def strict(self) -> bool:
        """Whether S1, S6 and S8 are in force."""
        return self.agenda.now_ns >= self.amnesty_ns

    # ---- what leaves a process ----------------------------------------------------------------------------------------------------

    def sending(self, process: Process, body: JSON | None, kind: str) -> None:
        """S5, S7, L2, and the time that S3 counts from."""
        assert isinstance(process, Life)
        self.counts["requests"] += 1
        now_ns = process.boottime_ns()
        if kind == "pod read":
            self.counts["Pods read"] += 1
            process.told_then = set(process.told)
        if body is not None and kind == "patch":
            if not body["metadata"].get("resourceVersion"):
                self.broken("S5", f"{process.pod.name} patches unconditionally")
        elif body is not None and "spec" in body and body["spec"]["holderIdentity"] != PLACEHOLDER:
            self.broken("S7", f"{process.pod.name} creates the Lease held by {body['spec']['holderIdentity'] or 'nobody'}")
        self.counts["writes"] += body is not None
        if body is not None and "spec" in body:
            promised = process.newest.duration_seconds if process.newest is not None and process.newest.holder else None
            process.sends[body["spec"]["renewTime"]] = (now_ns, process.max_token_seen, promised or 0)
            if len(process.sends) > MANY:
                del process.sends[next(iter(process.sends))]
        if process.leading is None and not self._stepping_down(process.pod):
            self._afford(process, now_ns)

    def reads_pod(self, process: Process, name: str) -> None:
        """S6 x: the read was sent when it had been told of these renewals, and these Pods of that name had ended when it arrived."""
        assert isinstance(process, Life)
        for owner in self.ended_pods:
            if owner.rpartition(".")[0].lower() == name:
                process.read_ends_for[owner] = process.told_then

    def _stepping_down(self, pod: Pod) -> bool:
        return pod.elector is not None and (pod.elector._election.held is not None or pod.elector._election.to_release())

    def _afford(self, life: Life, now_ns: int) -> None:
        period_ns = ns(life.pod.plan.retry_period_seconds)
        life.bucket_ns = max(life.bucket_ns, now_ns) + period_ns
        life.recent.append(now_ns)
        if life.bucket_ns > now_ns + (BURST + 1) * period_ns:
            self.broken("L2", f"{life.pod.name} makes more than a request per retry period")
        if len(life.recent) == life.recent.maxlen and now_ns - life.recent[0] < NS_PER_SECOND:
            self.broken("L2", f"{life.pod.name} makes {len(life.recent)} requests within a second")

    # ---- what the server carries out ----------------------------------------------------------------------------------------------

    def committed(self, process: Process, before: Record | None, outcome: Outcome) -> None:
        """S3, S6, S8, S9 and S11, as etcd sees them."""
        assert isinstance(process, Life)
        if not isinstance(outcome, Done):
            self.counts["conflicts"] += isinstance(outcome, Conflict)
            return
        after, pod = outcome.record, process.pod
        self.longest_seconds = max(self.longest_seconds, after.duration_seconds or 0)
        self.say(pod.name, f"→ {shown(after)}")
        asked = replace(pod.link.server.asked or after, version=after.version)
        if asked != after and alterations.said(self, process, before, asked, after):
            return
        if before is not None and before.standbys != after.standbys and before.renewal == after.renewal:
            self._stood_by(process, before, after)
            return
        if before is not None and before.version == after.version:
            self.broken("S3", f"{pod.name}'s write changed nothing")
        if self.strict and before is not None and (before.renew_time_us or 0) >= (after.renew_time_us or 0):
            self.broken("S3", f"{pod.name}'s write has no later renewTime than the one that it replaces")
        if after.holder == PLACEHOLDER:
            self._stood_in(process, after)
            self.promises[PLACEHOLDER] = (self.agenda.now_ns, after.duration_seconds or 0)
        elif after.holder == "":
            self._released(process, before)
        else:
            self._led(process, before, after)
        process.last_commit = after

    def _stood_by(self, life: Life, before: Record, after: Record) -> None:
        """L2: a standby adds or removes its own name in the list, and changes nothing else."""
        self.counts["stand-bys"] += 1
        others = tuple(one for one in after.standbys if one != life.me.identity)
        if replace(after, version=before.version, standbys=before.standbys) != before:
            self.broken("S5", f"{life.pod.name} stands by, and writes more than that")
        # After a restore of etcd a late write may meet another Lease of the version that it is conditional on.
        if others != tuple(one for one in before.standbys if one != life.me.identity) and not self.counts["step: restore"]:
            self.broken("L2", f"{life.pod.name} makes {before.standbys} stand by as {after.standbys}")

    def _stood_in(self, life: Life, after: Record) -> None:
        """S7: with the longest duration and the largest token that its maker has seen."""
        self.counts["placeholders"] += 1
        _, seen, promised = life.sends.get(format_time(after.renew_time_us) or "", (0, -1, 0))
        if (after.token if after.token is not None else -1) < seen:
            self.broken("S7", f"{life.pod.name}'s placeholder has the token {after.token}, and it had seen {seen}")
        if self.counts["step: restore"]:
            promised = 0  # no telling which of its versions was the newest
        if (after.duration_seconds or 0) < max(promised, life.me.lease_duration_seconds):
            self.broken(
                "S7", f"{life.pod.name}'s placeholder stands for {after.duration_seconds} s, and a holder had promised {promised} s"
            )

    def _released(self, life: Life, before: Record | None) -> None:
        pod = life.pod
        self.counts["releases"] += 1
        own = before is not None and life.last_commit is not None and life.last_commit.same_renewal(before)
        if self.strict and (before is None or not before.holder or not own):  # etcd that went back gives each version a second time
            self.broken("S5", f"{pod.name} releases what is not its own last write")
        if self.agenda.now_ns < pod.acts_until_ns and (self.strict or pod.acts_by is life):  # after a restore no new process can know
            self.broken("S11", f"{pod.name} releases {(pod.acts_until_ns - self.agenda.now_ns) / 1e9:.3f} s before a given deadline")
        for process in [one for one in self.promises if _owner(one) == life.owner]:
            del self.promises[process]
        self.promises.pop(PLACEHOLDER, None)

    def _led(self, life: Life, before: Record | None, after: Record) -> None:
        pod, token = life.pod, after.token
        if token is None:
            self.broken("S8", f"{pod.name} writes a term without a token")
            return
        sent_ns, seen, _ = life.sends.get(format_time(after.renew_time_us) or "", (0, -1, 0))
        if token in life.terms or (before is not None and (before.holder, before.token) == (after.holder, token)):
            self._renewed(life, before, token)
        else:
            self._acquired(life, before, token, seen)
        self.promises.pop(PLACEHOLDER, None)
        for process in [one for one in self.promises if _owner(one) == life.owner]:
            since_ns, promised = self.promises[process]
            if self.agenda.now_ns >= since_ns + ns(promised) * 1000 // pod.plan.rate:
                del self.promises[process]  # a former process's, over by the Pod's own clock, which its application goes by (S9 b)
        self.promises[life.me.process] = (self.agenda.now_ns, after.duration_seconds or 0)
        until_ns = alterations.until_ns(life, sent_ns, after)
        life.terms.add(token)
        life.landed_until_ns[token] = max(until_ns, life.landed_until_ns.get(token, 0))

    def _renewed(self, life: Life, before: Record | None, token: int) -> None:
        """S9: a term goes on through the chain of its own writes, or is resumed at its own place."""
        pod, since_ns = life.pod, self.promises.get(life.me.process, (self.agenda.now_ns, 0))[0]
        if self.calm and self.agenda.now_ns - since_ns > ns(1.5 * life.me.retry_period_seconds) * 1000 // pod.plan.rate:
            self.broken("L2", f"{pod.name} renews {(self.agenda.now_ns - since_ns) / 1e9:.3f} s after its last renewal")
        if before is not None and before.holder == PLACEHOLDER:
            self.counts["terms claimed back from a placeholder"] += 1
        elif life.last_commit is None:
            self.counts["terms resumed by a new process"] += 1
            place = before.term.place if before is not None and before.term is not None else ""
            if place != life.me.place:
                self.broken("S9", f"{pod.name} resumes a term of another place")
        elif self.strict and (before is None or not life.last_commit.same_renewal(before)):
            self.broken("S9", f"{pod.name} renews what is not its own last write")
        if not self.strict:
            self.term = (life.owner, token)
        elif token != self.term[1]:
            self.broken("S9", f"{pod.name} renews the term {token}, which is over: {self.term}")

    def _acquired(self, life: Life, before: Record | None, token: int, seen: int) -> None:
        """S6: every promise of others is over; S8: the token is larger than any before (after a restore: that it had seen)."""
        name, now_ns = life.pod.name, self.agenda.now_ns
        self.counts["terms"] += 1
        own_ns, own_seconds = self.promises.get(life.me.process, (0, 0))
        former = now_ns < own_ns + ns(alterations.valid_seconds(life, own_seconds)) * 1000 // life.pod.plan.rate
        for process, (since_ns, promised) in self.promises.items():
            if process == PLACEHOLDER and former:
                continue  # S7: it stands in for this very candidate, which has said false inside its own deadline
            over_ns = since_ns + ns(min(promised, MAX_DURATION_SECONDS)) * 1000 // life.pod.plan.rate
            if _owner(process) != life.owner and self.strict and now_ns < over_ns and not self._proved(life, process, before):
                self.broken(
                    "S6", f"{name} takes the Lease {(over_ns - now_ns) / 1e9:.3f} s before the promise of {process} ({promised} s) is over"
                )
        self.promises.clear()  # who takes the Lease has waited them out, for everyone
        grows = self.strict and before is not None and self._grows(before)
        self.largest_token = max(self.largest_token, token)
        if self.strict and token <= seen:
            self.broken("S8", f"{name} takes the token {token} and has seen {seen}")
        if grows and token <= self.max_token:
            self.broken("S8", f"{name} takes the token {token} after {self.max_token}")
        if self.term[0] not in ("", life.owner):
            self.counts["takeovers"] += 1
        self.term, self.max_token = (life.owner, token), token
        self.resource_token = self.resource_token if grows else -1

    def _grows(self, before: Record) -> bool:
        """Whether a token can be larger than all that ever were: by the version, or, where that has no order, while no count was lost."""
        if before.version_number is not None:
            return before.version_number > self.largest_token
        return not any(self.counts[f"step: {name}"] for name in ("delete", "wipe", "prune", "restore", "write back"))

    def _proved(self, life: Life, process: str, before: Record | None) -> bool:
        """S6 x: nobody is left whom it was promised to, and who takes the Lease has read that since it was told of that renewal."""
        if not life.pod.plan.early or _owner(process) not in self.ended_pods or before is None:
            return False
        if before.renewal not in life.read_ends_for.get(_owner(process), ()):
            self.broken(
                "S6", f"{life.pod.name} takes the Lease early, and has not read that Pod's end since it was told of {shown(before)}"
            )
        self.counts["early takeovers"] += 1
        return True

    def wrote_beside(self, who: str, before: Record, after: Record) -> None:
        """A program that is no sidecar has written the Lease: nobody of ours may act beside it, and its promise counts (S1, S6)."""
        self.say(who, f"→ {shown(after)}")
        if not after.holder:
            self.promises.pop(who, None)
            return
        if before.holder != who:
            self.counts["terms of a client-go program"] += 1
            for pod in self.pods:
                if pod.acts() and self.strict:
                    self.broken("S1", f"{pod.name} may act while {who} takes the Lease")
            self.promises.clear()
            self.term = (who, None)
        self.promises[who] = (self.agenda.now_ns, after.duration_seconds or 0)
        self.longest_seconds = max(self.longest_seconds, after.duration_seconds or 0)


def _owner(process: str) -> str:
    """The Pod of a process, by name and uid."""
    return process.rpartition(".")[0]


def shown(record: Record) -> str:
    released = " (released)" if record.term is not None and record.term.released else ""
    held = f"held by {record.holder or 'nobody'}{released}"
    return f"the Lease, version {record.version}: {held}, token {record.token}, {record.duration_seconds} s"
