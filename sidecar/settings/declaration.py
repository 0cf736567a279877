"""Every setting, once: from the environment (`LEADER_…`) or from a flag of the same name; the flag wins.

The docstrings are the text of --help and docs/reference/settings.md (`described.py`). The process that stays has the same type without the
validator (`in_force.py`).
"""

import os
import re
import socket
import sys
import uuid
from typing import Annotated, Any, Final

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, CliSuppress, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from sidecar.addresses import LISTEN, PROBE_LISTEN
from sidecar.kubernetes.in_cluster import service_account_namespace
from sidecar.settings import relations
from sidecar.settings.in_force import ASKING
from sidecar.settings.values import (
    Allowed,
    AppListen,
    Count,
    Default,
    Duration,
    FaultError,
    HealthUrl,
    Identity,
    Instance,
    LeaseName,
    Listen,
    LogFormat,
    LogLevel,
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
    """Name of this Pod, through the downward API."""
    pod_uid: CliSuppress[str | None] = Field(default=None, validation_alias="POD_UID")
    """Uid of this Pod, through the downward API."""
    pod_namespace: CliSuppress[str] = Field(default="", validation_alias="POD_NAMESPACE")
    """Namespace of this Pod, through the downward API. Default: the service account's; empty outside of a Pod."""

    lease_name: Annotated[LeaseName, Default("none, it is required")] = Field(default=UNSET)
    """Name of the Lease that the candidates contend for. Name it after the product, so that two products never share a Lease."""
    instance: Annotated[Instance, Default("none, one instance in the namespace")] = Field(default=UNSET)
    """Tells this instance of the product apart from others in the namespace, for example by its Deployment's name. The Lease's name gets a
    suffix: the first 8 digits of this text's SHA-256."""
    store: Store = "kubernetes"
    """Where the Lease is. `kubernetes`: on the API server. `local:PATH`: in an SQLite file, for the processes of one machine. The sidecar
    never selects a local store by itself."""
    lease_namespace: Annotated[Namespace, Default("POD_NAMESPACE, else the service account's")] = Field(default=UNSET)
    """Namespace of the Lease. With a local store outside of a Pod, the default is `default`."""
    identity: Annotated[Identity, Default("POD_NAME_POD_UID")] = Field(default=UNSET)
    """Name of this candidate in the Lease (`holderIdentity`) while it leads. Each process needs its own. Without POD_NAME the default
    begins with the host name; without POD_UID it ends with a random UUID."""
    tls_strict: Switch = True
    """`true`: the certificates of the API server and its CA must conform to RFC 5280. `false`: a CA without key identifiers and RSA keys of
    1,024 bits are accepted too, as kubectl accepts them. Chain, host name and purpose are verified either way."""

    lease_duration: Annotated[WholeSeconds, Allowed("whole seconds, 1s to 1h")] = 15.0
    """How long the other candidates wait after the last renewal that they saw. After a crash of the leader no candidate leads for up to
    this long."""
    retry_period: Annotated[Duration, Allowed("above 0s; below renew deadline / 1.2 and renew deadline - 200ms")] = 2.0
    """Time between two renewals by the leader."""
    renew_deadline: Annotated[Duration, Allowed("above 0s; at most lease duration / 1.25")] = 10.0
    """How long the leader may act on a renewal, counted from when the renewal was sent. The ratio of lease duration to renew deadline is
    how far the rates of two machines' clocks may differ."""
    drain_timeout: Annotated[Duration, Allowed("0s to 1h"), Default("the renew deadline")] = Field(
        default_factory=lambda data: data["renew_deadline"]
    )
    """How long a step-down waits for `POST /drained` before it releases the Lease. A value below the renew deadline is your guarantee that
    the application stops acting within that time; `0s` releases immediately. With a value above the renew deadline the sidecar renews the
    Lease while it waits. Set the Pod's terminationGracePeriodSeconds (30 by default) to at least 2 s more: a sidecar that the kubelet kills
    releases nothing."""

    listen: AppListen = LISTEN
    """Where the application asks. `localhost` is 127.0.0.1 and ::1: those that the Pod has. `*` and `[::]` are every address of IPv4 and
    IPv6. On an address other than localhost the sidecar answers reads only."""
    probe_listen: Listen = PROBE_LISTEN
    """Where the kubelet and Prometheus ask. A kubelet connects to the Pod's address, so the default is every address. Empty: no probe
    listener."""
    socket_mode: SocketMode = 0o660
    """File mode of a unix socket: which users may connect. The default is for containers that share a group (`fsGroup`)."""

    pod_label: Switch = False
    """Writes the label `leader-sidecar/role`, `leader` or `follower`, on this Pod, for a Service's selector. Needs the right to patch
    pods."""
    pod_condition: Switch = False
    """Writes the condition `leader-sidecar/leading`, `True` or `False`, on this Pod, for a readiness gate. Needs the right to patch
    pods/status."""
    events: Switch = False
    """Writes Events on the Lease: `BecameLeader`, `StoppedLeading` with the reason, `Resigned`. Needs the right to create events in
    events.k8s.io."""
    rollout_handover: Switch = False
    """A leader of an old revision of its Deployment, StatefulSet or DaemonSet hands over to a Pod of the current revision. That Pod must
    have run for one lease duration. There is at most one handover per revision in ten minutes. Needs the rights of
    k8s/components/rollout-handover."""

    early_takeover: Switch = False
    """Takes the Lease before it runs out, when the API server shows that every process of the leader's Pod has ended. Needs the rights to
    get and watch pods, and POD_NAME and POD_UID in every candidate."""
    early_takeover_on_deletion: Annotated[Switch, Allowed("true only with early takeover")] = False
    """With early takeover: a Pod that is gone from the API counts as ended. A Pod that was deleted with --force, or with its node, may
    still run. Only the administrator who deletes a Pod can then ensure that one leader acts."""

    native_sidecar: Switch = False
    """For a native sidecar (an init container with restartPolicy: Always): SIGTERM means that the application has ended. The Lease is
    released immediately, unless an open connection shows that the application is alive."""
    app_health_url: Annotated[HealthUrl, Default("empty, no health checks")] = ""
    """Where the sidecar checks the application's health. A status from 200 to 399 is healthy. While the application is not healthy, its
    sidecar does not contend, and resigns if it leads. If the Lease stays free for two lease durations, an unhealthy candidate contends
    too."""
    app_health_period: Pause = 5.0
    """Time between two health checks."""
    app_health_timeout: Pause = 1.0
    """How long a health check waits for its answer."""
    app_health_failures: Count = 3
    """After this many failed checks in a row the application is not healthy."""
    app_health_successes: Count = 1
    """After this many successful checks in a row the application is healthy."""

    log_format: Annotated[LogFormat, Default("text on a terminal, else json")] = Field(
        default_factory=lambda: "text" if sys.stderr.isatty() else "json"
    )
    """Format of the log on standard error."""
    log_level: LogLevel = "info"
    """Least severe level that is logged. `info` has each change of state and each new failure, but no renewals."""

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
            raise FaultError(f"{variable('lease_name')} is required: set it to the name of the Lease, for example the product's name")
        return given

    @field_validator("instance", mode="before")
    @classmethod
    def _tells_apart(cls, given: str | None) -> str:
        if given is not None and not given.strip():
            raise FaultError(f"{variable('instance')} is empty: set a text that no other instance has, or leave it out")
        return given or ""

    @field_validator("lease_namespace", mode="before")
    @classmethod
    def _is_the_pods(cls, given: str | None, info: ValidationInfo) -> str:
        if given is not None:
            return given
        found = info.data.get("pod_namespace") or ("default" if info.data.get("store", "").startswith("local:") else None)
        if found is None:
            raise FaultError(f"{variable('lease_namespace')} is not set: set it, or POD_NAMESPACE through the downward API")
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


NAMES: Final = tuple(field for field, about in Settings.model_fields.items() if about.validation_alias is None)
"""The fields that a user sets; the others are the Pod's."""
