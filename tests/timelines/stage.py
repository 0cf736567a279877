"""Three Pods on this machine, and what is seen of them: each is a sidecar and an application, both real processes.

All moments are CLOCK_BOOTTIME nanoseconds, the one clock of all processes.
"""

import http.client
import json
import signal
import subprocess
import sys
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

from demo.client import now_ns
from sidecar.local.file import LeaseFile, is_busy
from tests.apiserver.ports import free_port
from tests.apiserver.sidecar_process import ROOT, Sidecar, the_leader, until

LEASE, NAMESPACE = "web", "shop"
TIMES: Final = {"lease_duration": 15, "renew_deadline": 10, "retry_period": 2}
"""Seconds: the defaults."""
_FIRST_VERSION: Final = 40
"""Of the Lease's file, so that tokens are as small as in a young cluster."""
Seen = dict[str, Any]


class Pod:
    """A sidecar, the application beside it, and what the application has said, in order."""

    def __init__(self, name: str, folder: Path, resource_port: int) -> None:
        settings = {
            "LEADER_STORE": f"local:{folder / 'leases.sqlite'}",
            "LEADER_LEASE_NAME": LEASE,
            "LEADER_LEASE_NAMESPACE": NAMESPACE,
            "LEADER_NATIVE_SIDECAR": "true",
            **{f"LEADER_{name.upper()}": f"{seconds}s" for name, seconds in TIMES.items()},
        }
        self.name = name
        self.said: list[Seen] = []
        self.answers: list[Seen] = []
        """Of `/is-leader` on the probe listener, which gives no deadline to the application: `asked`, `at`, `leads`, `token`."""
        self.sidecar = Sidecar(name, folder, settings, uid=uuid.uuid4().hex[:8])
        self._resource_port = resource_port
        self._application: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """The sidecar first, as in a Pod with a native sidecar."""
        self.sidecar.start().serving()
        command = [sys.executable, "-m", "tests.timelines.application", str(self.sidecar.port), str(self._resource_port)]
        self._application = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self._listen, args=(self._application,), daemon=True).start()

    def _listen(self, application: "subprocess.Popen[str]") -> None:
        assert application.stdout is not None
        for line in application.stdout:
            self.said.append(json.loads(line))

    @property
    def application(self) -> "subprocess.Popen[str]":
        """Its process."""
        assert self._application is not None
        return self._application

    def signal(self, number: signal.Signals) -> None:
        """To both processes, the application first."""
        self.application.send_signal(number)
        self.sidecar.signal(number)

    def says(self, what: str, after_ns: int, within_seconds: float = 20, **more: object) -> Seen:
        """Wait for what the application says after that moment."""

        def found() -> Seen | None:
            wanted = {"what": what, **more}
            return next((line for line in list(self.said) if line["at"] > after_ns and wanted.items() <= line.items()), None)

        line = until(found, within_seconds=within_seconds, every_seconds=0.001, message=f"the application of {self.name} says {what}")
        assert line is not None
        return line

    def end(self) -> None:
        """Kill what is left of it."""
        for kill in (self.sidecar.kill, self._application.kill if self._application else None):
            if kill is not None:
                kill()
        if self._application is not None:
            self._application.communicate()


class Stage:
    """Three Pods, the resource and the Lease, watched while the block runs. What was seen: `pods`, and `lease`, a row a version."""

    def __init__(self, folder: Path, sample_seconds: float) -> None:
        self._path = folder / "leases.sqlite"
        LeaseFile.open(self._path, _FIRST_VERSION, make=True, wait_seconds=1).close()
        self._sample_seconds = sample_seconds
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        port = free_port()
        self._resource = subprocess.Popen([sys.executable, "-m", "tests.timelines.resource", str(port)], cwd=ROOT)
        self.pods = [Pod(f"web-{number}", folder, port) for number in range(3)]
        self.lease: list[Seen] = []

    def __enter__(self) -> Self:
        for pod in self.pods:
            pod.start()
        self._threads = [threading.Thread(target=self._watch_lease, daemon=True)]
        self._threads += [threading.Thread(target=self._ask, args=(pod,), daemon=True) for pod in self.pods]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(10)
        for pod in self.pods:
            pod.end()
        self._resource.kill()
        self._resource.wait()

    def leader(self, within_seconds: float = 20) -> Pod:
        """The Pod that leads, once its application has written."""
        sidecar = the_leader([pod.sidecar for pod in self.pods], within_seconds=within_seconds)
        (pod,) = (pod for pod in self.pods if pod.sidecar is sidecar)
        pod.says("wrote", 0)
        return pod

    def next_leader(self, after_ns: int, old: Pod, within_seconds: float) -> tuple[Pod, Seen]:
        """The other Pod whose application is told that it leads, and that moment."""

        def told() -> tuple[Pod, Seen] | None:
            for pod in self.pods:
                for line in list(pod.said) if pod is not old else ():
                    if line["what"] == "told" and line["leads"] and line["at"] > after_ns:
                        return pod, line
            return None

        found = until(told, within_seconds=within_seconds, every_seconds=0.002, message="another Pod leads")
        assert found is not None
        return found

    def _watch_lease(self) -> None:
        """A row for each version: `at` (when it was seen, 1 ms apart), `holder` (a Pod's name, or empty), `token`, `renewed`."""
        file = LeaseFile.open(self._path, 0, make=False, wait_seconds=0)
        version = -1
        while not self._over.wait(0.001):
            try:
                row = file.find((NAMESPACE, LEASE))
            except Exception as error:
                if is_busy(error):
                    continue
                raise
            if row is None or row[0] == version:
                continue
            version, lease = row[0], json.loads(row[1])
            spec = lease.get("spec") or {}
            holder = spec.get("holderIdentity") or ""
            term = json.loads((lease["metadata"].get("annotations") or {}).get("leader-sidecar/term", "{}"))
            self.lease.append({
                "at": now_ns(), "holder": holder.rpartition("_")[0], "token": term.get("token") if holder else None,
                "renewed": spec.get("renewTime"),
            })  # fmt: skip
        file.close()

    def _ask(self, pod: Pod) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", pod.sidecar.probe_port, timeout=0.5)
        while not self._over.wait(self._sample_seconds):
            asked_ns = now_ns()
            try:
                connection.request("GET", "/is-leader")
                body = json.loads(connection.getresponse().read())
            except (OSError, http.client.HTTPException, ValueError):
                with suppress(OSError):
                    connection.close()
                time.sleep(self._sample_seconds)
                continue
            pod.answers.append({"asked": asked_ns, "at": now_ns(), "leads": body["is_leader"], "token": body["fencing_token"]})
        connection.close()
