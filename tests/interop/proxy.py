"""A proxy that ends TLS before mailbearer's page, as nginx does it in docs/consent.md."""

import contextlib
import http.client
import http.server
import ssl
import urllib.parse

from processes import PATIENCE_S
from serving import Serving

# Where the proxy comes from: loopback, but not where everybody on this machine comes from.
SOURCE = "127.0.0.2"
# What concerns one connection alone (RFC 9110 section 7.6.1), and what is told anew.
NOT_PASSED_ON = {"connection", "keep-alive", "transfer-encoding", "content-length"}


class TlsProxy(Serving):
    """One that serves until it is left; `page_port` is where it leads."""

    def __init__(self, certificates):
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.proxy = self
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://localhost:{self._server.server_address[1]}"
        self.page_port = None
        # What browsers were given to keep.
        self.cookies = []


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):  # the name that http.server calls
        self._pass_on(None)

    def do_POST(self):  # the name that http.server calls
        self._pass_on(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _pass_on(self, body):
        proxy = self.server.proxy
        headers = {
            name: value
            for name, value in self.headers.items()
            if name.lower() not in NOT_PASSED_ON
        }
        headers["Host"] = f"127.0.0.1:{proxy.page_port}"
        headers["X-Forwarded-For"] = self.client_address[0]
        headers["X-Forwarded-Host"] = urllib.parse.urlsplit(proxy.url).netloc
        headers["X-Forwarded-Proto"] = "https"
        page = http.client.HTTPConnection(
            "127.0.0.1", proxy.page_port, timeout=PATIENCE_S, source_address=(SOURCE, 0)
        )
        with contextlib.closing(page):
            page.request(self.command, self.path, body, headers)
            answer = page.getresponse()
            text = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in NOT_PASSED_ON:
                self.send_header(name, value)
            if name.lower() == "set-cookie":
                proxy.cookies.append(value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        """Says nothing: the relay's log tells what came of a request."""
