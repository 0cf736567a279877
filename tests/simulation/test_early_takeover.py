"""Schedule x on the simulator: the holder's Pod ends, or only looks as if it had. Every rule is looked at, S1 and S6 among them."""

from collections.abc import Callable

from sidecar.clock import ns
from sidecar.runtime.health_lines import HealthLine
from tests.simulation.kubelet import LAG_NS, Kubelet
from tests.simulation.network import Weather
from tests.simulation.pod import Plan, Pod
from tests.simulation.schedule import Schedule
from tests.simulation.simulation import Simulation
from tests.simulation.test_directed import Directed, cut


class WithPods(Directed):
    """Candidates that take the Lease early, native sidecars all of them."""

    def __init__(self, seed: int = 0, names: str = "AB") -> None:
        plans = tuple(Plan(name, early=True) for name in names)
        super().__init__(*plans, seed=seed, calm=False)
        Simulation.__init__(self, Schedule(seed, plans, (), 60, early=True), tell=True)
        self.then(4, self._look)
        for pod in self.pods:
            assert pod.kubelet is not None
            pod.kubelet.native = True

    def at_leader(self, seconds: float, act: Callable[[Pod, Kubelet], object]) -> None:
        """Something happens to the Pod that led from the start."""

        def happen() -> None:
            assert self.leader.kubelet is not None
            act(self.leader, self.leader.kubelet)

        self.then(seconds, happen)

    def at_leader_all(self, seconds: float, *acts: Callable[[Pod, Kubelet], object]) -> None:
        """Several things at one moment, in this order."""
        for act in acts:
            self.at_leader(seconds, act)

    def waits_for_the_lease(self) -> None:
        """Nobody leads before the promise of the last renewal, at about second 5, is over; then the other does."""
        self.expect(19, lambda: None)
        self.expect(23, lambda: self.other)
        self.sound()
        assert self.judge.counts["early takeovers"] == 0


def cut_off(pod: Pod, kubelet: Kubelet) -> None:
    """The node is silent, and answers true until its deadline."""
    cut(pod)
    kubelet.silent_until_ns = 10**18


def crash(pod: Pod, kubelet: Kubelet) -> None:
    """Every container ends, which is reported, and is restarted at once, which is not."""
    pod.kill()
    pod.app_ends()
    kubelet.stopped("app", "leader")
    kubelet.slow_ns = ns(60)
    pod.start()


def test_x_a_pod_that_has_ended_is_followed_within_two_seconds_of_the_report() -> None:
    """In each phase of the renewals; a report takes up to 0.3 s."""
    for phase in range(20):
        run = WithPods(phase)
        ended_seconds = 5 + phase / 10
        run.at_leader(ended_seconds, lambda pod, _: pod.replace())
        run.expect(ended_seconds + LAG_NS / 1e9 + 2, lambda run=run: run.other)  # type: ignore[misc]
        run.sound()
        assert run.judge.counts["early takeovers"] == 1


def test_x_a_pod_that_was_seen_final_and_is_gone_has_ended() -> None:
    """Its kubelet removes the object as soon as it has reported."""
    taken = 0
    for seed in range(10):
        run = WithPods(seed)
        run.at_leader_all(5, lambda pod, _: pod.replace(), lambda _, kubelet: kubelet.remove_later())
        run.expect(23, lambda run=run: run.other)  # type: ignore[misc]
        run.sound()
        taken += run.judge.counts["early takeovers"]
    assert taken > 0


def test_x_a_pod_deleted_by_force_whose_containers_run_on_proves_nothing() -> None:
    run = WithPods()
    run.at_leader_all(5, cut_off, lambda _, kubelet: kubelet.remove())
    run.expect(13, lambda: run.leader)
    run.waits_for_the_lease()


def test_x_a_pod_that_was_seen_final_proves_nothing_of_the_next_one() -> None:
    """The first holder's Pod has ended, as everyone has read; the second one's is deleted by force, and its containers run on."""
    looked = 0
    for seed in range(6):
        run = WithPods(seed, "ABC")

        def force(run: WithPods = run) -> None:
            second = next(pod for pod in run.pods if pod.leads())
            third = next(pod for pod in run.pods if pod not in (run.leader, second))
            assert second.kubelet is not None
            assert second is not run.leader
            cut_off(second, second.kubelet)
            second.kubelet.remove()
            run.leader, run.other = second, third

        run.at_leader(5, lambda pod, _: pod.replace())
        run.then(12, force)
        run.expect(20, lambda run=run: run.leader)  # type: ignore[misc]
        run.expect(24.5, lambda: None)
        run.expect(30, lambda run=run: run.other)  # type: ignore[misc]
        run.sound()
        looked += run.judge.counts["Pods read"]
    assert looked > 0


def test_x_a_silent_node_proves_nothing() -> None:
    run = WithPods()
    run.at_leader(5, cut_off)
    run.waits_for_the_lease()


def test_x_a_pod_that_the_control_plane_collects_proves_nothing() -> None:
    """Its node is gone: the pod garbage collector marks it failed, where every container was seen terminated once, and removes it."""
    run = WithPods()

    run.at_leader(4.5, crash)
    run.at_leader_all(5.5, cut_off, lambda _, kubelet: kubelet.collect())
    run.waits_for_the_lease()


def test_x_an_app_that_has_ended_beside_a_live_native_sidecar_proves_nothing() -> None:
    """The app crash-loops, or ends first as the Pod is deleted: the sidecar stands in initContainerStatuses, and answers true."""
    run = WithPods()
    run.at_leader_all(4.5, lambda _, one: one.delete(), lambda _, one: one.sees_deletion(), lambda _, one: one.stopped("app"))
    run.at_leader(5, lambda pod, _: cut(pod))
    run.expect(13, lambda: run.leader)
    run.waits_for_the_lease()


def test_x_a_status_that_lags_behind_a_restart_proves_nothing() -> None:
    """Every container ended and was restarted; the report says the former, the Pod is marked for deletion, and its kubelet is cut off."""
    run = WithPods()

    run.at_leader(4.5, crash)
    run.at_leader_all(5.5, cut_off, lambda _, kubelet: kubelet.delete())
    run.expect(13, lambda: run.leader)
    run.waits_for_the_lease()


def test_while_renewals_come_no_pod_is_asked_for() -> None:
    run = WithPods()
    run.sound()
    assert run.judge.counts["Pods read"] == 0


def test_without_the_right_to_read_pods_the_lease_is_waited_for_and_the_status_says_so() -> None:
    run = WithPods()
    said: list[set[HealthLine]] = []
    run.at_leader(5, lambda pod, _: pod.replace())
    run.then(5, lambda: setattr(run.other.link, "weather", Weather(refuse=1)))
    run.then(12, lambda: said.append(set(run.other.runner.status.problems) if run.other.runner is not None else set()))
    run.then(13, lambda: setattr(run.other.link, "weather", Weather()))
    run.expect(24, lambda: run.other)
    run.sound()
    assert said[0] & {HealthLine.PODS_GET, HealthLine.PODS_WATCH}
