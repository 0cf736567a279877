"""What was seen on a stage, as one panel of a picture.

A panel is JSON. Moments are milliseconds after the start. Lanes hold bars (`true`, `deadline`, `held`, `paused`, `down`), ticks (`renewal`,
`write`, `refused`) and events, which have a text. `tools/timelines.py` draws it.
"""

from itertools import groupby
from typing import Any

from tests.timelines.stage import Pod, Stage

JSON = dict[str, Any]
LEASE = "Lease"


class Panel:
    """The lanes of the Lease and of each Pod. Made when all has been seen."""

    def __init__(self, stage: Stage, start_ns: int) -> None:
        self._stage, self._start_ns = stage, start_ns
        self._lanes = {LEASE: self._lease(), **{pod.name: self._pod(pod) for pod in stage.pods}}

    def ms(self, at_ns: int) -> float:
        """Milliseconds after the start."""
        return round((at_ns - self._start_ns) / 1e6, 1)

    def bar(self, pod: Pod, kind: str, from_ns: int, until_ns: int) -> None:
        """Something that lasted."""
        self._lanes[pod.name]["bars"].append({"kind": kind, "from": self.ms(from_ns), "until": self.ms(until_ns)})

    def event(self, lane: str, at_ns: int, text: str) -> None:
        """Something that is named."""
        self._lanes[lane]["events"].append({"at": self.ms(at_ns), "text": text})

    def json(self, window_ms: tuple[int, int]) -> JSON:
        """What lies in that window."""
        first, last = window_ms
        lanes = []
        for lane in self._lanes.values():
            bars = [{**bar, "from": max(bar["from"], first), "until": min(bar["until"], last)} for bar in lane["bars"]]
            kept = [bar for bar in bars if bar["from"] < bar["until"]]
            lanes.append({**lane, "bars": kept, "ticks": [tick for tick in lane["ticks"] if first <= tick["at"] <= last]})
        return {"from": first, "until": last, "lanes": lanes}

    def _lease(self) -> JSON:
        bars: list[JSON] = []
        rows = self._stage.lease
        for (holder, token), group in groupby(rows, lambda row: (row["holder"], row["token"])):
            seen = list(group)
            if bars and bars[-1]["until"] == float("inf"):
                bars[-1]["until"] = self.ms(seen[0]["at"])
            if holder:
                bars.append({"kind": "held", "from": self.ms(seen[0]["at"]), "until": float("inf"), "holder": holder, "token": token})
        writes = groupby((row for row in rows if row["holder"]), lambda row: (row["holder"], row["renewed"]))
        renewals = [{"kind": "renewal", "at": self.ms(next(same)["at"])} for _, same in writes]
        return {"name": LEASE, "bars": bars, "ticks": renewals, "events": []}

    def _pod(self, pod: Pod) -> JSON:
        """`is_leader: true` as its sidecar answered it, the deadline that its application had beyond that, and its writes."""
        bars: list[JSON] = []
        ended = [line["at"] for line in pod.said if line["what"] == "ended"]
        for (leads, token), group in groupby(pod.answers, lambda answer: (answer["leads"], answer["token"])):
            answers = list(group)
            if not leads:
                continue
            end = answers[-1]["at"]
            bars.append({"kind": "true", "from": self.ms(answers[0]["at"]), "until": self.ms(end), "token": token})
            given = [line["until"] for line in pod.said if line["what"] == "checked" and line["token"] == token]
            if given and (until := min([*ended, max(given)])) > end:  # an application that has ended acts no more
                bars.append({"kind": "deadline", "from": self.ms(end), "until": self.ms(until), "token": token})
        ticks = [
            {
                "kind": "write" if line["accepted"] else "refused",
                "at": self.ms(line["at"]),
                "token": line["token"],
                "largest": line["largest"],
            }
            for line in pod.said
            if line["what"] == "wrote"
        ]
        return {"name": pod.name, "bars": bars, "ticks": ticks, "events": []}
