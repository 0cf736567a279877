"""The steps of a schedule that befall what lies between the Pods and the API server."""

import random

from sidecar.clock import NS_PER_SECOND, ns
from tests.simulation.loop import Agenda
from tests.simulation.network import Weather
from tests.simulation.pod import Pod
from tests.simulation.stream import FAILING


class NetworkFaults:
    """Each gives one link, or some, another weather."""

    agenda: Agenda
    pods: list[Pod]

    def _do_weather(self, pod: Pod, number: int) -> str:
        rng = random.Random(number)
        often = (0, 0, 0, 0.02, 0.1, 0.4, 0.9)
        lease_ns = ns(pod.plan.lease_duration_seconds)
        pod.link.weather = Weather(
            lose_request=rng.choice(often),
            lose_reply=rng.choice(often),
            late=rng.choice((0, 0.3, 1)),
            late_ns=2 * lease_ns,
            slow_ns=rng.choice((0, 0, 50_000_000, NS_PER_SECOND, lease_ns // 3, 2 * lease_ns)),
            refuse=rng.choice(often),
            stale=rng.choice(often),
            watch=rng.choice(often),
            no_watch=rng.random() < 0.1,
        )
        return str(pod.link.weather)

    def _do_spell(self, pod: Pod, number: int) -> str:
        """Reads alone fail, or writes alone; for each other one of these steps the watches fail too, in one way."""
        rng = random.Random(number)
        weather = Weather(fails=rng.choice(("reads", "writes")))
        kind = rng.choice(("", rng.choice(list(FAILING))))
        for one in self.pods if number % 3 else [pod]:
            one.link.weather = weather
            one.link.fail_watches(kind)
        return str(pod.link.weather)

    def _do_clear(self, pod: Pod, number: int) -> None:
        for one in self.pods if number % 3 == 0 else [pod]:
            one.link.weather = Weather()

    def _do_cut(self, pod: Pod, number: int) -> None:
        late = 0.5 if number % 2 else 0.0
        pod.link.weather = Weather(cut=True, late=late, late_ns=2 * ns(pod.plan.lease_duration_seconds))

    def _do_join(self, pod: Pod, _number: int) -> None:
        pod.link.weather = Weather()

    def _do_clog(self, pod: Pod, number: int) -> str:
        """Swizzle: a random part is cut off one by one, and comes back in another order."""
        rng = random.Random(number)
        some = rng.sample(self.pods, rng.randint(1, len(self.pods)))
        lease_ns = ns(pod.plan.lease_duration_seconds)
        for index, one in enumerate(some):
            self.agenda.at(self.agenda.now_ns + index * rng.randrange(lease_ns // 4), None, self._do_cut, one, number)
        rng.shuffle(some)
        for index, one in enumerate(some):
            self.agenda.at(self.agenda.now_ns + lease_ns + index * rng.randrange(lease_ns // 4), None, self._do_join, one, 0)
        return ", ".join(one.name for one in some)
