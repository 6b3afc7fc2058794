"""Devices with real mail programs in them, before the real servers: some have nothing but a server
and a port to enter, some a short name and a password of their own; and what they may not."""

import contextlib
import dataclasses
import email
import email.policy
import json
import time
from functools import partial

import clients
import expect
import kept
from mailbearer import LOCAL_PASSWORD, Relay
from message import Message
from processes import Failed, program, run, wait_for
from servers import NullClient

# Nobody has this address: the device was told to write it.
INVENTED = "scan-2@device.test"
RECIPIENT = "desk@elsewhere.test"
# How soon the sessions of a revoked password are closed, in seconds.
CLOSED_S = 10
# What a queue before the relay is given.
QUEUED, QUEUE_RECIPIENT = 20, "queue@elsewhere.test"
# Whose mail the devices send; that of the other one has its sender rewritten.
MAILBOX, REWRITTEN = "scanner@office.test", "relay@office.test"
# Bytes of body where a small message will do.
SMALL = 1000
# Where devices speak in TLS, because it is written out.
TLS_LISTENER = """devices = true
tls = "starttls"
require_tls = true
certificate = "{certificates}/server.pem"
private_key = "{certificates}/server.key"
"""
AT_LOOPBACK = 'networks = ["127.0.0.1"]'


def programs_that_sign_in_nowhere_are_served(scene):
    """EHLO and HELO; 5 MB arrive byte for byte, from the sender that the device invented."""
    programs = {
        "swaks": clients.swaks_delivers,
        "swaks with HELO": lambda at, sent: clients.swaks_delivers(at, sent, "--protocol", "SMTP"),
        "curl": clients.curl_delivers,
    }
    with _relay(scene, "served") as relay:
        relay.add_device("scanner", MAILBOX, AT_LOOPBACK)
        at = _at(scene, relay)
        for name, delivers in programs.items():
            sent = Message(f"device-{name.replace(' ', '-')}", RECIPIENT)
            delivers(at, sent)
            arrived = scene.delivered(sent)
            sent.compare(arrived)
            _judge_return_path(arrived, INVENTED, name)


def a_sender_that_nobody_has_becomes_the_mailbox(scene):
    """`envelope-and-header`: who answers still reaches the device's own address."""
    with _relay(scene, "rewritten") as relay:
        relay.add_account(REWRITTEN, "one")
        # A line of the table that was added last.
        relay.add('sender = "envelope-and-header"\n')
        relay.add_device("fax", REWRITTEN, AT_LOOPBACK)
        programs = {"swaks": clients.swaks_delivers, "curl": clients.curl_delivers}
        for name, delivers in programs.items():
            sent = _message(f"rewritten-{name}")
            delivers(_at(scene, relay), sent)
            arrived = scene.delivered(sent)
            _judge_return_path(arrived, REWRITTEN, name)
            seen = email.message_from_bytes(arrived, policy=email.policy.SMTP)
            for field, address in (("From", REWRITTEN), ("Reply-To", sent.mailbox)):
                headers = seen.get_all(field, [])
                addresses = [it.addr_spec for header in headers for it in header.addresses]
                expect.that(addresses == [address], f"{name}: {field} is {headers}")


def two_devices_of_a_mailbox_sign_in_and_one_of_them_is_revoked(scene):
    """By short names, each with its own password; `accounts` tells when each was last used."""
    with _relay(scene, "revoked") as relay:
        for name in ("scanner-1", "scanner-2"):
            relay.add_device(name, MAILBOX, f'username = "{name.replace("ner-", "")}"')
        first, second = (
            _at(scene, relay, name, relay.do("password", device).strip())
            for name, device in (("scan1", "scanner-1"), ("scan2", "scanner-2"))
        )
        expect.that(_last_used(relay) == {"scanner-1": None, "scanner-2": None}, "nobody came yet")
        for at in (first, second):
            for mechanism in ("PLAIN", "LOGIN"):
                sent = _message(f"{at.user}-{mechanism}")
                clients.swaks_send(at, sent, mechanism)
                sent.compare(scene.delivered(sent))
        expect.that(all(_last_used(relay).values()), f"accounts says {_last_used(relay)}")
        _is_refused(second, first.password, "of the other device")
        with kept.signed_in(first) as session, kept.signed_in(second) as other:
            relay.do("password", "scanner-1", "--revoke")
            revoked = time.monotonic()
            wait_for("its session ends", lambda: kept.has_ended(session))
            lasted = time.monotonic() - revoked
            expect.that(lasted <= CLOSED_S, f"its session went on for {lasted:.1f} s")
            expect.that(not kept.has_ended(other), "the other device's session ended, too")
        _is_refused(first, first.password, "that was revoked")
        _is_refused(second, LOCAL_PASSWORD, "of the account")
        expect.that(kept.by_smtp(second).is_accepted, "the other device is refused, too")


