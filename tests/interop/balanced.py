"""Two relays behind haproxy as docs/load-balancers.md sets it up, replaced and reloaded under load:
no session in DATA may break, and nobody may be closed on without a word.
"""

import concurrent.futures
import contextlib
import dataclasses
import re
import shutil
import smtplib
import threading
import time

import expect
from haproxy import BEHIND, CLIENT, FRONT, addresses, statuses
from limited import Limited
from mailbearer import LOCAL_PASSWORD, Relay
from processes import (
    HERE, PATIENCE_S, POLL_S, Child, Failed, free_port, listens, program, wait_for,
)

PAGE = HERE.parents[1] / "docs/load-balancers.md"
USER = "erp@limited.test"

# The load.
SENDERS = 8
# For how long nobody is in the place of a relay that is replaced, in seconds: longer than the three
# seconds in which haproxy would try the same one again, and shorter than its checks take to notice.
AWAY_S = 5
# How often each of the two reads another file, and how long after the one before, in seconds.
RELOADS, RELOADED_S = 4, 0.5
# How long messages pass in peace before and after, in seconds.
PEACE_S = 2
# A message is sent in so many pieces, with a pause behind each: it takes half a second.
PIECES, PAUSE_S, PIECE = 10, 0.05, (b"x" * 76 + b"\r\n") * 128
# What the checks of haproxy find at a relay that is well, as the page has them.
WELL = ["L7OK", "L7OK"]


@dataclasses.dataclass
class Load:
    """What came of the messages."""

    stop: threading.Event = dataclasses.field(default_factory=threading.Event)
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)
    sent: list = dataclasses.field(default_factory=list)
    # Sessions that broke in a transaction.
    lost: list = dataclasses.field(default_factory=list)
    # Those that ended before they had signed in: told so, and without a word.
    told: int = 0
    silent: list = dataclasses.field(default_factory=list)

    def keep(self, what, name):
        """Adds the message of that name to one of the lists."""
        with self.lock:
            what.append(name)


def a_rolling_restart_behind_haproxy_breaks_no_session_in_data(scene):
    """Each of two relays is away for a while, one after the other, while eight clients send."""
    with _pair(scene, "restart") as pair:
        for place in range(2):
            pair.replace(place)
        pair.end()
        draining = sum("draining sessions=0" not in it.logged() for it in pair.ended)
        _report(f"{len(pair.ended)} restarts, {draining} of them with sessions under way", pair)
        expect.that(draining == len(pair.ended), "a relay had no session when it was ended")


def a_reload_behind_haproxy_breaks_no_session_in_data(scene):
    """Both relays read another file again and again while eight clients send."""
    with _pair(scene, "reload") as pair:
        for number in range(RELOADS):
            for relay in pair.relays:
                timeout = f'idle_timeout = "{40 + number}m"'
                text = re.sub(r"idle_timeout = .*", timeout, relay.file.read_text())
                relay.file.write_text(text)
                relay.hang_up()
                count = number + 1
                reloaded = lambda relay=relay, count=count: (
                    relay.logged().count("configuration reloaded") >= count
                )
                wait_for("the file is read again", reloaded)
                time.sleep(RELOADED_S)
        pair.end()
        _report(f"{2 * RELOADS} reloads", pair)
        expect.that(not pair.load.told, "somebody was sent away by a reload")


def _report(what, pair):
    """Tells the figures and judges them."""
    load, received = pair.load, [_name(it.bytes) for it in pair.upstream.received]
    print(
        f"        {len(load.sent)} messages, {what}; lost {len(load.lost)}, told 421 before "
        f"signing in {load.told}, closed without a greeting {len(load.silent)}",
        flush=True,
    )
    expect.that(not load.lost, f"sessions broke: {load.lost[:3]}")
    expect.that(not load.silent, f"nothing was said to {load.silent[:3]}")
    expect.that(len(load.sent) > 4 * SENDERS, f"only {len(load.sent)} messages were sent")
    expect.that(sorted(received) == sorted(load.sent), "not all messages arrived once")
    for relay in (*pair.ended, *pair.relays):
        lines = [line for line in relay.logged().splitlines() if " signed in " in line]
        expect.that(lines, "a relay served nobody")
        wrong = [line for line in lines if f"peer={CLIENT}:" not in line]
        expect.that(not wrong, f"another client's address: {wrong[:1]}")


