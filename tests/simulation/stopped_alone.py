"""A kubelet stops the native sidecar alone while its application acts: an image update in place, a resize, a failed probe (S11)."""

from sidecar.clock import NS_PER_SECOND
from tests.simulation.loop import Agenda
from tests.simulation.pod import Pod


class StoppedAlone:
    """The steps."""

    agenda: Agenda

    def _do_stopped_alone(self, pod: Pod, number: int) -> object:
        """One that reads a deadline and closes its connection is outside of S11: nothing can show that it lives."""
        if pod.life is None or not pod.plan.native_sidecar or not (pod.connection and pod.connection.keeps):
            return False
        pod.terminate(alone=True)
        if number % 2:  # and then the application ends as well
            self.agenda.at(self.agenda.now_ns + number % (5 * NS_PER_SECOND), None, pod.app_ends)
        return None

    def _do_restarted_and_stopped_alone(self, pod: Pod, number: int) -> object:
        """A process that does not know what its former has given."""
        if pod.life is None or not pod.plan.native_sidecar or not (pod.connection and pod.connection.keeps):
            return False
        pod.kill()
        soon_ns = number % (NS_PER_SECOND // 3)
        self.agenda.at(self.agenda.now_ns + soon_ns, None, self.start, pod)
        self.agenda.at(self.agenda.now_ns + 2 * soon_ns, None, self._do_stopped_alone, pod, number // 7)
        return None

    def start(self, pod: Pod) -> None:
        """A process of its sidecar, unless it has one."""
        raise NotImplementedError(pod.name)
