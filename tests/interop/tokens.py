"""What tokens cost and what their outages do, counted and timed at a token endpoint of our own.

Each check has a relay of its own, which holds no token yet, before the real servers. It raises when
the promise in its name is broken.
"""

import concurrent.futures
import contextlib
import select
import smtplib
import socket
import time

import clients
import endpoint
import expect
from endpoint import TokenEndpoint
from mailbearer import LOCAL_PASSWORD, Relay
from message import Message
from processes import PATIENCE_S, listens, wait_for

# How long a client may wait for the answer to its sign-in while there is no token, in seconds.
ANSWER_S = 20

# Bytes of body where a small message will do.
SMALL = 1000


def a_dead_token_endpoint_is_temporary_and_recovers(scene):
    """Nobody listens there."""
    _outage(scene, "dead", None)


def a_token_endpoint_that_says_503_is_temporary_and_recovers(scene):
    """It is overloaded."""
    _outage(scene, "unavailable", endpoint.say_503)


def a_token_endpoint_that_shows_a_page_is_temporary_and_recovers(scene):
    """A captive portal answers in its place."""
    _outage(scene, "page", endpoint.show_a_page)


def a_token_endpoint_that_hangs_is_temporary_and_recovers(scene):
    """It takes the request and says nothing."""
    _outage(scene, "hanging", endpoint.hang)


def a_token_endpoint_that_drips_is_temporary_and_recovers(scene):
    """It answers so slowly that no single wait is long."""
    _outage(scene, "dripping", endpoint.drip)


def twenty_sign_ins_without_a_token_make_one_token_request(scene):
    """Ten by SMTP and ten by IMAP; the endpoint answers once all have asked."""
    with _before_an_endpoint(scene, "twenty") as (relay, tokens):
        tokens.answer = endpoint.pass_on_when_released
        at = _at(scene, relay)
        password = at.password.replace("\\", "\\\\").replace('"', '\\"')
        sign_ins = [
            (at.smtp_port, f"AUTH PLAIN {expect.plain(at)}\r\n", b"235 "),
            (at.imap_port, f'a LOGIN {at.user} "{password}"\r\n', b"a OK "),
        ] * 10
        with contextlib.ExitStack() as stack:
            waiting = []
            for port, command, accepted in sign_ins:
                client = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
                replies = stack.enter_context(stack.enter_context(client).makefile("rb"))
                replies.readline()
                waiting.append((client, command, replies, accepted))
            for client, command, _, _ in waiting:
                client.sendall(command.encode())
            wait_for("a token is asked for", lambda: tokens.requests)
            tokens.released.set()
            for _, _, replies, accepted in waiting:
                _expect_line(replies, accepted)
        expect.that(tokens.requests == 1, f"{tokens.requests} token requests were made")


def wrong_passwords_cost_no_token_and_no_connection(scene):
    """Neither the token endpoint nor the mail servers hear of them; of a right one both do."""
    with contextlib.ExitStack() as stack:
        smtp, imap = (stack.enter_context(_server()) for _ in range(2))
        relay, tokens = stack.enter_context(
            _before_an_endpoint(scene, "wrong", smtp.getsockname()[1], imap.getsockname()[1])
        )
        for user in (scene.users[0], "nobody@elsewhere.test"):
            expect.refusals(_at(scene, relay, user, "wrong"), "535 5.7.8", "[AUTHENTICATIONFAILED]")
        expect.that(tokens.requests == 0, f"{tokens.requests} token requests were made")
        expect.that(not _was_called(smtp, imap), "a mail server was called")

        # Closed, they refuse whoever comes next, and whoever has come.
        at = _at(scene, relay)
        with socket.create_connection(("127.0.0.1", at.smtp_port), PATIENCE_S) as client:
            client.sendall(f"AUTH PLAIN {expect.plain(at)}\r\n".encode())
            wait_for("the mail server is called", lambda: _was_called(smtp, imap))
            wait_for("a token is asked for", lambda: tokens.requests)


