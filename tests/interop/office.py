"""An office with a device in it: two networks joined by a cable, mailbearer in the one.

usage: unshare --net --pid --mount-proc --fork python3 office.py BINARY DIRECTORY CERTIFICATES

The network that this runs in is mailbearer's; it makes the other one, where smtp-source and single
sessions come from. Prints as JSON what each of them heard, and what arrived.
"""

import json
import pathlib
import smtplib
import subprocess
import sys

import devices
from limited import Limited
from mailbearer import Provider, Relay
from processes import PATIENCE_S, free_port, program, run

# RFC 5737: networks for documentation. Devices are in the first one.
NETWORK = "192.0.2.0/24"
MACHINE, GATEWAY, DEVICE = "192.0.2.2", "192.0.2.1", "192.0.2.17"
# May connect, but is in no network of a device.
STRANGER, STRANGER_NETWORK = "198.51.100.7", "198.51.100.0/24"

LISTENER = """
[listeners.devices]
protocol = "submission"
address = "{machine}:{port}"
require_tls = false
devices = true
allow = ["127.0.0.0/8", "{network}", "{stranger_network}"]
"""


def main():
    """Lays the cable, runs everything once, and tells what came of it."""
    binary, directory, certificates = sys.argv[1], *map(pathlib.Path, sys.argv[2:])
    run([program("ip"), "link", "set", "lo", "up"])
    cable_ends = subprocess.Popen([program("unshare"), "--net", "sleep", "infinity"])
    try:
        _lay_cable(cable_ends.pid)
        told = _run(binary, directory, certificates, cable_ends.pid)
    finally:
        cable_ends.kill()
        cable_ends.wait(PATIENCE_S)
    print(json.dumps(told))


def _lay_cable(there):
    """The other end is the default gateway, as a container's host is, and has the device, too."""
    ip = program("ip")
    run([ip, "link", "add", "here", "type", "veth", "peer", "name", "there"])
    run([ip, "link", "set", "there", "netns", str(there)])
    run([ip, "address", "add", f"{MACHINE}/24", "dev", "here"])
    run([ip, "link", "set", "here", "up"])
    for address in (GATEWAY, DEVICE):
        run(_there(there, ip, "address", "add", f"{address}/24", "dev", "there"))
    run(_there(there, ip, "address", "add", f"{STRANGER}/24", "dev", "there"))
    run(_there(there, ip, "link", "set", "there", "up"))
    run([ip, "route", "add", "default", "via", GATEWAY])


def _run(binary, directory, certificates, there):
    provider = Provider(binary, directory)
    # Where the suite looks for logs.
    beside = directory.with_name("office-relay")
    relay = None
    try:
        with Limited(
            certificates, devices.SESSIONS_MAX, devices.MESSAGES_MAX, devices.MINUTE_S
        ) as upstream:
            relay, port = _relay(binary, beside, provider, certificates, upstream)
            relay.start()
            replies = {
                "device": _mail_from(there, DEVICE, port),
                "gateway": _mail_from(there, GATEWAY, port),
                "stranger": _mail_from(there, STRANGER, port),
                "machine": _mail(MACHINE, port),
            }
            burst = devices.smtp_source(MACHINE, port)
            # The kernel would choose the first address of the network, which is the gateway's.
            source = _there(there, program("ip"), "route", "replace", NETWORK)
            run([*source, "dev", "there", "src", DEVICE])
            run(_there(there, *burst), timeout=2 * PATIENCE_S)
            arrived = [devices.message_id(it.bytes) for it in upstream.received]
            relay.add_device("machine", devices.MAILBOX, f'networks = ["{MACHINE}"]')
            relay.do("reload")
            replies["machine, listed alone"] = _mail(MACHINE, port)
    finally:
        if relay is not None:
            relay.stop()
        provider.stop()
    log = relay.logged().splitlines()
    return {
        "replies": replies,
        "arrived": arrived,
        # To which table, and why.
        "to_add": [
            (GATEWAY, "[devices.erp]", "is the default gateway"),
            (MACHINE, "[devices.erp]", "is this machine's own address"),
            (STRANGER, "a [devices.NAME]", "or let it sign in"),
        ],
        "log": [line for line in log if "networks" in line],
    }


def _relay(binary, directory, provider, certificates, upstream):
    relay = Relay(binary, directory, provider, certificates / "ca.pem")
    relay.keep_in("mailbearer.redb")
    devices.add_limited(relay, upstream, devices.SESSIONS_MAX)
    devices.add_device(relay, networks=[NETWORK])
    port = free_port()
    relay.add(
        LISTENER.format(
            machine=MACHINE, port=port, network=NETWORK, stranger_network=STRANGER_NETWORK
        )
    )
    return relay, port


def _mail(source, port):
    """What MAIL is answered with, from that address of this network."""
    with smtplib.SMTP(timeout=PATIENCE_S, source_address=(source, 0)) as client:
        client.connect(MACHINE, port)
        client.helo("device.test")
        code, text = client.mail(devices.SENDER)
        return code, text.decode()


def _mail_from(there, source, port):
    """The same from the other network."""
    code = f"import json, office; print(json.dumps(office._mail({source!r}, {port})))"
    argv = _there(there, sys.executable, "-B", "-c", code)
    return json.loads(run(argv, cwd=pathlib.Path(__file__).parent))


def _there(there, *argv):
    """The command line that runs in the other network."""
    return [program("nsenter"), "--target", str(there), "--net", *argv]


if __name__ == "__main__":
    main()
