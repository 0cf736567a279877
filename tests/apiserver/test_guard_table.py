"""The guard's table (docs/reference/admission-policy.md): each row is tried on the real API server, with a token that is bound to a Pod."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sidecar.election.record import GROUP_ANNOTATION, STANDBY_ANNOTATION
from tests.apiserver import guard_stage
from tests.apiserver.guard_field_rows import ANNOTATIONS, FIELDS, TOKENS
from tests.apiserver.guard_pod_rows import BINDINGS, PODS, running
from tests.apiserver.guard_rows import HOLDERS, HONEST, TERMS, Row, names, yielded
from tests.apiserver.guard_stage import Stage
from tests.apiserver.guarded import GUARD
from tests.apiserver.server import ApiServer
from tests.apiserver.sidecar_process import ROOT, until

TABLE = {
    "What a sidecar writes": HONEST,
    "Holder, and by which request": HOLDERS,
    "The annotation leader-sidecar/term": TERMS,
    "The fencing token": TOKENS,
    "Other annotations of the Lease": ANNOTATIONS,
    "Other fields of the Lease": FIELDS,
    "Pods": PODS,
    "RoleBindings": BINDINGS,
}
PAGE = ROOT / "docs" / "reference" / "admission-policy.md"


def _held(there: Stage) -> None:
    there.administer({"metadata": {"annotations": {"team": "a"}, "labels": {"team": "a"}}})
    running(there)


def _marked(there: Stage) -> None:
    there.administer({"metadata": {"annotations": {GROUP_ANNOTATION: "blue"}}})
    _blue(there)


def _blue(there: Stage) -> None:
    there.server.kubectl(
        "annotate", "rolebinding", "web-leader-sidecar", f"{GROUP_ANNOTATION}=blue", "--overwrite", "-n", there.guarded.namespace
    )
    body = guard_stage.with_annotations(there.acquired(there.second), **{GROUP_ANNOTATION: "blue"})
    until(lambda: there.ask(there.second, body)[0] == 200, within_seconds=10)


STATES: dict[str, Callable[[Stage], None]] = {
    "held": _held,
    "released": guard_stage.released,
    "missing": guard_stage.missing,
    "held by the placeholder": guard_stage.behind_a_placeholder,
    "left by a client-go program": guard_stage.left_by_client_go,
    "emptied by an administrator": guard_stage.emptied,
    "with an invalid token": guard_stage.unknown_token,
    "without a group, RoleBinding of blue": _blue,
    "of the group blue": _marked,
    "two standbys": lambda there: there.administer(
        {"metadata": {"annotations": {STANDBY_ANNOTATION: names(there.second.identity, "web-2_u2")}}}
    ),
    "with invalid standbys": lambda there: there.administer({"metadata": {"annotations": {STANDBY_ANNOTATION: '[ "é\\"x" , "b", 7 ]'}}}),
    "with leader-sidecar/yielded": lambda there: there.administer(yielded()),
    "of 3,000 annotations of others": lambda there: there.administer(
        {"metadata": {"annotations": {f"team/a{number:05d}": "x" for number in range(3000)}}}
    ),
}


@pytest.fixture(scope="module")
def stages(policy: None, apiserver: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Stage]:  # noqa: ARG001
    """A Lease in each state, made when it is first asked for. Dry runs leave it as it is."""
    found: dict[str, Stage] = {}

    def get(state: str) -> Stage:
        if state not in found:
            folder: Path = tmp_path_factory.mktemp("stage")
            found[state] = guard_stage.stage(apiserver, folder, STATES[state])
        return found[state]

    return get


@pytest.mark.parametrize("state", STATES)
def test_each_row_is_allowed_or_refused_as_the_table_says(stages: Callable[[str], Stage], state: str) -> None:
    """All at once, so that whatever fails is told in one list."""
    there, wrong = stages(state), []
    rows = [row for rows in TABLE.values() for row in rows if row.where == state]
    assert rows
    for row in rows:
        status, found = row.ask(there)
        said = str(found.get("message", ""))
        right = status == 403 and GUARD in said and row.refused in said if row.refused else status in (200, 201)
        if not right:
            wrong.append(f"{row.who}, {row.what}: {status} {said[-300:]} (wanted: {row.refused or 'allowed'})")
    assert not wrong, "\n".join(wrong)


def table() -> str:
    """As docs/reference/admission-policy.md shows it."""
    lines: list[str] = []
    for title, rows in TABLE.items():
        lines += ["", f"### {title}", "", "| the Lease | writer | write | result |", "| --- | --- | --- | --- |"]
        lines += [f"| {row.where} | {row.who} | {_shown(row)} | {'refused' if row.refused else '**allowed**'} |" for row in rows]
    return "\n".join(lines).strip() + "\n"


def _shown(row: Row) -> str:
    return row.what.replace("|", "\\|")


def test_the_page_shows_the_table() -> None:
    """To write it anew: python -m tests.apiserver.test_guard_table."""
    text = PAGE.read_text(encoding="utf-8")
    assert text.split("<!-- table -->\n")[1].split("<!-- /table -->")[0] == table()


if __name__ == "__main__":
    before, _, rest = PAGE.read_text(encoding="utf-8").partition("<!-- table -->\n")
    PAGE.write_text(f"{before}<!-- table -->\n{table()}<!-- /table -->{rest.partition('<!-- /table -->')[2]}", encoding="utf-8")
