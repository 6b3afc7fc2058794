"""`sender`: messages in all shapes go through mailbearer, and what arrives is compared as bytes."""

import contextlib
import itertools
import random
import re
import socket

import devices
import expect
import kept
import sender_oracle
import shapes
from limited import Limited
from mailbearer import Relay
from processes import PATIENCE_S, Failed

MAILBOX = "relay@rewriting.test"
RECIPIENT = "somebody@elsewhere.test"
# The shapes that the table of promises asks for.
SHAPES_MIN = 40
# A message of up to so many bytes is sent in pieces, and mistakes are made in it.
PIECES_LEN_MAX = 4096
SIZE = re.compile(r" SIZE=(\d+)")
# A dot alone between other line ends than CRLF and CRLF: an end of the message for some servers,
# for whom commands follow (CVE-2023-51764, -51765 and -51766).
OTHER_ENDS = [
    before + b"." + after
    for before, after in itertools.product((b"\r\n", b"\n", b"\r"), repeat=2)
    if (before, after) != (b"\r\n", b"\r\n")
]
SMUGGLED = f"MAIL FROM:<boss@device.test>\r\nRCPT TO:<{RECIPIENT}>\r\nDATA\r\n\r\nowned\r\n"
LAST_LINE = re.compile(rb"^\d{3} [^\r\n]*\r\n", re.MULTILINE)


def the_oracle_itself_tells_right_from_wrong(_scene):
    """A rewriting by hand passes, for every shape; each kind of mistake does not."""
    every = shapes.all_shapes()
    expect.that(len(every) >= SHAPES_MIN, f"{len(every)} shapes")
    expect.that(len({it.name for it in every}) == len(every), "a name comes twice")
    for shape in every:
        right = _rewritten(shape.bytes)
        try:
            sender_oracle.judge(shape.bytes, right, MAILBOX)
        except Failed as problem:
            raise Failed(f"{shape.name}: what is right fails: {problem}") from problem
        if len(right) > PIECES_LEN_MAX:
            continue
        header, _, body = right.partition(b"\r\n\r\n")
        mistakes = {
            "a byte more": right + b"x",
            "a dot less": right.replace(b"\r\n..", b"\r\n.", 1),
            "an empty line less": header + b"\r\n" + body,
            "another field": b"X-Relay: 1\r\n" + right,
            "no From": b"".join(it for it in right.splitlines(True) if b"<relay@" not in it),
            "two From": b"From: x@y.test\r\n" + right,
            "another Reply-To": right.replace(b"Reply-To:", b"Reply-To: x@y.test,", 1),
            "a Date more": b"Date: Fri, 20 Nov 2026 10:00:00 +0000\r\n" + right,
        }
        for name, wrong in mistakes.items():
            if wrong != right:
                _is_refused(shape, name, wrong)


def keep_alters_no_byte(scene):
    """`sender = "keep"`, and the envelope is the client's own."""
    _judge_all(scene, "keep", shapes.OLD, _judge_same)


def envelope_changes_mail_from_alone(scene):
    """`sender = "envelope"`: the message is the same, byte for byte."""
    _judge_all(scene, "envelope", MAILBOX, _judge_same)


def envelope_and_header_change_the_sender_alone(scene):
    """`sender = "envelope-and-header"`: the mailbox in From, the old one in Reply-To."""

    def judge(sent, arrived):
        sender_oracle.judge(sent, arrived, MAILBOX)

    _judge_all(scene, "envelope-and-header", MAILBOX, judge)


def a_header_that_is_too_long_is_refused_and_nothing_arrives(scene):
    """552 5.3.4, once the message has come to its end."""
    with _relay(scene, "too-long", "envelope-and-header") as (upstream, at):
        _is_refused_at_its_end(upstream, at, shapes.too_long_header(), "552 5.3.4 ")


