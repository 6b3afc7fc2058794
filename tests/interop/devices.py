"""Devices that do not sign in, and what a burst of theirs comes to: Postfix's smtp-source sends 500
messages of 50 KB over 10 connections, through an upstream that allows 3 sessions of a mailbox and
30 messages in a minute, which has less than a second here.
"""

import base64
import concurrent.futures
import contextlib
import itertools
import json
import smtplib
import ssl
import sys

import expect
import kept
import scanners
from limited import Limited
from mailbearer import Relay
from processes import HERE, PATIENCE_S, Failed, program, run
from wire import Wire

MAILBOX = "erp@devices.test"
SENDER, RECIPIENT = "invented@device.test", "somebody@elsewhere.test"
MESSAGES, MESSAGE_LEN, CONNECTIONS = 500, 51_200, 10
# learn.microsoft.com, "Improvements to the SMTP submission client protocol".
SESSIONS_MAX, MESSAGES_MAX = 3, 30
# How long the upstream's minute is, in seconds: all of it takes 16 of them.
MINUTE_S = 0.8
# How long a device may wait for any reply, in seconds.
REPLY_MAX_S = 30
# Who has waited so much longer goes first, in seconds; sign-ins of two that are admitted at the
# same time may overtake each other by so much on two busy cores.
LONGER_S, OVERTAKEN_S = 0.1, 0.05
# More sessions than there are devices: no gate. Who hears 432 all the same is told soon, and does
# not wait for the mailbox to have fewer sessions.
NO_GATE = 1000
TOLD_SOON = """
[limits]
wait_for_slot = "1s"
"""


def the_upstream_itself_takes_500_messages_once_each(scene):
    """The oracle without mailbearer: smtp-source, the recording proxy, and no limit of sessions."""
    for arguments in ((), ("-d",)):
        with _upstream(scene, door=MAILBOX, minute_s=0.1) as upstream, Wire(upstream.port) as wire:
            _send(wire.port, *arguments)
        judge_arrival(upstream, wire)
        _judge_order(upstream, wire)
        expect.that(upstream.peak[MAILBOX] == CONNECTIONS, f"{upstream.peak} sessions at once")


def the_upstream_itself_turns_the_fourth_session_away(scene):
    """432 at its sign-in, whoever asks; a place is free as soon as the QUIT was answered."""
    with _upstream(scene, SESSIONS_MAX) as upstream, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(_signed_in(scene, upstream)) for _ in range(3)]
        for _ in range(2):
            with _greeted(scene, upstream) as one_too_many:
                code, text = _authenticates(one_too_many, MAILBOX)
                expect.that(code == 432 and text.startswith(b"4.3.2 "), f"{code} {text}")
            with _signed_in(scene, upstream, "other@devices.test"):
                pass
        clients[1].quit()
        with _signed_in(scene, upstream):
            pass
    expect.that(upstream.turned_away == 2, f"{upstream.turned_away} were turned away")
    expect.that(upstream.peak[MAILBOX] == SESSIONS_MAX, f"{upstream.peak} sessions at once")


def the_upstream_itself_delays_the_excess_of_a_minute(scene):
    """At most 3 in any second, and all of them arrive."""
    with Limited(_certificates(scene), messages=3, minute_s=1.0, door=MAILBOX) as upstream:
        with smtplib.SMTP("127.0.0.1", upstream.port, "device.test", PATIENCE_S) as client:
            for number in range(7):
                client.sendmail(SENDER, [RECIPIENT], f"Subject: {number}\r\n\r\n.\r\n")
    times = [it.at for it in upstream.received]
    expect.that(len(times) == 7, f"{len(times)} arrived")
    for first, fourth in zip(times, times[3:]):
        # The reply of the one may have been late, that of the other not.
        expect.that(fourth - first > 0.9, f"4 messages within {fourth - first} s")
    expect.that(upstream.received[0].bytes.endswith(b"\r\n\r\n.\r\n"), "a dot was lost")


