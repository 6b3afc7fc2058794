"""A TCP proxy before a listener that alters nothing and keeps what a device heard, and how long it
had waited for that. For clients that wait for each reply, as smtp-source does."""

import contextlib
import dataclasses
import re
import select
import socket
import socketserver
import threading
import time

from processes import PATIENCE_S
from serving import CrowdServer, Serving

# How much is read at once, in bytes.
READ_LEN = 1 << 16
MESSAGE_ID = re.compile(rb"^Message-Id: (<[^>]+>)", re.IGNORECASE | re.MULTILINE)
LAST_LINE = re.compile(rb"^(\d{3}) [^\r\n]*\r\n\Z", re.MULTILINE)
# The end of a message, as a verb.
MESSAGE = "."


@dataclasses.dataclass(frozen=True)
class Exchange:
    """Something that the device said, and the answer. Times are of the monotonic clock."""

    connection: int
    # In upper case; empty where the greeting is the answer.
    verb: str
    said_at: float
    code: int
    reply: str
    replied_at: float

    @property
    def waited_s(self):
        """How long the device waited."""
        return self.replied_at - self.said_at


class Wire(Serving):
    """One that passes everything on to `port` until it is left."""

    def __init__(self, port):
        self.behind = port
        self.exchanges = []
        # The Message-Ids that each connection sent, by its number.
        self.message_ids = {}
        self._lock = threading.Lock()
        self._server = CrowdServer(("127.0.0.1", 0), _Connection)
        self._server.wire = self
        self.port = self._server.server_address[1]

    def number(self):
        """The number of a new connection."""
        with self._lock:
            self.message_ids[len(self.message_ids)] = []
            return len(self.message_ids) - 1

    def of(self, verb):
        """The exchanges of that verb, in the order of their replies."""
        with self._lock:
            return [it for it in self.exchanges if it.verb == verb]

    def add(self, exchange):
        """Keeps one."""
        with self._lock:
            self.exchanges.append(exchange)



class _Connection(socketserver.BaseRequestHandler):
    def setup(self):
        self.wire = self.server.wire
        self.number = self.wire.number()
        self.verb = ""
        self.said_at = time.monotonic()
        self.reply = b""
        # What was said of a message, as far as its header may reach.
        self.header = None

    def handle(self):
        address = ("127.0.0.1", self.wire.behind)
        with contextlib.closing(socket.create_connection(address, PATIENCE_S)) as behind:
            for each in (self.request, behind):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while True:
                # Longer than anybody waits for a place and for a message's turn.
                ready, _, _ = select.select([self.request, behind], [], [], 3 * PATIENCE_S)
                if not ready:
                    return
                for source in ready:
                    piece = source.recv(READ_LEN)
                    if not piece:
                        return
                    if source is behind:
                        self.heard(piece)
                        self.request.sendall(piece)
                    else:
                        self.said(piece)
                        behind.sendall(piece)

    def said(self, piece):
        self.said_at = time.monotonic()
        if self.header is None:
            self.verb = piece.split()[0].decode(errors="replace").upper() if piece.split() else ""
        elif len(self.header) < READ_LEN:
            self.header += piece

    def heard(self, piece):
        self.reply += piece
        last = LAST_LINE.search(self.reply)
        if last is None:
            return
        reply, self.reply = self.reply.decode(errors="replace").strip(), b""
        code = int(last[1])
        verb = self.verb if self.header is None else MESSAGE
        now = time.monotonic()
        self.wire.add(Exchange(self.number, verb, self.said_at, code, reply, now))
        if verb == MESSAGE:
            found = MESSAGE_ID.search(self.header)
            if found is not None:
                self.wire.message_ids[self.number].append(found[1].decode())
            self.header = None
        elif verb == "DATA" and code == 354:
            self.header = b""
