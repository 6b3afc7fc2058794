"""A submission server that treats bursts as Exchange Online does, written from Microsoft's page.

Three signed-in sessions of a mailbox, 432 for the next; so many messages in a minute, the excess is
delayed: the final reply waits. It keeps what it got and when.

Source: learn.microsoft.com, "Improvements to the SMTP submission client protocol".
"""

import base64
import collections
import contextlib
import dataclasses
import re
import socket
import socketserver
import ssl
import threading
import time

from processes import PATIENCE_S
from serving import CrowdServer, Serving

CROWDED = (
    "432 4.3.2 Concurrent connections limit exceeded. "
    "Visit https://aka.ms/concurrent_sending for more information. [limited]"
)
KEYWORDS = ("PIPELINING", "DSN", "ENHANCEDSTATUSCODES", "8BITMIME", "SMTPUTF8")
# developers.google.com/workspace/gmail/imap/xoauth2-protocol.
XOAUTH2 = re.compile(rb"user=([^\x01]+)\x01auth=Bearer ([!-~]+)\x01\x01", re.DOTALL)
# The end of a message, and nothing else ends one (RFC 5321 section 4.1.1.4).
END = b"\r\n.\r\n"
# How much is read at once, in bytes.
READ_LEN = 1 << 16
# How long a client may take to close its side of TLS, in seconds.
CLOSE_MAX_S = 5


@dataclasses.dataclass(frozen=True)
class Received:
    """A message that was accepted."""

    session: int
    # MAIL and RCPT as they came, behind the colon.
    sender: str
    recipients: tuple
    # As it was before SMTP carried it: without dot-stuffing.
    bytes: bytes
    # When its final reply was given, by the monotonic clock.
    at: float


class Limited(Serving):
    """One that serves until it is left.

    `sessions` is how many of a mailbox may be signed in at once, `messages` how many a mailbox may
    send in `minute_s` seconds; `None` for no limit. With `door`, nobody has to sign in: every
    client is that mailbox, from its MAIL on.
    """

    def __init__(self, certificates, sessions=None, messages=None, minute_s=60.0, door=None):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
        self.sessions = sessions
        self.messages = messages
        self.minute_s = minute_s
        self.door = door
        self.received = []
        # When sessions were let in, and which mailbox, by their number.
        self.let_in = {}
        # How many 432s were said.
        self.turned_away = 0
        # The most that were ever let in at once, by mailbox.
        self.peak = collections.Counter()
        self.lock = threading.Lock()
        self._inside = collections.Counter()
        self._turns = collections.defaultdict(list)
        self._count = 0
        self._server = CrowdServer(("127.0.0.1", 0), _Session)
        self._server.limited = self
        self.port = self._server.server_address[1]

    def number(self):
        """The number of a new session."""
        with self.lock:
            self._count += 1
            return self._count

    def enter(self, mailbox, session):
        """Lets a session in, or says no."""
        with self.lock:
            if self.sessions is not None and self._inside[mailbox] >= self.sessions:
                self.turned_away += 1
                return False
            self._inside[mailbox] += 1
            self.peak[mailbox] = max(self.peak[mailbox], self._inside[mailbox])
            self.let_in[session] = (time.monotonic(), mailbox)
            return True

    def leave(self, mailbox):
        """A session has ended."""
        with self.lock:
            self._inside[mailbox] -= 1

    def wait_for_turn(self, mailbox):
        """Returns when the mailbox may have one message more."""
        with self.lock:
            now = time.monotonic()
            turns = self._turns[mailbox]
            turn = now
            if self.messages is not None and len(turns) >= self.messages:
                turn = max(now, turns[-self.messages] + self.minute_s)
            turns.append(turn)
        time.sleep(max(0.0, turn - now))

    def keep(self, received):
        """Keeps a message."""
        with self.lock:
            self.received.append(received)



