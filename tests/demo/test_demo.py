"""`make demo` with no terminal: it ends by itself, and its exit code says whether the promises were kept."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from demo.client import Answer
from demo.witness import Witness

ROOT = Path(__file__).resolve().parents[2]


def test_the_demo_shows_both_handovers_and_ends_with_exit_code_0() -> None:
    """Three real processes, a SIGTERM and a kill -9 of the leader; at no time two leaders; nothing left behind."""
    run = subprocess.run(
        [sys.executable, "-m", "demo", "--port", "24040", "--pace", "0.3"],
        cwd=ROOT, env=os.environ | {"LEADER_LEASE_DURATION": "nonsense"}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stderr == ""
    graceful = re.search(r"was told (\d+) ms after the signal", run.stdout)
    assert graceful is not None, run.stdout
    assert re.search(r"leads after \d\.\d s \(promised: 6 s", run.stdout), run.stdout
    assert "at no time two leaders" in run.stdout
    assert "\x1b" not in run.stdout, "escape codes are for terminals"


def answer(identity: str, token: int | None, asked: int, until: int) -> Answer:
    """A true answer in units of nanoseconds, received one after it was asked for."""
    body = {"identity": identity, "fencing_token": token, "is_leader": True, "valid_until_boottime_ns": until}
    return Answer(body, asked, asked + 1)


def test_two_terms_one_after_the_other_are_no_fault() -> None:
    """A deadline that is behind when the next leader is told is kept."""
    witness = Witness()
    witness.heard(answer("a", 1, 10, 20))
    witness.heard(answer("b", 2, 30, 40))
    assert witness.faults() == []


@pytest.mark.parametrize(
    ("first", "second", "fault"),
    [
        (answer("a", 1, 10, 50), answer("b", 2, 30, 60), "answered true while"),
        (answer("a", 1, 10, 32), answer("b", 2, 30, 60), "might act until"),
        (answer("a", 2, 10, 20), answer("b", 2, 30, 40), "did not grow"),
        (answer("a", 1, 10, 20), answer("b", None, 30, 40), "without a fencing token"),
    ],
)
def test_the_demo_sees_what_breaks_a_promise(first: Answer, second: Answer, fault: str) -> None:
    """A double answer, a given deadline that reaches into the next term, a token that does not grow, or none: each is a fault."""
    witness = Witness()
    witness.heard(first)
    witness.heard(second)
    assert any(fault in found for found in witness.faults()), witness.faults()


def test_an_application_that_has_ended_gives_its_deadline_back() -> None:
    """With LEADER_NATIVE_SIDECAR the sidecar is told by SIGTERM that nobody acts on the deadline any more."""
    witness = Witness()
    witness.heard(answer("a", 1, 10, 50))
    witness.ended("a", 20)
    witness.heard(answer("b", 2, 30, 60))
    assert witness.faults() == []


def test_a_stopped_sidecar_that_says_true_after_the_next_one_leads_is_a_fault() -> None:
    """Also once its application has ended: nobody may be told true twice."""
    witness = Witness()
    witness.ended("a", 20)
    witness.heard(answer("b", 2, 30, 60))
    witness.heard(answer("a", 1, 40, 50))
    assert any("answered true while" in found for found in witness.faults())
