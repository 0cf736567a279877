"""The steps of a schedule, carried out: what befalls the Pods, their links and the Lease."""

from dataclasses import replace

from sidecar.clock import NS_PER_SECOND, ns
from sidecar.election.record import PLACEHOLDER
from tests.simulation.admission import webhook
from tests.simulation.app_faults import AppFaults
from tests.simulation.judge import Judge
from tests.simulation.late_releases import LateReleases
from tests.simulation.loop import Agenda
from tests.simulation.network import Weather
from tests.simulation.network_faults import NetworkFaults
from tests.simulation.pod import Pod
from tests.simulation.pod_faults import PodFaults
from tests.simulation.schedule import Schedule, Step
from tests.simulation.server import Server
from tests.simulation.steps import rolled
from tests.simulation.stopped_alone import StoppedAlone


class Faults(AppFaults, NetworkFaults, StoppedAlone, PodFaults, LateReleases):
    """Carries out one step after the other; one that does not fit the moment does nothing."""

    def __init__(self, schedule: Schedule, agenda: Agenda, judge: Judge, server: Server, pods: list[Pod]) -> None:
        self.schedule, self.agenda, self.judge, self.server, self.pods = schedule, agenda, judge, server, pods

    def end(self) -> None:
        """No more faults: every link is clear, and every Pod has a process."""
        self.server.admit = None
        if self.server.fragile:
            self.judge.outside(self.server.record)
            self.server.fragile_since = None
        for index, pod in enumerate(self.pods):
            pod.link.weather = Weather()
            pod.is_sick = self.schedule.sick_at_last and pod.plan.health
            if pod.kubelet is not None:
                pod.kubelet.silent_until_ns = pod.kubelet.slow_ns = 0
            if pod.plan.identity and index:  # of duplicate identities the first one remains
                pod.replace(replace(pod.plan, identity=""))
            self.agenda.at(self.agenda.now_ns, None, self.start, pod)

    # ---- steps --------------------------------------------------------------------------------------------------------------------

    def perform(self, step: Step) -> None:
        """One step of the schedule."""
        pod = self.pods[step.who % len(self.pods)]
        done = getattr(self, "_do_" + step.name.replace(" ", "_"))(pod, step.number)
        if done is not False:
            self.judge.counts[f"step: {step.name}"] += 1
            self.judge.say(pod.name, f"* {step.name}{f' ({done})' if isinstance(done, str) else ''}")

    def _lease_ns(self, pod: Pod, number: int) -> int:
        """A time of up to two and a half lease durations, mostly short."""
        fraction = (number % 1000 + 1) / 1000
        return ns(pod.plan.lease_duration_seconds * 2.5 * fraction**3)

    def _do_stop(self, pod: Pod, number: int) -> object:
        if pod.life is None:
            return False
        length_ns = self._lease_ns(pod, number)
        pod.life.freeze(self.agenda.now_ns + length_ns)
        self._ask_meanwhile(pod, number, length_ns)
        return f"SIGSTOP for {length_ns / 1e9:.3f} s"

    def _do_hang(self, pod: Pod, number: int) -> object:
        """The loop is stuck for a moment: a short stop."""
        if pod.life is None:
            return False
        pod.life.freeze(self.agenda.now_ns + number % (3 * NS_PER_SECOND))
        self._ask_meanwhile(pod, number, number % (3 * NS_PER_SECOND))
        return None

    def _ask_meanwhile(self, pod: Pod, number: int, length_ns: int) -> None:
        """A request waits in the stopped process's socket, perhaps from before anything else that it will wake to."""
        self.agenda.at(self.agenda.now_ns + length_ns * (number % 7) // 10, None, pod.ask)

    def _do_suspend(self, pod: Pod, number: int) -> object:
        if pod.life is None:
            return False
        length_ns = self._lease_ns(pod, number)
        pod.life.freeze(self.agenda.now_ns + length_ns, suspended=True)
        self._ask_meanwhile(pod, number, length_ns)
        return f"for {length_ns / 1e9:.3f} s"

    def _do_wall_clock(self, pod: Pod, number: int) -> str:
        pod.wall_step_us = (number % 7_200 - 3_600) * 1_000_000
        return f"{pod.wall_step_us // 1_000_000} s off"

    def _do_kill(self, pod: Pod, number: int) -> object:
        if pod.life is None:
            return False
        pod.kill()
        self._start_later(pod, number)
        return None

    def _do_terminate(self, pod: Pod, number: int) -> object:
        if pod.life is None:
            return False
        pod.terminate()
        if number % 5 == 0:
            self.agenda.at(self.agenda.now_ns + number % ns(pod.plan.lease_duration_seconds), None, self._kill_and_start, pod, number)
        return None

    def _kill_and_start(self, pod: Pod, number: int) -> None:
        if pod.life is not None and pod.elector is not None and pod.elector._election.leaving:
            pod.kill()
            self._start_later(pod, number)

    def _do_replace(self, pod: Pod, number: int) -> None:
        pod.replace()
        self._start_later(pod, number)

    def _do_roll(self, pod: Pod, number: int) -> object:
        if self.server.lease is None:
            return False  # who comes with shorter times and finds it missing cannot wait out a promise that it never saw: outside of S1
        if self.schedule.lease_seconds > 60 or pod.plan.lease_duration_seconds < 1.5 * pod.plan.renew_deadline_seconds:
            return False  # the clocks' rates may differ by too much for what it would be rolled to
        pod.replace(rolled(pod.plan, number))
        self._start_later(pod, number)
        return f"to {pod.plan.lease_duration_seconds}/{pod.plan.renew_deadline_seconds:g}/{pod.plan.retry_period_seconds:g}"

    def _do_retime(self, pod: Pod, number: int) -> object:
        if self.server.lease is None:
            return False  # likewise
        if self.schedule.lease_seconds > 60 or pod.plan.lease_duration_seconds < 1.5 * pod.plan.renew_deadline_seconds:
            return False
        pod.retime(rolled(pod.plan, number))
        self._start_later(pod, number)
        return f"to {pod.plan.lease_duration_seconds}/{pod.plan.renew_deadline_seconds:g}/{pod.plan.retry_period_seconds:g}"

    def _do_restart_and_terminate(self, pod: Pod, number: int) -> object:
        if pod.life is None:
            return False
        pod.kill()
        soon_ns = number % (NS_PER_SECOND // 3)
        self.agenda.at(self.agenda.now_ns + soon_ns, None, self.start, pod)
        self.agenda.at(self.agenda.now_ns + 2 * soon_ns + NS_PER_SECOND // 20, None, pod.terminate)
        return None

    def _do_reboot(self, pod: Pod, number: int) -> None:
        pod.reboot()
        self._start_later(pod, number)

    def gone(self, pod: Pod) -> None:
        """A process came to its own end after SIGTERM: another Pod takes its place, or another process where it was stopped alone."""
        if pod.stopped_alone:
            pod.kill()
        else:
            pod.replace()
        self._start_later(pod, pod.random.randrange(1 << 30))

    def _start_later(self, pod: Pod, number: int) -> None:
        self.agenda.at(self.agenda.now_ns + number % NS_PER_SECOND, None, self.start, pod)

    def start(self, pod: Pod) -> None:
        """A process of its sidecar, unless it has one."""
        if pod.life is not None:
            return
        if self.server.fragile:
            self.agenda.at(self.agenda.now_ns + NS_PER_SECOND, None, self.start, pod)
        else:
            if pod.kubelet is not None and pod.kubelet.is_over and pod.kubelet.uid == pod.owner:
                pod.replace()
            pod.start()
            self.judge.say(pod.name, f"a process starts: {pod.identity}")

    def _do_drained(self, pod: Pod, _number: int) -> object:
        if not pod.leads():
            return False
        pod.drained()
        return None

    def _do_resign(self, pod: Pod, number: int) -> object:
        """To nobody, to another Pod (by name or identity, whether it is there or not), to one that never was."""
        if not pod.leads():
            return False
        other = self.pods[number % len(self.pods)]
        to = ("", "", "Z-9", other.name, other.identity)[number % 5] if other is not pod else ""
        out_seconds = (None, None, 0.0, 0.5, 2.0)[number % 7 % 5] if number % 11 else 100.0
        if out_seconds is not None:
            out_seconds *= pod.plan.lease_duration_seconds
        pod.resign(out_seconds, to)
        return f"to {to or 'anyone'}, out for {'the default' if out_seconds is None else f'{out_seconds:g} s'}"

    def _do_campaign(self, pod: Pod, _number: int) -> object:
        election = pod.elector._election if pod.elector is not None and pod.life is not None else None
        if election is None or not election.has_resigned():
            return False
        pod.campaign()
        return None

    def _do_ask(self, pod: Pod, _number: int) -> None:
        pod.ask()

    # ---- the Lease ----------------------------------------------------------------------------------------------------------------

    def _everyone_knows(self) -> bool:
        """Whether each process has seen the present renewal: S1 promises nothing to who has not."""
        record = self.server.record
        lives = [pod for pod in self.pods if pod.elector is not None and pod.life is not None]
        known = [pod.elector._election.record for pod in lives if pod.elector is not None]
        same = all(one is not None and record is not None and one.same_renewal(record) for one in known)
        return record is not None and bool(record.holder) and record.holder != PLACEHOLDER and same and len(lives) == len(self.pods)

    def _do_touch(self, _pod: Pod, number: int) -> None:
        self.server.edit(labels={"touched": str(number)})

    def _do_delete(self, _pod: Pod, _number: int) -> object:
        if self.server.lease is None:
            return False
        if len({*(pod.plan.lease_duration_seconds for pod in self.pods), *(seconds for _, seconds in self.judge.promises.values())}) > 1:
            if not self._everyone_knows():  # who never saw a longer promise than its own cannot wait it out
                return False
            self.server.mark_fragile()
        self.server.delete()
        return None

    def _do_wipe(self, _pod: Pod, _number: int) -> object:
        if not self._everyone_knows():
            return False
        self.server.wipe()
        self.server.mark_fragile()
        return None

    def _do_empty(self, _pod: Pod, _number: int) -> object:
        if not self._everyone_knows():
            return False
        record = self.server.record
        self.server.edit(holderIdentity="")
        if record is not None and record.term is not None and record.own_term is None:  # the mark of a release, from before that program
            self.server.mark_fragile()
        return None

    def _do_duration(self, _pod: Pod, number: int) -> object:
        if not self._everyone_knows():
            return False
        seconds = (1, 2, 30, 4000, 2_147_483_647)[number % (3 if number % 7 else 5)]
        self.server.edit(leaseDurationSeconds=seconds)
        self.server.mark_fragile()
        return f"{seconds} s"

    def _do_admission(self, _pod: Pod, _number: int) -> str:
        """An admission webhook is in force from now on."""
        self.server.admit = webhook(self.schedule)
        return self.schedule.admission

    def _do_prune(self, _pod: Pod, _number: int) -> object:
        if not self._everyone_knows():
            return False
        self.server.prune()
        self.server.mark_fragile()
        return None

    def _do_junk(self, _pod: Pod, number: int) -> None:
        self.server.edit(annotations={"someone/else": "x" * (number % 50)}, strategy=("OldestEmulationVersion", 7, None)[number % 3])

    def _do_restore(self, _pod: Pod, number: int) -> str:
        self.server.restore(number % 40 + 1)
        self.judge.outside(self.server.record)
        return f"etcd goes back to version {self.server.version}"

    def _do_write_back(self, _pod: Pod, number: int) -> None:
        self.server.write_back(number % 40 + 1)
        self.judge.outside(self.server.record)