def a_burst_of_one_connection_for_each_message_arrives_whole(scene):
    """500 connections, 10 at a time: they wait at the mailbox's gate, in the order they came."""
    _burst(scene, "burst")


def a_burst_of_connections_that_stay_arrives_whole(scene):
    """10 connections with 50 messages each, more or less: seven wait until three have ended."""
    _burst(scene, "burst-stays", "-d")


def without_the_gate_the_same_burst_hears_432(scene):
    """The gate is what makes the difference."""
    with _upstream(scene, SESSIONS_MAX) as upstream:
        with relay_before(scene, "no-gate", upstream, NO_GATE) as (relay, port), Wire(port) as wire:
            relay.add(TOLD_SOON)
            relay.do("reload")
            with contextlib.suppress(Failed):
                # smtp-source gives up when a reply is not what it wants.
                _send(wire.port)
    refused = [it.reply for it in wire.exchanges if it.code >= 400]
    print(
        f"        {upstream.turned_away} times 432 upstream, {len(upstream.received)} messages "
        f"arrived, the device heard {refused[:1]}",
        flush=True,
    )
    expect.that(upstream.turned_away > 0, "nobody was turned away")
    expect.that(refused and len(upstream.received) < MESSAGES, "the device heard none of it")


def a_burst_of_clients_that_sign_in_waits_at_the_same_gate(scene):
    """10 at once with AUTH PLAIN: all are served, whatever the provider allows."""
    # So few messages a second that nobody is gone before the others come.
    pace = 2 * SESSIONS_MAX
    with Limited(_certificates(scene), SESSIONS_MAX, pace, MINUTE_S) as upstream:
        with relay_before(scene, "signed-in", upstream, SESSIONS_MAX) as (relay, _):
            at = kept.at(scene, relay, MAILBOX)

            def send(number):
                with smtplib.SMTP("127.0.0.1", at.smtp_port, "client.test", PATIENCE_S) as client:
                    client.ehlo()
                    code, text = client.docmd("AUTH", f"PLAIN {expect.plain(at)}")
                    expect.that(code == 235, f"AUTH was answered with {code} {text}")
                    for nth in range(3):
                        text = f"Message-ID: <{number}.{nth}@client.test>\r\n\r\nhello\r\n"
                        client.sendmail(MAILBOX, [RECIPIENT], text)

            with concurrent.futures.ThreadPoolExecutor(CONNECTIONS) as at_once:
                for done in [at_once.submit(send, number) for number in range(CONNECTIONS)]:
                    done.result()
    texts = {it.bytes for it in upstream.received}
    expect.that(len(texts) == len(upstream.received) == 3 * CONNECTIONS, f"{len(texts)} arrived")
    expect.that(upstream.peak[MAILBOX] <= SESSIONS_MAX, f"{upstream.peak} sessions at once")


def in_a_network_of_its_own_the_gateway_and_the_machine_are_no_devices(scene):
    """A device sends its burst; who may hide others hears 530, and the log says what to add."""
    # Whatever becomes of it, all its processes end with it.
    alone = ["unshare", "--net", "--pid", "--mount-proc", "--fork", "--kill-child"]
    argv = [*alone, sys.executable, "-B", HERE / "office.py", scene.binary]
    directory = scene.directory / "office"
    directory.mkdir()
    # The burst takes 13 s, and smtp-source may take up to its own patience.
    told = json.loads(run([*argv, directory, _certificates(scene)], timeout=4 * PATIENCE_S))
    for name, (code, reply) in told["replies"].items():
        wanted = {"device": "250 ", "machine, listed alone": "250 "}.get(name, "530 5.7.0 ")
        expect.that(f"{code} {reply}".startswith(wanted), f"the {name} heard {code} {reply}")
    expect.that(len(told["replies"]) == 5, f"{len(told['replies'])} were tried")
    arrived = told["arrived"]
    expect.that(len(arrived) == len(set(arrived)) == MESSAGES, f"{len(arrived)} arrived")
    for address, whose, why in told["to_add"]:
        # The logger escapes the quotes.
        line = rf'add \"{address}\" to the `networks` of {whose}'
        named = [it for it in told["log"] if line in it and why in it]
        expect.that(named, f"the log does not name the line to add for {address}: {told['log']}")


