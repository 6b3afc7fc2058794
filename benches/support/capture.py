"""Watches the loopback interface for how soon a proxy dials, until standard input ends.

usage: capture.py PROXY_PORT UPSTREAM_PORT   (as root)

Prints "ready", and at the end a line for each session: the microseconds from the last byte for the
proxy to its SYN for the upstream, by the kernel's time stamps of the packets. Sessions come one after
another. It wakes up seldom, so that it takes no time from what it watches.
"""

import select
import socket
import struct
import sys
import time

# Of <asm-generic/socket.h>; Python has no names for them.
SO_RCVBUFFORCE = 33
SO_TIMESTAMPNS = 35

# Of <linux/if_ether.h>, in network byte order. A socket of one protocol sees what arrives alone, so
# that each packet of the loopback interface is seen once.
ETH_P_IP = socket.htons(0x0800)

# What is kept of packets that are not read yet, in bytes: some thousand packets of a fifth of a second.
WAITING_LEN = 64 << 20

# How long it sleeps, in seconds.
PAUSE = 0.1

SYN, ACK = 0x02, 0x10


def main():
    proxy_port, upstream_port = map(int, sys.argv[1:])
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, ETH_P_IP)
    try:
        wire.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, WAITING_LEN)
    except PermissionError:
        # A container's root: as much as the system lets everybody have.
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, WAITING_LEN)
    wire.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    wire.bind(("lo", 0))  # of the same protocol
    wire.setblocking(False)
    print("ready", flush=True)
    asked, is_last = None, False
    while not is_last:
        time.sleep(PAUSE)
        # What came before the end of standard input is read once more.
        is_last = bool(select.select([sys.stdin], [], [], 0)[0])
        for when, port, flags, has_data in packets(wire):
            if port == proxy_port and has_data:
                asked = when
            elif port == upstream_port and flags & (SYN | ACK) == SYN and asked is not None:
                print((when - asked) / 1e3)
                asked = None


def packets(wire):
    """The TCP packets that have come: when, to which port, with which flags, and whether with data."""
    while True:
        try:
            packet, ancillary, _, _ = wire.recvmsg(128, 128)
        except BlockingIOError:
            return
        if packet[9] != socket.IPPROTO_TCP:
            continue
        ip_len = (packet[0] & 0xF) * 4
        (total,) = struct.unpack_from("!H", packet, 2)
        (port,) = struct.unpack_from("!H", packet, ip_len + 2)
        tcp_len = (packet[ip_len + 12] >> 4) * 4
        seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
        when = seconds * 10**9 + nanoseconds
        yield when, port, packet[ip_len + 13], total > ip_len + tcp_len


main()
