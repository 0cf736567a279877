"""Draws the four timelines of docs/pictures from what was recorded of real runs.

`python -m tools.timelines` draws docs/pictures/timelines.json: the same record gives the same pictures. `python -m tools.timelines record`
runs three scenes anew first, a minute and a half in all, or those that are named: `record crash`. The fourth needs a whole node:
`python -m pytest tests/e2e/rollout_timeline.py` records it, as root on Linux, and `python -m tools.timelines` draws it.
"""

import json
import signal
import sys
from html import escape
from itertools import combinations, pairwise, product
from pathlib import Path
from typing import Any, Final, NamedTuple

JSON = dict[str, Any]
PICTURES: Final = Path(__file__).resolve().parent.parent / "docs" / "pictures"
RECORD: Final = PICTURES / "timelines.json"
TITLES: Final = {
    "graceful-handover": "Graceful handover: SIGTERM to the leader's Pod",
    "crash": "Crash: SIGKILL to the leader's Pod",
    "paused-leader": "A paused old leader is refused by its fencing token",
    "rollout-deadlock": "Readiness by leadership: the deadlock of a rolling update, and the way out",
}

_WIDTH, _LEFT, _RIGHT, _TOP = 740, 84, 20, 46
_ROW, _BAR, _TICKS, _GAP = 17, 18, 13, 8
_CHARACTER: Final = 6.5
"""Widest average of a character in the fonts that `system-ui` and `sans-serif` stand for, at 12 px."""
_SAME: Final = 3
"""Lines that are so near are one line, beside which both texts stand."""
_LONG_MS: Final = 2000
"""A window above this has an axis in seconds."""
_MOST_STEPS: Final = 14
_STYLE: Final = """
text{font:12px system-ui,sans-serif;fill:#1f2328}.t{font-weight:600;font-size:14px}.n{font-weight:600}.m{fill:#59636e}.in{fill:#fff}
.bg{fill:#fff;stroke:#d1d9e0}.ax{stroke:#d1d9e0}.ev{stroke:#1f2328}.dot{fill:#1f2328}.idle{stroke:#59636e}
.true{fill:#0b6e4f}.held{fill:#3b5b92}.ready{fill:#8a5a00}.paused{fill:#8a4f9e}.down{fill:#818b98}.hatch{stroke:#0b6e4f}.edge{stroke:#0b6e4f;fill:none}
.write{stroke:#0b6e4f}.renewal{stroke:#3b5b92}.refused{stroke:#c1121f}
@media(prefers-color-scheme:dark){text{fill:#f0f6fc}.m{fill:#9198a1}.in{fill:#0d1117}.bg{fill:#0d1117;stroke:#3d444d}.ax{stroke:#3d444d}
.ev{stroke:#f0f6fc}.dot{fill:#f0f6fc}.idle{stroke:#9198a1}.true{fill:#3fb98a}.held{fill:#7ba3e8}.ready{fill:#e0a83a}.paused{fill:#c58fd8}
.down{fill:#9198a1}.hatch,.edge,.write{stroke:#3fb98a}.renewal{stroke:#7ba3e8}.refused{stroke:#ff7b72}}
""".strip()
_HATCH: Final = (
    '<defs><pattern id="h" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<path class="hatch" d="M0 0V7" stroke-width="3"/></pattern></defs>'
)
_LEGEND: Final = {
    "held": "Lease held",
    "renewal": "renewal",
    "true": "answers is_leader: true",
    "idle": "answers false",
    "deadline": "deadline that its application was given",
    "write": "write of the application",
    "refused": "refused write",
    "ready": "Pod is ready",
    "paused": "paused",
    "down": "ended",
}
_TALL: Final = ("held", "true", "deadline", "paused", "down")


