"""An HTTP endpoint that answers every request with a token, and keeps what it was sent."""

import dataclasses
import http.server
import json
import urllib.parse

from serving import Serving

# What it gives. It opens no mailbox.
ACCESS_TOKEN = "interop-access-token-that-opens-nothing"


@dataclasses.dataclass(frozen=True)
class Request:
    """One that came."""

    method: str
    path: str
    query: dict
    # By their names in lower case.
    headers: dict
    form: dict


class Recorder(Serving):
    """One that serves until it is left."""

    def __init__(self, address="127.0.0.1", port=0, **answer):
        self.requests = []
        self._server = http.server.ThreadingHTTPServer((address, port), _Handler)
        self._server.requests = self.requests
        answer = {"token_type": "Bearer", "expires_in": 3599, **answer}
        self._server.answer = json.dumps({"access_token": ACCESS_TOKEN, **answer}).encode()
        host, port = self._server.server_address
        self.url = f"http://{host}:{port}"

    def only(self):
        """The one request that came."""
        (request,) = self.requests
        return request


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):  # the name that http.server calls
        self._answer()

    def do_POST(self):  # the name that http.server calls
        self._answer()

    def _answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        parts = urllib.parse.urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.requests.append(
            Request(self.command, parts.path, _fields(parts.query), headers, _fields(body))
        )
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(self.server.answer)))
        self.end_headers()
        self.wfile.write(self.server.answer)

    def log_message(self, *_):
        """Says nothing: a check tells what is wrong with a request."""


def _fields(text):
    """What a query or form says, strictly; a field that comes twice is an error (RFC 6749 3.2)."""
    if not text:
        return {}
    pairs = urllib.parse.parse_qsl(text, keep_blank_values=True, strict_parsing=True)
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a field comes twice")
    return fields
