"""The application's health with real processes: sidecars on a local store, and an app that is a real little HTTP server."""

import http.server
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.apiserver.sidecar_process import Sidecar, ending, until

TIMES = {"LEADER_LEASE_DURATION": "3s", "LEADER_RENEW_DEADLINE": "2s", "LEADER_RETRY_PERIOD": "500ms"}
PROBES = {"LEADER_APP_HEALTH_PERIOD": "200ms", "LEADER_APP_HEALTH_TIMEOUT": "1s", "LEADER_APP_HEALTH_FAILURES": "2"}
PATIENT = {"LEADER_LEASE_DURATION": "60s"}
"""Nobody contends unhealthy while this test runs."""
ROOM_SECONDS = 15


class App:
    """Says how it is."""

    def __init__(self) -> None:
        self.status = 503
        self.asked = 0
        app = self

        class Handler(http.server.BaseHTTPRequestHandler):
            """One route."""

            def do_GET(self) -> None:
                """Its health."""
                app.asked += 1
                self.send_response(app.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/healthz"

    @contextmanager
    def served(self) -> Iterator["App"]:
        """While it runs."""
        thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.server.shutdown()
            self.server.server_close()
            thread.join(10)


def sidecar(name: str, folder: Path, url: str) -> Sidecar:
    """Beside that app; not yet started."""
    settings = {"LEADER_STORE": f"local:{folder}/leases.db", "LEADER_LEASE_NAME": "web", "LEADER_DRAIN_TIMEOUT": "1s"}
    return Sidecar(name, folder, {**settings, **TIMES, **PROBES, "LEADER_APP_HEALTH_URL": url}, uid=uuid.uuid4().hex)


def test_only_a_sidecar_whose_app_is_healthy_leads(tmp_path: Path) -> None:
    """The second app is well and the first is not; then the other way round: said false first, released, and the other one leads."""
    one, two = App(), App()
    first, second = sidecar("web-0", tmp_path, one.url), sidecar("web-1", tmp_path, two.url)
    with one.served(), two.served(), ending([first, second]):
        first.start(**PATIENT).serving()
        until(lambda: one.asked > 3, within_seconds=ROOM_SECONDS)
        two.status = 204
        second.start(**PATIENT).serving()
        until(second.leads, within_seconds=ROOM_SECONDS)
        assert not first.leads()
        body = first.ask("/readyz?verbose").body.decode()
        assert "[-]app-health failed" in body
        assert "HTTP 503" in body
        assert first.ask("/readyz").status == 200, "an app that is not well is its own probes' matter"
        one.status, two.status = 200, 500
        until(first.leads, within_seconds=ROOM_SECONDS)
        assert not second.leads()
        assert "stepping down" in second.log
        assert "released" in second.log
        assert "its application is not healthy" in second.log
        assert second.leader()["state"] == "following"


def test_where_no_app_is_healthy_somebody_leads_after_two_lease_durations_and_keeps_it(tmp_path: Path) -> None:
    """One term, though every probe fails; the app that gets well and ill again loses it."""
    app = App()
    alone = sidecar("web-0", tmp_path, app.url)
    with app.served(), ending([alone]):
        alone.start().serving()
        until(alone.leads, within_seconds=2 * 3 + ROOM_SECONDS)
        token, asked = alone.leader()["fencing_token"], app.asked
        until(lambda: app.asked > asked + 10, within_seconds=ROOM_SECONDS)
        assert alone.leader()["fencing_token"] == token
        app.status = 200
        until(lambda: "the application is healthy" in alone.log, within_seconds=ROOM_SECONDS)
        assert alone.leads()
        app.status = 500
        until(lambda: not alone.leads(), within_seconds=ROOM_SECONDS)
        app.status = 200
        until(alone.leads, within_seconds=ROOM_SECONDS)
        assert alone.leader()["fencing_token"] > token


def test_without_a_url_no_app_is_asked(tmp_path: Path) -> None:
    """Off by default: it leads at once, and says nothing of health."""
    plain = sidecar("web-0", tmp_path, "")
    with ending([plain]):
        plain.start().serving()
        until(plain.leads, within_seconds=ROOM_SECONDS)
        assert "app-health" not in plain.ask("/readyz?verbose").body.decode()
        assert "the application is" not in plain.log
