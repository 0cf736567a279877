"""The output: a block that is redrawn in place on a terminal, and plain lines elsewhere."""

import os
import shutil
import sys
import threading
from collections.abc import Callable
from typing import Final

from demo.client import Answer, Seat, now_ns
from demo.process import LEASE_SECONDS, Sidecar

_REDRAW_SECONDS: Final = 0.1
_BAR: Final = 20
_GREEN, _YELLOW, _DIM, _BOLD, _PLAIN = "\x1b[32m", "\x1b[33m", "\x1b[2m", "\x1b[1m", "\x1b[0m"


class Screen:
    """Lines that stay, above a block that changes."""

    def __init__(self, block: Callable[[], list[str]]) -> None:
        self.live = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._colours = self.live and "NO_COLOR" not in os.environ
        self._block = block
        self._drawn = 0
        self._lock = threading.Lock()
        self._over = threading.Event()

    def start(self) -> None:
        """Draw the block from now on, if this is a terminal."""
        if self.live:
            threading.Thread(target=self._redraw, daemon=True).start()

    def stop(self) -> None:
        """Stop drawing; what is drawn stays."""
        with self._lock:
            self._over.set()

    def say(self, text: str = "") -> None:
        """A line, or several, that stay."""
        with self._lock:
            if not self.live or self._over.is_set():
                print(text, flush=True)
            else:
                self._draw(text.split("\n"))

    def _redraw(self) -> None:
        while not self._over.wait(_REDRAW_SECONDS):
            with self._lock:
                if not self._over.is_set():
                    self._draw([])

    def _draw(self, staying: list[str]) -> None:
        width = shutil.get_terminal_size().columns
        back = f"\x1b[{self._drawn}F" if self._drawn else ""
        block = [self._fit(line, width) for line in ["", *self._block()]]
        self._drawn = len(block)
        sys.stdout.write(back + "\x1b[J" + "".join(line + "\n" for line in [*staying, *block]))
        sys.stdout.flush()

    def _fit(self, line: str, width: int) -> str:
        """Cut the line to one row of the terminal, so that the rows can be counted. A line begins with its colour, or has none."""
        colour = next((code for code in (_GREEN, _YELLOW, _DIM, _BOLD) if line.startswith(code)), "")
        text = line.removeprefix(colour)[: width - 1]
        return f"{colour}{text}{_PLAIN}" if colour and self._colours else text


def table(sidecars: list[Sidecar], seats: list[Seat]) -> list[str]:
    """The block: one row for each sidecar, as it answers now."""
    head = f"{_BOLD}  {'sidecar':8} {'answers at':16} {'state':14} {'is_leader':10} {'name':7} {'fencing_token':18} valid for"
    return [head, *(_row(sidecar, seat.latest) for sidecar, seat in zip(sidecars, seats, strict=True))]


def _row(sidecar: Sidecar, answer: Answer | None) -> str:
    start = f"  {sidecar.name:8} {f'127.0.0.1:{sidecar.port}':16} "
    if answer is None or answer.body["identity"] != sidecar.identity:
        return f"{_DIM}{start}{'starting' if sidecar.pid else 'down':14} -"
    body = answer.body
    token = "-" if body["fencing_token"] is None else str(body["fencing_token"])
    row = f"{start}{body['state']:14} {str(body['is_leader']).lower():10} {body['name'] or '-':7} {token:18} "
    if not body["is_leader"]:
        return (_YELLOW if body["state"] == "stepping-down" else "") + row
    left_seconds = max(0, answer.until_ns - now_ns()) / 1e9
    return f"{_GREEN}{row}{left_seconds:4.1f} s {'#' * round(_BAR * left_seconds / LEASE_SECONDS)}"
