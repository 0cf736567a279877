"""LEADER_DRAIN_TIMEOUT and terminationGracePeriodSeconds: where the own Pod is seen and the second is too short, the log says so."""

import asyncio
import logging
from typing import Any

import pytest

from sidecar.election.store import Denied, Missing, Unknown
from sidecar.features.grace_period import GracePeriod
from sidecar.kubernetes.pods import Found, PodOutcome
from sidecar.runtime.identity import Pod
from sidecar.settings.in_force import drains_long
from tests.simulation.virtual_time import run_virtually
from tests.support.given import load
from tests.support.own_pod import stage
from tests.unit.features.test_own_deletion import Asked
from tests.unit.runtime.test_native_sidecar import stage as leading

ME = Pod("shop", "web-0", "u")


def pod(grace: object, uid: str = "u") -> dict[str, Any]:
    """The own one."""
    return {"kind": "Pod", "metadata": {"name": "web-0", "uid": uid}, "spec": {"terminationGracePeriodSeconds": grace}}


@pytest.mark.parametrize(
    ("drain_seconds", "grace", "needed"), [(60, 30, 62), (60, 61, 62), (10, 5, 12), (0.5, 2, 3), (3600, 3601, 3602), (60, 0, 62)]
)
def test_a_period_that_is_too_short_is_warned_of_once(
    caplog: pytest.LogCaptureFixture, drain_seconds: float, grace: int, needed: int
) -> None:
    watch = GracePeriod(ME, drain_seconds)
    watch.look(pod(grace))
    watch.look(pod(grace))
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "terminationGracePeriodSeconds is too short for LEADER_DRAIN_TIMEOUT" in record.getMessage()
    assert (record.fields["is_seconds"], record.fields["needs_seconds"]) == (grace, needed)  # type: ignore[attr-defined]


@pytest.mark.parametrize("shown", [pod(62), pod(3600), pod(30, uid="of another life"), pod("30"), pod(None), pod([]), {}, None, [], "x"])
def test_one_that_is_long_enough_and_what_is_not_the_own_pod_say_nothing(caplog: pytest.LogCaptureFixture, shown: Any) -> None:
    GracePeriod(ME, 60).look(shown)
    assert not caplog.records


@pytest.mark.parametrize(
    ("outcome", "level"),
    [(Found(pod(30)), logging.WARNING), (Found(pod(90)), None), (Denied("get"), logging.INFO), (Missing(), logging.INFO),
     (Unknown("no answer"), logging.INFO)],
)  # fmt: skip
def test_the_pod_is_read_once_at_the_start_and_without_the_right_the_need_is_told(
    caplog: pytest.LogCaptureFixture, outcome: PodOutcome, level: int | None
) -> None:
    async def main() -> None:
        pods = Asked(outcome)
        async with leading() as it:
            with caplog.at_level(logging.INFO, "sidecar.features.grace_period"):
                await GracePeriod(ME, 60).look_once(it.runner, pods)
                await asyncio.sleep(60)
        assert [name for name, _ in pods.reads] == ["web-0"]

    run_virtually(main())
    said = [record for record in caplog.records if record.name == "sidecar.features.grace_period"]
    assert [record.levelno for record in said] == ([level] if level is not None else [])
    assert all("62" in str(record.fields) for record in said)  # type: ignore[attr-defined]


def test_who_marks_its_pod_sees_it_in_the_answer(caplog: pytest.LogCaptureFixture) -> None:
    """No further right is needed, and no further request."""

    async def main() -> None:
        shown: list[Any] = []
        async with stage("label", seen=shown.append) as it:
            await asyncio.sleep(5)
            assert it.cluster.pod is not None
        assert len(shown) == len([asked for asked in it.cluster.asked if asked.method == "PATCH"]) > 0
        assert {one["metadata"]["uid"] for one in shown} == {"u0"}

    run_virtually(main())
    assert not [record for record in caplog.records if record.name == "sidecar.features.grace_period"]


@pytest.mark.parametrize(("drain", "long"), [("", False), ("28s", False), ("29s", True), ("1h", True), ("0s", False)])
def test_only_a_drain_that_kubernetes_default_is_too_short_for_costs_a_request(drain: str, *, long: bool) -> None:
    given = {"lease_name": "web", "lease_namespace": "shop", "identity": "web-0_1"} | ({"drain_timeout": drain} if drain else {})
    settings, faults = load(given, {})
    assert faults == []
    assert settings is not None
    assert drains_long(settings) is long
