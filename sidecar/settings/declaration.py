"""Every setting, once: from the environment (`LEADER_…`) or from a flag of the same name; the flag wins.

Docstrings are what --help says. The process that stays has the same type without the validator (`in_force.py`).
"""

import os
import re
import socket
import sys
import uuid
from typing import Any, Final

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, CliSuppress, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from sidecar.addresses import LISTEN, PROBE_LISTEN
from sidecar.kubernetes.in_cluster import service_account_namespace
from sidecar.settings import relations
from sidecar.settings.in_force import ASKING
from sidecar.settings.values import (
    AppListen,
    Count,
    Duration,
    FaultError,
    HealthUrl,
    Identity,
    Instance,
    LeaseName,
    Listen,
    LogFormat,
    LogLevel,
    Metavar,
    Namespace,
    Pause,
    SocketMode,
    Store,
    Switch,
    WholeSeconds,
    check_identity,
    check_label,
)

PREFIX: Final = "LEADER_"
GROUPS: Final = {
    "lease_name": "lease",
    "lease_duration": "times",
    "listen": "listeners",
    "pod_label": "Pod",
    "early_takeover": "early takeover",
    "native_sidecar": "application",
    "log_format": "logs",
}
"""The groups of settings in --help, by the first setting of each."""
RENAMED: Final = {"app_ends_first": "native_sidecar", "lease_unique_by": "instance", "yield": "rollout_handover"}
"""Former names of settings: refused, with the name of today."""
_INJECTED: Final = re.compile(r"LEADER(_[A-Z0-9_]+)?_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[A-Z0-9_]+)?)", re.ASCII)
"""What Kubernetes injects for a Service whose name begins with "leader"."""
UNSET: Final[Any] = None
"""The default of what is required, or found by a validator: a default_factory is not called once a setting before it is faulty, and then
the faults of this one would be told at the next start only."""


class WithoutValueError(ValueError):
    """A flag stands without its value."""


class Missing(str):
    """Stands for the value of a flag that has none."""

    __slots__ = ()


class Environment(EnvSettingsSource):
    """Names in capitals, as Kubernetes' docs write them; any other that begins with LEADER_ is handed on, for the model to refuse."""

    def __init__(self, settings_cls: type[BaseSettings]) -> None:
        super().__init__(settings_cls)
        self.env_vars = {name.lower(): text for name, text in os.environ.items() if name.isupper()}

    def __call__(self) -> dict[str, Any]:
        """The texts by field. A LEADER_ variable that is no setting stands by its whole name, unless Kubernetes injects it."""
        known = {PREFIX + field.upper() for field in NAMES}
        names = (name for name in os.environ if name.upper().startswith(PREFIX) and name not in known)
        return super().__call__() | {name: os.environ[name] for name in sorted(names) if not _INJECTED.fullmatch(name)}


