"""What real servers show besides streaming: their outages, their own refusals, pipelining, IDLE.

Each check is a function of the `Scene`; it raises when the promise in its name is broken.
"""

import concurrent.futures
import contextlib
import imaplib
import socket

import clients
import direct
import expect
from mailbearer import LOCAL_PASSWORD
from message import Message
from processes import PATIENCE_S, wait_for

# Bytes of body where a small message will do.
SMALL = 1000


def tampered_tokens_are_refused_by_the_servers_themselves(scene):
    """Or the suite would prove nothing."""
    token = direct.access_token(scene.provider)
    forged = direct.tampered(token)
    user, ca_file = scene.users[0], scene.ca_file
    for sign_in, port in (
        (direct.signs_in_at_dovecot, scene.dovecot.implicit_port),
        (direct.signs_in_at_postfix, scene.postfix.port),
    ):
        expect.that(sign_in(port, ca_file, user, token), "the server refuses a good token")
        expect.that(not sign_in(port, ca_file, user, forged), "the server takes a tampered token")


def a_wrong_password_is_refused_as_such(scene):
    """535 and [AUTHENTICATIONFAILED], for a known and an unknown user."""
    for user in (scene.users[0], "nobody@elsewhere.test"):
        expect.refusals(scene.at(user, "wrong"), "535 5.7.8", "[AUTHENTICATIONFAILED]")


def a_mailbox_that_the_servers_deny_is_told_as_denied(scene):
    """Both servers send an error challenge first, which the client must not see."""
    expect.refusals(scene.at(scene.denied), "535 5.7", "[AUTHORIZATIONFAILED]")


def one_table_serves_every_mailbox_of_a_domain(scene):
    """Through `*@domain`: each user reaches the mailbox of that name."""
    for user in scene.domain_users:
        _send_one(scene, user)


def commands_pipelined_behind_auth_reach_postfix_once(scene):
    """AUTH and all commands up to DATA in one write, as nothing forbids, then the message."""
    user = scene.users[0]
    sent = Message("pipelined", user, SMALL)
    commands = (
        "EHLO client.test",
        f"AUTH PLAIN {expect.plain(scene.at(user))}",
        f"MAIL FROM:<{user}>",
        f"RCPT TO:<{user}>",
        "DATA",
    )
    with socket.create_connection(("127.0.0.1", scene.relay.smtp_port), PATIENCE_S) as client:
        client.sendall("".join(f"{command}\r\n" for command in commands).encode())
        replies = client.makefile("rb")
        codes = [_reply_code(replies) for _ in ("220", "250", "235", "250", "250", "354")]
        client.sendall(sent.dot_stuffed() + b".\r\nQUIT\r\n")
        codes += [_reply_code(replies) for _ in ("250", "221")]
    expected = ["220", "250", "235", "250", "250", "354", "250", "221"]
    expect.that(codes == expected, f"the reply codes are {codes}")
    sent.compare(scene.delivered(sent))


def commands_pipelined_behind_login_reach_dovecot_once(scene):
    """LOGIN, two commands and LOGOUT in one write."""
    user = scene.users[0]
    password = LOCAL_PASSWORD.replace("\\", "\\\\").replace('"', '\\"')
    commands = (f'a1 LOGIN {user} "{password}"', "a2 SELECT INBOX", "a3 NOOP", "a4 LOGOUT")
    with socket.create_connection(("127.0.0.1", scene.relay.imap_port), PATIENCE_S) as client:
        client.sendall("".join(f"{command}\r\n" for command in commands).encode())
        lines = client.makefile("rb").readlines()
    tagged = [line[:5] for line in lines if line.startswith(b"a")]
    expect.that(tagged == [b"a1 OK", b"a2 OK", b"a3 OK", b"a4 OK"], f"the replies are {lines}")


def twenty_clients_at_once_are_all_served(scene):
    """Each of their messages arrives, once."""
    user = scene.users[0]
    with concurrent.futures.ThreadPoolExecutor(20) as clients_at_once:
        names = [f"at-once-{number}" for number in range(20)]
        for done in [clients_at_once.submit(_send_one, scene, user, name) for name in names]:
            done.result(PATIENCE_S)


def idle_hears_of_a_new_message(scene):
    """IMAP IDLE: the server speaks unasked, while the client is silent."""
    user = scene.users[0]
    with imaplib.IMAP4("127.0.0.1", scene.relay.imap_port, timeout=PATIENCE_S) as client:
        client.login(user, LOCAL_PASSWORD)
        client.select()
        client.send(b"i1 IDLE\r\n")
        expect.that(client.readline().startswith(b"+"), "IDLE was not taken")
        _send_one(scene, user, "idle")
        wait_for("an EXISTS arrives", lambda: b"EXISTS" in client.readline())
        client.send(b"DONE\r\n")
        wait_for("IDLE ends", lambda: client.readline().startswith(b"i1 OK"))


def a_stopped_postfix_is_told_as_temporary_and_recovers(scene):
    """454, never a wrong password; the next sign-in after its return works."""
    user = scene.users[0]
    with _stopped(scene.postfix):
        expect.smtp_refusal(scene.at(user), "454 4.7.0")
    _send_one(scene, user, "after-postfix-came-back")


def a_stopped_dovecot_is_told_as_unavailable_and_recovers(scene):
    """[UNAVAILABLE], never a wrong password; the next sign-in after its return works."""
    user = scene.users[0]
    with _stopped(scene.dovecot):
        expect.imap_refusal(scene.at(user), "[UNAVAILABLE]")
    with imaplib.IMAP4("127.0.0.1", scene.relay.imap_port, timeout=PATIENCE_S) as client:
        client.login(user, LOCAL_PASSWORD)


CHECKS = [
    tampered_tokens_are_refused_by_the_servers_themselves,
    a_wrong_password_is_refused_as_such,
    a_mailbox_that_the_servers_deny_is_told_as_denied,
    one_table_serves_every_mailbox_of_a_domain,
    commands_pipelined_behind_auth_reach_postfix_once,
    commands_pipelined_behind_login_reach_dovecot_once,
    twenty_clients_at_once_are_all_served,
    idle_hears_of_a_new_message,
    a_stopped_postfix_is_told_as_temporary_and_recovers,
    a_stopped_dovecot_is_told_as_unavailable_and_recovers,
]


@contextlib.contextmanager
def _stopped(server):
    """A server that does not run meanwhile."""
    server.stop()
    try:
        yield
    finally:
        server.start()


def _reply_code(replies):
    """The code of the next reply, which may have several lines."""
    while (line := replies.readline())[3:4] == b"-":
        pass
    return line[:3].decode()


def _send_one(scene, user, name=None):
    sent = Message(name or f"small-to-{user.partition('@')[0]}", user, SMALL)
    clients.smtplib_send(scene.at(user), sent, "PLAIN")
    sent.compare(scene.delivered(sent))
