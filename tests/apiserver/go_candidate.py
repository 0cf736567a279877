"""A candidate as any Go program is one: client-go's own election (tests/binaries/candidate) in a process of its own."""

import json
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from tests.binaries.build import ensure

ROLE: Final[dict[str, Any]] = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "Role",
    "metadata": {"name": "client-go"},
    "rules": [{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update"]}],
}
"""What client-go's LeaseLock asks for: it writes with PUT, and creates a Lease that it finds missing."""


@dataclass
class GoCandidate:
    """One process, with ReleaseOnCancel; a context manager that kills it at the end. Times are client-go's three, in seconds."""

    identity: str
    kubeconfig: Path
    namespace: str
    folder: Path
    lease: str = "web"
    lease_duration_seconds: float = 15
    renew_deadline_seconds: float = 10
    retry_period_seconds: float = 2
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> Self:
        """Contend from now on. Raises BinariesUnavailableError."""
        program = ensure("candidate")["candidate"]
        flags = {
            "kubeconfig": self.kubeconfig,
            "namespace": self.namespace,
            "lease": self.lease,
            "identity": self.identity,
            "lease-duration": f"{self.lease_duration_seconds}s",
            "renew-deadline": f"{self.renew_deadline_seconds}s",
            "retry-period": f"{self.retry_period_seconds}s",
        }
        command = [str(program), *(f"--{name}={value}" for name, value in flags.items())]
        with self._said.open("ab") as said, (self.folder / f"{self.identity}.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=said, stderr=log, cwd=self.folder)
        return self

    @property
    def log(self) -> str:
        """What client-go has logged."""
        path = self.folder / f"{self.identity}.log"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    @property
    def _said(self) -> Path:
        return self.folder / f"{self.identity}.jsonl"

    def events(self) -> list[dict[str, Any]]:
        """What it was told so far: `event` (started-leading, stopped-leading, new-leader), `identity`, `boottime_ns` (CLOCK_BOOTTIME)."""
        lines = self._said.read_bytes().splitlines(keepends=True) if self._said.exists() else []
        return [json.loads(line) for line in lines if line.endswith(b"\n")]

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self.process is not None
        return self.process.pid

    def leads(self) -> bool:
        """Whether it was told last that it leads. It may act on that until it is told otherwise: there is no deadline to read."""
        return next((event["event"] for event in reversed(self.events()) if event["event"] != "new-leader"), "") == "started-leading"

    def terminate(self, within_seconds: float = 10) -> int:
        """SIGTERM: it releases and ends; its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(within_seconds)

    def kill(self) -> None:
        """SIGKILL, stopped or not."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.kill()
