"""The deadline check of fencing.md, and that every block of the page is run by the test that it names."""

import time
from pathlib import Path
from typing import Any

import pytest

from tests.fencing.page import PAGE, block, loaded, weakened
from tests.support.texts import ROOT, blocks


@pytest.fixture
def may_act(tmp_path: Path) -> Any:
    """The function of the page."""
    return loaded(tmp_path, "may_act.py").may_act


def answer(seconds_ahead: float, *, is_leader: bool = True) -> dict[str, Any]:
    """An answer of GET /leader whose deadline is that far ahead."""
    return {"is_leader": is_leader, "valid_until_boottime_ns": time.clock_gettime_ns(time.CLOCK_BOOTTIME) + int(seconds_ahead * 1e9)}


def test_the_leader_may_act_before_its_deadline_and_not_after(may_act: Any) -> None:
    assert may_act(answer(9))
    assert not may_act(answer(-1))


def test_a_side_effect_must_fit_before_the_deadline(may_act: Any) -> None:
    assert not may_act(answer(0.3))
    assert may_act(answer(0.3), needed_seconds=0.01)
    assert not may_act(answer(9), needed_seconds=10)


def test_a_follower_may_not_act(may_act: Any) -> None:
    assert not may_act(answer(9, is_leader=False))


@pytest.mark.parametrize(
    ("old", "new"), [('answer["is_leader"] and ', ""), ("+ needed_seconds * 1e9 ", ""), ("CLOCK_BOOTTIME", "CLOCK_REALTIME")]
)
def test_a_weaker_check_is_noticed(tmp_path: Path, old: str, new: str) -> None:
    """Each of the three tests above can fail."""
    text = block("may_act.py")
    body = text[text.index("    now_ns") :]
    weaker = loaded(tmp_path, "may_act.py", text.replace(body, weakened(body, old, new))).may_act
    assert not (weaker(answer(9)) and not weaker(answer(0.3)) and not weaker(answer(9, is_leader=False)))


def test_each_block_of_the_page_is_run_by_the_test_that_it_names() -> None:
    found = blocks(PAGE)
    assert len(found) > 10
    for each in found:
        assert f'"{each.title}"' in (ROOT / each.mark.removeprefix("tested by: ")).read_text(encoding="utf-8"), each.title
