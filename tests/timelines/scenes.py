"""Three scenes of real processes: a graceful handover, a crash, and a paused leader whose late write is refused."""

import signal
import tempfile
import time
from collections.abc import Callable
from math import ceil
from pathlib import Path
from typing import Final

from demo.client import now_ns
from tests.timelines.panel import JSON, LEASE, Panel
from tests.timelines.stage import TIMES, Pod, Stage

_LEASE_SECONDS: Final = TIMES["lease_duration"]


def record(name: str) -> JSON:
    """Run a scene on a stage of its own; gives the panel of its picture."""
    scene, sample_seconds = SCENES[name]
    with tempfile.TemporaryDirectory(prefix="leader-sidecar-timeline-") as folder, Stage(Path(folder), sample_seconds) as stage:
        return scene(stage)


def _graceful_handover(stage: Stage) -> JSON:
    """As a kubelet ends a Pod with a native sidecar: SIGTERM to the application, and to the sidecar when the application has ended."""
    old = _settled(stage)
    start_ns = now_ns()
    old.application.send_signal(signal.SIGTERM)
    old.application.wait(10)
    ended_ns = now_ns()
    old.sidecar.signal(signal.SIGTERM)
    new, told = stage.next_leader(start_ns, old, 5)
    wrote = new.says("wrote", told["at"])
    old.sidecar.wait(10)
    gone_ns = now_ns()
    time.sleep(0.5)
    panel = Panel(stage, start_ns)
    last = max(number for number, row in enumerate(stage.lease) if row["holder"] == old.name)
    released = next(row["at"] for row in stage.lease[last:] if not row["holder"])
    panel.bar(old, "down", gone_ns, now_ns())
    panel.event(old.name, start_ns, "SIGTERM to the application")
    panel.event(old.name, ended_ns, "application has ended, SIGTERM to the sidecar")
    panel.event(old.name, gone_ns, "sidecar has ended")
    panel.event(LEASE, released, f"released {panel.ms(released) - panel.ms(ended_ns):.0f} ms after the sidecar's SIGTERM")
    panel.event(new.name, told["at"], f"application told: leader ({panel.ms(told['at']) - panel.ms(ended_ns):.0f} ms)")
    panel.event(new.name, wrote["at"], "first write")
    return panel.json((-50, 50 * ceil(panel.ms(gone_ns) / 50) + 50))


def _crash(stage: Stage) -> JSON:
    """Both processes of the leader's Pod are killed: to the others that looks like a node that was cut off."""
    old = _settled(stage)
    start_ns = now_ns()
    old.signal(signal.SIGKILL)
    new, told = stage.next_leader(start_ns, old, _LEASE_SECONDS + 2)
    new.says("wrote", told["at"])
    time.sleep(5.5)
    panel = Panel(stage, start_ns)
    panel.bar(old, "down", start_ns, now_ns())
    last = [row["renewed"] for row in stage.lease if row["holder"] == old.name][-1]
    renewed = next(row["at"] for row in stage.lease if row["renewed"] == last)
    deadline = _deadline(old)
    panel.event(old.name, start_ns, "SIGKILL to application and sidecar")
    panel.event(old.name, deadline, f"its given deadline, after {panel.ms(deadline) / 1000:.1f} s")
    panel.event(LEASE, renewed, "last renewal")
    panel.event(LEASE, renewed + _LEASE_SECONDS * 10**9, f"{_LEASE_SECONDS} s after the last renewal")
    panel.event(new.name, told["at"], f"application told: leader, after {panel.ms(told['at']) / 1000:.1f} s")
    return panel.json((-5000, _end_after(panel.ms(told["at"]))))


def _paused_leader(stage: Stage) -> JSON:
    """Both processes are stopped between the application's look at the deadline and its write, until another leads and writes."""
    old = _settled(stage)
    old.says("checked", now_ns())
    start_ns = now_ns()
    old.signal(signal.SIGSTOP)
    new, told = stage.next_leader(start_ns, old, _LEASE_SECONDS + 2)
    new.says("wrote", told["at"])
    time.sleep(2)
    continued_ns = now_ns()
    old.signal(signal.SIGCONT)
    refused = old.says("wrote", continued_ns, accepted=False)
    old.says("told", continued_ns, leads=False)
    time.sleep(5.5)
    panel = Panel(stage, start_ns)
    panel.bar(old, "paused", start_ns, continued_ns)
    panel.event(old.name, start_ns, "reads true; SIGSTOP before its write")
    panel.event(old.name, _deadline(old), "the deadline that it read")
    panel.event(old.name, continued_ns, f"SIGCONT: late write, token {refused['token']}, refused")
    panel.event(new.name, told["at"], f"application told: leader, after {panel.ms(told['at']) / 1000:.1f} s")
    return panel.json((-5000, _end_after(panel.ms(refused["at"]))))


SCENES: Final[dict[str, tuple[Callable[[Stage], JSON], float]]] = {
    "graceful-handover": (_graceful_handover, 0.001),
    "crash": (_crash, 0.02),
    "paused-leader": (_paused_leader, 0.02),
}
"""Each with the pause between two looks at each answer, in seconds."""


def _settled(stage: Stage) -> Pod:
    """The leader, some seconds after it began, just before one of its writes."""
    old = stage.leader()
    time.sleep(5)
    old.says("wrote", now_ns())
    time.sleep(0.1)
    return old


def _end_after(ms: float) -> int:
    """The end of a window: the first whole second that is four seconds later."""
    return ceil(ms / 1000 + 4) * 1000


def _deadline(pod: Pod) -> int:
    """The last deadline that the application has read in a true answer."""
    return max(int(line["until"]) for line in pod.said if line["what"] == "checked")
