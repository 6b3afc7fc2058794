"""Real clients by protocol and TLS towards mailbearer: each cell of the table is one session.

A message that was sent through Postfix comes back through Dovecot, and every client checks our
certificate. What a client cannot do is a dash, with the reason beneath.
"""

import dataclasses
import smtplib
from functools import partial

import expect
from listeners import PROTOCOLS, UPSTREAMS
from mailbearer import LOCAL_PASSWORD
from message import Message
from place import HOST, TLS
from processes import PATIENCE_S, Failed
from roster import BODY_LEN, CLIENTS

# How long a client may take to turn away from a stranger's certificate, in seconds.
DISTRUST_PATIENCE_S = 5


def check(protocol, scene, table):
    """Every client by that protocol, in each kind of TLS that it speaks."""
    cells = [
        (client, tls, _mailbox(number, client, protocol, tls))
        for number, client in enumerate(CLIENTS)
        for tls in TLS
        if client.lacks(protocol, tls) is None
    ]
    kept = scene.listeners.deposited.get(protocol)
    if kept is None and protocol != "submission":
        kept = _deposit(scene, protocol, [mailbox for _, _, mailbox in cells])
        scene.listeners.deposited[protocol] = kept
    for client, tls, mailbox in cells:
        cell = partial(_cell, scene, client, protocol, tls, mailbox, kept)
        passed = table.row(client.name, protocol, tls, cell)
        if passed is not None:
            scene.results[client.name, protocol, tls] = passed


def _cell(scene, client, protocol, tls, mailbox, kept):
    listeners = scene.listeners
    name = f"{client.name}-{protocol}-{tls}"
    place = listeners.place(name, protocol, tls, mailbox, listeners.authority.ca_file)
    if kept is None:
        sent = client.writes(f"{client.name}-{tls}", mailbox)
        client.submission(place, sent)
        sent.compare(scene.delivered(sent))
    else:
        kept.compare(scene.delivered(kept, mailbox))
        kept.compare_kept(getattr(client, protocol)(place, kept))


def _deposit(scene, protocol, mailboxes):
    """Sends one message to all these mailboxes, through the relay and Postfix."""
    user = "everybody@implicit.test"
    sent = Message(f"for-{protocol}", user, BODY_LEN)
    port = scene.listeners.ports["submission-plain"]
    with smtplib.SMTP(HOST, port, "client.test", PATIENCE_S) as client:
        client.login(user, LOCAL_PASSWORD)
        client.sendmail(user, mailboxes, sent.bytes)
    return sent


def _mailbox(number, client, protocol, tls):
    """A mailbox for one cell; every client meets both kinds of provider."""
    domain = list(UPSTREAMS)[(number + TLS.index(tls)) % len(UPSTREAMS)]
    return f"{client.name.lower().replace('::', '-')}-{protocol}-{tls}@{domain}.test"


def check_trust(scene, table):
    """Every client that trusts another authority alone ends before it shows a password."""
    for number, client in enumerate(CLIENTS):
        for protocol in PROTOCOLS:
            for tls in TLS[1:]:
                if client.lacks(protocol, tls) is None and tls not in client.unchecked:
                    cell = partial(_distrust, scene, client, protocol, tls)
                    table.row(f"{client.name} with another CA", protocol, tls, cell)


def _distrust(scene, client, protocol, tls):
    user = f"distrust-{client.name.lower().replace('::', '-')}-{protocol}-{tls}@implicit.test"
    listeners = scene.listeners
    home = f"distrust-{client.name}-{protocol}-{tls}"
    place = listeners.place(home, protocol, tls, user, scene.ca_file)
    # One that sits before a terminal asks what to do, and nobody answers.
    place = dataclasses.replace(place, patience_s=DISTRUST_PATIENCE_S)
    try:
        getattr(client, protocol)(place, client.writes("distrust", user))
    except Exception as refusal:
        logged = listeners.relay.logged()
        expect.that(user not in logged, f"it signed in, and ended then: {refusal}")
    else:
        raise Failed("it trusted a certificate of an authority that it does not know")


def show(results):
    """Prints the table: a client in each line, a protocol and TLS in each column."""
    columns = [(protocol, tls) for protocol in PROTOCOLS for tls in TLS]
    reasons = []
    print((f"\n{'':30}" + "".join(f"{protocol:<27}" for protocol in PROTOCOLS)).rstrip())
    print(f"{'client and version':<30}" + "".join(f"{tls:<9}" for _, tls in columns).rstrip())
    for client in CLIENTS:
        cells = []
        for protocol, tls in columns:
            reason = client.lacks(protocol, tls)
            passed = results.get((client.name, protocol, tls))
            cell = {True: "ok", False: "FAILED", None: "not run"}[passed] if not reason else "-"
            reason = reason or client.unchecked.get(tls)
            if reason and reason not in reasons:
                reasons.append(reason)
            cells.append(f"{cell} {reasons.index(reason) + 1}" if reason else cell)
        line = f"{client.name + ' ' + client.version():<30}"
        print((line + "".join(f"{cell:<9}" for cell in cells)).rstrip())
    for number, reason in enumerate(reasons):
        print(f"{number + 1}: {reason}")
    print(flush=True)