def a_network_that_is_too_wide_is_refused_at_start(scene):
    """/16 is taken, /15 is not; /48 is taken, /47 is not."""
    # sysexits.h: EX_CONFIG.
    widths = {"10.0.0.0/16": 0, "10.0.0.0/15": 78, "fd00::/48": 0, "fd00::/47": 78}
    with Limited(_certificates(scene)) as upstream:
        relay, _ = _file(scene, "widths", upstream, SESSIONS_MAX, "{network}")
        text = relay.file.read_text()
        for network, code in widths.items():
            relay.file.write_text(text.replace("{network}", network))
            done = relay.command("check")
            told = f"{network}: check ended with {done.code}: {done.stdout}{done.stderr}"
            expect.that(done.code == code, told)
            expect.that(code == 0 or network in done.stderr + done.stdout, told)


CHECKS = [
    the_upstream_itself_takes_500_messages_once_each,
    the_upstream_itself_turns_the_fourth_session_away,
    the_upstream_itself_delays_the_excess_of_a_minute,
    a_burst_of_clients_that_sign_in_waits_at_the_same_gate,
    a_burst_of_one_connection_for_each_message_arrives_whole,
    a_burst_of_connections_that_stay_arrives_whole,
    without_the_gate_the_same_burst_hears_432,
    in_a_network_of_its_own_the_gateway_and_the_machine_are_no_devices,
    a_network_that_is_too_wide_is_refused_at_start,
    *scanners.CHECKS,
]


def smtp_source(host, port, *arguments, messages=MESSAGES, sessions=CONNECTIONS):
    """The command line that sends a burst."""
    argv = [program("smtp-source"), "-s", str(sessions), "-m", str(messages), *arguments]
    return [*argv, "-l", str(MESSAGE_LEN), "-f", SENDER, "-t", RECIPIENT, f"inet:{host}:{port}"]


def add_device(relay, account=MAILBOX, networks=("127.0.0.1",)):
    """Adds the device, and the account whose mail it sends. Loopback is a device only where it is
    listed alone."""
    relay.add_account(account, "limited")
    relay.add_device("erp", account, f"networks = {json.dumps(list(networks))}")


def add_limited(relay, upstream, sessions, more=""):
    """Adds the provider whose submission server `upstream` is, with that many sessions."""
    more += f"concurrent_sessions = {{ submission = {sessions} }}\n"
    # There is nothing at its other port, and nobody asks there.
    relay.add_provider("limited", "xoauth2", upstream.port, upstream.port, "implicit", more=more)


@contextlib.contextmanager
def relay_before(scene, name, upstream, sessions, more=""):
    """A relay that runs, and the port where devices are served."""
    relay, port = _file(scene, name, upstream, sessions, more=more)
    try:
        relay.start()
        yield relay, port
    finally:
        relay.stop()


def judge_arrival(upstream, wire, count=MESSAGES):
    """All arrived once, whole, and the device heard of no failure."""
    refused = [it.reply for it in wire.exchanges if it.code >= 400]
    expect.that(not refused, f"the device heard {refused[:3]}")
    sent = list(itertools.chain.from_iterable(wire.message_ids.values()))
    expect.that(len(set(sent)) == len(sent) == count, f"{len(sent)} messages were sent")
    arrived = [message_id(it.bytes) for it in upstream.received]
    expect.that(sorted(arrived) == sorted(sent), f"{len(arrived)} messages arrived, not once each")
    bodies = {it.bytes.partition(b"\r\n\r\n")[2] for it in upstream.received}
    expect.that(len(bodies) == 1 and len(bodies.pop()) >= MESSAGE_LEN, "bodies were altered")
    told = {(it.sender, it.recipients) for it in upstream.received}
    expect.that(told == {(f"<{SENDER}>", (f"<{RECIPIENT}>",))}, f"other addresses: {told}")