def what_other_servers_take_for_an_end_is_refused_and_nothing_arrives(scene):
    """550 5.6.11, and the session ends: no command that is hidden in a message gets through."""
    for sender in ("envelope", "envelope-and-header"):
        with _relay(scene, f"smuggling-{sender}", sender) as (upstream, at):
            for end in OTHER_ENDS:
                hidden = shapes.plain().bytes + end + SMUGGLED.encode()
                shape = shapes.Shape(f"{sender}, {end}", hidden)
                _is_refused_at_its_end(upstream, at, shape, "550 5.6.11 ")


def other_line_ends_in_a_header_are_refused_where_it_is_rewritten(scene):
    """A server may take them for the end of a field, and what follows for another From."""
    with _relay(scene, "line-ends", "envelope-and-header") as (upstream, at):
        for end in (b"\n", b"\r", b"\n\n", b"\r\r"):
            field = b"X-Odd: 1" + end + b"From: boss@device.test\r\n"
            shape = shapes.Shape(f"{end} in a header", field + shapes.plain().bytes)
            _is_refused_at_its_end(upstream, at, shape, "550 5.6.11 ")


CHECKS = [
    the_oracle_itself_tells_right_from_wrong,
    keep_alters_no_byte,
    envelope_changes_mail_from_alone,
    envelope_and_header_change_the_sender_alone,
    a_header_that_is_too_long_is_refused_and_nothing_arrives,
    what_other_servers_take_for_an_end_is_refused_and_nothing_arrives,
    other_line_ends_in_a_header_are_refused_where_it_is_rewritten,
]


class Client:
    """A client that is signed in."""

    def __init__(self, at):
        self._stream = socket.create_connection(("127.0.0.1", at.smtp_port), PATIENCE_S)
        self._stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""
        self._replies()
        self._ask("EHLO client.test", "250 ")
        self._ask(f"AUTH PLAIN {expect.plain(at)}", "235 ")

    def send(self, shape, pipelines=False, stuffs=True):
        """Sends a message; gives the replies to MAIL, RCPT, DATA and the message, as far as one
        was sent. Without stuffing, dots that begin a line stay alone."""
        mail = f"MAIL FROM:<{shapes.OLD}>{shape.parameters}"
        commands = [mail, f"RCPT TO:<{RECIPIENT}>", "DATA"]
        if pipelines:
            self._write("".join(f"{command}\r\n" for command in commands).encode())
            replies = self._replies(len(commands))
        else:
            replies = [self._ask(command) for command in commands]
        if not replies[-1].startswith("354 "):
            return replies
        text = shape.bytes + b".\r\n"
        if stuffs:
            text = shape.bytes.replace(b"\r\n.", b"\r\n..") + b".\r\n"
            text = b"." * shape.bytes.startswith(b".") + text
        if len(text) > PIECES_LEN_MAX:
            self._write(text)
        else:
            rng = random.Random(shape.name)
            cuts = sorted({0, len(text), *(rng.randrange(len(text)) for _ in range(12))})
            for start, end in zip(cuts, cuts[1:]):
                self._write(text[start:end])
        return replies + self._replies()

    def has_ended(self):
        """Whether the relay has closed the session behind its last reply; waits for that."""
        return not self._received and not self._stream.recv(1)

    def quit(self):
        """Ends it as clients should: the relay waits for what servers may still say to others."""
        self._ask("QUIT", "221 ")

    def close(self):
        """Breaks it off, if it has not ended."""
        self._stream.close()

    def _ask(self, command, wanted=""):
        self._write(f"{command}\r\n".encode())
        (reply,) = self._replies()
        expect.that(reply.startswith(wanted), f"{command.split()[0]} was answered with {reply}")
        return reply

    def _replies(self, count=1):
        """The last lines of the next replies."""
        replies = []
        while len(replies) < count:
            last = LAST_LINE.search(self._received)
            if last is None:
                piece = self._stream.recv(65_536)
                expect.that(piece, f"the relay closed behind {replies} and {self._received!r}")
                self._received += piece
            else:
                replies.append(last[0].decode(errors="replace").strip())
                self._received = self._received[last.end() :]
        return replies

    def _write(self, octets):
        self._stream.sendall(octets)


