"""Haproxy before two relays: they have to know the clients' addresses, and its probes must disturb
nobody.
"""

import contextlib
import smtplib
import socket

import expect
from mailbearer import LOCAL_PASSWORD, Relay
from processes import PATIENCE_S, Child, free_port, program, run, wait_for

# Where clients are and where haproxy listens: documentation's addresses (RFC 5737), which loopback
# is given for a while, because nobody behind a balancer can be on loopback.
CLIENT, FRONT = "192.0.2.7", "192.0.2.1"

CONFIGURATION = """
global
    stats socket {stats} mode 600

defaults
    mode tcp
    timeout connect 5s
    timeout client 1m
    timeout server 1m

frontend submission
    bind {front}:{port}
    default_backend relays

backend relays
    balance roundrobin
    {check}
    server one 127.0.0.1:{one} {options} check inter 100ms
    server two 127.0.0.1:{two} {options} check inter 100ms
"""

# As docs/load-balancers.md has it.
CHECK = r"""option tcp-check
    tcp-check connect send-proxy
    tcp-check expect rstring ^220
    tcp-check send QUIT\r\n
    tcp-check expect rstring ^221
"""

BEHIND = f"""proxy_protocol_from = ["127.0.0.1"]
require_tls = false
allow = ["{CLIENT}"]
"""


def clients_behind_haproxy_with_version_2_are_known_by_their_own_addresses(scene):
    """`send-proxy-v2`, with the check of the documentation."""
    _check(scene, "v2", "send-proxy-v2", CHECK, "L7OK")


def clients_behind_haproxy_with_version_1_are_known_by_their_own_addresses(scene):
    """`send-proxy`, with a check that only connects."""
    _check(scene, "v1", "send-proxy", "", "L4OK")


def _check(scene, name, options, check, status):
    with contextlib.ExitStack() as stack:
        addresses(stack)
        directory = scene.directory / f"haproxy-{name}"
        directory.mkdir()
        relays, ports = [], []
        for which in ("one", "two"):
            relay = Relay(scene.binary, directory / which, scene.provider, scene.ca_file)
            stack.callback(relay.stop)
            ports.append(relay.add_listener("behind", "submission", BEHIND))
            relay.add('[log]\nlevel = "debug"\n')
            dovecot = scene.dovecot.implicit_port
            relay.add_provider("one", "xoauth2", scene.postfix.port, dovecot, "implicit")
            relay.add_account(scene.users[0], "one")
            relay.start()
            relays.append(relay)
        stats, port = directory / "stats.sock", free_port()
        file = directory / "haproxy.cfg"
        file.write_text(
            CONFIGURATION.format(
                stats=stats, front=FRONT, port=port, check=check, one=ports[0], two=ports[1],
                options=options,
            )
        )
        argv = [program("haproxy"), "-db", "-f", str(file)]
        balancer = Child("haproxy", argv, directory / "haproxy.log")
        stack.callback(balancer.stop)
        wait_for("both relays are probed", lambda: statuses(stats) == [status, status])
        for number in range(4):
            _send(port, scene.users[0], number)
        for relay in relays:
            expect_right_lines(relay.logged())


def addresses(stack):
    """Gives loopback the two addresses until `stack` is left."""
    for address in (CLIENT, FRONT):
        run(["ip", "address", "add", f"{address}/32", "dev", "lo"])
        stack.callback(run, ["ip", "address", "del", f"{address}/32", "dev", "lo"])


def expect_right_lines(log):
    """Each relay has served two clients at their address, and warned of nothing."""
    signed_in = [line for line in log.splitlines() if "signed in" in line]
    expect.that(len(signed_in) == 2, f"{len(signed_in)} sign-ins")
    for line in signed_in:
        expect.that(f"peer={CLIENT}:" in line and "balancer=127.0.0.1:" in line, line)
    expect.that("probed" in log, "no probe came")
    # Whoever runs it is told what the file lacks before anybody comes.
    warned = [line for line in log.splitlines() if "WARN" in line and "session{" in line]
    expect.that(not warned, f"{warned}")


def statuses(stats):
    """What haproxy thinks of the two servers; nothing while it starts."""
    try:
        with socket.socket(socket.AF_UNIX) as stream:
            stream.settimeout(PATIENCE_S)
            stream.connect(str(stats))
            stream.sendall(b"show stat\n")
            with stream.makefile() as told:
                header, *rows = [line.strip().split(",") for line in told if line.strip()]
    except (FileNotFoundError, ConnectionRefusedError):
        return []
    name, status = header.index("svname"), header.index("check_status")
    return [row[status] for row in rows if row[name] in ("one", "two")]


def _send(port, user, number):
    with smtplib.SMTP(FRONT, port, "client.test", PATIENCE_S, (CLIENT, 0)) as client:
        client.login(user, LOCAL_PASSWORD)
        client.sendmail(user, [user], f"Subject: balanced {number}\r\n\r\n")


CHECKS = (
    clients_behind_haproxy_with_version_2_are_known_by_their_own_addresses,
    clients_behind_haproxy_with_version_1_are_known_by_their_own_addresses,
)