def message_id(message):
    """The Message-Id that smtp-source wrote."""
    header, _, _ = message.partition(b"\r\n\r\n")
    lines = header.split(b"\r\n")
    (found,) = [line for line in lines if line.lower().startswith(b"message-id:")]
    return found.partition(b":")[2].strip().decode()


def _burst(scene, name, *arguments):
    with _upstream(scene, SESSIONS_MAX) as upstream:
        with relay_before(scene, name, upstream, SESSIONS_MAX) as (_, port), Wire(port) as wire:
            _send(wire.port, *arguments)
    longest = max(wire.exchanges, key=lambda it: it.waited_s)
    judge_arrival(upstream, wire)
    overtaken_by_s = _judge_order(upstream, wire)
    print(
        f"        {upstream.turned_away} times 432 upstream, {upstream.peak[MAILBOX]} sessions at "
        f"once, longest reply {longest.waited_s:.1f} s to {longest.verb}, nobody overtaken by who "
        f"came more than {1000 * overtaken_by_s:.0f} ms later",
        flush=True,
    )
    expect.that(longest.waited_s <= REPLY_MAX_S, f"a reply took {longest.waited_s} s: {longest}")
    expect.that(upstream.turned_away == 0, f"{upstream.turned_away} times 432")
    expect.that(upstream.peak[MAILBOX] <= SESSIONS_MAX, f"{upstream.peak} sessions at once")


def _judge_order(upstream, wire):
    """Who has waited 100 ms longer is admitted first. The upstream tells when, by the messages.
    Gives how much longer one had waited who was admitted after another."""
    let_in = {
        message_id(it.bytes): upstream.let_in[it.session][0] for it in upstream.received
    }
    asked = {}
    for exchange in wire.of("MAIL"):
        asked.setdefault(exchange.connection, exchange.said_at)
    sessions = sorted(
        (asked[connection], let_in[ids[0]]) for connection, ids in wire.message_ids.items() if ids
    )
    expect.that(len(sessions) >= CONNECTIONS, f"{len(sessions)} sessions were seen")
    overtaken_by = [
        later_asked_at - asked_at
        for (asked_at, admitted_at), (later_asked_at, later_admitted_at) in itertools.combinations(
            sessions, 2
        )
        if later_admitted_at + OVERTAKEN_S < admitted_at
    ]
    longest = max(overtaken_by, default=0.0)
    expect.that(longest < LONGER_S, f"one that came {longest:.3f} s later was admitted first")
    return longest


def _upstream(scene, sessions=None, door=None, minute_s=MINUTE_S):
    return Limited(_certificates(scene), sessions, MESSAGES_MAX, minute_s, door)


def _certificates(scene):
    return scene.ca_file.parent


def _file(scene, name, upstream, sessions, network="127.0.0.1", more=""):
    relay = Relay(scene.binary, scene.directory / f"devices-{name}", scene.provider, scene.ca_file)
    relay.keep_in(kept.STORE)
    add_limited(relay, upstream, sessions, more)
    add_device(relay, networks=[network])
    return relay, relay.add_listener("devices", "submission", "devices = true")


def _send(port, *arguments):
    run(smtp_source("127.0.0.1", port, *arguments), timeout=2 * PATIENCE_S)


@contextlib.contextmanager
def _greeted(scene, upstream):
    with smtplib.SMTP("localhost", upstream.port, "client.test", PATIENCE_S) as client:
        client.starttls(context=ssl.create_default_context(cafile=scene.ca_file))
        client.ehlo()
        yield client


@contextlib.contextmanager
def _signed_in(scene, upstream, mailbox=MAILBOX):
    with _greeted(scene, upstream) as client:
        code, text = _authenticates(client, mailbox)
        expect.that(code == 235, f"XOAUTH2 was answered with {code} {text}")
        yield client


def _authenticates(client, mailbox):
    response = f"user={mailbox}\x01auth=Bearer token\x01\x01".encode()
    return client.docmd("AUTH", f"XOAUTH2 {base64.b64encode(response).decode()}")
