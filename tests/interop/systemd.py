"""The unit and its sockets, as systemd's own tools judge them, and whether a run gets by with what
the unit leaves it."""

import contextlib
import fcntl
import pathlib
import re
import shutil
import signal
import socket
import time
import urllib.request

import clients
import expect
from mailbearer import LOCAL_PASSWORD, Relay
from message import Message
from processes import PATIENCE_S, free_port, program, run, wait_for

DEPLOY = pathlib.Path(__file__).resolve().parents[2] / "deploy"
# The exposure that `systemd-analyze security` may find, in tenths: 0 is none, 100 is all.
EXPOSURE_MAX = 20
# How strace writes a call, with the number of its thread.
CALL = re.compile(r"^\d+ +([a-z_0-9]+)\(", re.MULTILINE)
# The end of a relay without sessions, in seconds: far below the 45 for which a lease holds up.
END_MAX_S = 15
# An application that shows a certificate.
HELD = """
[accounts."held@xoauth2.test"]
provider = "one"
client_id = "held"
client_auth = "private-key-jwt"
certificate = "app.pem"
private_key = "app.key"
grant = "client-credentials"
local_password = "{local_password}"
"""
# Bytes of body where a small message will do.
SMALL = 1000


def the_unit_and_its_sockets_are_found_correct(scene):
    """By `systemd-analyze verify`, which says nothing then."""
    said = run([program("systemd-analyze"), "--man=no", "verify", *_installed(scene, "verify")])
    expect.that(not said.strip(), f"it says {said.decode()}")


def the_unit_leaves_little_to_be_exposed(scene):
    """By `systemd-analyze security`, which ends with failure beyond the threshold."""
    unit, *_ = _installed(scene, "security")
    argv = [program("systemd-analyze"), "security", "--offline=true"]
    said = run([*argv, f"--threshold={EXPOSURE_MAX}", unit]).decode()
    print(f"        {said.strip().splitlines()[-1].strip()}", flush=True)


def a_run_uses_only_system_calls_that_the_unit_allows(scene):
    """A message sent and one fetched, a reload and a command, under strace."""
    allowed = _allowed()
    relay = Relay(scene.binary, scene.directory / "traced", scene.provider, scene.ca_file)
    relay.add_provider(
        "one", "xoauth2", scene.postfix.port, scene.dovecot.implicit_port, "implicit"
    )
    relay.add_account(scene.users[0], "one")
    trace = relay.directory / "trace"
    # With -D the relay is our child, which is sent the signals.
    relay.before = [program("strace"), "-D", "-f", "-qq", "-o", str(trace)]
    relay.start()
    try:
        at = clients.At(
            relay.smtp_port, relay.imap_port, scene.users[0], LOCAL_PASSWORD, str(relay.directory)
        )
        mail = Message("traced", scene.users[0], SMALL)
        clients.swaks_send(at, mail, "PLAIN")
        mail.compare(scene.delivered(mail))
        mail.compare(clients.curl_fetch(at, mail))
        relay.do("reload")
    finally:
        relay.stop()
    used = set(CALL.findall(trace.read_text(errors="replace")))
    expect.that({"openat", "execve"} <= used and len(used) > 30, f"strace saw only {used}")
    print(f"        {len(used)} system calls are used", flush=True)
    expect.that(used <= allowed, f"the unit forbids {sorted(used - allowed)}")


def a_disk_that_hangs_stops_neither_the_watchdog_nor_the_end(scene):
    """A lease holds up whoever opens a certificate, as a mount does whose server is away."""
    relay = Relay(scene.binary, scene.directory / "disk-that-hangs", scene.provider, scene.ca_file)
    relay.add_provider(
        "one", "xoauth2", scene.postfix.port, scene.dovecot.implicit_port, "implicit"
    )
    relay.add_account(scene.users[0], "one")
    certificate = relay.directory / "app.pem"
    run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "90", "-subj", "/CN=app",
         "-keyout", relay.directory / "app.key", "-out", certificate])
    relay.add(HELD.format(local_password=relay.local_password))
    port = free_port()
    relay.add(f'[web]\nprobes = "127.0.0.1:{port}"\n')
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, contextlib.ExitStack() as stack:
        manager.bind(str(relay.directory / "notify"))
        manager.settimeout(PATIENCE_S)
        relay.variables = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "1000000"}
        relay.start()
        stack.callback(relay.stop)
        held = stack.enter_context(open(certificate, "r+b"))
        # Who breaks a lease has its holder signalled.
        signal.signal(signal.SIGIO, signal.SIG_IGN)
        wait_for("nobody reads the certificate", lambda: _lease(held))
        stack.callback(fcntl.fcntl, held, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=PATIENCE_S) as ready:
            expect.that(ready.status == 200, f"it is not ready: {ready.status}")
        _until_quiet(manager)
        for _ in range(3):
            told = manager.recv(4096)
            expect.that(b"WATCHDOG=1" in told, f"the manager was told {told!r}")
        began = time.monotonic()
        relay.terminate()
        expect.that(relay.exit_code() == 0, "it did not end well")
        lasted = time.monotonic() - began
        expect.that(lasted < END_MAX_S, f"its end took {lasted:.1f} s")


def _lease(file):
    """Takes a lease on `file`; false while somebody has it open."""
    try:
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    except BlockingIOError:
        return False
    return True


def _until_quiet(manager):
    """Takes what was told before."""
    manager.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            manager.recv(4096)
    manager.settimeout(PATIENCE_S)


def _installed(scene, name):
    """The unit and its sockets in a directory, with the program where it is here."""
    directory = scene.directory / f"units-{name}"
    directory.mkdir()
    text = (DEPLOY / "mailbearer.service").read_text()
    expect.that("ExecStart=/usr/bin/mailbearer " in text, "the unit starts another program")
    text = text.replace("/usr/bin/mailbearer", str(pathlib.Path(scene.binary).resolve()))
    unit = directory / "mailbearer.service"
    unit.write_text(text)
    sockets = sorted(DEPLOY.glob("*.socket"))
    expect.that(len(sockets) == 3, f"there are {len(sockets)} sockets")
    return [unit, *(shutil.copy(socket, directory) for socket in sockets)]


def _allowed():
    """The system calls that the unit's SystemCallFilter= leaves."""
    unit = (DEPLOY / "mailbearer.service").read_text()
    lines = re.findall(r"^SystemCallFilter=(~?)(.+)$", unit, re.MULTILINE)
    (without, plus), (taken, minus) = lines
    expect.that((without, taken) == ("", "~"), f"the unit's filters are {lines}")
    kept = set().union(*map(_calls_of, plus.split()))
    return kept.difference(*map(_calls_of, minus.split()))


def _calls_of(name):
    """The system calls of a set, those of sets within it too. What is no set is itself."""
    if not name.startswith("@"):
        return {name}
    listed = run([program("systemd-analyze"), "--no-pager", "syscall-filter", name]).decode()
    # The name of the set comes first; lines that begin with # describe.
    words = [line.strip() for line in listed.splitlines() if line.startswith("    ")]
    return set().union(*(_calls_of(word) for word in words if not word.startswith("#")))


CHECKS = [
    the_unit_and_its_sockets_are_found_correct,
    the_unit_leaves_little_to_be_exposed,
    a_run_uses_only_system_calls_that_the_unit_allows,
    a_disk_that_hangs_stops_neither_the_watchdog_nor_the_end,
]
