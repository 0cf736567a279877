"""One `go build`, which says how far it is. Go uses every core by itself (GOMAXPROCS, where that is set)."""

import functools
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SAID_EVERY_SECONDS = 20.0
"""Where standard error is no terminal; on one, a line is written over again and again."""


@dataclass(frozen=True)
class GoRun:
    """Where Go runs, and with which environment."""

    go: Path
    module: Path
    environment: Mapping[str, str]

    def build(self, name: str, arguments: list[str]) -> str:
        """Build `name`; what Go said where it failed, or ""."""
        package = arguments[-1]
        go = functools.partial(subprocess.Popen, cwd=self.module, env=self.environment, stderr=subprocess.PIPE, text=True)
        with go([str(self.go), "list", "-deps", package], stdout=subprocess.PIPE) as listing:  # downloads what is missing
            packages, refused = listing.communicate()
        if listing.returncode != 0:
            return refused or "go list failed"
        bar, said = Bar(name, len(packages.split())), []
        with go([str(self.go), "build", "-v", *arguments]) as building:
            for line in building.stderr or ():
                if line.startswith("#") or " " in line.strip():
                    said.append(line)  # no package's name
                else:
                    bar.one_more()
        bar.end()
        return "" if building.returncode == 0 else "".join(said) or "go build failed"


class Bar:
    """How far a build is: packages compiled, of those that there are. What Go's own cache holds is not compiled again."""

    def __init__(self, name: str, packages: int) -> None:
        self._name, self._packages, self._compiled = name, packages, 0
        self._said_at = self._began = time.monotonic()
        self._terminal = sys.stderr.isatty()

    def one_more(self) -> None:
        """A package has been compiled."""
        self._compiled += 1
        now = time.monotonic()
        if not self._terminal and now - self._said_at < SAID_EVERY_SECONDS:
            return
        self._said_at = now
        text = f"{self._name}: {self._compiled} of at most {self._packages} packages compiled, {now - self._began:.0f} s"
        print(f"\r{text}" if self._terminal else text, end="" if self._terminal else "\n", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leave the line."""
        if self._terminal and self._compiled:
            print(f"\r{self._name}: {self._compiled} packages compiled, linked", file=sys.stderr, flush=True)
