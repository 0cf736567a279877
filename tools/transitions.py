"""Draws the election's transition table into docs/concepts/how-it-works.md, so that the picture cannot drift from the code.

`python tools/transitions.py` rewrites the page between its two markers; a test compares.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "concepts" / "how-it-works.md"
BEGIN, END = "<!-- transitions -->", "<!-- /transitions -->"


def diagram() -> str:
    """The table as a Mermaid state diagram, states and causes in the words of `sidecar/election/transitions.py`."""
    sys.path.insert(0, str(ROOT))
    from sidecar.election.transitions import TRANSITIONS, Cause  # noqa: PLC0415 - found from any folder

    def words(name: str) -> str:
        return name.lower().replace("_", " ")

    def state(name: str) -> str:
        return name.replace("-", "_")

    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> starting"]
    lines += [f"    {state(before)} --> {state(after)}: {words(cause.name)}" for (before, cause), after in TRANSITIONS.items()]
    causes = [f"- **{words(cause.name)}**: {cause.value}" for cause in Cause]
    return "\n".join([*lines, "```", "", *causes])


def drawn(page: str) -> str:
    """`page` with the diagram between its markers."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n{diagram()}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    PAGE.write_text(drawn(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
