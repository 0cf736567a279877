"""Every knob: from the environment (`LEADER_…`) or from a flag of the same name; the flag wins. `--help` is made from the docstrings."""

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

from sidecar.addresses import LISTEN, PROBE_LISTEN
from sidecar.durations import parse_seconds
from sidecar.election.record import SENTINEL
from sidecar.settings import health_url
from sidecar.settings.listen import parse_listen

PREFIX: Final = "LEADER_"
MAX_IDENTITY_CHARS: Final = 512
MAX_INSTANCE_CHARS: Final = 253
MAX_LEASE_NAME_CHARS: Final = 253
BOOLEANS: Final = dict.fromkeys(("true", "1", "t", "yes", "y", "on"), True) | dict.fromkeys(("false", "0", "f", "no", "n", "off"), False)
"""What a switch may be, in either case."""
_SUBDOMAIN: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", re.ASCII)


def check_subdomain(text: str) -> str:
    """`text`, if it is a DNS-1123 subdomain (RFC 1123), as Leases and Pods are named. Raises ValueError."""
    if len(text) > MAX_LEASE_NAME_CHARS or not _SUBDOMAIN.fullmatch(text):
        raise ValueError("allowed are lower-case letters, digits, '-' and '.', 253 at most, a letter or digit at both ends")
    return text


def check_label(text: str) -> str:
    """`text`, if it is a DNS-1123 label, as namespaces are named. Raises ValueError."""
    if len(text) > 63 or "." in text or not _SUBDOMAIN.fullmatch(text):  # noqa: PLR2004 - RFC 1123
        raise ValueError("allowed are lower-case letters, digits and '-', 63 at most, a letter or digit at both ends")
    return text


def _instance(text: str) -> str:
    if "$(" in text or len(text) > MAX_INSTANCE_CHARS or not text.isprintable():
        raise ValueError(f"allowed are printable characters, {MAX_INSTANCE_CHARS} at most, and no literal $(…)")
    return text


def check_identity(text: str) -> str:
    """`text`, if it can tell one Pod from another. Raises ValueError."""
    if not text.strip():
        raise ValueError("it is empty: set POD_NAME and POD_UID by the downward API, or a name that no other Pod has")
    if "$(" in text:
        raise ValueError("it holds a literal $(…): that variable was not set where Kubernetes expands it; define it earlier in env")
    if text == SENTINEL:
        raise ValueError("it stands for nobody in a Lease: take any other")
    if len(text) > MAX_IDENTITY_CHARS or not text.isprintable():
        raise ValueError(f"allowed are printable characters, {MAX_IDENTITY_CHARS} at most")
    return text


def _duration(value: object) -> object:
    return parse_seconds(value) if isinstance(value, str) else value


def _whole_hour(seconds: float) -> float:
    if not (1 <= seconds <= 3600 and seconds == int(seconds)):  # noqa: PLR2004 - an hour, as for what stands in a Lease (S6)
        raise ValueError("allowed are whole seconds from 1s to 1h")
    return seconds


def _mode(value: object) -> object:
    if isinstance(value, str):
        if not re.fullmatch("0?[0-7]{3}", value, re.ASCII):
            raise ValueError("allowed are three octal digits, such as 660 or 666")
        return int(value, 8)
    return value


def _store(text: str) -> str:
    if text != "kubernetes" and not (text.startswith("local:") and len(text) > len("local:")):
        raise ValueError("allowed are kubernetes and local:PATH")
    return text


def _listen(text: str) -> str:
    parse_listen(text)
    return text


def _app_listen(text: str) -> str:
    if not parse_listen(text):
        raise ValueError("without it no app could ask: leave it out for localhost:4040, or name an address")
    return text


def _health_url(text: str) -> str:
    if text and not health_url.is_usable(text):
        raise ValueError(f"allowed is {health_url.ALLOWED}, or nothing")
    return text


def _pause(seconds: float) -> float:
    if not 0.1 <= seconds <= 3600:  # noqa: PLR2004 - an hour, as everywhere
        raise ValueError("allowed are 100ms to 1h")
    return seconds


def _boolean(value: object) -> object:
    if isinstance(value, str):
        if value.lower() not in BOOLEANS:
            raise ValueError("allowed are true and false")
        return BOOLEANS[value.lower()]
    return value


def _count(value: object) -> object:
    if isinstance(value, str):
        if not re.fullmatch("0*([1-9][0-9]{0,2}|1000)", value, re.ASCII):
            raise ValueError("allowed are whole numbers from 1 to 1000")
        return int(value)
    return value


def _one_of(*words: str) -> BeforeValidator:
    def check(value: object) -> object:
        if isinstance(value, str) and value not in words:
            raise ValueError(f"allowed are {', '.join(words[:-1])} and {words[-1]}")
        return value

    return BeforeValidator(check)


Duration = Annotated[float, BeforeValidator(_duration)]
Pause = Annotated[Duration, AfterValidator(_pause)]
Count = Annotated[int, BeforeValidator(_count)]
Switch = Annotated[bool, BeforeValidator(_boolean)]


