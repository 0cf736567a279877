"""The README's picture of the states is the table's."""

from tools.transitions import README, drawn


def test_the_readme_shows_the_transition_table_as_it_is() -> None:
    """`python tools/transitions.py` draws it anew."""
    readme = README.read_text(encoding="utf-8")
    assert drawn(readme) == readme
