"""What a run is made of: who takes part, and what happens at which second."""

from dataclasses import dataclass

from tests.simulation.pod import Plan


@dataclass(frozen=True)
class Step:
    """One event of a schedule. What does not fit the moment does nothing."""

    at_seconds: float
    name: str
    who: int
    """Index of a Pod."""
    number: int
    """Whatever else the step needs."""

    def __str__(self) -> str:
        return f"{self.at_seconds:.3f} {self.name} {self.who} {self.number}"


@dataclass(frozen=True)
class Schedule:
    """A run: who takes part, and what happens."""

    seed: int
    plans: tuple[Plan, ...]
    steps: tuple[Step, ...]
    seconds: float
    client_go: bool = False
    """A client-go program contends as well."""
    early: bool = False
    """The cluster shows Pods, and some candidates take the Lease early."""
    opaque: bool = False
    """Versions of the Lease are no integers."""
    admission: str = ""
    """What an admission webhook makes of each write, by its name in `admission.KINDS`."""
    admission_begins: bool = False
    """Not from the start, but by a step."""
    late_releases: bool = False
    """Client-go programs hold the Lease at times, stand still, and release it when somebody else holds it."""
    sick_at_last: bool = False
    """Where applications are probed: all of them are sick when the faults stop, and stay so."""

    @property
    def lease_seconds(self) -> int:
        """The longest lease duration of those that take part."""
        return max(plan.lease_duration_seconds for plan in self.plans)

    @property
    def candidate_hours(self) -> float:
        """What it simulates."""
        return len(self.plans) * self.seconds / 3600
