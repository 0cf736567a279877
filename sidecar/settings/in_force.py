"""What the process that stays needs of its settings: a plain object, so that no validator stays in memory, and what follows from it."""

import hashlib
from typing import TYPE_CHECKING, Any, Final

from sidecar import standard_streams
from sidecar.durations import format_seconds
from sidecar.election.record import HolderPod
from sidecar.election.requests import Candidate
from sidecar.runtime.identity import Pod

if TYPE_CHECKING:
    from sidecar.settings.declaration import Settings
else:

    class Settings:
        """The checked settings, by the names of the declaration, which is their type."""

        def __init__(self, **values: Any) -> None:
            vars(self).update(values)

        def __setattr__(self, name: str, _: object) -> None:
            """Refuse it: settings stay as they are."""
            raise AttributeError(f"{name} is set once")


__all__ = ["Settings"]

EXIT_UNUSABLE: Final = 2
"""The exit code for faults that an edit of the Pod heals; never for those that heal by themselves."""
LONGEST_USUAL_DRAIN_SECONDS: Final = 28
"""Kubernetes' default terminationGracePeriodSeconds, 30, less what the release and the end of the process take (`grace_period.py`)."""
_DURATIONS: Final = ("lease_duration", "renew_deadline", "retry_period", "drain_timeout", "app_health_period", "app_health_timeout")
FOLLOWING: Final = ("pod_label", "pod_condition", "events")
"""The settings by which something in the cluster follows the leadership."""
ASKING: Final = (*FOLLOWING, "rollout_handover", "early_takeover")
"""The settings that ask the API server for more than the Lease."""
_OF_THE_POD: Final = ("pod_name", "pod_uid", "pod_namespace")


class UnusableError(Exception):
    """The sidecar cannot start until the Pod is edited. Each line is one fault."""

    def say(self) -> None:
        """Tell the user each fault: there is no log yet, and a traceback does not say what to do."""
        for line in str(self).splitlines():
            standard_streams.complain(f"leader-sidecar: {line}\n")


def lease(settings: Settings) -> str:
    """The name of the Lease to contend for."""
    return unique_name(settings.lease_name, settings.instance) if settings.instance else settings.lease_name


def unique_name(lease_name: str, instance: str) -> str:
    """`lease_name` with a hash of `instance`, as `printf %s INSTANCE | sha256sum | cut -c1-8` gives it."""
    return f"{lease_name}-{hashlib.sha256(instance.encode()).hexdigest()[:8]}"


def candidate(settings: Settings, process: str, place: str) -> Candidate:
    """The process of that name as a candidate."""
    return Candidate(
        identity=settings.identity,
        process=process,
        place=place,
        lease_duration_seconds=int(settings.lease_duration),
        renew_deadline_seconds=settings.renew_deadline,
        retry_period_seconds=settings.retry_period,
        drain_timeout_seconds=settings.drain_timeout,
        native_sidecar=settings.native_sidecar,
        group=settings.instance,
        app_has_health=bool(settings.app_health_url),
        pod=_holder_pod(settings),
    )


def own_pod(settings: Settings) -> Pod:
    """This process's Pod, as the downward API tells; what is missing is ""."""
    return Pod(settings.pod_namespace, settings.pod_name or "", settings.pod_uid or "")


def _holder_pod(settings: Settings) -> HolderPod | None:
    """The Pod that the record may name (S6 x): None for one not fully known, or in another namespace, where no follower looks for it."""
    pod = own_pod(settings)
    known = pod.name and pod.uid and pod.namespace == settings.lease_namespace
    return HolderPod(pod.name, pod.uid) if known and settings.store == "kubernetes" else None


def shown(settings: Settings) -> dict[str, object]:
    """Every setting in force, for the log's first line: with defaults filled in, and durations with their unit."""
    values = {field: value for field, value in vars(settings).items() if field not in _OF_THE_POD}
    times = {field: format_seconds(values[field]) for field in _DURATIONS}
    return values | times | {"socket_mode": f"{settings.socket_mode:o}"}


def follows(settings: Settings) -> bool:
    """Whether anything in the cluster (label, condition, Events) is to follow the leadership."""
    return any(getattr(settings, field) for field in FOLLOWING)


def asks_for_pods(settings: Settings) -> bool:
    """Whether any feature asks the API server for more than the Lease: then the own Pod is known."""
    return any(getattr(settings, field) for field in ASKING)


def drains_long(settings: Settings) -> bool:
    """Whether a step-down, the process's end included, may take longer than a Pod's default grace period."""
    return settings.drain_timeout > LONGEST_USUAL_DRAIN_SECONDS