class _Axis:
    """Moments of a panel as places on the picture."""

    def __init__(self, panel: JSON) -> None:
        self.first, self.last = int(panel["from"]), int(panel["until"])
        self.seconds = self.last - self.first > _LONG_MS

    def x(self, ms: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (ms - self.first) / (self.last - self.first)

    def ticks(self) -> list[int]:
        step = next(step for step in (50, 100, 1000, 2000, 5000, 10000, 20000) if (self.last - self.first) / step <= _MOST_STEPS)
        return [ms for ms in range(step * (self.first // step), self.last + 1, step) if ms >= self.first]

    def label(self, ms: int) -> str:
        return f"{ms // 1000} s" if self.seconds else f"{ms} ms"


def draw(name: str, panels: list[JSON]) -> str:
    """The SVG of a picture."""
    parts: list[str] = []
    y = float(_TOP)
    for panel in panels:
        drawn, y = _panel(panel, y)
        parts += drawn
    legend, height = _legend(panels, y)
    told = " ".join(_told(panel) for panel in panels)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:.0f}" role="img" aria-labelledby="t d">'
    named = f'<title id="t">{escape(TITLES[name])}</title>\n<desc id="d">{escape(told)}</desc>\n<style>{_STYLE}</style>'
    ground = f'<rect class="bg" x=".5" y=".5" width="{_WIDTH - 1}" height="{height - 1:.0f}" rx="6"/>'
    return "\n".join([head, named, _HATCH, ground, _text(16, 26, TITLES[name], "t"), *parts, *legend, "</svg>", ""])


def _told(panel: JSON) -> str:
    """The events in words, in their order, for a reader who sees no picture."""
    axis = _Axis(panel)
    events = sorted((event["at"], lane["name"], event["text"]) for lane in panel["lanes"] for event in lane["events"])
    words = [f"{at / 1000:.1f} s" if axis.seconds else f"{at:.0f} ms" for at, _, _ in events]
    story = "; ".join(f"{when}, {lane}: {text}" for when, (_, lane, text) in zip(words, events, strict=True))
    return f"{panel['title']}: {story}." if panel.get("title") else f"{story}."


def _panel(panel: JSON, y: float) -> tuple[list[str], float]:
    """A panel's parts from `y` down, and where it ends."""
    axis = _Axis(panel)
    parts: list[str] = []
    if panel.get("title"):
        parts.append(_text(16, y + 10, panel["title"], "n"))
        y += 22
    top = y
    lanes: list[str] = []
    for lane in panel["lanes"]:
        drawn, y = _lane(lane, axis, y)
        lanes += drawn
    for ms in axis.ticks():
        x = axis.x(ms)
        parts.append(f'<path class="ax" d="M{x:.1f} {top:.1f}V{y:.1f}"/>')
        parts.append(_text(x, y + 14, axis.label(ms), "m", "middle" if x < _WIDTH - _RIGHT - _CHARACTER else "end"))
    return [*parts, *lanes], y + 32


def _lane(lane: JSON, axis: _Axis, y: float) -> tuple[list[str], float]:
    places = _places(lane["events"], axis)
    bar = y + _ROW * (1 + max((row for row, _ in places), default=-1)) + 4
    middle = bar + _BAR / 2
    parts = [_text(16, middle + 4, lane["name"], "n")]
    for span in sorted(lane["bars"], key=lambda span: _TALL.index(span["kind"]) if span["kind"] in _TALL else -1):
        parts += _bar(span, axis, bar, [axis.x(event["at"]) for event in lane["events"]])
    if lane["name"] != "Lease":
        parts += [
            f'<path class="idle" d="M{axis.x(left):.1f} {middle:.1f}H{axis.x(right):.1f}"/>' for left, right in _answers_false(lane, axis)
        ]
    for tick in lane["ticks"]:
        parts.append(_tick(tick["kind"], axis.x(tick["at"]), bar + _BAR + 2))
    for event, (row, anchor) in zip(lane["events"], places, strict=True):
        x = axis.x(event["at"])
        base = bar - 6 - _ROW * row
        parts.append(
            f'<path class="ev" d="M{x:.1f} {base - 9:.1f}V{middle:.1f}"/><circle class="dot" cx="{x:.1f}" cy="{middle:.1f}" r="3"/>'
        )
        parts.append(_text(x + (5 if anchor == "start" else -5), base, event["text"], "", anchor))
    return parts, bar + _BAR + _TICKS + _GAP


def _answers_false(lane: JSON, axis: _Axis) -> list[tuple[float, float]]:
    """From when until when: what the bars leave."""
    free, end = [], float(axis.first)
    for span in sorted((bar for bar in lane["bars"] if bar["kind"] != "ready"), key=lambda bar: float(bar["from"])):
        if span["from"] > end:
            free.append((end, float(span["from"])))
        end = max(end, span["until"])
    return [*free, (end, float(axis.last))] if end < axis.last else free


def _bar(span: JSON, axis: _Axis, y: float, dots: list[float]) -> list[str]:
    """The bar, and its text where it meets none of the events' dots."""
    x, width = axis.x(span["from"]), axis.x(span["until"]) - axis.x(span["from"])
    kind = span["kind"]
    if kind == "absent":  # no Pod yet: it answers nothing
        return []
    if kind == "ready":
        return [f'<rect class="ready" x="{x:.1f}" y="{y + _BAR + 2:.1f}" width="{width:.1f}" height="7"/>']
    if kind == "deadline":
        return [f'<rect class="edge" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{_BAR}" style="fill:url(#h)"/>']
    if kind in {"paused", "down"}:  # beside a deadline that still runs, not over it
        return [f'<rect class="{kind}" x="{x:.1f}" y="{y + _BAR + 2:.1f}" width="{width:.1f}" height="7"/>']
    parts = [f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{max(width - 1, 1):.1f}" height="{_BAR}"/>']
    text = f"{span['holder']}, token {span['token']}" if kind == "held" else f"true, token {span['token']}"
    edges = [x, *sorted(dot for dot in dots if x < dot < x + width), x + width]
    if places := [left for left, right in pairwise(edges) if right - left > len(text) * _CHARACTER + 12]:
        parts.append(_text(places[0] + 6, y + 13, text, "in"))
    return parts


def _tick(kind: str, x: float, y: float) -> str:
    if kind == "refused":
        return f'<path class="refused" stroke-width="2.5" d="M{x - 4:.1f} {y:.1f}l8 8m0 -8l-8 8"/>'
    return f'<path class="{kind}" stroke-width="1.5" d="M{x:.1f} {y:.1f}v7"/>'


def _places(events: list[JSON], axis: _Axis) -> list[tuple[int, str]]:
    """A row (0 is next to the bar) and an anchor for each event's text, so that no text meets another, nor another's line.

    Of all ways the one with the fewest rows. ValueError where there is none.
    """
    labels = [
        [label for row in range(len(events)) for anchor in ("start", "end") if (label := _Label.of(event, axis, row, anchor)).is_inside()]
        for event in events
    ]
    ways = (way for way in product(*labels) if all(one.is_clear_of(other) for one, other in combinations(way, 2)))
    best = min(ways, default=None, key=lambda way: (max((label.row for label in way), default=0), sum(label.cost() for label in way)))
    if best is None:
        raise ValueError(f"no place for {[event['text'] for event in events]}")
    return [(label.row, label.anchor) for label in best]


class _Label(NamedTuple):
    """An event's text at one of its places, with the line from there to the bar."""

    row: int
    anchor: str
    line: float
    left: float
    right: float

    @classmethod
    def of(cls, event: JSON, axis: _Axis, row: int, anchor: str) -> "_Label":
        x, width = axis.x(event["at"]), len(event["text"]) * _CHARACTER + 8
        return cls(row, anchor, x, *((x, x + width) if anchor == "start" else (x - width, x)))

    def is_inside(self) -> bool:
        return self.left >= _LEFT - 4 and self.right <= _WIDTH - 8

    def is_clear_of(self, other: "_Label") -> bool:
        if self.row == other.row:
            return self.right <= other.left or other.right <= self.left
        low, high = sorted((self, other))
        return not low.left - _SAME < high.line < low.right + _SAME or abs(low.line - high.line) < _SAME

    def cost(self) -> float:
        return self.row + (0.5 if self.anchor == "end" else 0)


def _legend(panels: list[JSON], y: float) -> tuple[list[str], float]:
    """What each sign means, of those that occur, and the height of the picture."""
    kinds = {"idle", *(it["kind"] for panel in panels for lane in panel["lanes"] for it in (*lane["bars"], *lane["ticks"]))} - {"absent"}
    parts: list[str] = []
    x = 16.0
    for kind, words in _LEGEND.items():
        width = 26 + len(words) * _CHARACTER + 14
        if kind not in kinds:
            continue
        if x + width > _WIDTH - 8:
            x, y = 16.0, y + 20
        if kind in {"write", "renewal", "refused"}:
            parts.append(_tick(kind, x + 9, y - 2))
        elif kind == "idle":
            parts.append(f'<path class="idle" d="M{x:.1f} {y + 1:.1f}h18"/>')
        else:
            fill = ' style="fill:url(#h)"' if kind == "deadline" else ""
            tall = kind in {"held", "true", "deadline"}
            size = f'y="{y - 5:.1f}" height="12"' if tall else f'y="{y - 2:.1f}" height="7"'
            parts.append(f'<rect class="{"edge" if kind == "deadline" else kind}" x="{x:.1f}" width="18" {size}{fill}/>')
        parts.append(_text(x + 24, y + 5, words, "m"))
        x += width
    return parts, y + 20


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    named = f' class="{kind}"' if kind else ""
    placed = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{named}{placed}>{escape(text, quote=False)}</text>'


def keep(name: str, panels: list[JSON]) -> None:
    """Put a picture's panels into the record."""
    record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    record[name] = panels
    RECORD.write_text(json.dumps({name: record[name] for name in TITLES if name in record}, indent=1) + "\n", encoding="utf-8")


def _record(names: list[str]) -> None:
    from tests.timelines.scenes import SCENES, record  # noqa: PLC0415 - drawing needs none of it

    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # through the clean-up
    for name in names or SCENES:
        keep(name, [record(name)])


if __name__ == "__main__":
    if sys.argv[1:2] == ["record"]:
        _record(sys.argv[2:])
    for picture, recorded in json.loads(RECORD.read_text(encoding="utf-8")).items():
        (PICTURES / f"{picture}.svg").write_text(draw(picture, recorded), encoding="utf-8")
