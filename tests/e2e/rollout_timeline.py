"""Records docs/pictures/rollout-deadlock.svg: rolling updates where a Pod is ready exactly while it leads, without and with handover.

No part of `make e2e`, whose test_gates.py holds the same. As root on Linux: `python -m pytest tests/e2e/rollout_timeline.py`, then
`python -m tools.timelines`.
"""

import time
from dataclasses import dataclass
from itertools import groupby

import pytest

from tests.e2e.app import SCRIPT
from tests.e2e.cluster import JSON, Cluster, until
from tests.e2e.ledger import Line
from tests.e2e.watching import Seen, Watch, boottime
from tests.e2e.workload import NAME, Workload
from tools.timelines import keep

pytestmark = pytest.mark.timeout(600)
FIRST_MS, LAST_MS = -5_000, 60_000
_TEMPLATE = (
    "{.metadata.uid} deleted={.metadata.deletionTimestamp}"
    ' ready={.status.conditions[?(@.type=="Ready")].status} containers={.status.conditions[?(@.type=="ContainersReady")].status}'
)
_SCRIPT = SCRIPT.replace(
    "        *) led=;;",
    """        *'"state": "stepping-down"'*)
            led=; curl -s -o /dev/null --max-time 3 -X POST localhost:4040/drained;;
        *) led=;;""",
)
"""An application that says when it has stopped: else the release waits until its given deadline has passed."""
_PANELS = {
    "Readiness by leadership alone: the rollout waits for ever": ("pod-condition",),
    "With LEADER_ROLLOUT_HANDOVER=true the old leader hands over": ("pod-condition", "rollout-handover"),
}


def test_both_rolling_updates_are_recorded(cluster: Cluster) -> None:
    """A Deployment of one replica at the default strategy and the default times."""
    panels = []
    for title, components in _PANELS.items():
        workload = Workload(cluster)
        try:
            panels.append({"title": title, **_rollout(workload, components)})
        finally:
            workload.end()
    keep("rollout-deadlock", panels)


def _rollout(workload: Workload, components: tuple[str, ...]) -> JSON:
    assert "/drained" in _SCRIPT
    workload.deploy(replicas=1, components=components, script=_SCRIPT)
    with Watch(workload.cluster, workload.namespace, f"pods -l app.kubernetes.io/name={NAME}", _TEMPLATE) as watch:
        watch.first(lambda words: "ready=True" in words)
        (told,) = workload.ledger.lines("told")
        until("it has led for a while", lambda: boottime() > told.seconds - FIRST_MS / 1000 + 1)
        start = boottime()
        workload.kubectl("rollout", "restart", f"deployment/{NAME}")
        complete = None
        while boottime() < start + LAST_MS / 1000 + 1:
            if complete is None and "successfully rolled out" in workload.kubectl("rollout", "status", f"deploy/{NAME}", "--watch=false"):
                complete = boottime()
            time.sleep(0.2)
        seen = watch.seen()
    (new,) = {it.words[0] for it in seen} - {told.uid}
    lanes = [_Pod(workload, start, told.uid, seen).lane("old Pod"), _Pod(workload, start, new, seen).lane("new Pod")]
    end = "rollout complete" if complete is not None else "still not ready: the rollout waits"
    at = (complete - start) * 1000 if complete is not None else LAST_MS
    lanes[1]["events"].append({"at": round(at), "text": end})
    return {"from": FIRST_MS, "until": LAST_MS, "lanes": lanes}


@dataclass
class _Pod:
    """What the watch and the ledger have told of one Pod."""

    workload: Workload
    start: float
    uid: str
    seen: list[Seen]

    def lane(self, name: str) -> JSON:
        bars = [*self._leads(), *self._ready(), *self._absent()]
        clipped = [{**bar, "from": max(bar["from"], FIRST_MS), "until": min(bar["until"], LAST_MS)} for bar in bars]
        return {"name": name, "bars": [bar for bar in clipped if bar["from"] < bar["until"]], "ticks": [], "events": self._events()}

    def _ms(self, seconds: float) -> int:
        return round((seconds - self.start) * 1000)

    def _news(self) -> list[Seen]:
        return [it for it in self.seen if it.words[0] == self.uid]

    def _leads(self) -> list[JSON]:
        """From the first to the last line that it has written to the ledger under a token."""
        spans = []
        for token, lines in groupby(self.workload.ledger.lines("acts", uid=self.uid), lambda line: line.token):
            acts = list(lines)
            spans.append({"kind": "true", "from": self._ms(acts[0].seconds), "until": self._ms(acts[-1].seconds), "token": token})
        return spans

    def _leads_on(self, act: Line) -> bool:
        return self._ms(act.seconds) >= LAST_MS

    def _ready(self) -> list[JSON]:
        spans: list[JSON] = []
        for ready, group in groupby(self._news(), lambda it: "ready=True" in it.words):
            began = self._ms(next(group).seconds)
            if ready:
                spans.append({"kind": "ready", "from": began, "until": LAST_MS})
            elif spans:
                spans[-1]["until"] = began
        return spans

    def _absent(self) -> list[JSON]:
        """Before it was made, and after its end."""
        first, last = self._news()[0], self._news()[-1]
        spans = [{"kind": "absent", "from": FIRST_MS, "until": self._ms(first.seconds)}] if first.seconds > self.start else []
        return [*spans, {"kind": "down", "from": self._ms(last.seconds), "until": LAST_MS}] if "deleted=" not in last.words else spans

    def _events(self) -> list[JSON]:
        found: list[tuple[float, str]] = []
        if self._news()[0].seconds < self.start:
            found.append((self.start, "kubectl rollout restart"))
            found += [
                (act.seconds, "hands over") for act in self.workload.ledger.lines("acts", uid=self.uid)[-1:] if not self._leads_on(act)
            ]
            found += [(it.seconds, "the Deployment deletes it") for it in self._news() if "deleted=" not in it.words][:1]
        else:
            found += [(it.seconds, "runs, follows, is not ready") for it in self._news() if "containers=True" in it.words][:1]
            found += [(line.seconds, "leads, so it becomes ready") for line in self.workload.ledger.lines("told", uid=self.uid)]
        return [{"at": self._ms(seconds), "text": text} for seconds, text in found]
