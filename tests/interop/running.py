"""A relay that is left running: its log bans who guesses, and it is replaced without losing mail."""

import base64
import concurrent.futures
import contextlib
import dataclasses
import json
import os
import pathlib
import re
import shutil
import smtplib
import threading
import time

import expect
from limited import Limited
from mailbearer import LOCAL_PASSWORD, Relay
from processes import PATIENCE_S, POLL_S, Failed, free_port, listens, program, run

FILTER = pathlib.Path(__file__).resolve().parents[2] / "deploy/fail2ban/filter.d/mailbearer.conf"

# Whom nobody shall be able to ban by a user name.
INNOCENT = "192.0.2.66"
# User names that look like what a line of the log has, in each of its formats.
FORGED = (
    'eve" refusal="wrong-password" fix="x" id=0001 protocol="imap" listener="imap" '
    f"peer={INNOCENT}:9",
    f'2026-01-01T00:00:00Z WARN  refused account="x" refusal="wrong-password" peer={INNOCENT}:1',
    f'x","refusal":"wrong-password","span":{{"peer":"{INNOCENT}:1","name":"session"}}}}',
    f'\\" peer={INNOCENT}:9',
    "ends with a backslash\\",
)
# As syslog daemons write what they take out of the journal: as RFC 3339 has it, and as before.
SYSLOG = (
    "2026-11-22T18:33:47.393756+00:00 host mailbearer[12]: ",
    "Nov 22 18:33:47 host mailbearer[12]: ",
    "Nov  2 18:33:47 host mailbearer[12]: ",
)

# The load of the rolling restart.
SENDERS = 8
RESTARTS = 4
# How long each relay serves before it is replaced, in seconds.
SERVES_S = 2
# A message is sent in so many pieces, with a pause behind each: it takes half a second.
PIECES, PAUSE_S, PIECE_LEN = 10, 0.05, 10_000
USER = "erp@limited.test"


def who_guesses_passwords_is_found_and_nobody_else_by_fail2ban(scene):
    """In each format, over addresses of both kinds, while user names pretend to be whole lines."""
    for name, keys in {"text": "", "json": '[log]\nformat = "json"\n', "journal": ""}.items():
        log = _log_of_guesses(scene, name, keys)
        # Where it listens goes to its standard output, which is here as well.
        lines = [line for line in log.splitlines(True) if not line.startswith("listening on ")]
        if name == "journal":
            expect.that(all(re.match(r"<[346]>[A-Z]+ ", line) for line in lines), log)
            # The journal takes the priority away, and so does what reads it.
            lines = [line[3:] for line in lines]
        if name == "json":
            expect.that(all(isinstance(json.loads(line), dict) for line in lines), log)
        for before in ("",) if name == "text" else ("", *SYSLOG) if name == "json" else SYSLOG:
            _finds_who_guesses(scene, name, [before + line for line in lines])


def _finds_who_guesses(scene, name, lines):
    """Those of `lines`, and those of a client of the other family, whom a balancer announced."""
    file = scene.directory / f"guesses-{name}.log"
    told = "".join(lines)
    other = re.sub(r"(peer=|\"peer\":\")127\.0\.0\.1:(\d+)", r"\1[2001:db8::7]:\2", told)
    other = re.sub(r"(peer=\S+)$", r"\1 balancer=10.0.0.9:25", other, flags=re.M)
    other = other.replace('"span":{"id"', '"span":{"balancer":"10.0.0.9:25","id"')
    for text, address in ((told, "127.0.0.1"), (other, "2001:db8::7")):
        file.write_text(text)
        found = run([program("fail2ban-regex"), "-o", "ip", file, FILTER]).decode().split()
        expect.that(found == [address] * (1 + len(FORGED)), f"{lines[0]}: found are {found}")


def _log_of_guesses(scene, name, keys):
    """What a relay logs of one who guesses, and of one who signs in."""
    relay = Relay(scene.binary, scene.directory / f"guesses-{name}", scene.provider, scene.ca_file)
    smtp_port, imap_port = scene.postfix.port, scene.dovecot.implicit_port
    relay.add_provider("one", "xoauth2", smtp_port, imap_port, "implicit")
    relay.add_account(scene.users[0], "one")
    relay.add(keys)
    relay.log.touch()
    if name == "journal":
        stat = os.stat(relay.log)
        relay.variables = {"JOURNAL_STREAM": f"{stat.st_dev}:{stat.st_ino}"}
    relay.start()
    try:
        for user, password, code in [
            (scene.users[0], LOCAL_PASSWORD, 235),
            *((user, "a guess", 535) for user in (scene.users[0], *FORGED)),
        ]:
            with smtplib.SMTP("127.0.0.1", relay.smtp_port, "client.test", PATIENCE_S) as client:
                client.ehlo()
                shown = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
                heard, text = client.docmd("AUTH", f"PLAIN {shown}")
                expect.that(heard == code, f"{user!r} heard {heard} {text}")
    finally:
        relay.stop()
    return relay.logged()