@contextlib.contextmanager
def _relay(scene, name, sender):
    """The upstream, and where clients find a relay before it."""
    with Limited(scene.ca_file.parent) as upstream:
        directory = scene.directory / f"rewriting-{name}"
        relay = Relay(scene.binary, directory, scene.provider, scene.ca_file)
        devices.add_limited(relay, upstream, devices.SESSIONS_MAX)
        relay.add_account(MAILBOX, "limited")
        # A line of the table that was added last.
        relay.add(f'sender = "{sender}"\n')
        try:
            relay.start()
            yield upstream, kept.at(scene, relay, MAILBOX)
        finally:
            relay.stop()


def _judge_all(scene, sender, mail_from, judge):
    """Sends every shape in one session, every other one pipelined, and judges what arrived."""
    problems = []
    with _relay(scene, sender, sender) as (upstream, at), contextlib.closing(Client(at)) as client:
        for number, shape in enumerate(shapes.all_shapes()):
            upstream.received.clear()
            replies = client.send(shape, pipelines=number % 2 == 1)
            try:
                expect.that(replies[-1].startswith("250 "), f"it was answered with {replies}")
                expect.that(len(upstream.received) == 1, f"{len(upstream.received)} arrived")
                (received,) = upstream.received
                _judge_mail(shape, received, mail_from)
                told = f"RCPT TO:{received.recipients}"
                expect.that(received.recipients == (f"<{RECIPIENT}>",), told)
                judge(shape.bytes, received.bytes)
            except Failed as problem:
                problems.append(f"{shape.name}: {problem}")
        client.quit()
    expect.that(not problems, f"{len(problems)} shapes: " + "\n        ".join(problems))


def _is_refused_at_its_end(upstream, at, shape, reply):
    with contextlib.closing(Client(at)) as client:
        # What is hidden in it is sent as it stands.
        heard = client.send(shape, stuffs=False)[-1]
        expect.that(heard.startswith(reply), f"{shape.name} was answered with {heard}")
        expect.that(client.has_ended(), f"{shape.name}: the session goes on")
    expect.that(not upstream.received, f"{shape.name}: it arrived all the same")


def _judge_mail(shape, received, mail_from):
    """The sender, with all the parameters that it had."""
    wanted, told = f"<{mail_from}>{shape.parameters}", received.sender
    if received.bytes != shape.bytes:
        # RFC 1870 section 6.1: what is declared may be too much, or left out, but not too little.
        for declared in SIZE.findall(told):
            expect.that(int(declared) >= len(received.bytes), f"{declared} bytes are declared")
        wanted, told = SIZE.sub("", wanted), SIZE.sub("", told)
    expect.that(told == wanted, f"MAIL FROM:{received.sender}")


def _judge_same(sent, arrived):
    told = f"{len(sent)} bytes were sent, others arrived: {len(arrived)}"
    expect.that(arrived == sent, told)


def _rewritten(message):
    """What should arrive, made from the message with as little thought as possible."""
    before = sender_oracle.Parts(message)
    senders, replies = before.named(b"from"), before.named(b"reply-to")
    added = [f"From: <{MAILBOX}>\r\n".encode(), *replies]
    if senders and not replies:
        added.append(b"Reply-To:" + senders[0].partition(b":")[2])
    if not before.named(b"date"):
        added.append(f"Date: {sender_oracle.email.utils.formatdate()}\r\n".encode())
    if not before.named(b"message-id"):
        added.append(b"Message-ID: <9.9@relay.test>\r\n")
    rest = before.rest if before.has_header else b"\r\n" + message
    return b"".join(added) + before.without(sender_oracle.SENDER) + rest


def _is_refused(shape, name, wrong):
    try:
        sender_oracle.judge(shape.bytes, wrong, MAILBOX)
    except Failed:
        return
    raise Failed(f"{shape.name}: {name} was not noticed")
