"""Translates the flags of the older leader-elector sidecars (contrib and its forks, nais) into this sidecar's settings.

A Deployment then has to change its image and nothing else. This sidecar's own flags win over them.
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
"""The setting of each flag. `ttl` sets all three times, in the proportion of the defaults: 15, 10 and 2."""
IGNORED: Final = ("use-cluster-credentials", "metrics-address")
"""Accepted without effect: the cluster's credentials come first in any case, and both listeners serve metrics."""
GLOG: Final = (
    "add-dir-header", "alsologtostderr", "log-backtrace-at", "log-dir", "log-file", "log-file-max-size", "logtostderr", "one-output",
    "skip-headers", "skip-log-headers", "stderrthreshold", "v", "vmodule",
)  # fmt: skip
"""Flags of glog and klog, with `_` or `-`; accepted without effect. The log goes to standard error, LEADER_LOG_LEVEL says how much."""
_SWITCHES: Final = (
    "use-cluster-credentials", "add-dir-header", "alsologtostderr", "logtostderr", "one-output", "skip-headers", "skip-log-headers",
)  # fmt: skip
"""The ignored flags that may stand without a value."""


def is_ignored(name: str) -> bool:
    """Whether the flag `name`, without dashes, is accepted without effect; `v4` is `v` with its value."""
    return name.replace("_", "-") in (*IGNORED, *GLOG) or (name.startswith("v") and name[1:].isdecimal())


def is_ignored_switch(name: str) -> bool:
    """Whether `name` is an ignored flag that may stand without a value."""
    return name.replace("_", "-") in _SWITCHES or (name.startswith("v") and name[1:].isdecimal())


def translated(given: Mapping[str, str]) -> dict[str, str]:
    """The settings, by field, that older flags (`given`, by name) mean. A text that cannot be read is passed on: the settings refuse it."""
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