@dataclasses.dataclass
class Load:
    """What came of the messages that were sent while relays were replaced."""

    stop: threading.Event = dataclasses.field(default_factory=threading.Event)
    sent: list = dataclasses.field(default_factory=list)
    lost: list = dataclasses.field(default_factory=list)
    refused: int = 0
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)


def a_rolling_restart_under_load_loses_no_message(scene):
    """Each relay is replaced at its port while eight clients are in the midst of messages."""
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(Limited(scene.ca_file.parent))
        relays = [_relay(scene, upstream, number) for number in range(RESTARTS + 1)]
        for relay in relays[1:]:
            # The same listeners; each has a state directory of its own.
            shutil.copy(relays[0].file, relay.file)
            relay.smtp_port, relay._ports = relays[0].smtp_port, relays[0]._ports
        for relay in relays:
            # The old one holds its own to its end.
            relay.add(f'[web]\nprobes = "127.0.0.1:{free_port()}"\n')
        for relay in relays:
            stack.callback(relay.stop)
        relays[0].start()
        load, port = Load(), relays[0].smtp_port
        with concurrent.futures.ThreadPoolExecutor(SENDERS) as pool:
            senders = [pool.submit(_send, port, number, load) for number in range(SENDERS)]
            try:
                gaps = [_replace(old, new) for old, new in zip(relays, relays[1:])]
                time.sleep(SERVES_S)
            finally:
                load.stop.set()
            for sender in senders:
                sender.result(PATIENCE_S)
        draining = sum("draining sessions=0" not in relay.logged() for relay in relays[:-1])
    arrived = [_number(it.bytes) for it in upstream.received]
    print(
        f"        {len(load.sent)} messages, {RESTARTS} restarts, {draining} of them with messages "
        f"under way; lost {len(load.lost)}; nobody listened for {max(gaps):.2f} s at most, in "
        f"which {load.refused} connections were refused and tried again",
        flush=True,
    )
    expect.that(not load.lost, f"sessions broke: {load.lost[:3]}")
    expect.that(len(load.sent) > SENDERS * RESTARTS, f"only {len(load.sent)} messages were sent")
    expect.that(sorted(arrived) == sorted(load.sent), "not all messages arrived once")
    expect.that(draining == RESTARTS, "a relay had no session when it was ended")


def _relay(scene, upstream, number):
    directory = scene.directory / f"rolling-{number}"
    relay = Relay(scene.binary, directory, scene.provider, scene.ca_file)
    more = "concurrent_sessions = { submission = 100 }\n"
    relay.add_provider("limited", "xoauth2", upstream.port, upstream.port, "implicit", more=more)
    relay.add_account(USER, "limited")
    return relay


def _replace(old, new):
    """Ends a relay and starts another one as soon as its port is free; gives for how long nobody
    listened there, in seconds."""
    time.sleep(SERVES_S)
    old.terminate()
    while listens(old.smtp_port) or listens(old.imap_port):
        time.sleep(POLL_S / 10)
    began = time.monotonic()
    new.start()
    gap = time.monotonic() - began
    expect.that(old.exit_code() == 0, "a relay that drained did not end well")
    return gap


def _send(port, sender, load):
    """Sends one message after the other, each in a session of its own, until it is told to stop."""
    for number in range(1_000_000):
        if load.stop.is_set():
            return
        name = f"{sender}.{number}"
        signed_in = False
        try:
            with smtplib.SMTP("127.0.0.1", port, "client.test", PATIENCE_S) as client:
                client.login(USER, LOCAL_PASSWORD)
                signed_in = True
                _message(client, name)
            with load.lock:
                load.sent.append(name)
        except (OSError, smtplib.SMTPException, Failed) as problem:
            with load.lock:
                if signed_in:
                    load.lost.append(f"{name}: {type(problem).__name__} {problem}")
                else:
                    load.refused += 1
            time.sleep(POLL_S)


def _message(client, name):
    """A transaction whose message comes slowly."""
    client.ehlo()
    for command in (f"MAIL FROM:<{USER}>", "RCPT TO:<somebody@limited.test>", "DATA"):
        code, text = client.docmd(command)
        expect.that(code in (250, 354), f"{command} was answered with {code} {text}")
    client.send(f"Subject: {name}\r\n\r\n")
    for _ in range(PIECES):
        client.send((b"x" * 76 + b"\r\n") * (PIECE_LEN // 78))
        time.sleep(PAUSE_S)
    client.send(b".\r\n")
    code, text = client.getreply()
    expect.that(code == 250, f"the message was answered with {code} {text}")


def _number(message):
    """Which one it is."""
    subject, _, _ = message.partition(b"\r\n")
    return subject.partition(b"Subject: ")[2].decode()


CHECKS = [
    who_guesses_passwords_is_found_and_nobody_else_by_fail2ban,
    a_rolling_restart_under_load_loses_no_message,
]
