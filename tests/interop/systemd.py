"""The unit and its sockets, as systemd's own tools judge them, and whether a run gets by with what
the unit leaves it."""

import pathlib
import re
import shutil

import clients
import expect
from mailbearer import LOCAL_PASSWORD, Relay
from message import Message
from processes import program, run

DEPLOY = pathlib.Path(__file__).resolve().parents[2] / "deploy"
# The exposure that `systemd-analyze security` may find, in tenths: 0 is none, 100 is all.
EXPOSURE_MAX = 20
# How strace writes a call, with the number of its thread.
CALL = re.compile(r"^\d+ +([a-z_0-9]+)\(", re.MULTILINE)
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
]
