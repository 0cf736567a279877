"""The picture of the states is the table's."""

from tools.transitions import PAGE, drawn


def test_how_it_works_shows_the_transition_table_as_it_is() -> None:
    """`python tools/transitions.py` draws it anew."""
    page = PAGE.read_text(encoding="utf-8")
    assert drawn(page) == page
