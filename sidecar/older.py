"""The flags of the older leader-elector sidecars (contrib and its forks, nais), said in this one's settings.

So that a Deployment changes its image and nothing else. A flag of this sidecar's own wins over them.
"""

from collections.abc import Mapping
from typing import Final

from sidecar.durations import format_seconds, parse_seconds

FLAGS: Final = {
    "election": "lease_name",
    "election-namespace": "lease_namespace",
    "id": "identity",
    "http": "listen",
    "ttl": "lease_duration",
    "probe-address": "probe_listen",
}
"""Flag by setting. `ttl` sets all three times, in the proportion of the defaults: 15, 10 and 2."""
IGNORED: Final = ("use-cluster-credentials", "metrics-address")
"""Accepted for their users' sake: the cluster's credentials come first in any case, and both listeners serve metrics."""
GLOG: Final = (
    "add-dir-header", "alsologtostderr", "log-backtrace-at", "log-dir", "log-file", "log-file-max-size", "logtostderr", "one-output",
    "skip-headers", "skip-log-headers", "stderrthreshold", "v", "vmodule",
)  # fmt: skip
"""Those of glog and klog, with `_` or `-`: accepted, says nothing here. The log goes to standard error, LEADER_LOG_LEVEL says how much."""
_SWITCHES: Final = (
    "use-cluster-credentials", "add-dir-header", "alsologtostderr", "logtostderr", "one-output", "skip-headers", "skip-log-headers",
)  # fmt: skip
"""Those of both that stand without a value."""


def is_ignored(name: str) -> bool:
    """Whether the flag `name`, without dashes, is accepted and says nothing here; `v4` is `v` with its value."""
    return name.replace("_", "-") in (*IGNORED, *GLOG) or (name.startswith("v") and name[1:].isdecimal())


def is_ignored_switch(name: str) -> bool:
    """Whether it is one of them that needs no value."""
    return name.replace("_", "-") in _SWITCHES or (name.startswith("v") and name[1:].isdecimal())


def translated(given: Mapping[str, str]) -> dict[str, str]:
    """Settings by field, of older flags by name; texts that cannot be read are passed on for the settings to refuse."""
    found = {FLAGS[name]: text for name, text in given.items() if name in FLAGS}
    for field in ("listen", "probe_listen"):
        if found.get(field, "").startswith(":"):  # as Go has it: every address
            found[field] = f"*{found[field]}"
    if "ttl" in given:
        try:
            lease_seconds = parse_seconds(given["ttl"])
        except ValueError:
            return found
        found["renew_deadline"] = format_seconds(round(lease_seconds * 10 / 15, 3))
        found["retry_period"] = format_seconds(round(lease_seconds * 2 / 15, 3))
    return found
