"""One sidecar as a real process: started, stopped, killed; it never outlives the demo."""

import os
import secrets
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
LEASE_SECONDS: Final = 5
TIMES: Final = ("--lease-duration", f"{LEASE_SECONDS}s", "--renew-deadline", "3s", "--retry-period", "500ms")
STOP_SECONDS: Final = 5.0

# Linux ends the sidecar with the demo even if that is killed (prctl(2), PR_SET_PDEATHSIG, kept across exec); elsewhere the demo's own
# clean-up has to do.
_LAUNCH: Final = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != int(sys.argv[1]):
        sys.exit("the demo has gone")
os.execv(sys.executable, [sys.executable, "-m", "sidecar", *sys.argv[2:]])
"""


class Sidecar:
    """A Pod's sidecar: its name and port stay, each start is a new process with a new identity, as a new Pod has."""

    def __init__(self, name: str, port: int, folder: Path) -> None:
        self.name = name
        self.port = port
        self.identity = ""
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """Where its log lines go."""
        return self._folder / f"{self.name}.log"

    @property
    def pid(self) -> int | None:
        """The running process, or None."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> None:
        """Start the sidecar. Call this from the main thread: Linux ends the sidecar with the thread that started it."""
        self.identity = f"{self.name}_{secrets.token_hex(4)}"
        arguments = [
            "--store", f"local:{self._folder / 'store.sqlite'}", "--lease-name", "demo", "--lease-namespace", "demo",
            "--identity", self.identity, "--listen", f"127.0.0.1:{self.port}", "--probe-listen", "",
            "--native-sidecar", "true", *TIMES,
        ]  # fmt: skip
        surroundings = {key: value for key, value in os.environ.items() if not key.startswith("LEADER_")}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _LAUNCH, str(os.getpid()), *arguments],
                cwd=ROOT,
                env=surroundings,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,  # a Ctrl-C in the terminal is for the demo, which then ends its sidecars in order
            )

    def ask_to_stop(self) -> None:
        """SIGTERM: it says false, releases the Lease and exits."""
        if self._process is not None:
            self._process.terminate()

    def kill(self) -> None:
        """`kill -9`: the sidecar cannot do anything more."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()

    def exit_code(self) -> int | None:
        """The exit code, within a few seconds; after that the sidecar is killed, and the result is None."""
        if self._process is None:
            return 0
        try:
            return self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            return None

    def last_words(self) -> str:
        """The last lines of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-5:]) if self.log.exists() else ""
