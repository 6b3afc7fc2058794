"""What the suite's own servers have in common: they serve until they are left."""

import socketserver
import threading


class Serving:
    """One whose `_server` serves while it is entered."""

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()


class CrowdServer(socketserver.ThreadingTCPServer):
    """A server that five hundred devices may come to at once."""

    daemon_threads = True
    request_queue_size = 1024

    def handle_error(self, _request, _client_address):
        """Says nothing: whoever broke off is told by what is missing."""
