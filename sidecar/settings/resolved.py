"""The settings in force: checked, with defaults filled in, and in a plain object, so that no validator stays in memory."""

import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final, Literal

from sidecar import standard_streams
from sidecar.durations import format_seconds
from sidecar.election.record import HolderPod
from sidecar.election.requests import Candidate
from sidecar.runtime.identity import Pod

EXIT_UNUSABLE: Final = 2
"""The exit code for faults that an edit of the Pod heals; never for those that heal by themselves."""


LONGEST_USUAL_DRAIN_SECONDS: Final = 28
"""Kubernetes' default terminationGracePeriodSeconds, 30, less what the release and the end of the process take (`grace.py`)."""


class Unusable(Exception):  # noqa: N818 - said to the user
    """The sidecar cannot start until the Pod is edited. Each line is one fault."""

    def say(self) -> None:
        """Tell the user each fault: there is no log yet, and a traceback does not say what to do."""
        for line in str(self).splitlines():
            standard_streams.complain(f"leader-sidecar: {line}\n")


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """The fields of `settings.Settings`, which says what each means, and what is derived from them."""

    lease_name: str
    instance: str
    lease_namespace: str
    identity: str
    lease_duration: float
    renew_deadline: float
    retry_period: float
    store: str
    tls_strict: bool
    listen: str
    probe_listen: str
    socket_mode: int
    drain_timeout: float | None
    native_sidecar: bool
    pod_label: bool
    pod_condition: bool
    events: bool
    app_health_url: str
    app_health_period: float
    app_health_timeout: float
    app_health_failures: int
    app_health_successes: int
    rollout_handover: bool
    early_takeover: bool
    early_takeover_on_deletion: bool
    log_format: Literal["text", "json"] | None
    log_level: Literal["debug", "info", "warning", "error"]

    @classmethod
    def of_json(cls, text: bytes) -> "Resolved":
        """The settings that `to_json` wrote."""
        return cls(**json.loads(text))

    def to_json(self) -> bytes:
        """The settings as JSON, for the process that stays."""
        return json.dumps(asdict(self)).encode()

    @property
    def lease(self) -> str:
        """The name of the Lease to contend for."""
        return unique_name(self.lease_name, self.instance) if self.instance else self.lease_name

    def candidate(self, process: str, place: str, pod: HolderPod | None = None) -> Candidate:
        """This process as a candidate; `pod` is its Pod, where that is known."""
        return Candidate(
            identity=self.identity,
            process=process,
            place=place,
            lease_duration_seconds=int(self.lease_duration),
            renew_deadline_seconds=self.renew_deadline,
            retry_period_seconds=self.retry_period,
            drain_timeout_seconds=self.renew_deadline if self.drain_timeout is None else self.drain_timeout,
            native_sidecar=self.native_sidecar,
            group=self.instance,
            app_has_health=bool(self.app_health_url),
            pod=pod,
        )

    def in_force(self) -> dict[str, object]:
        """Every setting in force, for the log's first line: with defaults filled in, and durations with their unit."""
        drain_timeout = self.renew_deadline if self.drain_timeout is None else self.drain_timeout
        times = {"lease_duration": self.lease_duration, "renew_deadline": self.renew_deadline, "retry_period": self.retry_period}
        times |= {"app_health_period": self.app_health_period, "app_health_timeout": self.app_health_timeout}
        shown = {field: format_seconds(value) for field, value in (times | {"drain_timeout": drain_timeout}).items()}
        return asdict(self) | shown | {"socket_mode": f"{self.socket_mode:o}", "log_format": self.effective_log_format}

    @property
    def follows(self) -> bool:
        """Whether anything in the cluster (label, condition, Events) is to follow the leadership."""
        return self.pod_label or self.pod_condition or self.events

    @property
    def asks_for_pods(self) -> bool:
        """Whether any feature asks the API server for more than the Lease: then `own_pod` must be known."""
        return self.follows or self.rollout_handover or self.early_takeover

    @property
    def drains_long(self) -> bool:
        """Whether a step-down, the process's end included, may take longer than a Pod's default grace period."""
        return (self.renew_deadline if self.drain_timeout is None else self.drain_timeout) > LONGEST_USUAL_DRAIN_SECONDS

    @property
    def effective_log_format(self) -> Literal["text", "json"]:
        """The format that was set, else `text` on a terminal, `json` elsewhere."""
        return self.log_format or ("text" if sys.stderr.isatty() else "json")


def unique_name(lease_name: str, unique_by: str) -> str:
    """`lease_name` with a hash of `unique_by`, as `printf %s UNIQUE_BY | sha256sum | cut -c1-8` gives it."""
    return f"{lease_name}-{hashlib.sha256(unique_by.encode()).hexdigest()[:8]}"


def own_pod(environ: Mapping[str, str], service_account_namespace: str | None) -> Pod:
    """This process's Pod, as the downward API tells; what is missing is ""."""
    namespace = environ.get("POD_NAMESPACE") or service_account_namespace or ""
    return Pod(namespace, environ.get("POD_NAME", ""), environ.get("POD_UID", ""))


def holder_pod(settings: Resolved, pod: Pod) -> HolderPod | None:
    """The Pod that the record may name (S6 x): None for one not fully known, or in another namespace, where no follower looks for it."""
    known = pod.name and pod.uid and pod.namespace == settings.lease_namespace
    return HolderPod(pod.name, pod.uid) if known and settings.store == "kubernetes" else None