class _Session(socketserver.BaseRequestHandler):
    def setup(self):
        self.limited = self.server.limited
        self.number = self.limited.number()
        self.request.settimeout(PATIENCE_S)
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()
        self.mailbox = None
        self.sender = None
        self.recipients = []

    def handle(self):
        self.say("220 limited.test ready")
        while (line := self.line()) is not None:
            verb, _, argument = line.partition(" ")
            if verb.upper() == "QUIT":
                # Before the client hears it, so that its next session finds the place.
                self.leave()
                self.say("221 2.0.0 Service closing transmission channel")
                return
            self.obey(verb.upper(), argument)

    def finish(self):
        self.leave()
        if self.is_encrypted():
            # Sends close_notify; what the client does then is its own affair.
            self.request.settimeout(CLOSE_MAX_S)
            with contextlib.suppress(OSError, ValueError):
                self.request.unwrap()
        self.request.close()

    def obey(self, verb, argument):
        if verb in ("EHLO", "HELO"):
            self.forget()
            self.say(self.hello() if verb == "EHLO" else "250 limited.test")
        elif verb == "STARTTLS" and not self.is_encrypted():
            self.start_tls()
        elif verb == "AUTH" and self.is_encrypted() and self.mailbox is None:
            self.auth(argument)
        elif verb == "MAIL" and self.may_send():
            self.sender, self.recipients = argument.partition(":")[2], []
            self.say("250 2.1.0 Sender OK")
        elif verb == "RCPT" and self.sender is not None:
            self.recipients.append(argument.partition(":")[2])
            self.say("250 2.1.5 Recipient OK")
        elif verb == "DATA" and self.recipients:
            self.data()
        elif verb == "RSET":
            self.forget()
            self.say("250 2.0.0 Resetting")
        elif verb == "NOOP":
            self.say("250 2.0.0 OK")
        elif verb != "MAIL":
            # MAIL was answered.
            self.say("503 5.5.1 Bad sequence of commands")

    def hello(self):
        mine = "AUTH XOAUTH2" if self.is_encrypted() else "STARTTLS"
        lines = ["limited.test Hello", "SIZE 157286400", mine, *KEYWORDS]
        return "\r\n".join(
            f"250{' ' if at == len(lines) else '-'}{line}" for at, line in enumerate(lines, 1)
        )

    def is_encrypted(self):
        return isinstance(self.request, ssl.SSLSocket)

    def start_tls(self):
        if self.buffer:
            raise ConnectionError("bytes in clear behind STARTTLS")
        self.say("220 2.0.0 SMTP server ready")
        self.request = self.limited.context.wrap_socket(self.request, server_side=True)

    def auth(self, argument):
        mechanism, _, response = argument.partition(" ")
        if mechanism.upper() != "XOAUTH2":
            self.say("504 5.7.4 Unrecognized authentication type")
            return
        if not response:
            self.say("334 ")
            response = self.line() or ""
        claim = XOAUTH2.fullmatch(base64.b64decode(response, validate=True))
        if claim is None:
            self.say("535 5.7.3 Authentication unsuccessful [limited]")
            return
        if self.enter(claim[1].decode().lower()):
            self.say("235 2.7.0 Authentication successful")

    def may_send(self):
        """Whether MAIL may go on; the client was told if not."""
        if self.mailbox is not None:
            return True
        if self.limited.door is None:
            self.say("530 5.7.57 Client not authenticated to send mail. [limited]")
            return False
        return self.enter(self.limited.door)

    def enter(self, mailbox):
        if not self.limited.enter(mailbox, self.number):
            self.say(CROWDED)
            return False
        self.mailbox = mailbox
        return True

    def leave(self):
        if self.mailbox is not None:
            self.limited.leave(self.mailbox)
            self.mailbox = None

    def data(self):
        self.say("354 Start mail input; end with <CRLF>.<CRLF>")
        # The CRLF of DATA is the one before the first line.
        self.buffer[:0] = b"\r\n"
        start = 0
        while (end := self.buffer.find(END, start)) < 0:
            start = max(0, len(self.buffer) - len(END) + 1)
            if not self.read():
                raise ConnectionError("the client left in the midst of a message")
        carried = bytes(self.buffer[: end + 2])
        del self.buffer[: end + len(END)]
        message = carried.replace(b"\r\n.", b"\r\n")[2:]
        self.limited.wait_for_turn(self.mailbox)
        now = time.monotonic()
        received = Received(self.number, self.sender, tuple(self.recipients), message, now)
        self.limited.keep(received)
        self.forget()
        identity = f"{self.number}.{len(message)}.{int(1000 * now)}"
        self.say(f"250 2.0.0 OK <{identity}@limited.test> [Hostname=limited.test]")

    def forget(self):
        self.sender, self.recipients = None, []

    def line(self):
        """The next line without its CRLF; `None` when the client has left."""
        while (end := self.buffer.find(b"\r\n")) < 0:
            if not self.read():
                return None
        line = bytes(self.buffer[:end]).decode(errors="surrogateescape")
        del self.buffer[: end + 2]
        return line

    def read(self):
        piece = self.request.recv(READ_LEN)
        self.buffer += piece
        return bool(piece)

    def say(self, lines):
        self.request.sendall(f"{lines}\r\n".encode())
