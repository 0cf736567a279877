"""The resource of the timelines, as a process of its own: it keeps the largest fencing token and refuses a write with a smaller one.

`python -m tests.timelines.resource PORT`: `POST /` with a token as its body is 200, or 409 where a larger token was here before.
The answer's body is the largest token.
"""

import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer


class Resource(BaseHTTPRequestHandler):
    """One request a connection, one request at a time: nothing else may come between the comparison and the write."""

    largest = 0

    def do_GET(self) -> None:
        """For the recorder: it serves."""
        self._answer(HTTPStatus.OK)

    def do_POST(self) -> None:
        """A write under a token."""
        token = int(self.rfile.read(int(self.headers["Content-Length"])))
        refused = token < Resource.largest
        Resource.largest = max(Resource.largest, token)
        self._answer(HTTPStatus.CONFLICT if refused else HTTPStatus.OK)

    def _answer(self, status: HTTPStatus) -> None:
        body = str(Resource.largest).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that it overrides
        """Nothing."""


if __name__ == "__main__":
    HTTPServer(("127.0.0.1", int(sys.argv[1])), Resource).serve_forever()
