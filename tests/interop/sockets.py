"""Listeners that are no port of their own: systemd's own activator passes sockets by name, and real
clients come to unix sockets.
"""

import contextlib
import smtplib

import expect
from mailbearer import LOCAL_PASSWORD, Relay
from processes import PATIENCE_S, Child, free_port, listens, program, run, wait_for

LISTENER = """
[listeners.{name}]
protocol = "{protocol}"
address = "{address}"
"""


def systemd_passes_the_sockets_that_the_file_names(scene):
    """systemd-socket-activate starts the relay with the first connection, which it answers."""
    with contextlib.ExitStack() as stack:
        relay = _relay(scene, "activated")
        for name in ("mail", "post"):
            relay.add(LISTENER.format(name=name, protocol="submission", address=f"systemd:{name}"))
        ports = [free_port(), free_port(), free_port()]
        activated = _activated(relay, dict(zip(("mail", "post", "forgotten"), ports)))
        stack.callback(activated.stop)
        # It says so of each, and starts the relay with the first connection.
        wait_for("all are there", lambda: relay.logged().count("Listening on ") == len(ports))
        for port in ports[:2]:
            with smtplib.SMTP("127.0.0.1", port, "client.test", PATIENCE_S) as client:
                client.login(scene.users[0], LOCAL_PASSWORD)
        expect.that('name="forgotten"' in relay.logged(), "the socket without a listener is told")


def a_socket_that_systemd_does_not_pass_is_named(scene):
    """The relay ends at once and says what the unit lacks."""
    relay = _relay(scene, "not-activated")
    relay.add(LISTENER.format(name="mail", protocol="submission", address="systemd:mail"))
    port = free_port()
    activated = _activated(relay, {"post": port})
    try:
        wait_for("it listens", lambda: listens(port))
        wait_for("it has ended", lambda: activated.process.poll() is not None)
    finally:
        activated.stop()
    expect.that("FileDescriptorName=mail" in relay.logged(), relay.logged())


def clients_come_to_a_unix_socket(scene):
    """swaks and curl, and the file goes with the relay."""
    relay = _relay(scene, "unix")
    for protocol in ("submission", "imap"):
        address = f"unix:{protocol}.sock"
        relay.add(LISTENER.format(name=f"at-{protocol}", protocol=protocol, address=address))
    submission, imap = (relay.directory / f"{it}.sock" for it in ("submission", "imap"))
    relay.start()
    try:
        user = scene.users[0]
        run(
            [program("swaks"), "--socket", str(submission), "--auth", "PLAIN", "--auth-user", user]
            + ["--auth-password", LOCAL_PASSWORD, "--from", user, "--to", user]
        )
        argv = [program("curl"), "-sS", "--unix-socket", str(imap), "imap://localhost/"]
        listed = run([*argv, "--user", f"{user}:{LOCAL_PASSWORD}"]).decode()
        expect.that("INBOX" in listed, listed)
        expect.that("peer=unix:uid=0,pid=" in relay.logged(), "the process is in the log")
    finally:
        relay.stop()
    expect.that(not submission.exists() and not imap.exists(), "the files are gone")


def _relay(scene, name):
    relay = Relay(scene.binary, scene.directory / f"sockets-{name}", scene.provider, scene.ca_file)
    dovecot = scene.dovecot.implicit_port
    relay.add_provider("one", "xoauth2", scene.postfix.port, dovecot, "implicit")
    relay.add_account(scene.users[0], "one")
    return relay


def _activated(relay, ports):
    """The activator of that relay, whose sockets are at the `ports`, each by its name."""
    argv = [program("systemd-socket-activate"), f"--fdname={':'.join(ports)}"]
    argv += [f"--listen=127.0.0.1:{port}" for port in ports.values()]
    argv += [f"--setenv={name}={value}" for name, value in relay.environment().items()]
    return Child("the activator", [*argv, *relay.argv("serve")], relay.log)


CHECKS = (
    systemd_passes_the_sockets_that_the_file_names,
    a_socket_that_systemd_does_not_pass_is_named,
    clients_come_to_a_unix_socket,
)
