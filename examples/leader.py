"""Acts while this Pod leads: appends its fencing token and name to a ledger, five times a second. Standard library only.

python leader.py [localhost:4040] [ledger]
"""

import json
import sys
import time
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import ProxyHandler, Request, build_opener

ADDRESS = sys.argv[1] if len(sys.argv) > 1 else "localhost:4040"
LEDGER = Path(sys.argv[2] if len(sys.argv) > 2 else "ledger")
SIDECAR = build_opener(ProxyHandler({}))  # asked itself, whatever http_proxy says


def leads(answer: dict[str, Any]) -> bool:
    """Whether this Pod may act now: one call, no HTTP. Ask it right before each side effect."""
    return bool(answer["is_leader"]) and time.clock_gettime_ns(time.CLOCK_BOOTTIME) < answer["valid_until_boottime_ns"]


def work(answer: dict[str, Any]) -> None:
    """What only the leader may do. What it changes should refuse a token smaller than the largest it has seen."""
    if leads(answer):
        with LEDGER.open("a") as ledger:
            ledger.write(f"{answer['fencing_token']} {answer['name']}\n")


def main() -> None:
    """Told of a change at once; asked again after `wait` without one, since renewals move the deadline and not the version."""
    version, wait = "", "0"
    while True:
        try:
            url = f"http://{ADDRESS}/leader?since={quote(version, safe='')}&wait={wait}"
            with SIDECAR.open(url, timeout=15) as response:
                answer = json.load(response)
            if answer["state"] == "stepping-down":  # nothing is under way: the next one may begin
                SIDECAR.open(Request(f"http://{ADDRESS}/drained", method="POST"), timeout=5).close()
        except (URLError, OSError, ValueError):
            version, wait = "", "0"  # no answer: not the leader
            time.sleep(0.2)
            continue
        work(answer)
        version = answer["version"]
        wait = "200ms" if answer["is_leader"] else "5s"  # the pace of the work; anything below expires_in will do


main()