class Settings(BaseSettings):
    """The settings; what one owes another is checked where the later one stands."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        extra="forbid",
        frozen=True,
        defer_build=True,  # --help needs no validator
        use_attribute_docstrings=True,
        cli_kebab_case=True,
        cli_parse_none_str="\0",  # no word of a command line stands for None
    )

    pod_name: CliSuppress[str | None] = Field(default=None, validation_alias="POD_NAME")
    """The own Pod's name, by the downward API."""
    pod_uid: CliSuppress[str | None] = Field(default=None, validation_alias="POD_UID")
    """The own Pod's uid, by the downward API."""
    pod_namespace: CliSuppress[str] = Field(default="", validation_alias="POD_NAMESPACE")
    """The own Pod's namespace, by the downward API. Default: the service account's; empty where this process runs in no Pod."""

    lease_name: LeaseName = Field(default=UNSET)
    """The Lease to contend for, a DNS-1123 subdomain. Required: named after the product, so that two products never share one."""
    instance: Instance = Field(default=UNSET)
    """What tells this instance of the product from others in the namespace, such as the Deployment's name; the Lease's name gets a hash of
    it: the first 8 digits of its SHA-256. Default: none, one instance in the namespace."""
    store: Store = "kubernetes"
    """`kubernetes`, or `local:PATH`: one SQLite file for the processes of one machine. Never chosen by itself: nobody leads by accident."""
    lease_namespace: Namespace = Field(default=UNSET)
    """Its namespace. Default: POD_NAMESPACE, else the service account's: a candidate and its Lease live together."""
    identity: Identity = Field(default=UNSET)
    """What stands in holderIdentity while this candidate leads. Default: POD_NAME_POD_UID; without a uid HOSTNAME_UUID: no two alike."""
    tls_strict: Switch = True
    """false: accept a CA that is not as RFC 5280 asks, such as one without key identifiers, and keys of 1,024 bits, as kubectl does; chain,
    host name and purpose are verified either way. Default true, as Python from 3.13 on: the same on every Python."""

    lease_duration: WholeSeconds = 15.0
    """How long others wait after the last renewal they saw: whole seconds, 1s to 1h. Default 15s, as client-go: a crash costs that long."""
    retry_period: Duration = 2.0
    """Time between renewals: above 0s, and renew deadline > 1.2 x this, with room for two requests of 100ms. Default 2s, as client-go."""
    renew_deadline: Duration = 10.0
    """For how long a renewal may be acted on: above 0s, and lease duration >= 1.25 x this: how much clock rates may differ. Default 10s."""
    drain_timeout: Duration = Field(default_factory=lambda data: data["renew_deadline"])
    """How long a step-down waits for POST /drained. Default: the renew deadline, by which every given deadline is behind.
    A shorter value is your guarantee that the app stops acting within it; 0s releases at once. With a longer one the Lease is renewed
    meanwhile; 1h at most.
    The Pod's terminationGracePeriodSeconds (30 by default) has to be 2 s more, or the kubelet kills the sidecar before it releases."""

    listen: AppListen = LISTEN
    """Where the app asks: host:port, [::1]:port, unix:/path, several with commas; localhost is 127.0.0.1 and ::1, whichever is up.
    `*` and `[::]` are every address of IPv4 and IPv6. Default localhost:4040."""
    probe_listen: Listen = PROBE_LISTEN
    """Where a kubelet asks: it comes to the Pod's address, so every address is the default, *:4041. Empty: off."""
    socket_mode: SocketMode = 0o660
    """Who may connect to a unix socket: its file's mode, octal, at most 777. Default 660: containers that share a group (fsGroup)."""

    pod_label: Switch = False
    """true: the own Pod carries the label leader-sidecar/role: leader or follower, for a Service's selector. Needs patch on pods."""
    pod_condition: Switch = False
    """true: the own Pod has the condition leader-sidecar/leading, True or False, for a readiness gate. Needs patch on pods/status."""
    events: Switch = False
    """true: Events on the Lease tell who became leader, stopped leading and why, or resigned. Needs create on events.events.k8s.io."""
    rollout_handover: Switch = False
    """true: a leader of an old revision of its Deployment, StatefulSet or DaemonSet hands over to a Pod of the current one that has
    run for a lease duration, once a revision in ten minutes. Needs POD_NAME, POD_UID and the rights of k8s/components/rollout-handover."""

    early_takeover: Switch = False
    """Take the Lease before it runs out when the API server shows that every process of the leader's Pod has ended. Default false.
    Needs POD_NAME and POD_UID by the downward API in every candidate, and the rights to get and watch Pods."""
    early_takeover_on_deletion: Switch = False
    """Take a Pod that is gone for one that has ended, and with early_takeover only. Default false. A Pod deleted with --force, or with its
    node, may run on: that only one leads then rests on the administrator who deletes it, and no longer on this sidecar."""

    native_sidecar: Switch = False
    """true in a native sidecar (initContainer with restartPolicy: Always): SIGTERM means that the app has ended, release at once,
    unless an open connection shows that it lives."""
    app_health_url: HealthUrl = ""
    """Where the app says how it is: http://localhost:PORT/PATH, or an IP address of the Pod's. 200 to 399 is healthy. Empty: off.
    While its app is not healthy a sidecar does not contend, and resigns if it leads; if nobody leads for two lease durations, it does."""
    app_health_period: Pause = 5.0
    """Time between two probes of the app, 100ms to 1h. Default 5s."""
    app_health_timeout: Pause = 1.0
    """How long a probe of the app waits for its answer, 100ms to 1h. Default 1s, as a kubelet's."""
    app_health_failures: Count = 3
    """After so many failed probes in a row, 1 to 1000, the app is not healthy. Default 3, as a kubelet's failureThreshold."""
    app_health_successes: Count = 1
    """After so many successful probes in a row, 1 to 1000, the app is healthy. Default 1, as a kubelet's successThreshold."""

    log_format: LogFormat = Field(default_factory=lambda: "text" if sys.stderr.isatty() else "json")
    """text or json. Default: text on a terminal, else json."""
    log_level: LogLevel = "info"
    """The least severe lines that are logged. Default info: each change of state and each new failure, nothing a renewal."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - its signature, as the others are
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment, behind the command line where there is one; no file."""
        return (Environment(settings_cls),)

    @field_validator("pod_namespace")
    @classmethod
    def _the_service_accounts(cls, text: str) -> str:
        return text or service_account_namespace(os.environ) or ""

    @field_validator("lease_name", mode="before")
    @classmethod
    def _is_required(cls, given: str | None) -> str:
        if not given:
            raise FaultError(f"{variable('lease_name')} is required: the name of the Lease, after the product, such as web")
        return given

    @field_validator("instance", mode="before")
    @classmethod
    def _tells_apart(cls, given: str | None) -> str:
        if given is not None and not given.strip():
            raise FaultError(f"{variable('instance')} is empty: say what tells this instance apart, or leave it out")
        return given or ""

    @field_validator("lease_namespace", mode="before")
    @classmethod
    def _is_the_pods(cls, given: str | None, info: ValidationInfo) -> str:
        if given is not None:
            return given
        found = info.data.get("pod_namespace") or ("default" if info.data.get("store", "").startswith("local:") else None)
        if found is None:
            raise FaultError(f"{variable('lease_namespace')} is not set: set it, or POD_NAMESPACE by the downward API")
        return relations.by_default(variable("lease_namespace"), found, check_label)

    @field_validator("identity", mode="before")
    @classmethod
    def _names_the_pod(cls, given: str | None, info: ValidationInfo) -> str:
        if given is not None:
            return given
        name, uid = info.data.get("pod_name"), info.data.get("pod_uid")
        relations.tell(relations.faults_of({"POD_NAME": name, "POD_UID": uid}, check_identity))
        return relations.by_default(variable("identity"), f"{name or socket.gethostname()}_{uid or uuid.uuid4()}", check_identity)

    @field_validator("instance", "retry_period", "renew_deadline", "drain_timeout", "probe_listen", *ASKING, relations.DELETION)
    @classmethod
    def _fits_the_others(cls, value: Any, info: ValidationInfo) -> Any:
        relations.tell(relations.faults(str(info.field_name), value, info.data, variable))
        return value

    @field_validator("*", mode="before")
    @classmethod
    def _has_a_value(cls, given: object) -> object:
        if isinstance(given, Missing):
            raise WithoutValueError
        return given


def variable(field: str) -> str:
    """A field's name in the environment."""
    alias = Settings.model_fields[field].validation_alias
    return alias if isinstance(alias, str) else PREFIX + field.upper()


def flag(field: str) -> str:
    """A field's name on the command line."""
    return "--" + field.replace("_", "-")


def metavar(field: str) -> str:
    """What stands for a field's value in --help."""
    (found,) = (each.text for each in Settings.model_fields[field].metadata if isinstance(each, Metavar))
    return found


NAMES: Final = tuple(field for field, about in Settings.model_fields.items() if about.validation_alias is None)
"""The fields that a user sets; the others are the Pod's."""
