"""Every knob: from the environment (`LEADER_…`) or from a flag of the same name; the flag wins. `--help` is made from the docstrings."""

import os
import re
import socket
import sys
import uuid
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, TypeAdapter, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from sidecar.durations import format_seconds, parse_seconds
from sidecar.lease import SENTINEL, HolderPod
from sidecar.listen import parse_listen
from sidecar.writes import Candidate

PREFIX: Final = "LEADER_"
MIN_CLOCK_RATIO: Final = 1.25
JITTER_FACTOR: Final = 1.2
MIN_REQUEST_LIMIT_SECONDS: Final = 0.1
MAX_IDENTITY_CHARS: Final = 512
_BOOL: Final = TypeAdapter(bool)
_SUBDOMAIN: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", re.ASCII)


def _subdomain(text: str) -> str:
    if len(text) > 253 or not _SUBDOMAIN.fullmatch(text):  # noqa: PLR2004 - RFC 1123
        raise ValueError("allowed are lower-case letters, digits, '-' and '.', 253 at most, a letter or digit at both ends")
    return text


def _label(text: str) -> str:
    if len(text) > 63 or "." in text or not _SUBDOMAIN.fullmatch(text):  # noqa: PLR2004 - RFC 1123
        raise ValueError("allowed are lower-case letters, digits and '-', 63 at most, a letter or digit at both ends")
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


Duration = Annotated[float, BeforeValidator(_duration)]


class Settings(BaseSettings):
    """The settings as given; `candidate` and `lease_namespace` are made from them."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, use_attribute_docstrings=True, extra="ignore", env_ignore_empty=False)

    lease_name: Annotated[str, AfterValidator(_subdomain)]
    """The Lease to contend for, a DNS-1123 subdomain. Required: named after the product, so that two products never share one."""
    lease_namespace: Annotated[str, AfterValidator(_label)]
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
    listen: Annotated[str, AfterValidator(_app_listen)] = "localhost:4040"
    """Where the app asks: host:port, [::1]:port, unix:/path, several with commas; localhost is 127.0.0.1 and, where it is up, ::1."""
    probe_listen: Annotated[str, AfterValidator(_listen)] = "*:4041"
    """Where a kubelet asks: it comes to the Pod's address, so every address is the default. Empty: off."""
    socket_mode: Annotated[int, BeforeValidator(_mode)] = 0o660
    """Who may connect to a unix socket: its file's mode, octal, at most 777. Default 660: containers that share a group (fsGroup)."""
    drain_timeout: Duration | None = None
    """How long a step-down waits for POST /drained. Default: the renew deadline, by which every given deadline is behind.
    Below that it says that the app has stopped by then; 0s: at once. Above it the Lease is renewed meanwhile; 1h at most."""
    app_ends_first: bool = False
    """true in a native sidecar (initContainer with restartPolicy: Always): SIGTERM means that the app has ended, release at once."""
    early_takeover: bool = False
    """Take the Lease before it runs out when the API server shows that every process of the leader's Pod has ended. Default false.
    Needs POD_NAME and POD_UID by the downward API in every candidate, and the rights to get and watch Pods."""
    early_takeover_on_deletion: bool = False
    """Take a Pod that is gone for one that has ended, and with early_takeover only. Default false. A Pod deleted with --force, or with its
    node, may run on: that only one leads then rests on the administrator who deletes it, and no longer on this sidecar."""
    log_format: Literal["text", "json"] | None = None
    """text or json. Default: text on a terminal, else json."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe lines that are logged. Default info: each change of state and each new failure, nothing a renewal."""

    def candidate(self, instance: str, place: str, pod: HolderPod | None = None) -> Candidate:
        """This process as a contender; `pod` is its own, where that is known."""
        return Candidate(
            identity=self.identity,
            instance=instance,
            place=place,
            lease_duration_seconds=int(self.lease_duration),
            renew_deadline_seconds=self.renew_deadline,
            retry_period_seconds=self.retry_period,
            drain_timeout_seconds=self.renew_deadline if self.drain_timeout is None else self.drain_timeout,
            app_ends_first=self.app_ends_first,
            pod=pod,
        )

    def in_force(self) -> dict[str, object]:
        """Every setting as it counts, for the startup line: defaults filled in, durations with their unit."""
        drain_timeout = self.renew_deadline if self.drain_timeout is None else self.drain_timeout
        times = {"lease_duration": self.lease_duration, "renew_deadline": self.renew_deadline, "retry_period": self.retry_period}
        shown = {field: format_seconds(value) for field, value in (times | {"drain_timeout": drain_timeout}).items()}
        return self.model_dump() | shown | {"socket_mode": f"{self.socket_mode:o}", "log_format": self.effective_log_format}

    @property
    def effective_log_format(self) -> Literal["text", "json"]:
        """What was set, else what suits standard error."""
        return self.log_format or ("text" if sys.stderr.isatty() else "json")


def variable(field: str) -> str:
    """A field's name in the environment."""
    return PREFIX + field.upper()


def flag(field: str) -> str:
    """A field's name on the command line."""
    return "--" + field.replace("_", "-")


