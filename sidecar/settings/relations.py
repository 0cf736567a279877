"""The rules between two settings or more, and their error messages."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from sidecar.election.record import pod_name
from sidecar.settings.in_force import ASKING, unique_name
from sidecar.settings.listen import named_twice
from sidecar.settings.values import (
    MAX_DURATION_SECONDS,
    MAX_LEASE_NAME_CHARS,
    FaultError,
    Shared,
    check_identity,
    check_label,
    check_subdomain,
)

MIN_CLOCK_RATIO: Final = 1.25
JITTER_FACTOR: Final = 1.2
MIN_REQUEST_LIMIT_SECONDS: Final = 0.1
DELETION: Final = "early_takeover_on_deletion"

_Name = Callable[[str], str]


def tell(faults: Sequence[str | Shared]) -> None:
    """Raise FaultError where there is a fault."""
    if faults:
        raise FaultError(*faults)


def by_default(name: str, text: str, check: Callable[[str], str]) -> str:
    """`text`, the default of the setting `name`, if it may be. Raises FaultError."""
    try:
        return check(text)
    except ValueError as error:
        raise FaultError(f"{name}={text!r} (by default): {error}") from None


def faults_of(texts: Mapping[str, str | None], check: Callable[[str], str]) -> list[str]:
    """Faults of texts by name; None, which is not set, has none."""
    found = []
    for name, text in texts.items():
        if text is None:
            continue
        try:
            check(text)
        except ValueError as error:
            found.append(f"{name}={text!r}: {error}")
    return found


def faults(field: str, value: Any, before: Mapping[str, Any], variable: _Name) -> Sequence[str | Shared]:
    """Faults of `value` beside the fields that stand `before` it and are valid."""
    if field in ASKING:
        return _in_a_pod(field, before, variable) if value else []
    return _CHECKS[field](value, before, variable)


def _lease_name(instance: str, before: Mapping[str, Any], variable: _Name) -> list[str]:
    name = before.get("lease_name", "")
    over = len(unique_name(name, instance)) - MAX_LEASE_NAME_CHARS if instance and name else 0
    if over <= 0:
        return []
    return [f"{variable('lease_name')} has {len(name)} characters: at most {len(name) - over} are allowed with {variable('instance')}"]


def _retry_period(retry: float, _: Mapping[str, Any], variable: _Name) -> list[str]:
    return [f"{variable('retry_period')} is {retry:g}s: it must be above 0"] if retry <= 0 else []


def _renew_deadline(renew: float, before: Mapping[str, Any], variable: _Name) -> list[str]:
    """Faults of the relations between the three times (S1). They stand at the last of the three, so that one hides no other."""
    found, lease, retry = [], before.get("lease_duration"), before.get("retry_period")
    if lease is not None and lease < MIN_CLOCK_RATIO * renew:
        most = f"at most {lease / MIN_CLOCK_RATIO:g}s is allowed, which is the lease duration ({lease:g}s) / {MIN_CLOCK_RATIO}"
        found.append(f"{variable('renew_deadline')} is {renew:g}s: {most}; this margin covers clocks that run at different rates")
    if renew <= 0:
        found.append(f"{variable('renew_deadline')} is {renew:g}s: it must be above 0")
    elif retry is not None and retry >= (limit := min(renew / JITTER_FACTOR, renew - 2 * MIN_REQUEST_LIMIT_SECONDS)):
        message = f"{variable('retry_period')} is {retry:g}s: it must be below {limit:g}s with a renew deadline of {renew:g}s"
        found.append(f"{message}, so that two requests fit before the deadline")
    return found


def _drain_timeout(drain: float, _: Mapping[str, Any], variable: _Name) -> list[str]:
    return [f"{variable('drain_timeout')} is {drain:g}s: at most 1h is allowed"] if drain > MAX_DURATION_SECONDS else []


def _probe_listen(probes: str, before: Mapping[str, Any], variable: _Name) -> list[str]:
    listens = {field: text for field, text in (("listen", before.get("listen", "")), ("probe_listen", probes)) if text}
    return named_twice({variable(field): text for field, text in listens.items()})


def _on_deletion(on: bool, before: Mapping[str, Any], variable: _Name) -> list[str]:  # noqa: FBT001 - the setting's value
    if not on or before.get("early_takeover", True):
        return []
    return [f"{variable(DELETION)} is on and {variable('early_takeover')} is not: set both, or neither"]


def _in_a_pod(field: str, before: Mapping[str, Any], variable: _Name) -> list[str | Shared]:
    """Faults that keep a feature from asking for Pods."""
    name, store = variable(field), before.get("store", "kubernetes")
    if store != "kubernetes":
        return [Shared(f"{variable('store')}={store} has no Pods: remove ", name, ", or use the store kubernetes")]
    found: list[str | Shared] = []
    for each, check in (("pod_namespace", check_label), ("pod_name", check_subdomain), ("pod_uid", check_identity)):
        text = before.get(each, "x")
        if not text:
            found.append(Shared(f"{variable(each)} is not set: set it through the downward API, for ", name, ""))
            continue
        try:
            check(text)
        except ValueError as error:
            found.append(Shared(f"{variable(each)}={text!r}, needed for ", name, f": {error}"))
    # A release names the Pod to hand over to, and that Pod must know its name.
    identity, pod = before.get("identity"), before.get("pod_name")
    if field == "rollout_handover" and not found and identity and pod and pod not in (identity, pod_name(identity)):
        message = f"{name} needs an identity that names the Pod, and {variable('identity')} is {identity!r}"
        found.append(f"{message}: leave it out, or begin it with POD_NAME_")
    return found


_CHECKS: Final[dict[str, Callable[[Any, Mapping[str, Any], _Name], list[str]]]] = {
    "instance": _lease_name,
    "renew_deadline": _renew_deadline,
    "retry_period": _retry_period,
    "drain_timeout": _drain_timeout,
    "probe_listen": _probe_listen,
    DELETION: _on_deletion,
}