def a_message_in_data_survives_sigterm_which_ends_in_exit_code_0(scene):
    """smtplib sends on while mailbearer drains; strangers are no longer let in."""
    with _before_an_endpoint(scene, "sigterm") as (relay, _):
        at = _at(scene, relay)
        sent = Message("in-data-at-sigterm", at.user)
        data = sent.dot_stuffed() + b".\r\n"
        half = len(data) // 2
        with smtplib.SMTP("127.0.0.1", at.smtp_port, "client.test", PATIENCE_S) as client:
            client.login(at.user, at.password)
            client.mail(at.user)
            client.rcpt(at.user)
            code, _ = client.docmd("DATA")
            expect.that(code == 354, f"DATA was answered with {code}")
            client.send(data[:half])
            relay.terminate()
            wait_for("mailbearer closes its listeners", lambda: not listens(at.smtp_port))
            client.send(data[half:])
            code, text = client.getreply()
            expect.that(code == 250, f"the message was answered with {code} {text!r}")
        code = relay.exit_code()
        expect.that(code == 0, f"mailbearer ended with {code}")
        sent.compare(scene.delivered(sent))


CHECKS = [
    a_dead_token_endpoint_is_temporary_and_recovers,
    a_token_endpoint_that_says_503_is_temporary_and_recovers,
    a_token_endpoint_that_shows_a_page_is_temporary_and_recovers,
    a_token_endpoint_that_hangs_is_temporary_and_recovers,
    a_token_endpoint_that_drips_is_temporary_and_recovers,
    twenty_sign_ins_without_a_token_make_one_token_request,
    wrong_passwords_cost_no_token_and_no_connection,
    a_message_in_data_survives_sigterm_which_ends_in_exit_code_0,
]


def _outage(scene, name, trouble):
    """454 and [UNAVAILABLE] in time while it lasts, a message and a mailbox when it is over."""
    tokens = TokenEndpoint(scene.provider)
    with _relay(scene, name, tokens) as relay:
        at = _at(scene, relay)
        if trouble is not None:
            tokens.answer = trouble
            tokens.start()
        with concurrent.futures.ThreadPoolExecutor(2) as both:
            for told in (
                both.submit(_in_time, expect.smtp_refusal, at, "454 4.7.0 "),
                both.submit(_in_time, expect.imap_refusal, at, "[UNAVAILABLE] "),
            ):
                told.result()
        asked = tokens.requests
        expect.that((asked > 0) == (trouble is not None), f"{asked} token requests were made")

        tokens.stop()
        tokens.answer = endpoint.pass_on
        tokens.start()
        sent = Message(f"after-{name}", at.user, SMALL)
        clients.smtplib_send(at, sent, "PLAIN")
        sent.compare(scene.delivered(sent))
        sent.compare(clients.imaplib_fetch(at, sent, "LOGIN command"))


def _in_time(refused, at, start):
    started = time.monotonic()
    refused(at, start)
    lasted = time.monotonic() - started
    expect.that(lasted <= ANSWER_S, f"{start.strip()} came after {lasted:.1f} s")


def _at(scene, relay, user=None, password=LOCAL_PASSWORD):
    user = user or scene.users[0]
    return clients.At(relay.smtp_port, relay.imap_port, user, password, str(scene.directory))


@contextlib.contextmanager
def _before_an_endpoint(scene, name, smtp_port=None, imap_port=None):
    """A relay and its token endpoint, which serves."""
    tokens = TokenEndpoint(scene.provider)
    tokens.start()
    with _relay(scene, name, tokens, smtp_port, imap_port) as relay:
        yield relay, tokens


@contextlib.contextmanager
def _relay(scene, name, tokens, smtp_port=None, imap_port=None):
    """A relay that asks for tokens there, and serves the first user before the real servers."""
    relay = Relay(scene.binary, scene.directory / name, scene.provider, scene.ca_file)
    smtp_port = smtp_port or scene.postfix.port
    imap_port = imap_port or scene.dovecot.implicit_port
    relay.add_provider("own", "xoauth2", smtp_port, imap_port, "implicit", tokens.url)
    relay.add_account(scene.users[0], "own")
    try:
        relay.start()
        yield relay
    finally:
        tokens.stop()
        relay.stop()


def _server():
    """A loopback port that takes connections and says nothing."""
    return socket.create_server(("127.0.0.1", 0))


def _was_called(*servers):
    return bool(select.select(servers, [], [], 0)[0])


def _expect_line(replies, start):
    """A line that begins so comes, possibly behind others."""
    heard = []
    while not (line := replies.readline()).startswith(start):
        heard.append(line)
        expect.that(line, f"{start} does not come before the end, but {heard}")
