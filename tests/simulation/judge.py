"""The rules, looked at in every step from outside: what a process learns, and what an application reads from it.

Nothing here knows how the election works.
"""

from sidecar.clock import ns
from sidecar.election.record import PLACEHOLDER, Record
from sidecar.election.view import State, View
from sidecar.runtime.leadership import Answer
from tests.simulation import alterations
from tests.simulation.commits import shown
from tests.simulation.conduct import FOUND_SECONDS, Conduct
from tests.simulation.life import Life
from tests.simulation.loop import Process
from tests.simulation.network import Weather
from tests.simulation.pod import Pod
from tests.simulation.versions import number


class Judge(Conduct):
    """Looks at everything; raises at the first broken rule."""

    # ---- what a process learns ----------------------------------------------------------------------------------------------------

    def delivered(self, process: Process, record: Record, *, watched: bool) -> None:  # noqa: C901 - a list of what news may mean
        """S4: once a process knows of a loss, the next answer is false, and older events end nothing; S9: a duplicate identity is seen."""
        assert isinstance(process, Life)
        version, term, me = number(record), record.term, process.me
        unordered = watched and record.version_number is None  # such news calls for a read, whatever it shows
        self.sighted(process, record)
        alterations.learned(process, record, watched=watched)
        if record.renewal not in process.told:
            process.told.append(record.renewal)
        newest = version > process.newest_version and (process.newest is None or not process.newest.same_renewal(record))
        process.misled = process.misled or (not watched and version < process.newest_version)
        process.read_version = process.read_version if watched else version
        if version > process.newest_version and not unordered:
            process.newest_version, process.newest = version, record
        if term is not None and term.token is not None:
            process.max_token_seen = max(process.max_token_seen, term.token)
        own, newest = term is not None and term.holder == me.identity, newest and not unordered
        if own and term is not None and record.holder and term.process == me.process:
            process.confirmed_version = max(process.confirmed_version, version)
            if newest and self.strict and record.holder == me.identity and self._idle(process) and self._out(process):
                self.agenda.at(self.agenda.now_ns + ns(FOUND_SECONDS), None, self._should_have_released, process, record)
        elif own and record.holder == me.identity and newest and version > process.confirmed_version > 0 and not process.misled:
            self.agenda.at(self.agenda.now_ns, None, self._meets_duplicate, process, record)
        lost = record.holder not in (me.identity, PLACEHOLDER)
        if process.leading is None or not lost:
            return
        if version > process.confirmed_version and not unordered:
            process.knows_loss = True
            if self.strict:
                self.agenda.at(self.agenda.now_ns, None, self._knows, process, process.leading, record)
        elif not watched or version > process.read_version or (process.last_commit is not None and record.is_later(process.last_commit)):
            # etcd may have gone back
            process.knows_loss = True
        elif self._idle(process) and record == process.pod.link.server.record:
            self.agenda.at(self.agenda.now_ns + ns(FOUND_SECONDS), None, self._should_have_read, process, process.leading, record)

    def _knows(self, life: Life, token: int, record: Record) -> None:
        self.counts["losses seen"] += 1
        if life.leading == token and life.pod.life is life and life.pod.leads():
            self.broken("S4", f"{life.pod.name} still answers true after it saw {shown(record)}")

    def _idle(self, life: Life) -> bool:
        """Whether nothing keeps it from asking now, and no renewal of its own will tell it soon."""
        pod, now_ns = life.pod, life.boottime_ns()
        if pod.life is not life or pod.runner is None or pod.link.weather != Weather() or life.stopped_until_ns > self.agenda.now_ns:
            return False
        election = pod.runner.situation()
        free = election.flight is None and pod.runner.rate_limiter.opens_ns() <= now_ns and election.next_ns <= now_ns
        return free and election.renew_ns > now_ns + ns(2 * FOUND_SECONDS)

    def _should_have_read(self, life: Life, token: int, record: Record) -> None:
        same = (
            record == life.pod.link.server.record and life.pod.link.weather == Weather() and not life.stopped_until_ns > self.agenda.now_ns
        )
        if same and life.leading == token and life.pod.life is life and life.pod.leads():
            self.broken("S4", f"{life.pod.name} was told of {shown(record)} and has not read again")
        self.counts["losses told with a smaller version"] += 1

    def _out(self, life: Life) -> bool:
        return life.pod.elector is not None and life.pod.elector._election.state is State.RESIGNED

    def _should_have_released(self, life: Life, record: Record) -> None:
        """Schedule C: what has landed after one has resigned is released at once, unless a deadline that was given stands in the way."""
        pod, server = life.pod, life.pod.link.server
        idle = pod.life is life and pod.link.weather == Weather() and life.alive and life.stopped_until_ns <= self.agenda.now_ns
        due_ns = life.boottime_ns() - ns(FOUND_SECONDS)
        released = pod.elector is None or pod.elector._election.release_ns > due_ns or record != server.record
        if idle and not released:
            self.broken("L1", f"{pod.name} has resigned and leaves {shown(record)} as it is")

    def _meets_duplicate(self, life: Life, record: Record) -> None:
        if life.pod.life is life and life.pod.leadership is not None and life.alive and self.strict:
            self.counts["duplicates met"] += 1
            self.met_duplicate(life, record)
            if life.pod.leadership._view.state is not State.CONFLICT:
                self.broken("S9", f"{life.pod.name} overlooks that another process writes in its name: {shown(record)}")

    # ---- what is answered ---------------------------------------------------------------------------------------------------------

    def published(self, pod: Pod, view: View) -> None:  # noqa: C901 - one look for each rule
        """S1, S3, S4, S8 and S9 on the answer from now on."""
        life = pod.life
        if life is None:
            return
        now_ns = life.boottime_ns()
        self.moved(life, view)
        if view.state is not State.LEADING or view.expires_ns is None or now_ns >= view.expires_ns:
            if (
                view.state is State.CONFLICT
                and not pod.plan.identity
                and not self.counts["step: write back"]
                and not self.counts["step: restore"]
            ):
                self.broken("S9", f"{pod.name} is in conflict, and nobody shares its identity")
            if life.leading is not None:
                self._ended_term(life, view, now_ns)
            return
        token, until_ns = view.token, view.expires_ns
        if token is None:
            self.broken("S8", f"{pod.name} leads without a token")
            return
        if until_ns > life.landed_until_ns.get(token, 0):
            self.broken("S3", f"{pod.name} answers true for longer than a write of its own that has landed allows")
        if until_ns > life.known_until_ns.get(token, until_ns) and self.strict:
            self.broken("S3", f"{pod.name} answers true for longer than its newest write allows as it stands in the Lease")
        if token in life.ended_tokens or (life.leading == token and now_ns >= life.leading_until_ns):
            self.broken("S3", f"{pod.name} leads again in the term {token}, which had ended")
        if life.leading not in (None, token):
            self.broken("S8", f"{pod.name}'s token moves from {life.leading} to {token}")
        if life.leading is None:
            self.say(pod.name, f"true, token {token}, for {(until_ns - now_ns) / 1e9:.3f} s")
            life.knows_loss = False
        life.leading, life.leading_until_ns = token, until_ns
        self._alone(pod, token)

    def _ended_term(self, life: Life, view: View, now_ns: int) -> None:
        assert life.leading is not None
        why = (
            "its deadline passed"
            if now_ns >= life.leading_until_ns
            else "a loss was seen"
            if view.state is State.FOLLOWING
            else view.state.value
        )
        self.counts[f"terms ended: {why}"] += 1
        self.say(life.pod.name, f"false: {why}")
        if why == "a loss was seen" and not life.knows_loss and self.strict:
            self.broken("S4", f"{life.pod.name} gives up its term, and nothing later than its own last write told of a loss")
        life.ended_tokens.add(life.leading)
        life.leading = None

    def answered(self, pod: Pod, answer: Answer) -> None:
        """S1 and S2, on what an application has just read."""
        self.counts["answers read"] += 1
        if answer.is_leader and pod.life is not None:
            if answer.valid_until_boottime_ns <= pod.life.boottime_ns():
                self.broken("S2", f"{pod.name} answers true past its deadline")
            self._alone(pod, answer.fencing_token or 0)

    def _alone(self, pod: Pod, token: int) -> None:
        if not self.strict:
            return
        for other in self.pods:
            if other is not pod and other.acts():
                why = (
                    "answers true"
                    if other.leads()
                    else f"acts on a deadline {(other.acts_until_ns - self.agenda.now_ns) / 1e9:.3f} s ahead"
                )
                self.broken("S1", f"{pod.name} answers true while {other.name} {why}")
        if token < self.resource_token:
            self.broken("S8", f"the resource rejects {pod.name}'s token {token}: it has seen {self.resource_token}")
        self.resource_token = token

    def ended(self, pod: Pod, life: Life) -> None:
        """S10: a process ends when it is told to and for nothing else."""
        if life.failure is not None and self.found is None:
            self.broken("S10", f"{pod.name}'s elector raised {life.failure!r}")
        self.say(pod.name, "the process has ended")
        self.gone(pod)
