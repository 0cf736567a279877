"""docs/operations/troubleshooting.md tells of each line that the health routes can print, and of none that they cannot."""

import ast
import re
from pathlib import Path

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from sidecar.election.store import Busy
from sidecar.runtime.health_lines import HealthLine
from tests.support import messages
from tests.support.constants import SIDECAR, unknown_parts

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "operations" / "troubleshooting.md").read_text(encoding="utf-8")
DECLARED = SIDECAR / "runtime" / "health_lines.py"

SECTIONS = re.findall(r"^### `([^`]+)`$", PAGE, re.MULTILINE)
QUOTED = [text for line in PAGE.splitlines() if line.startswith("| ") for text in re.findall(r"`([^`]+)`", line)]
"""All that the page's tables quote."""
_FROM_ELSEWHERE = ("failed calling webhook", "metadata.uid", "the same", "Client", "ServerDisconnectedError", "leader-sidecar's guard")
"""What the page quotes of the API server's own words and of aiohttp's, or refers to."""
_TAKES = {
    "Denied", "DeniedByConflict", "Unknown", "Busy", "Check", "say",
    "BrokenAnswerError", "UntrustedError", "UnusableFileError", "ConfigurationError", "_failed",
}  # fmt: skip
"""What takes a message that a health line shows: outcomes, checks, and errors whose text becomes that of an outcome."""


def _messages() -> list[str]:
    """The messages that the page's tables quote: `…` stands for what varies."""
    rows = [line.split("|")[1:-1] for line in PAGE.splitlines() if line.startswith("| ")]
    found: list[str] = []
    column: int | None = None
    for row in rows:
        cells = [cell.strip() for cell in row]
        if "message" in cells:
            column = cells.index("message")
        elif "cause" in cells or "meaning" in cells or "what happens" in cells or "you see" in cells or "what crashed" in cells:
            column = None
        elif column is not None and not set(cells[0]) <= {"-"}:
            found += re.findall(r"`([^`]+)`", cells[column])
    return [message for message in found if message != "/is-leader"]


def _shown() -> set[str]:
    """The messages in the code that a line of the health routes can show. A fault of one field of a kubeconfig names that field itself."""
    found = {Busy(0.0).message}
    for module in messages.modules("kubernetes", "local", "features", "runtime", "http"):
        found |= {*messages.given_to(module, _TAKES), *messages.assigned_to(module, {"watch", "problems"})}
    for module in messages.modules("kubernetes", "features"):
        found |= set(messages.returned_by(module, {"complaint", "_ask", "__call__"}))
    return found


def test_each_line_has_one_section_and_each_section_is_a_line() -> None:
    assert sorted(SECTIONS) == sorted(line.value for line in HealthLine)


def test_each_line_is_printed_by_some_part_of_the_sidecar() -> None:
    """So the page tells of no line that is never printed."""
    code = "\n".join(path.read_text(encoding="utf-8") for path in SIDECAR.rglob("*.py") if path != DECLARED)
    assert [line.name for line in HealthLine if f"HealthLine.{line.name}" not in code] == []


def test_health_names_no_line_by_a_text() -> None:
    """`Check` takes a HealthLine; a text would be a line that the enumeration does not know."""
    checks = [
        node for node in ast.walk(ast.parse((SIDECAR / "http" / "health.py").read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Check"
    ]  # fmt: skip
    assert len(checks) >= 7
    assert [ast.unparse(check) for check in checks if isinstance(check.args[0], ast.Constant)] == []


def test_each_line_that_the_page_shows_as_printed_exists() -> None:
    shown = set(re.findall(r"^\[[+-]\](.+?) (?:ok|failed)", PAGE, re.MULTILINE)) | set(re.findall(r"`\[-\]([a-z -]+) failed", PAGE))
    assert shown
    assert shown - {line.value for line in HealthLine} - {"name"} == set()


def test_messages_are_found() -> None:
    assert len(_messages()) > 40


@pytest.mark.parametrize("message", [message for message in _messages() if not message.startswith(_FROM_ELSEWHERE)])
def test_each_message_that_the_page_quotes_is_one_of_the_codes(message: str) -> None:
    assert unknown_parts(message) == []


def test_messages_are_found_in_the_code() -> None:
    found = _shown()
    assert len(found) > 60
    assert {"the store local:… is closed", "the answer is no API object: …", "no event for the Lease arrived in time"} <= found


@pytest.mark.parametrize("message", sorted(_shown()))
def test_each_message_that_a_line_can_show_is_on_the_page(message: str) -> None:
    """Also in the cell of its cause or cure."""
    assert messages.is_told(message, QUOTED)


_TO = ConnectionKey("10.96.0.1", 443, is_ssl=True, ssl=True, proxy=None, proxy_auth=None, proxy_headers_hash=None)


@pytest.mark.parametrize(
    "error",
    [
        aiohttp.ClientConnectorError(_TO, ConnectionRefusedError(111, "Connection refused")),
        aiohttp.ClientConnectorDNSError(_TO, OSError(-2, "Name or service not known")),
        aiohttp.ClientConnectorCertificateError(_TO, ValueError("self-signed certificate")),
        aiohttp.ServerDisconnectedError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_the_usual_errors_of_a_connection_are_on_the_page(error: Exception) -> None:
    """As `Client.exchange` shows them."""
    said = f"{type(error).__name__}: {error}"
    assert [quoted for quoted in _messages() if said.startswith(quoted.rstrip("…")) and quoted.startswith(type(error).__name__)]


def test_a_message_that_the_page_leaves_out_is_found() -> None:
    assert not messages.is_told("the Lease has turned to … stone; break it", _messages())
    assert messages.is_told("the Lease has turned to … stone; break it", ["watch: the Lease has turned to … stone"])
    assert messages.is_told("the Lease has turned to … stone", ["the Lease has turned …"])
    assert not messages.is_told("the Lease has turned to … stone", ["to stone the Lease has turned"])
