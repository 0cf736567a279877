"""What the README must say, whatever else it leaves to docs/."""

from pathlib import Path

from tests.support.texts import texts

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def test_no_promise_of_the_token_without_its_warning() -> None:
    """A reader of the promise reads of fencing as well."""
    assert "A lease alone cannot stop a late write." in " ".join(README.replace("*", "").split())


def test_the_two_commands_that_set_everything_up_are_named() -> None:
    assert "`make demo`" in README
    assert "`make test`" in README


def test_no_pod_that_we_show_has_a_prestop_hook() -> None:
    """It runs when the Pod's end begins, while the application still works: too early to release anything (KEP-753)."""
    shown = [*texts(), *(ROOT / "k8s").rglob("*.yaml")]
    assert not [path.name for path in shown if "preStop:" in path.read_text()]