class Pair:
    """Two relays with one upstream behind haproxy, and clients that send through it."""

    def __init__(self, scene, directory, upstream, stack):
        self._scene, self._directory, self._stack = scene, directory, stack
        self.upstream, self.load, self.ended = upstream, Load(), []
        self._count = 0
        self.relays = [self._relay(None), self._relay(None)]
        for relay in self.relays:
            relay.start()
        self._stats, self._port = directory / "stats.sock", free_port()
        file = directory / "haproxy.cfg"
        file.write_text(self._configuration())
        argv = [program("haproxy"), "-db", "-f", str(file)]
        balancer = Child("haproxy", argv, directory / "haproxy.log")
        stack.callback(balancer.stop)
        self._wait_until_well()
        pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor(SENDERS))
        # Before the pool is waited for, whatever happens.
        stack.callback(self.load.stop.set)
        self._senders = [pool.submit(self._send_on, number) for number in range(SENDERS)]
        time.sleep(PEACE_S)

    def end(self):
        """Lets messages pass in peace once more, and ends the load."""
        time.sleep(PEACE_S)
        self.load.stop.set()
        for sender in self._senders:
            sender.result(PATIENCE_S)

    def replace(self, place):
        """Ends the relay at that place, leaves that empty for a while, and starts another one."""
        old = self.relays[place]
        new = self._relay(old)
        old.terminate()
        wait_for("its port is closed", lambda: not listens(old.behind))
        time.sleep(AWAY_S)
        new.start()
        self.relays[place] = new
        self.ended.append(old)
        expect.that(old.exit_code() == 0, "a relay that drained did not end well")
        self._wait_until_well()
        time.sleep(PEACE_S)

    def _wait_until_well(self):
        wait_for("both relays are well", lambda: statuses(self._stats) == WELL)

    def _relay(self, old):
        """A relay; in the place of `old`, which has the same ports."""
        scene, self._count = self._scene, self._count + 1
        relay = Relay(
            scene.binary, self._directory / f"relay-{self._count}", scene.provider, scene.ca_file
        )
        self._stack.callback(relay.stop)
        if old is None:
            relay.behind = relay.add_listener("behind", "submission", BEHIND)
            more = "concurrent_sessions = { submission = 100 }\n"
            port = self.upstream.port
            relay.add_provider("limited", "xoauth2", port, port, "implicit", more=more)
            relay.add_account(USER, "limited")
            relay.add('[limits]\nidle_timeout = "39m"\n')
        else:
            shutil.copy(old.file, relay.file)
            relay.take_ports_of(old)
            relay.behind = old.behind
        return relay

    def _configuration(self):
        """The page's, at free ports of this machine."""
        page = PAGE.read_text()
        block = next(it for it in page.split("```")[1::2] if "backend relays" in it)
        one, two = self.relays
        for written, here in {
            "bind :587": f"bind {FRONT}:{self._port}",
            "192.0.2.10:1587": f"127.0.0.1:{one.behind}",
            "192.0.2.11:1587": f"127.0.0.1:{two.behind}",
        }.items():
            expect.that(block.count(written) == 1, f"{written} is not in {PAGE.name}")
            block = block.replace(written, here)
        return f"global\n    stats socket {self._stats} mode 600\n{block}"

    def _send_on(self, sender):
        """Sends one message after the other, each in a session of its own, until it is told to
        stop."""
        load = self.load
        for number in range(1_000_000):
            if load.stop.is_set():
                return
            name = f"{sender}.{number}"
            try:
                client = smtplib.SMTP(FRONT, self._port, "client.test", PATIENCE_S, (CLIENT, 0))
            except smtplib.SMTPConnectError:
                with load.lock:
                    load.told += 1
                continue
            except (OSError, smtplib.SMTPException) as problem:
                load.keep(load.silent, f"{name}: {type(problem).__name__} {problem}")
                time.sleep(POLL_S)
                continue
            with contextlib.closing(client):
                try:
                    client.login(USER, LOCAL_PASSWORD)
                except (OSError, smtplib.SMTPException):
                    with load.lock:
                        load.told += 1
                    continue
                try:
                    _message(client, name)
                    load.keep(load.sent, name)
                except (OSError, smtplib.SMTPException, Failed) as problem:
                    load.keep(load.lost, f"{name}: {type(problem).__name__} {problem}")
            time.sleep(POLL_S)


@contextlib.contextmanager
def _pair(scene, name):
    directory = scene.directory / f"balanced-{name}"
    directory.mkdir()
    with contextlib.ExitStack() as stack:
        addresses(stack)
        upstream = stack.enter_context(Limited(scene.ca_file.parent))
        yield Pair(scene, directory, upstream, stack)


def _message(client, name):
    """A transaction whose message comes slowly."""
    for command, due in (
        (f"MAIL FROM:<{USER}>", 250), ("RCPT TO:<somebody@limited.test>", 250), ("DATA", 354),
    ):
        code, text = client.docmd(command)
        expect.that(code == due, f"{command} was answered with {code} {text}")
    client.send(f"Subject: {name}\r\n\r\n")
    for _ in range(PIECES):
        client.send(PIECE)
        time.sleep(PAUSE_S)
    client.send(b".\r\n")
    code, text = client.getreply()
    expect.that(code == 250, f"the message was answered with {code} {text}")
    client.quit()


def _name(message):
    """Which one it is."""
    subject, _, _ = message.partition(b"\r\n")
    return subject.partition(b"Subject: ")[2].decode()


CHECKS = (
    a_rolling_restart_behind_haproxy_breaks_no_session_in_data,
    a_reload_behind_haproxy_breaks_no_session_in_data,
)
