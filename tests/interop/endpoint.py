"""A token endpoint before the stand-in's: passes requests on, counts them, and fails as told."""

import http.server
import threading
import time
import urllib.request

from processes import PATIENCE_S, free_port

PAGE = b"<!doctype html><title>Sign in to the network</title>"


class TokenEndpoint:
    """One endpoint, not serving yet; `answer` is what it does with requests. With `context` it
    speaks https."""

    def __init__(self, provider, context=None):
        port = free_port()
        self.port = port
        self.url = f"http://127.0.0.1:{port}/token"
        self.requests = 0
        self.answer = pass_on
        self.behind = provider.token_endpoint
        # Set when those who were left to wait are to go on.
        self.released = threading.Event()
        # When requests came, by the monotonic clock.
        self.times = []
        self._address = ("127.0.0.1", port)
        self._lock = threading.Lock()
        self._server = None
        self._context = context

    def start(self):
        """Begins to serve; until then connections are refused."""
        self._server = http.server.ThreadingHTTPServer(self._address, _Handler)
        self._server.endpoint = self
        if self._context is not None:
            self._server.socket = self._context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self):
        """Ends it, if it serves, and lets everybody go who waits."""
        self.released.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def count(self):
        """Counts a request."""
        with self._lock:
            self.requests += 1
            self.times.append(time.monotonic())


def pass_on(handler, form):
    """What the stand-in answers."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(handler.server.endpoint.behind, form, PATIENCE_S) as answer:
        send(handler, answer.status, answer.headers["Content-Type"], answer.read())


def pass_on_when_released(handler, form):
    """The same, but not before it is released."""
    handler.server.endpoint.released.wait(PATIENCE_S)
    pass_on(handler, form)


def say_503(handler, _form):
    """An overloaded server."""
    send(handler, 503, "text/plain", b"busy")


def show_a_page(handler, _form):
    """A captive portal: 200, but HTML."""
    send(handler, 200, "text/html", PAGE)


def hang(handler, _form):
    """Silence, then the end of the connection."""
    handler.server.endpoint.released.wait(PATIENCE_S)
    handler.close_connection = True


def drip(handler, _form):
    """An answer that never gets whole: a byte a second."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.end_headers()
    while not handler.server.endpoint.released.wait(1):
        handler.wfile.write(b" ")
    handler.close_connection = True


def send(handler, status, content_type, body):
    """Answers."""
    handler.send_response(status)
    handler.send_header("Content-Type", content_type)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):  # the name that http.server calls
        form = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.endpoint.count()
        try:
            self.server.endpoint.answer(self, form)
        except ConnectionError:
            # The relay has given up, as it should.
            self.close_connection = True

    def log_message(self, *_):
        """Says nothing: the relay's log tells what came of a request."""