def load(flags: Mapping[str, str], environ: Mapping[str, str], service_account_namespace: str | None) -> tuple[Settings | None, list[str]]:
    """The settings, or every fault that they have, a line each. `flags` maps a field's name to its text."""
    given = {field: environ[variable(field)] for field in Settings.model_fields if variable(field) in environ} | dict(flags)
    faults: list[str] = []
    values: dict[str, Any] = dict(given)
    if "identity" not in values:
        values["identity"], fault = _default_identity(environ)
        faults += fault
    if "lease_namespace" not in values:
        local = "default" if values.get("store", "").startswith("local:") else None
        values["lease_namespace"] = environ.get("POD_NAMESPACE") or service_account_namespace or local
        if values["lease_namespace"] is None:
            faults.append(f"{variable('lease_namespace')} is not set: set it, or POD_NAMESPACE by the downward API")
    if not values.get("lease_name"):
        faults.append(f"{variable('lease_name')} is required: the name of the Lease, after the product, such as web")
    stand_ins = {"lease_name": "x", "lease_namespace": "x"}
    settings, wrong = _validate({key: value for key, value in values.items() if value is not None}, stand_ins, given)
    faults += [fault for field, fault in wrong.items() if not (field == "lease_name" and not values.get(field))]
    faults += _inequalities(values, wrong)
    faults += _early(values, wrong)
    return (None, faults) if faults else (settings, [])


def _validate(values: dict[str, Any], stand_ins: dict[str, str], given: Mapping[str, str]) -> tuple[Settings | None, dict[str, str]]:
    try:
        return Settings(**{**stand_ins, **values}), {}
    except ValidationError as error:
        wrong: dict[str, str] = {}
        for detail in error.errors(include_url=False):
            field = str(detail["loc"][0])
            said = f"{given[field]!r}" if field in given else f"{values.get(field)!r} (by default)"
            wrong.setdefault(field, f"{variable(field)}={said}: {detail['msg'].removeprefix('Value error, ')}")
        return None, wrong


def _inequalities(values: Mapping[str, Any], wrong: Mapping[str, str]) -> list[str]:
    """What the three times owe each other (S1), for those that stand."""

    def seconds(field: str) -> float | None:
        if field in wrong:
            return None
        value = values.get(field, Settings.model_fields[field].default)
        return parse_seconds(value) if isinstance(value, str) else value

    lease, renew, retry, drain = (seconds(field) for field in ("lease_duration", "renew_deadline", "retry_period", "drain_timeout"))
    faults = []
    if lease is not None and renew is not None and lease < MIN_CLOCK_RATIO * renew:
        message = (
            f"{variable('renew_deadline')} is {renew:g}s: at most {lease / MIN_CLOCK_RATIO:g}s is allowed, the lease duration ({lease:g}s)"
        )
        faults.append(f"{message} / {MIN_CLOCK_RATIO}: their ratio is what keeps two clocks apart")
    if renew is not None and renew <= 0:
        faults.append(f"{variable('renew_deadline')} is {renew:g}s: it must be above 0")
    if retry is not None and retry <= 0:
        faults.append(f"{variable('retry_period')} is {retry:g}s: it must be above 0")
    elif renew is not None and retry is not None and renew > 0:
        limit = min(renew / JITTER_FACTOR, renew - 2 * MIN_REQUEST_LIMIT_SECONDS)
        if retry >= limit:
            message = f"{variable('retry_period')} is {retry:g}s: below {limit:g}s is allowed with a renew deadline of {renew:g}s"
            faults.append(f"{message}, so that two requests fit in between")
    if drain is not None and drain > 3600:  # noqa: PLR2004 - an hour, as for the lease duration
        faults.append(f"{variable('drain_timeout')} is {drain:g}s: at most 1h is allowed")
    return faults


def _early(values: Mapping[str, Any], wrong: Mapping[str, str]) -> list[str]:
    """What an early takeover needs."""

    def is_on(field: str) -> bool:
        return field not in wrong and _BOOL.validate_python(values.get(field, False))

    faults = []
    if is_on("early_takeover_on_deletion") and not is_on("early_takeover") and "early_takeover" not in wrong:
        message = f"{variable('early_takeover_on_deletion')} is on and {variable('early_takeover')} is not: set both, or neither"
        faults.append(f"{message}; it says what counts as a Pod's end in an early takeover")
    if is_on("early_takeover") and str(values.get("store", "")).startswith("local:"):
        faults.append(f"{variable('early_takeover')} is on with a local store: a local store knows of no Pods; leave it out")
    return faults


def _default_identity(environ: Mapping[str, str]) -> tuple[str | None, list[str]]:
    name, uid = environ.get("POD_NAME"), environ.get("POD_UID")
    faults = []
    for key, value in (("POD_NAME", name), ("POD_UID", uid)):
        try:
            check_identity("x" if value is None else value)
        except ValueError as error:
            faults.append(f"{key}={value!r}: {error}")
    if faults:
        return "x", faults
    return f"{name or socket.gethostname()}_{uid or uuid.uuid4()}", []


def foreign_variables(environ: Mapping[str, str] = os.environ) -> list[str]:
    """LEADER_ names that are no setting, except what Kubernetes injects for a Service whose name begins with "leader"."""
    known = {variable(field) for field in Settings.model_fields}
    injected = re.compile(r"LEADER(_[A-Z0-9_]+)?_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[A-Z0-9_]+)?)", re.ASCII)
    names = (name for name in environ if name.upper().startswith(PREFIX) and name not in known)
    return sorted(name for name in names if not injected.fullmatch(name))