def a_device_is_held_to_its_senders_and_its_hour(scene):
    """553 5.7.1 for a sender that is not among them, 451 4.7.1 for the third message of an hour."""
    keys = f'{AT_LOOPBACK}\nsenders = ["*@device.test"]\nmessages_per_hour = 2'
    with _relay(scene, "held") as relay:
        relay.add_device("scanner", MAILBOX, keys)
        at = _at(scene, relay)
        foreign = dataclasses.replace(at, user="scan-2@other.test")
        sent = [_message(f"held-{number}") for number in range(4)]
        _does_not_deliver(clients.swaks_delivers, foreign, sent[0], "553 5.7.1 ")
        # curl tells the code alone.
        _does_not_deliver(clients.curl_delivers, foreign, sent[0], "553")
        for each in sent[1:3]:
            clients.swaks_delivers(at, each)
            each.compare(scene.delivered(each))
        _does_not_deliver(clients.swaks_delivers, at, sent[3], "451 4.7.1 ")
        _does_not_deliver(clients.curl_delivers, at, sent[3], "451")


def a_device_speaks_in_tls_where_that_is_written_out(scene):
    """530 5.7.0 to its MAIL in clear; behind STARTTLS it is served."""
    with _relay(scene, "tls") as relay:
        relay.add_device("scanner", MAILBOX, AT_LOOPBACK)
        more = TLS_LISTENER.format(certificates=scene.ca_file.parent)
        port = relay.add_listener("devices-tls", "submission", more)
        at = dataclasses.replace(_at(scene, relay), smtp_port=port)
        sent = _message("tls")
        _does_not_deliver(clients.swaks_delivers, at, sent, "530 5.7.0 ")
        clients.swaks_delivers(at, sent, "--tls")
        sent.compare(scene.delivered(sent))


def a_queue_before_the_relay_keeps_what_cannot_be_sent_yet(scene):
    """The Postfix of the printer page takes 20 messages while no relay runs; then they all arrive."""
    with _relay(scene, "queue") as relay:
        port = relay.add_listener("queue", "submission")
        queue = NullClient(scene.directory / "null-client", port, MAILBOX, LOCAL_PASSWORD)
        try:
            queue.start()
            burst = [program("smtp-source"), "-s", "5", "-m", str(QUEUED), "-l", str(SMALL)]
            addresses = ["-f", INVENTED, "-t", QUEUE_RECIPIENT, "-S", "queued"]
            run([*burst, *addresses, f"inet:127.0.0.1:{queue.port}"])
            wait_for("it has tried in vain", lambda: "status=deferred" in queue.logged())
            relay.start()
            wait_for("everything is sent", lambda: queue.logged().count("status=sent") >= QUEUED)
            arrived = wait_for("everything is there", partial(_all_queued, scene))
        finally:
            queue.stop()
    expect.that(queue.logged().count("status=sent") == QUEUED, "something was sent twice")
    expect.that("status=bounced" not in queue.logged(), "something was given back")
    ids = {email.message_from_bytes(it)["Message-Id"] for it in arrived}
    expect.that(len(ids) == len(arrived) == QUEUED, f"{len(arrived)} arrived, {len(ids)} ids")


CHECKS = [
    programs_that_sign_in_nowhere_are_served,
    a_sender_that_nobody_has_becomes_the_mailbox,
    two_devices_of_a_mailbox_sign_in_and_one_of_them_is_revoked,
    a_device_is_held_to_its_senders_and_its_hour,
    a_device_speaks_in_tls_where_that_is_written_out,
    a_queue_before_the_relay_keeps_what_cannot_be_sent_yet,
]


@contextlib.contextmanager
def _relay(scene, name):
    """A relay before Postfix with an account and a port for devices; `_at` starts it."""
    relay = Relay(scene.binary, scene.directory / f"scanners-{name}", scene.provider, scene.ca_file)
    relay.keep_in(kept.STORE)
    relay.add_provider(
        *("one", "xoauth2", scene.postfix.port, scene.dovecot.implicit_port, "implicit")
    )
    relay.add_account(MAILBOX, "one")
    relay.devices_port = relay.add_listener("devices", "submission", "devices = true")
    try:
        yield relay
    finally:
        relay.stop()


def _at(scene, relay, user=INVENTED, password=None):
    """Where a device finds the relay, which runs from now on."""
    if not relay.runs():
        relay.start()
    return clients.At(relay.devices_port, relay.imap_port, user, password, str(scene.directory))


def _message(name):
    return Message(f"scanners-{name}", RECIPIENT, SMALL)


def _all_queued(scene):
    """What has arrived of the queue, once nothing is missing."""
    arrived = scene.dovecot.find(QUEUE_RECIPIENT, lambda head: b"Subject: queued" in head)
    return arrived if len(arrived) >= QUEUED else None


def _judge_return_path(arrived, sender, name):
    """Dovecot writes the sender of the envelope first."""
    told = f"{name}: it arrived with {arrived.splitlines()[0]!r}"
    expect.that(arrived.startswith(f"Return-Path: <{sender}>\r\n".encode()), told)


def _last_used(relay):
    (row,) = json.loads(relay.do("accounts", "--json"))
    return {it["device"]: it["last_used_at"] for it in row["devices"]}


def _is_refused(at, password, whose):
    heard = kept.by_smtp(dataclasses.replace(at, password=password))
    expect.that(heard.is_wrong_password, f"the password {whose} is answered with {heard.reply}")


def _does_not_deliver(delivers, at, sent, reply):
    try:
        delivers(at, sent)
    except Failed as refusal:
        expect.that(reply in str(refusal), f"instead of {reply} it heard: {refusal}")
    else:
        raise Failed(f"{sent.name} was taken instead of {reply}")
