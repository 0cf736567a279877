"""For every test: what a passing one has printed (seeds, figures, what caught a variant) stands at the end of the run."""

import pytest

MOST_LINES = 12
"""Of one test; a failing one is shown whole by pytest itself."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Names and figures, in the order in which they came."""
    said = [report for report in terminalreporter.stats.get("passed", []) if report.when == "call" and report.capstdout.strip()]
    if not said:
        return
    terminalreporter.section("what the tests have to say")
    for report in said:
        lines = report.capstdout.strip().splitlines()
        more = [f"… {len(lines) - MOST_LINES} lines more"] if len(lines) > MOST_LINES else []
        terminalreporter.line(report.nodeid)
        for line in lines[:MOST_LINES] + more:
            terminalreporter.line(f"    {line}")
