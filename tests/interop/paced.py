"""`messages_per_minute = 40`: the 41st message waits for its minute, and nothing else waits."""

import devices
import expect
from limited import Limited
from processes import PATIENCE_S, run
from wire import Wire

PER_MINUTE, MESSAGES, CONNECTIONS = 40, 60, 3
MINUTE_S = 60
# How late a reply may be noted, in seconds, on two busy cores.
LATE_S = 0.25
# What counts as at once, in seconds.
AT_ONCE_S = 2


def the_messages_of_a_device_are_paced(scene):
    """60 messages take a minute and a little; each connection stays, so that it could go faster."""
    more = f"messages_per_minute = {PER_MINUTE}\n"
    with Limited(scene.ca_file.parent, devices.SESSIONS_MAX) as upstream:
        with devices.relay_before(scene, "paced", upstream, devices.SESSIONS_MAX, more) as relay:
            _, port = relay
            with Wire(port) as wire:
                argv = devices.smtp_source(
                    "127.0.0.1", wire.port, "-d", messages=MESSAGES, sessions=CONNECTIONS
                )
                run(argv, timeout=MINUTE_S + 2 * PATIENCE_S)
    devices.judge_arrival(upstream, wire, MESSAGES)
    begun = [it.replied_at for it in wire.of("DATA")]
    expect.that(len(begun) == MESSAGES, f"{len(begun)} messages were begun")
    windows = [later - earlier for earlier, later in zip(begun, begun[PER_MINUTE:])]
    quits = wire.of("QUIT")
    print(
        f"        paced: message {PER_MINUTE + 1} of any begins {min(windows):.2f} s or more after "
        f"the first, QUIT is answered in {max(it.waited_s for it in quits):.2f} s",
        flush=True,
    )
    told = f"{PER_MINUTE + 1} messages within {min(windows):.2f} s"
    expect.that(min(windows) >= MINUTE_S - LATE_S, told)
    told = f"one waited {max(windows):.1f} s for its turn"
    expect.that(max(windows) <= MINUTE_S + AT_ONCE_S, told)
    expect.that(begun[PER_MINUTE - 1] - begun[0] < MINUTE_S / 2, "the first 40 were delayed, too")
    slow = [it for it in wire.exchanges if it.verb != "DATA" and it.waited_s > AT_ONCE_S]
    expect.that(not slow, f"something else was delayed: {slow[:3]}")
    expect.that(len(quits) == CONNECTIONS, "not every QUIT was answered")
