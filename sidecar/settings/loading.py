"""From flags and environment to the settings, or to every fault that they have. Checks the relations between settings."""

import os
import re
import socket
import uuid
from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from sidecar.durations import parse_seconds
from sidecar.election.record import pod_name
from sidecar.settings.declaration import MAX_LEASE_NAME_CHARS, PREFIX, Settings, check_identity, check_label, check_subdomain, variable
from sidecar.settings.listen import named_twice
from sidecar.settings.resolved import Resolved, own_pod

MIN_CLOCK_RATIO: Final = 1.25
JITTER_FACTOR: Final = 1.2
MIN_REQUEST_LIMIT_SECONDS: Final = 0.1


def load(flags: Mapping[str, str], environ: Mapping[str, str], service_account_namespace: str | None) -> tuple[Resolved | None, list[str]]:
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
    faults += _named_twice(values, wrong)
    if not given.get("instance", "x").strip():
        faults.append(f"{variable('instance')} is empty: say what tells this instance apart, or leave it out")
    if settings is not None and len(settings.lease) > MAX_LEASE_NAME_CHARS:
        longest = MAX_LEASE_NAME_CHARS - len(settings.lease) + len(settings.lease_name)
        faults.append(f"{variable('lease_name')} has {len(settings.lease_name)} characters: with {variable('instance')}, {longest} at most")
    if settings is not None and settings.early_takeover_on_deletion and not settings.early_takeover:
        message = f"{variable('early_takeover_on_deletion')} is on and {variable('early_takeover')} is not: set both, or neither"
        faults.append(f"{message}; it says what counts as a Pod's end in an early takeover")
    if settings is not None and settings.asks_for_pods:
        faults += _in_a_pod(settings, environ, service_account_namespace)
    if settings is not None and settings.rollout_handover and not faults:
        faults += _unnameable(settings.identity, environ)
    return (None, faults) if faults else (settings, [])


def _validate(values: dict[str, Any], stand_ins: dict[str, str], given: Mapping[str, str]) -> tuple[Resolved | None, dict[str, str]]:
    try:
        return Resolved(**Settings(**{**stand_ins, **values}).model_dump()), {}
    except ValidationError as error:
        wrong: dict[str, str] = {}
        for detail in error.errors(include_url=False):
            field = str(detail["loc"][0])
            said = f"{given[field]!r}" if field in given else f"{values.get(field)!r} (by default)"
            why = (
                detail["ctx"]["error"] if detail["type"] == "value_error" else "it is no text in UTF-8"
            )  # all else is checked by ourselves
            wrong.setdefault(field, f"{variable(field)}={said}: {why}")
        return None, wrong


def _inequalities(values: Mapping[str, Any], wrong: Mapping[str, str]) -> list[str]:
    """Faults of the relations between the three times (S1), as far as each of them is valid."""

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


def _named_twice(values: Mapping[str, Any], wrong: Mapping[str, str]) -> list[str]:
    """Faults of addresses, of one or of both listeners, that ask for the same place."""
    listens = {field: values.get(field, Settings.model_fields[field].default) for field in ("listen", "probe_listen")}
    return [] if listens.keys() & wrong.keys() else named_twice({variable(field): text for field, text in listens.items()})


def _in_a_pod(settings: Resolved, environ: Mapping[str, str], service_account_namespace: str | None) -> list[str]:
    """Faults that keep features from asking for Pods."""
    asking = ("pod_label", "pod_condition", "events", "rollout_handover", "early_takeover")
    on = " and ".join(variable(field) for field in asking if getattr(settings, field))
    if settings.store != "kubernetes":
        return [f"{variable('store')}={settings.store} knows no Pods: leave {on} out there"]
    pod, faults = own_pod(environ, service_account_namespace), []
    for name, value, check in (
        ("POD_NAMESPACE", pod.namespace, check_label),
        ("POD_NAME", pod.name, check_subdomain),
        ("POD_UID", pod.uid, check_identity),
    ):
        if not value:
            faults.append(f"{name} is not set, and {on} needs it: set it by the downward API")
            continue
        try:
            check(value)
        except ValueError as error:
            faults.append(f"{name}={value!r}, and {on} needs it: {error}")
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


def _unnameable(identity: str, environ: Mapping[str, str]) -> list[str]:
    """The fault of an identity that does not name its Pod: a release names the Pod to hand over to, and that Pod must know its name."""
    if environ["POD_NAME"] in (identity, pod_name(identity)):
        return []
    name = variable("identity")
    message = f"{variable('rollout_handover')} needs an identity that names the Pod, and {name} is {identity!r}"
    return [f"{message}: leave it out, or begin it with POD_NAME_"]


def foreign_variables(environ: Mapping[str, str] = os.environ) -> list[str]:
    """LEADER_ names that are no setting, but for those that Kubernetes injects for a Service whose name begins with "leader"."""
    known = {variable(field) for field in Settings.model_fields}
    injected = re.compile(r"LEADER(_[A-Z0-9_]+)?_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[A-Z0-9_]+)?)", re.ASCII)
    names = (name for name in environ if name.upper().startswith(PREFIX) and name not in known)
    return sorted(name for name in names if not injected.fullmatch(name))
