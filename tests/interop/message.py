"""The message that every client sends: 5 MB of what a relay could get wrong."""

import email
import email.policy
import hashlib
import random

from processes import Failed

# Bytes of body, at least.
BODY_LEN = 5 * 1024 * 1024
# The longest line that SMTP allows, CRLF not counted (RFC 5321 section 4.5.3.1.6).
LINE_LEN_MAX = 998
# The client's first header. Servers put their own before it and leave alone what follows.
MARKER = "X-Interop"
HEADER_END = b"\r\n\r\n"
# What a person writes: other scripts, dots alone, and a line that mbox files quote.
LETTER = "Grüße, 你好, привет, שלום\n.\n..\n.a dot first\n\nFrom here on\nQUIT\n"

# Map any byte to a printable ASCII one, and to one that is not NUL, CR, LF or another control.
PRINTABLE = bytes(32 + byte % 95 for byte in range(256))
EIGHT_BIT = bytes(160 + byte % 96 for byte in range(256))


class Message:
    """A message by one client to its own mailbox; `name` makes it unlike any other."""

    def __init__(self, name, mailbox, body_len=BODY_LEN):
        self.name = name
        self.mailbox = mailbox
        header = (
            f"{MARKER}: {name}\r\n"
            f"From: <{mailbox}>\r\n"
            f"To: <{mailbox}>\r\n"
            f"Subject: {name}\r\n"
            f"Date: Fri, 20 Nov 2026 10:00:00 +0000\r\n"
            f"Message-ID: <{name}@client.test>\r\n"
            "MIME-Version: 1.0\r\n"
            "Content-Type: text/plain; charset=utf-8\r\n"
            "Content-Transfer-Encoding: 8bit\r\n"
            "\r\n"
        )
        self.bytes = header.encode() + _body(random.Random(name), body_len)

    def dot_stuffed(self):
        """The message as SMTP carries it (RFC 5321 section 4.5.2), without the final dot."""
        return self.bytes.replace(b"\r\n.", b"\r\n..")

    def is_in(self, received):
        """Whether `received`, which may be cut off behind its header, claims to be this message."""
        return self._marker() in received

    def compare(self, received):
        """Fails unless `received`, from the marker on, is this message byte for byte."""
        start = received.find(self._marker())
        if start < 0:
            raise Failed(f"{len(received)} bytes without the header {MARKER}: {self.name}")
        received = received[start:]
        if _digest(received) == _digest(self.bytes):
            return
        pairs = zip(received, self.bytes)
        at = next((at for at, (got, sent) in enumerate(pairs) if got != sent), None)
        at = min(len(received), len(self.bytes)) if at is None else at
        raise Failed(
            f"sent {len(self.bytes)} bytes, got {len(received)}, unlike from byte {at}: "
            f"sent {self.bytes[at - 10 : at + 20]!r}, got {received[at - 10 : at + 20]!r}"
        )

    def compare_kept(self, received):
        """The same for what a client has kept in a file, with lines as Unix ends them.

        It may have added header fields of its own; ours have to be there, in their order.
        """
        received = received.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        header, _, body = received[max(received.find(self._marker()), 0) :].partition(HEADER_END)
        ours, _, sent = self.bytes.partition(HEADER_END)
        left = iter(header.split(b"\r\n"))
        missing = [line for line in ours.split(b"\r\n") if line not in left]
        if missing:
            raise Failed(f"the header lacks {missing}: {header[:500]!r}")
        # mbox ends a message by a blank line, and some servers end the last line of none.
        self.compare(ours + HEADER_END + body.rstrip(b"\r\n") + _end(sent))

    def _marker(self):
        return f"{MARKER}: {self.name}\r\n".encode()


class Letter:
    """A message that a client composes itself of a subject and a text."""

    def __init__(self, name, mailbox):
        self.name = name
        self.mailbox = mailbox
        self.text = f"{LETTER}{name}\n"

    def is_in(self, received):
        """Whether `received`, which may be cut off behind its header, claims to be this letter."""
        return f"Subject: {self.name}\r\n".encode() in received

    def compare(self, received):
        """Fails unless `received` says what was written."""
        text = email.message_from_bytes(received, policy=email.policy.default).get_content()
        if text.replace("\r\n", "\n") != self.text:
            raise Failed(f"sent {self.text!r}, got {text!r}")


def _end(octets):
    return octets[len(octets.rstrip(b"\r\n")) :]


def _digest(octets):
    return hashlib.sha256(octets).hexdigest()


def _body(rng, body_len):
    """Lines of every awkward kind, in an order that the generator chooses."""
    kinds = [
        lambda: b".",
        lambda: b"..",
        lambda: b"." + rng.randbytes(20).translate(PRINTABLE),
        lambda: b"." + rng.randbytes(LINE_LEN_MAX - 1).translate(PRINTABLE),
        lambda: rng.randbytes(LINE_LEN_MAX).translate(PRINTABLE),
        lambda: rng.randbytes(LINE_LEN_MAX).translate(EIGHT_BIT),
        lambda: rng.randbytes(rng.randrange(1, 120)).translate(PRINTABLE),
        lambda: "Grüße, 你好, привет, שלום".encode(),
        lambda: b"",
        lambda: b"From here on, trailing blanks \t ",
        lambda: b"QUIT",
        lambda: b"* BYE a1 OK {12}",
    ]
    lines = [kind() for kind in kinds]
    size = sum(len(line) + 2 for line in lines)
    while size < body_len:
        lines.append(rng.choice(kinds)())
        size += len(lines[-1]) + 2
    return b"\r\n".join(lines) + b"\r\n"
