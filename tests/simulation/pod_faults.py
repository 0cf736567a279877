"""The steps of a schedule that befall Pods as a cluster sees them: early takeover must tell an end from what only looks like one."""

from sidecar.clock import NS_PER_SECOND, ns
from tests.simulation.kubelet import LAG_NS, Kubelet
from tests.simulation.loop import Agenda
from tests.simulation.network import Weather
from tests.simulation.pod import Pod


class PodFaults:
    """Each needs a Pod with an object; most befall the leader."""

    agenda: Agenda
    pods: list[Pod]

    def start(self, pod: Pod) -> None:
        """A process of its sidecar."""
        raise NotImplementedError

    def _victim(self, pod: Pod, number: int) -> tuple[Pod, Kubelet] | None:
        leaders = [one for one in self.pods if one.leads()]
        chosen = leaders[0] if leaders and number % 4 else pod
        return (chosen, chosen.kubelet) if chosen.kubelet is not None else None

    def _later(self, pod: Pod, number: int) -> int:
        return self.agenda.now_ns + number % ns(pod.plan.lease_duration_seconds)

    def _node_is_cut_off(self, pod: Pod, kubelet: Kubelet, number: int) -> None:
        """Of the leader's requests none arrives either: it answers true until its deadline."""
        lease_ns = ns(pod.plan.lease_duration_seconds)
        kubelet.silent_until_ns = self.agenda.now_ns + number % (2 * lease_ns)
        pod.link.weather = Weather(cut=True, late=0.3, late_ns=lease_ns)
        self.agenda.at(kubelet.silent_until_ns, None, self._is_back, pod)

    def _is_back(self, pod: Pod) -> None:
        pod.link.weather = Weather()

    def _end(self, pod: Pod, owner: str, number: int) -> None:
        """Every process of it ends, unless it is another Pod by now; the next of that name comes later."""
        if pod.owner == owner and pod.kubelet is not None:
            pod.replace()
            if number % 2:
                pod.kubelet.remove_later()
            # A StatefulSet's next waits until the kubelet has said that this one is final.
            self.agenda.at(self._later(pod, number * 7 // 5) + 2 * LAG_NS, None, self.start, pod)

    def _do_pod_ends(self, pod: Pod, number: int) -> object:
        if (victim := self._victim(pod, number)) is None:
            return False
        one, _ = victim
        if number % 3:
            self._end(one, one.owner, number)
        else:  # its last writes land when it has ended
            lease_ns = ns(one.plan.lease_duration_seconds)
            one.link.weather = Weather(cut=True, late=1, late_ns=lease_ns // 2)
            self.agenda.at(self.agenda.now_ns + number % (lease_ns // 3), None, self._end, one, one.owner, number)
            self.agenda.at(self.agenda.now_ns + lease_ns // 3, None, self._is_back, one)
        return one.name

    def _do_pod_is_forced(self, pod: Pod, number: int) -> object:
        """`kubectl delete --force`: the object is gone, and the kubelet ends the containers when it hears of it, or never."""
        if (victim := self._victim(pod, number)) is None:
            return False
        one, kubelet = victim
        if number % 3:
            self._node_is_cut_off(one, kubelet, number // 3)
        kubelet.remove()
        if number % 5 < 2:
            self.agenda.at(self._later(one, number), None, self._end, one, one.owner, number)
        return one.name

    def _do_pod_is_deleted(self, pod: Pod, number: int) -> object:
        """With grace: the app ends first, then the sidecar, which may not hear that it should."""
        if (victim := self._victim(pod, number)) is None:
            return False
        one, kubelet = victim
        if number % 3 == 0:
            one.link.weather = Weather(cut=True)
            self.agenda.at(self._later(one, number) + LAG_NS, None, self._is_back, one)
        kubelet.delete()
        self.agenda.at(self.agenda.now_ns + number % NS_PER_SECOND, None, self._hears_of_deletion, one, one.owner, number)
        return one.name

    def _hears_of_deletion(self, pod: Pod, owner: str, number: int) -> None:
        if pod.kubelet is None or pod.owner != owner or not pod.kubelet.sees_deletion():
            return
        pod.app_ends()
        pod.kubelet.stopped("app")
        if number % 2:
            pod.terminate()
        self.agenda.at(self._later(pod, number), None, self._end, pod, owner, number | 1)

    def _do_pod_crashes(self, pod: Pod, number: int) -> object:
        """Every container ends and is started again, and the API server hears of that much later; a deletion may come in between."""
        if (victim := self._victim(pod, number)) is None:
            return False
        one, kubelet = victim
        if one.life is None:
            return False
        one.kill()
        one.app_ends()
        kubelet.stopped("app", "leader")
        kubelet.slow_ns = 2 * ns(one.plan.lease_duration_seconds)
        self.agenda.at(self.agenda.now_ns + number % NS_PER_SECOND, None, self.start, one)
        if number % 3:
            self.agenda.at(self.agenda.now_ns + NS_PER_SECOND + number % NS_PER_SECOND, None, kubelet.delete)
            self.agenda.at(self._later(one, number), None, self._node_is_cut_off, one, kubelet, number)
        return one.name

    def _do_kubelet_is_silent(self, pod: Pod, number: int) -> object:
        if (victim := self._victim(pod, number)) is None:
            return False
        self._node_is_cut_off(*victim, number)
        if number % 3 == 0:  # and another's Pod ends, which may have held the Lease before
            other = self.pods[(self.pods.index(victim[0]) + 1 + number % (len(self.pods) - 1)) % len(self.pods)]
            self.agenda.at(self.agenda.now_ns + number % NS_PER_SECOND, None, self._end, other, other.owner, number)
        return victim[0].name

    def _do_pod_is_collected(self, pod: Pod, number: int) -> object:
        """The node is gone for the control plane, and runs on."""
        if (victim := self._victim(pod, number)) is None:
            return False
        self._node_is_cut_off(*victim, number)
        victim[1].collect()
        return victim[0].name
