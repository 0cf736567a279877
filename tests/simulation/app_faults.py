"""The steps of a schedule that befall applications: they fall ill and get well, as the probes of their sidecars see them."""

from tests.simulation.pod import Pod


class AppFaults:
    """One that is not probed feels nothing."""

    pods: list[Pod]

    def _do_app_is_sick(self, pod: Pod, number: int) -> object:
        """Of the leader, mostly."""
        leaders = [one for one in self.pods if one.leads()]
        chosen = leaders[0] if leaders and number % 4 else pod
        if not chosen.plan.health or chosen.is_sick:
            return False
        chosen.is_sick = True
        return chosen.name

    def _do_app_is_well(self, _pod: Pod, number: int) -> object:
        sick = [one for one in self.pods if one.is_sick]
        if not sick:
            return False
        chosen = sick[number % len(sick)]
        chosen.is_sick = False
        return chosen.name

    def _do_all_apps_are_sick(self, _pod: Pod, number: int) -> object:
        """What they all depend on is gone; rarely."""
        if number % 3:
            return False
        for one in self.pods:
            one.is_sick = one.plan.health
        return None
