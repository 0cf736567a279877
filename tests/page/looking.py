"""What the tests of the page have in common: how it is opened, and what is asked of it."""

from playwright.sync_api import Page

from tests.apiserver.sidecar_process import Sidecar, the_leader

SETTINGS = {
    "LEADER_LEASE_NAME": "web",
    "LEADER_LEASE_DURATION": "4s",
    "LEADER_RENEW_DEADLINE": "3s",
    "LEADER_RETRY_PERIOD": "500ms",
    "LEADER_NATIVE_SIDECAR": "true",
}

COLOURS = "all => all.map(one => getComputedStyle(one).backgroundColor)"
COLOUR = "one => getComputedStyle(one).backgroundColor"
LEAD = """one => {
  const i = document.createElement("i");
  i.style.color = "var(--lead)"; one.append(i);
  const found = getComputedStyle(i).color;
  i.remove();
  return found;
}"""


def open_page(page: Page, sidecar: Sidecar) -> None:
    """As a browser does."""
    page.goto(f"http://127.0.0.1:{sidecar.port}/")


def leader_first(sidecars: list[Sidecar]) -> tuple[Sidecar, Sidecar]:
    """The leader and the other."""
    leader = the_leader(sidecars, within_seconds=10)
    return leader, sidecars[1 - sidecars.index(leader)]
