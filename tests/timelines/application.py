"""The application of the timelines, one process a Pod: while it leads, it writes to the resource under its fencing token.

`python -m tests.timelines.application SIDECAR_PORT RESOURCE_PORT`. Each line on its standard output is JSON: what it did, and when.
SIGTERM ends it after the write that is under way.
"""

import http.client
import json
import signal
import sys
import time
from types import FrameType

from demo.client import NOBODY_ANSWERS, Answer, Client, now_ns

PACE_SECONDS = 0.25
"""The longest wait of its long-poll, so each deadline that it goes by is at most that old."""
WORK_SECONDS = 0.05
"""From its look at the deadline to its write: what an application does in between may take any time."""


class Application:
    """One loop: ask, look at the deadline, work, write."""

    def __init__(self, sidecar_port: int, resource_port: int) -> None:
        self._sidecar = Client(sidecar_port)
        self._resource_port = resource_port
        self._ends = False
        signal.signal(signal.SIGTERM, self._end)

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        self._ends = True
        self._sidecar.hang_up()  # a long-poll that waits ends

    def run(self) -> None:
        """Until SIGTERM."""
        version: str | None = None
        leads = False
        while not self._ends:
            try:
                answer = self._sidecar.leader(since=version, wait_seconds=PACE_SECONDS)
            except NOBODY_ANSWERS:
                version, leads = None, False  # no answer: not the leader
                if not self._ends:
                    time.sleep(PACE_SECONDS / 10)
                continue
            version = answer.body["version"]
            if answer.leads != leads:
                leads = answer.leads
                say("told", leads=leads, token=answer.body["fencing_token"] if leads else None, name=answer.body["name"])
            if answer.leads:
                self._work(answer)
        say("ended")

    def _work(self, answer: Answer) -> None:
        token = answer.body["fencing_token"]
        say("checked", token=token, until=answer.until_ns)
        time.sleep(WORK_SECONDS)
        connection = http.client.HTTPConnection("127.0.0.1", self._resource_port, timeout=5)
        connection.request("POST", "/", body=str(token))
        response = connection.getresponse()
        largest = int(response.read())
        connection.close()
        say("wrote", token=token, accepted=response.status == http.HTTPStatus.OK, largest=largest)


def say(what: str, **more: object) -> None:
    """A line for the recorder."""
    print(json.dumps({"at": now_ns(), "what": what, **more}), flush=True)


if __name__ == "__main__":
    Application(int(sys.argv[1]), int(sys.argv[2])).run()
