"""Rewrites the flags of the older leader-elector sidecars (contrib and its forks, nais) as this sidecar's, before anything parses them.

A Deployment then has to change its image and nothing else. This sidecar's own flags win over them.
"""

import re
from collections.abc import Sequence
from typing import Final

from sidecar.durations import format_seconds, parse_seconds

FLAGS: Final = {
    "election": "lease-name",
    "election-namespace": "lease-namespace",
    "id": "identity",
    "http": "listen",
    "ttl": "lease-duration",
    "probe-address": "probe-listen",
}
"""The own flag for each. `ttl` sets all three times, in the proportion of the defaults: 15, 10 and 2."""
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
_BOOLEAN: Final = re.compile("true|false|1|0|t|f|yes|no|y|n|on|off", re.IGNORECASE)
_FLAG: Final = re.compile(r"--?(?![-0-9.])([^=]+)(=(.*))?", re.DOTALL)
"""A flag as Go takes it: one dash or two, perhaps with `=` and its value. A negative number is none."""


def rewritten(arguments: Sequence[str]) -> list[str]:
    """The command line in this sidecar's flags, each with two dashes. An older flag without its value stays, for the parser to refuse."""
    words, older, own = list(arguments), list[str](), list[str]()
    while words and words[0] != "--":
        word = words.pop(0)
        found = _FLAG.fullmatch(word)
        if found is None:
            own.append(word)
            continue
        name, equals, text = found.groups()
        if name in FLAGS:
            value = text if equals else _value(words)
            if value is None:
                own.append(f"--{name}")
            else:
                older += _translated(name, value)
        elif _is_ignored(name):
            _skip_value(name, equals, words)
        else:
            own.append(f"--{name}{equals or ''}" if len(name) > 1 else word)
    return [*older, *own, *words]


def is_value(word: str) -> bool:
    """Whether a word can be a flag's value: it is no flag. A negative number is none."""
    return re.match(r"-(?![0-9.])", word) is None


def _value(words: list[str]) -> str | None:
    return words.pop(0) if words and is_value(words[0]) else None


def _skip_value(name: str, equals: str | None, words: list[str]) -> None:
    if equals:
        return
    if name.replace("_", "-") not in _SWITCHES and not _is_level(name):
        _value(words)
    elif words and _BOOLEAN.fullmatch(words[0]):
        words.pop(0)


def _is_ignored(name: str) -> bool:
    return name.replace("_", "-") in (*IGNORED, *GLOG) or _is_level(name)


def _is_level(name: str) -> bool:
    """Whether `name` is `v` with its value, as in -v4."""
    return name.startswith("v") and name[1:].isdecimal()


def _translated(name: str, text: str) -> list[str]:
    """This sidecar's flags for one older flag. A value that cannot be read is passed on as it is: the settings refuse it."""
    if name in ("http", "probe-address") and text.startswith(":"):  # as Go has it: every address
        text = f"*{text}"
    words = [f"--{FLAGS[name]}={text}"]
    if name == "ttl":
        try:
            lease_seconds = parse_seconds(text)
        except ValueError:
            return words
        words.append(f"--renew-deadline={format_seconds(round(lease_seconds * 10 / 15, 3))}")
        words.append(f"--retry-period={format_seconds(round(lease_seconds * 2 / 15, 3))}")
    return words
