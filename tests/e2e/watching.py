"""What a cluster tells while it happens: `kubectl get --watch`, each line with the moment at which it came."""

import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Self

from tests.e2e.cluster import Cluster, until


def boottime() -> float:
    """Seconds since boot, as the lines of the ledger have them: the node that the tests make runs on this machine's kernel."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True)
class Seen:
    """One line, and when it came in seconds since boot: some milliseconds after it happened."""

    seconds: float
    words: tuple[str, ...]


class Watch:
    """The states of objects, as words by a template of jsonpath's: from the present one on, in their order, until it is left."""

    def __init__(self, cluster: Cluster, namespace: str, what: str, template: str) -> None:
        output = f'jsonpath={template}{{"\\n"}}'
        self._command = [*cluster.command, "--namespace", namespace, "get", *what.split(), "--watch", "-o", output]
        self._seen: list[Seen] = []
        self._reader = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        self._reader.start()
        self.first(lambda _: True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.kill()
        self._reader.join()
        self._process.communicate()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._seen.append(Seen(boottime(), tuple(line.split())))

    def seen(self) -> list[Seen]:
        """All that has come."""
        return list(self._seen)

    def first(self, holds: Callable[[tuple[str, ...]], bool]) -> Seen:
        """Wait for the first line whose words are so."""
        return until(
            f"a line of {' '.join(self._command[-5:])}", lambda: next((it for it in self.seen() if holds(it.words)), None), 90, 0.02
        )


class Renewals:
    """Every renewal of a Lease."""

    def __init__(self, cluster: Cluster, namespace: str, lease: str) -> None:
        self._watch = Watch(cluster, namespace, f"lease {lease}", "holder={.spec.holderIdentity} {.spec.renewTime}")

    def __enter__(self) -> Self:
        self._watch.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._watch.__exit__(kind, error, trace)

    def last_of(self, uid: str) -> float:
        """When the Pod of that uid renewed it last, by the record, in seconds since boot."""
        times = [it.words[1] for it in self._watch.seen() if len(it.words) > 1 and it.words[0].endswith(uid)]
        assert times, "it has never renewed"
        return datetime.fromisoformat(times[-1]).timestamp() - time.time() + boottime()

    def was_released(self) -> bool:
        """Whether anyone emptied the holder."""
        return any(it.words[0] == "holder=" for it in self._watch.seen())
