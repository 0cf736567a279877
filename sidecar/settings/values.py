"""The types of the settings: what may stand in one, and the message if something else does."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Annotated, Final, Literal, NamedTuple
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator

from sidecar.durations import parse_seconds
from sidecar.election.record import PLACEHOLDER
from sidecar.settings.listen import parse_listen

MAX_IDENTITY_CHARS: Final = 512
MAX_INSTANCE_CHARS: Final = 253
MAX_LEASE_NAME_CHARS: Final = 253
MAX_DURATION_SECONDS: Final = 3600
BOOLEANS: Final = dict.fromkeys(("true", "1", "t", "yes", "y", "on"), True) | dict.fromkeys(("false", "0", "f", "no", "n", "off"), False)
"""What a switch may be, in either case."""
_SUBDOMAIN: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", re.ASCII)
_HEALTH_URL: Final = "http://HOST:PORT/PATH with localhost or an IP address as HOST, such as http://localhost:8080/healthz"


class Shared(NamedTuple):
    """A fault that several settings may have: told once, with all their names in the middle."""

    before: str
    setting: str
    after: str


class FaultError(ValueError):
    """Whole messages, which name their settings by themselves. Those of other errors are told behind the setting and its text."""

    def __init__(self, *faults: str | Shared) -> None:
        super().__init__(*faults)
        self.faults = faults


@dataclass(frozen=True)
class Metavar:
    """What stands for a value in --help."""

    text: str


@dataclass(frozen=True)
class Allowed:
    """The values that a setting takes, in words, for --help and docs/reference/settings.md; the last one of a field counts."""

    text: str


@dataclass(frozen=True)
class Default:
    """The default of a setting in words, where it is not one fixed value."""

    text: str


def check_subdomain(text: str) -> str:
    """`text`, if it is a DNS-1123 subdomain (RFC 1123), as Leases and Pods are named. Raises ValueError."""
    if len(text) > MAX_LEASE_NAME_CHARS or not _SUBDOMAIN.fullmatch(text):
        raise ValueError("allowed: lower-case letters, digits, '-' and '.', 253 at most, with a letter or digit at both ends")
    return text


def check_label(text: str) -> str:
    """`text`, if it is a DNS-1123 label, as namespaces are named. Raises ValueError."""
    if len(text) > 63 or "." in text or not _SUBDOMAIN.fullmatch(text):  # noqa: PLR2004 - RFC 1123
        raise ValueError("allowed: lower-case letters, digits and '-', 63 at most, with a letter or digit at both ends")
    return text


def check_identity(text: str) -> str:
    """`text`, if it can tell one Pod from another. Raises ValueError."""
    if not text.strip():
        raise ValueError("it is empty: set POD_NAME and POD_UID through the downward API, or a name that no other Pod has")
    if "$(" in text:
        raise ValueError("it contains a literal $(…): Kubernetes expands only a variable that is defined earlier in env")
    if text == PLACEHOLDER:
        raise ValueError("it is the name of the placeholder holder: choose another name")
    if len(text) > MAX_IDENTITY_CHARS or not text.isprintable():
        raise ValueError(f"allowed: printable characters, {MAX_IDENTITY_CHARS} at most")
    return text


def _instance(text: str) -> str:
    if "$(" in text or len(text) > MAX_INSTANCE_CHARS or not text.isprintable():
        raise ValueError(f"allowed: printable characters, {MAX_INSTANCE_CHARS} at most, and no literal $(…)")
    return text


def _duration(value: object) -> object:
    return parse_seconds(value) if isinstance(value, str) else value


def _whole_hour(seconds: float) -> float:
    if not (1 <= seconds <= MAX_DURATION_SECONDS and seconds == int(seconds)):
        raise ValueError("allowed: whole seconds from 1s to 1h")
    return seconds


def _pause(seconds: float) -> float:
    if not 0.1 <= seconds <= MAX_DURATION_SECONDS:  # noqa: PLR2004 - 100ms
        raise ValueError("allowed: 100ms to 1h")
    return seconds


def _mode(value: object) -> object:
    if isinstance(value, str):
        if not re.fullmatch("0?[0-7]{3}", value, re.ASCII):
            raise ValueError("allowed: three octal digits, such as 660 or 666")
        return int(value, 8)
    return value


def _store(text: str) -> str:
    if text != "kubernetes" and not (text.startswith("local:") and len(text) > len("local:")):
        raise ValueError("allowed: kubernetes or local:PATH")
    return text


def _listen(text: str) -> str:
    parse_listen(text)
    return text


def _app_listen(text: str) -> str:
    if not parse_listen(text):
        raise ValueError("it is empty, so the application could not ask: leave it out for localhost:4040, or set an address")
    return text


def _health_url(text: str) -> str:
    if text and not is_health_url(text):
        raise ValueError(f"allowed: {_HEALTH_URL}, or an empty value")
    return text


def is_health_url(text: str) -> bool:
    """Whether `text` is a URL in the own Pod. localhost is the only name: a look-up might lead to another Pod."""
    try:
        url = urlsplit(text)
        _ = url.port
        host = url.hostname or ""
        if host != "localhost":
            ipaddress.ip_address(host)
    except ValueError:
        return False
    return url.scheme == "http" and "@" not in url.netloc and not url.fragment and text.isascii() and text.isprintable() and " " not in text


def _boolean(value: object) -> object:
    if isinstance(value, str):
        if value.lower() not in BOOLEANS:
            raise ValueError("allowed: true or false")
        return BOOLEANS[value.lower()]
    return value


def _count(value: object) -> object:
    if isinstance(value, str):
        if not re.fullmatch("0*([1-9][0-9]{0,2}|1000)", value, re.ASCII):
            raise ValueError("allowed: whole numbers from 1 to 1000")
        return int(value)
    return value


def _one_of(*words: str) -> BeforeValidator:
    def check(value: object) -> object:
        if isinstance(value, str) and value not in words:
            raise ValueError(f"allowed: {', '.join(words[:-1])} or {words[-1]}")
        return value

    return BeforeValidator(check)


LeaseName = Annotated[str, AfterValidator(check_subdomain), Metavar("NAME"), Allowed("a DNS-1123 subdomain")]
Namespace = Annotated[str, AfterValidator(check_label), Metavar("NAMESPACE"), Allowed("a DNS-1123 label")]
Instance = Annotated[str, AfterValidator(_instance), Metavar("NAME"), Allowed(f"printable characters, {MAX_INSTANCE_CHARS} at most")]
Identity = Annotated[str, AfterValidator(check_identity), Metavar("NAME"), Allowed(f"printable characters, {MAX_IDENTITY_CHARS} at most")]
Store = Annotated[str, AfterValidator(_store), Metavar("kubernetes|local:PATH")]
Duration = Annotated[float, BeforeValidator(_duration), Metavar("DURATION")]
"""In seconds."""
WholeSeconds = Annotated[Duration, AfterValidator(_whole_hour)]
"""As a Lease holds them (S6)."""
Pause = Annotated[Duration, AfterValidator(_pause), Allowed("100ms to 1h")]
_ADDRESSES: Final = "host:port, [::1]:port, *:port or unix:/path, several with commas"
Listen = Annotated[str, AfterValidator(_listen), Metavar("ADDRESSES"), Allowed(f"{_ADDRESSES}; or empty")]
AppListen = Annotated[str, AfterValidator(_app_listen), Metavar("ADDRESSES"), Allowed(_ADDRESSES)]
SocketMode = Annotated[int, BeforeValidator(_mode), Metavar("MODE"), Allowed("three octal digits")]
HealthUrl = Annotated[
    str, AfterValidator(_health_url), Metavar("URL"), Allowed("http://HOST:PORT/PATH, with localhost or an IP address as HOST; or empty")
]
Count = Annotated[int, BeforeValidator(_count), Metavar("COUNT"), Allowed("1 to 1000")]
Switch = Annotated[bool, BeforeValidator(_boolean), Metavar("true|false")]
LogFormat = Annotated[Literal["text", "json"], _one_of("text", "json"), Metavar("text|json")]
LogLevel = Annotated[
    Literal["debug", "info", "warning", "error"], _one_of("debug", "info", "warning", "error"), Metavar("debug|info|warning|error")
]
