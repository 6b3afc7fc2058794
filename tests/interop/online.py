"""`send-test` and `check --online` before the real mail servers: what gets through, and what is
told where it does not."""

import contextlib
import re

import expect
import kept
from mailbearer import Relay
from processes import wait_for

# Where test messages go: a mailbox for each.
RECIPIENT = "desk-{}@elsewhere.test"
SUBJECT = b"Subject: Test message of mailbearer\r\n"
# Postfix's name for a message that it has taken.
QUEUED = re.compile(r"250 2\.0\.0 Ok: queued as [0-9A-Za-z]+")
# Whose provider is said to begin with TLS where it does not.
MISTAKEN = "carol@domain.test"
STEPS = ["DNS", "TCP", "TLS", "token", "XOAUTH2"]
# What Postfix says to a token that Dovecot does not take, and what is told of that.
POSTFIX_SAYS = "535 5.7.8 Error: authentication failed: "
DENIED_CAUSE = "the provider does not take this token for this mailbox"
DENIED_FIX = "check `mailbox`, `scopes`, and whether the one who consented may use the mailbox"
# The exit code when the thing asked for failed.
FAILED = 1


def a_test_message_goes_through_the_real_server(scene):
    """Beside `serve` and without it; what the server said is printed, and the message is there."""
    user = scene.users[0]
    with _relay(scene, "send-test") as relay:
        for number, where in enumerate(("beside serve", "alone")):
            recipient = RECIPIENT.format(number)
            printed = relay.do("send-test", user, "--to", recipient)
            for said in (
                f"signed in at localhost:{scene.postfix.port} as {user}\n",
                f"MAIL FROM:<{user}> -> 250 2.1.0 Ok\n",
                f"RCPT TO:<{recipient}> -> 250 2.1.5 Ok\n",
            ):
                expect.that(said in printed, f"{where}: {said!r} is not in {printed!r}")
            last = printed.splitlines()[-1]
            expect.that(QUEUED.search(last), f"{where}: the last line is {last!r}")
            (arrived,) = wait_for(
                "the test message is there", lambda: scene.dovecot.find(recipient, _is_test)
            )
            expect.that(f"From: <{user}>\r\n".encode() in arrived, "it is from somebody else")
            relay.stop()


def a_test_message_that_the_real_server_refuses_tells_why(scene):
    """Dovecot denies the user, so Postfix refuses the sign-in: its reply, the cause and the fix."""
    recipient = RECIPIENT.format("denied")
    with _relay(scene, "send-test-denied") as relay:
        done = relay.command("send-test", scene.denied, "--to", recipient)
    expect.that((done.code, done.stdout) == (FAILED, ""), f"it ended with {done}")
    host = f"localhost:{scene.postfix.port}"
    refusal = f"{host} refuses the sign-in as {scene.denied}: {POSTFIX_SAYS}"
    cause, fix = done.stderr.splitlines()
    expect.that(cause.startswith(refusal) and cause.endswith(DENIED_CAUSE), f"it says {cause!r}")
    expect.that(DENIED_FIX in fix, f"to mend that, it says {fix!r}")
    expect.that(not scene.dovecot.find(recipient, _is_test), "it was sent all the same")


def every_step_to_the_real_servers_is_done(scene):
    """From DNS to the sign-in, by submission and by IMAP; beside `serve` and without it."""
    user = scene.users[0]
    with _relay(scene, "online") as relay:
        for where in ("beside serve", "alone"):
            walks = _walks(relay.do("check", "--online", user))
            hosts = {
                f"{user} by submission at localhost:{scene.postfix.port}",
                f"{user} by imap at localhost:{scene.dovecot.implicit_port}",
            }
            expect.that(walks.keys() == hosts, f"{where}: it went to {[*walks]}")
            for host, steps in walks.items():
                expect.that([*steps] == STEPS, f"{where}: {host}: {[*steps]}")
                failed = [told for told in steps.values() if not told.startswith("ok ")]
                expect.that(not failed, f"{where}: {host}: {failed}")
            relay.stop()


def a_step_to_the_real_servers_that_fails_tells_why(scene):
    """A user who is denied, and a port that does not begin with TLS; cause and fix of each, and the
    steps behind it are not tried."""
    with _relay(scene, "online-fails") as relay:
        done = relay.command("check", "--online")
    expect.that(done.code == FAILED, f"it ended with {done}")
    walks = _walks(done.stdout)
    failed = {
        f"{scene.denied} by submission at localhost:{scene.postfix.port}": (
            *("XOAUTH2", POSTFIX_SAYS, DENIED_CAUSE, DENIED_FIX),
        ),
        f"{scene.denied} by imap at localhost:{scene.dovecot.implicit_port}": (
            *("XOAUTH2", "NO [AUTHENTICATIONFAILED] ", DENIED_CAUSE, DENIED_FIX),
        ),
        f"{MISTAKEN} by imap at localhost:{scene.dovecot.starttls_port}": (
            *("TLS", "no TLS with localhost ", "the server does not begin with TLS on that port"),
            'write tls = "starttls"',
        ),
    }
    # Two protocols each; the others get through.
    expect.that(len(walks) == 6 and walks.keys() > failed.keys(), f"it went to {[*walks]}")
    for host, steps in walks.items():
        step, *parts = failed.get(host, (None,))
        for name, told in steps.items():
            # The token is asked for while the server is reached.
            behind = step == "TLS" and name == "XOAUTH2"
            wanted = "failed " if name == step else "not tried" if behind else "ok "
            expect.that(told.startswith(wanted), f"{host}: {name}: {told}")
        missing = [part for part in parts if part not in steps[step]]
        expect.that(not missing, f"{host}: {missing} is not in {steps.get(step)}")


CHECKS = [
    a_test_message_goes_through_the_real_server,
    a_test_message_that_the_real_server_refuses_tells_why,
    every_step_to_the_real_servers_is_done,
    a_step_to_the_real_servers_that_fails_tells_why,
]


@contextlib.contextmanager
def _relay(scene, name):
    """A relay that runs; of its accounts one gets through, one is denied, one has a wrong file."""
    relay = Relay(scene.binary, scene.directory / f"commands-{name}", scene.provider, scene.ca_file)
    relay.keep_in(kept.STORE)
    smtp_port, dovecot = scene.postfix.port, scene.dovecot
    relay.add_provider("one", "xoauth2", smtp_port, dovecot.implicit_port, "implicit")
    relay.add_provider("mistaken", "xoauth2", smtp_port, dovecot.starttls_port, "implicit")
    relay.add_account(scene.users[0], "one")
    relay.add_account(scene.denied, "one")
    relay.add_account(MISTAKEN, "mistaken")
    try:
        relay.start()
        yield relay
    finally:
        relay.stop()


def _walks(printed):
    """What `check --online` printed: of each way what came of every step, and its fix."""
    walks = {}
    # Before the first blank line is what it says of the file.
    for walk in printed.split("\n\n")[1:]:
        host, *lines = walk.strip().splitlines()
        steps = walks[host] = {}
        for line in lines:
            if line.startswith("    "):
                steps[name] += f" {line.strip()}"
            else:
                name, told = line.split(maxsplit=1)
                steps[name] = told
    return walks


def _is_test(head):
    return SUBJECT in head
