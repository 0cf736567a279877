"""The settings as they are in force: found good, defaults filled in, and plain, so that no validator stays in memory."""

import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final, Literal

from sidecar import streams
from sidecar.durations import format_seconds
from sidecar.identity import Pod
from sidecar.lease import HolderPod
from sidecar.writes import Candidate

EXIT_UNUSABLE: Final = 2
"""What an edit of the Pod heals: never for what heals by itself."""


LONGEST_USUAL_DRAIN_SECONDS: Final = 28
"""Of Kubernetes' default terminationGracePeriodSeconds, 30, less what the release and the end of the process take (`grace.py`)."""


class Unusable(Exception):  # noqa: N818 - said to the user
    """It cannot start; an edit of the Pod heals it. Each line is one fault."""

    def say(self) -> None:
        """To the user: there is no log yet, and a traceback tells nobody what to do."""
        for line in str(self).splitlines():
            streams.complain(f"leader-sidecar: {line}\n")


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """What `settings.Settings` tells of, field by field, and what is made from it."""

    lease_name: str
    lease_unique_by: str
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
    app_ends_first: bool
    pod_label: bool
    pod_condition: bool
    events: bool
    app_health_url: str
    app_health_period: float
    app_health_timeout: float
    app_health_failures: int
    app_health_successes: int
    yield_: bool
    early_takeover: bool
    early_takeover_on_deletion: bool
    log_format: Literal["text", "json"] | None
    log_level: Literal["debug", "info", "warning", "error"]

    @classmethod
    def of_json(cls, text: bytes) -> "Resolved":
        """What `to_json` made."""
        return cls(**json.loads(text))

    def to_json(self) -> bytes:
        """For the process that they are found good for."""
        return json.dumps(asdict(self)).encode()

    @property
    def lease(self) -> str:
        """The name of the Lease that is contended for."""
        return unique_name(self.lease_name, self.lease_unique_by) if self.lease_unique_by else self.lease_name

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
            group=self.lease_unique_by,
            app_has_health=bool(self.app_health_url),
            pod=pod,
        )

    def in_force(self) -> dict[str, object]:
        """Every setting as it counts, for the startup line: defaults filled in, durations with their unit."""
        drain_timeout = self.renew_deadline if self.drain_timeout is None else self.drain_timeout
        times = {"lease_duration": self.lease_duration, "renew_deadline": self.renew_deadline, "retry_period": self.retry_period}
        times |= {"app_health_period": self.app_health_period, "app_health_timeout": self.app_health_timeout}
        shown = {field: format_seconds(value) for field, value in (times | {"drain_timeout": drain_timeout}).items()}
        return asdict(self) | shown | {"socket_mode": f"{self.socket_mode:o}", "log_format": self.effective_log_format}

    @property
    def follows(self) -> bool:
        """Whether anything in the cluster is to follow the answer."""
        return self.pod_label or self.pod_condition or self.events

    @property
    def asks_for_pods(self) -> bool:
        """Whether anything asks the API server for more than the Lease: then `own_pod` must be known."""
        return self.follows or self.yield_ or self.early_takeover

    @property
    def drains_long(self) -> bool:
        """Whether a step-down may take longer than a kubelet leaves it by default, its end included."""
        return (self.renew_deadline if self.drain_timeout is None else self.drain_timeout) > LONGEST_USUAL_DRAIN_SECONDS

    @property
    def effective_log_format(self) -> Literal["text", "json"]:
        """What was set, else what suits standard error."""
        return self.log_format or ("text" if sys.stderr.isatty() else "json")


def unique_name(lease_name: str, unique_by: str) -> str:
    """`lease_name` with a hash of `unique_by`, as `printf %s UNIQUE_BY | sha256sum | cut -c1-8` gives it."""
    return f"{lease_name}-{hashlib.sha256(unique_by.encode()).hexdigest()[:8]}"


def own_pod(environ: Mapping[str, str], service_account_namespace: str | None) -> Pod:
    """This Pod, by the downward API; what is missing is ""."""
    namespace = environ.get("POD_NAMESPACE") or service_account_namespace or ""
    return Pod(namespace, environ.get("POD_NAME", ""), environ.get("POD_UID", ""))


def holder_pod(settings: Resolved, pod: Pod) -> HolderPod | None:
    """What the record may name of `pod` (S6 x): its Pod is looked for beside the Lease, so None for one elsewhere, or not known whole."""
    known = pod.name and pod.uid and pod.namespace == settings.lease_namespace
    return HolderPod(pod.name, pod.uid) if known and settings.store == "kubernetes" else None
