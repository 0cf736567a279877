"""Two kinds of pictures, as SVG: a distribution on a logarithmic axis, and bars."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

COLOURS: Final = ("#0b6e4f", "#c1440e", "#3b5b92", "#7a7a7a", "#8a4f9e", "#b58900")
_FONT: Final = 'font-family="system-ui, sans-serif" font-size="13"'
_WIDTH: Final = 760
_LEFT: Final = 64
_RIGHT: Final = 20
_TOP: Final = 44


def _text(x: float, y: float, text: str, anchor: str = "start", colour: str = "#222") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, colour: str = "#ddd") -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def _picture(title: str, height: float, parts: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:.0f}" role="img" {_FONT}>'
    ground = f'<rect width="{_WIDTH}" height="{height:.0f}" fill="#fff"/>'
    named = f'<text x="{_LEFT}" y="22" font-weight="600" fill="#222">{escape(title)}</text>'
    return "\n".join([head, f"<title>{escape(title)}</title>", ground, named, *parts, "</svg>", ""])


def milliseconds(ms: float) -> str:
    """A tick's label."""
    return f"{ms / 1000:g} s" if ms >= 1000 else f"{ms:g} ms"


def distribution(title: str, series: Mapping[str, Sequence[float]]) -> str:
    """A line for each of the series: the share of its values that are at most so large. Values are seconds."""
    every = [value * 1000 for values in series.values() for value in values]
    low, high = math.floor(math.log10(min(every))), math.ceil(math.log10(max(every)))
    high = max(high, low + 1)
    plot_width, plot_height = _WIDTH - _LEFT - _RIGHT, 260
    bottom = _TOP + plot_height

    def x(ms: float) -> float:
        return _LEFT + plot_width * (math.log10(ms) - low) / (high - low)

    def y(share: float) -> float:
        return bottom - plot_height * share

    parts = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        parts += [_line(_LEFT, y(share), _WIDTH - _RIGHT, y(share)), _text(_LEFT - 8, y(share) + 4, f"{share:.0%}", "end")]
    for power in range(low, high + 1):
        parts += [_line(x(10**power), _TOP, x(10**power), bottom), _text(x(10**power), bottom + 18, milliseconds(10**power), "middle")]
    for number, (name, values) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        ordered = sorted(value * 1000 for value in values)
        path = [f"M{x(ordered[0]):.1f} {y(0):.1f}"]
        for rank, ms in enumerate(ordered, 1):
            path.append(f"H{x(ms):.1f}V{y(rank / len(ordered)):.1f}")
        parts.append(f'<path d="{"".join(path)}" fill="none" stroke="{colour}" stroke-width="2"/>')
        at, below = _LEFT + number % 2 * plot_width / 2, bottom + number // 2 * 20  # two names in a line, so that long ones fit
        parts += [f'<rect x="{at:.1f}" y="{below + 34}" width="14" height="4" fill="{colour}"/>']
        parts += [_text(at + 20, below + 40, f"{name} (n {len(ordered)})")]
    return _picture(title, bottom + 36 + (len(series) + 1) // 2 * 20, parts)


def bars(title: str, unit: str, groups: Mapping[str, Mapping[str, float]]) -> str:
    """A group of bars for each name, with a bar for each figure of the group."""
    names = list(dict.fromkeys(name for group in groups.values() for name in group))
    most = max(value for group in groups.values() for value in group.values())
    left, bar = 250, 18
    scale = (_WIDTH - left - 90) / most
    parts, y = [], float(_TOP)
    for label, group in groups.items():
        parts.append(_text(left - 10, y + bar * len(group) / 2 + 4, label, "end"))
        for name, value in group.items():
            colour = COLOURS[names.index(name) % len(COLOURS)]
            parts.append(f'<rect x="{left}" y="{y:.1f}" width="{max(value * scale, 1):.1f}" height="{bar - 3}" fill="{colour}"/>')
            parts.append(_text(left + value * scale + 6, y + bar - 6, f"{value:.1f} {unit}"))
            y += bar
        y += 12
    for number, name in enumerate(names):
        parts += [f'<rect x="{left + number * 220}" y="{y + 4:.1f}" width="12" height="12" fill="{COLOURS[number % len(COLOURS)]}"/>']
        parts += [_text(left + number * 220 + 18, y + 15, name)]
    return _picture(title, y + 32, parts)