class Settings(BaseModel):
    """The settings as given. In force they are `Resolved`, which needs no validator: a setting has a line here and one there."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    lease_name: Annotated[str, AfterValidator(check_subdomain)]
    """The Lease to contend for, a DNS-1123 subdomain. Required: named after the product, so that two products never share one."""
    instance: Annotated[str, AfterValidator(_instance)] = ""
    """What tells this instance of the product from others in the namespace, such as the Deployment's name; the Lease's name gets a hash of
    it: the first 8 digits of its SHA-256. Default: none, one instance in the namespace."""
    lease_namespace: Annotated[str, AfterValidator(check_label)]
    """Its namespace. Default: POD_NAMESPACE, else the service account's: a candidate and its Lease live together."""
    identity: Annotated[str, AfterValidator(check_identity)]
    """What stands in holderIdentity while this candidate leads. Default: POD_NAME_POD_UID; without a uid HOSTNAME_UUID: no two alike."""
    lease_duration: Annotated[Duration, AfterValidator(_whole_hour)] = 15.0
    """How long others wait after the last renewal they saw: whole seconds, 1s to 1h. Default 15s, as client-go: a crash costs that long."""
    renew_deadline: Duration = 10.0
    """For how long a renewal may be acted on; lease duration >= 1.25 x this: how much clock rates may differ. Default 10s."""
    retry_period: Duration = 2.0
    """Time between renewals; renew deadline > 1.2 x this, with room for two requests of 100ms. Default 2s, as client-go."""
    store: Annotated[str, AfterValidator(_store)] = "kubernetes"
    """`kubernetes`, or `local:PATH`: one SQLite file for the processes of one machine. Never chosen by itself: nobody leads by accident."""
    tls_strict: Switch = True
    """false: accept a CA that is not as RFC 5280 asks, such as one without key identifiers, and keys of 1,024 bits, as kubectl does; chain,
    host name and purpose are verified either way. Default true, as Python from 3.13 on: the same on every Python."""
    listen: Annotated[str, AfterValidator(_app_listen)] = LISTEN
    """Where the app asks: host:port, [::1]:port, unix:/path, several with commas; localhost is 127.0.0.1 and ::1, whichever is up.
    `*` and `[::]` are every address of IPv4 and IPv6."""
    probe_listen: Annotated[str, AfterValidator(_listen)] = PROBE_LISTEN
    """Where a kubelet asks: it comes to the Pod's address, so every address is the default. Empty: off."""
    socket_mode: Annotated[int, BeforeValidator(_mode)] = 0o660
    """Who may connect to a unix socket: its file's mode, octal, at most 777. Default 660: containers that share a group (fsGroup)."""
    drain_timeout: Duration | None = None
    """How long a step-down waits for POST /drained. Default: the renew deadline, by which every given deadline is behind.
    A shorter value is your guarantee that the app stops acting within it; 0s releases at once. With a longer one the Lease is renewed
    meanwhile; 1h at most.
    The Pod's terminationGracePeriodSeconds (30 by default) has to be 2 s more, or the kubelet kills the sidecar before it releases."""
    native_sidecar: Switch = False
    """true in a native sidecar (initContainer with restartPolicy: Always): SIGTERM means that the app has ended, release at once,
    unless an open connection shows that it lives."""
    pod_label: Switch = False
    """true: the own Pod carries the label leader-sidecar/role: leader or follower, for a Service's selector. Needs patch on pods."""
    pod_condition: Switch = False
    """true: the own Pod has the condition leader-sidecar/leading, True or False, for a readiness gate. Needs patch on pods/status."""
    events: Switch = False
    """true: Events on the Lease tell who became leader, stopped leading and why, or resigned. Needs create on events.events.k8s.io."""
    app_health_url: Annotated[str, AfterValidator(_health_url)] = ""
    """Where the app says how it is: http://localhost:PORT/PATH, or an IP address of the Pod's. 200 to 399 is healthy. Empty: off.
    While its app is not healthy a sidecar does not contend, and resigns if it leads; if nobody leads for two lease durations, it does."""
    app_health_period: Pause = 5.0
    """Time between two probes of the app. Default 5s."""
    app_health_timeout: Pause = 1.0
    """How long a probe of the app waits for its answer. Default 1s, as a kubelet's."""
    app_health_failures: Count = 3
    """After so many failed probes in a row the app is not healthy. Default 3, as a kubelet's failureThreshold."""
    app_health_successes: Count = 1
    """After so many successful probes in a row the app is healthy. Default 1, as a kubelet's successThreshold."""
    rollout_handover: Switch = False
    """true: a leader of an old revision of its Deployment, StatefulSet or DaemonSet hands over to a Pod of the current one that has
    run for a lease duration, once a revision in ten minutes. Needs POD_NAME, POD_UID and the rights of k8s/components/rollout-handover."""
    early_takeover: Switch = False
    """Take the Lease before it runs out when the API server shows that every process of the leader's Pod has ended. Default false.
    Needs POD_NAME and POD_UID by the downward API in every candidate, and the rights to get and watch Pods."""
    early_takeover_on_deletion: Switch = False
    """Take a Pod that is gone for one that has ended, and with early_takeover only. Default false. A Pod deleted with --force, or with its
    node, may run on: that only one leads then rests on the administrator who deletes it, and no longer on this sidecar."""
    log_format: Annotated[Literal["text", "json"] | None, _one_of("text", "json")] = None
    """text or json. Default: text on a terminal, else json."""
    log_level: Annotated[Literal["debug", "info", "warning", "error"], _one_of("debug", "info", "warning", "error")] = "info"
    """The least severe lines that are logged. Default info: each change of state and each new failure, nothing a renewal."""


RENAMED: Final = {"app_ends_first": "native_sidecar", "lease_unique_by": "instance", "yield": "rollout_handover"}
"""Former names of settings: refused, with the name of today."""


def variable(field: str) -> str:
    """A field's name in the environment."""
    return PREFIX + field.upper()


def flag(field: str) -> str:
    """A field's name on the command line."""
    return "--" + field.replace("_", "-")
