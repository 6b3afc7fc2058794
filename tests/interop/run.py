"""Runs mailbearer between real clients and real servers, and compares what they sent and got.

usage: run.py BINARY [GROUP[:WORDS]...]
       needs root, because Postfix and Dovecot change users, and for disks that get full

With WORDS only those rows of the group run in whose name they are: "people:at a terminal".

Each line of the table is a promise kept or broken; the exit code is 0 when all were kept.
"""

import functools
import pathlib
import shutil
import signal
import sys
import tempfile
import time
from functools import partial

import answers
import applications
import balanced
import clients
import commands
import crash
import demo
import devices
import documented
import egress
import faults
import first_run
import haproxy
import image
import interrupted
import matrix
import minute
import moving
import page
import people
import planted
import probes
import rewriting
import running
import sockets
import store
import systemd
import tls
import tokens
from browser import Browser
from listeners import PROTOCOLS, Listeners
from mailbearer import LOCAL_PASSWORD, Provider, Relay
from message import Message
from oidc import OidcProvider
from processes import Failed, run, wait_for
from servers import Dovecot, Postfix

ROOT = pathlib.Path(__file__).resolve().parents[2]
# How much of each log is shown when something failed, in lines.
LOG_TAIL = 60
# How long the access tokens of the OpenID provider live, in seconds: longer than any check takes.
TOKEN_LIFE_S = 900


class Scene:
    """Provider, servers and relay, all in one temporary directory and all ended with it.

    There are two providers in the relay's file, so that every upstream variant is used: the one
    speaks XOAUTH2 and implicit TLS to Dovecot, the other OAUTHBEARER and STARTTLS.
    """

    users = ("alice@xoauth2.test", "bob@oauthbearer.test")
    domain_users = ("carol@domain.test", "dave@domain.test")
    denied = "mallory@xoauth2.test"

    def __init__(self, binary):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="mailbearer-interop-"))
        # The servers' users have to reach their files in it.
        self.directory.chmod(0o755)
        self._stops = []
        # What came of each client, protocol and TLS, as `matrix` keeps it.
        self.results = {}
        try:
            self._build(binary)
        except BaseException:
            self.close(failed=True)
            raise

    def _build(self, binary):
        self.binary = binary
        certificates = self.directory / "certificates"
        run([ROOT / "certs" / "make", certificates])
        self.ca_file = certificates / "ca.pem"

        self.provider = Provider(binary, self.directory)
        self._stops.append(self.provider.stop)
        self.dovecot = Dovecot(
            self.directory / "dovecot", certificates, self.provider, [self.denied]
        )
        self._stops.append(self.dovecot.stop)
        self.dovecot.start()
        self.postfix = Postfix(self.directory / "postfix", certificates, self.dovecot)
        self._stops.append(self.postfix.stop)
        self.postfix.start()

        relay = Relay(binary, self.directory / "relay", self.provider, self.ca_file)
        smtp_port = self.postfix.port
        relay.add_provider("one", "xoauth2", smtp_port, self.dovecot.implicit_port, "implicit")
        relay.add_provider("two", "oauthbearer", smtp_port, self.dovecot.starttls_port, "starttls")
        relay.add_account(self.users[0], "one")
        relay.add_account(self.denied, "one")
        relay.add_account("*@domain.test", "one")
        relay.add_account(self.users[1], "two")
        self.relay = relay
        self._stops.append(relay.stop)
        relay.start()

    @functools.cached_property
    def oidc(self):
        """The real OpenID provider, which starts with the first check that needs it."""
        provider = OidcProvider(self.directory, TOKEN_LIFE_S)
        self._stops.append(provider.stop)
        self.dovecot.trust(provider)
        return provider

    @functools.cached_property
    def listeners(self):
        """A relay with a listener for each protocol and TLS, which starts with the first need."""
        listeners = Listeners(self)
        self._stops.append(listeners.relay.stop)
        listeners.relay.start()
        return listeners

    @functools.cached_property
    def browser(self):
        """The real browser, with a home of its own."""
        return Browser(self.directory, self.ca_file)

    def at(self, user, password=LOCAL_PASSWORD):
        """Where a client finds the relay, and whom it signs in as."""
        return clients.At(
            self.relay.smtp_port, self.relay.imap_port, user, password, str(self.directory)
        )

    def delivered(self, sent, mailbox=None):
        """The message as it lies in its mailbox, or in another; waits for it."""
        mailbox = mailbox or sent.mailbox
        kept = wait_for(
            f"{sent.name} is delivered", lambda: self.dovecot.find(mailbox, sent.is_in)
        )
        if len(kept) != 1:
            raise Failed(f"{sent.name} was delivered {len(kept)} times")
        return kept[0]

    def close(self, failed):
        """Ends every process, shows the logs after a failure, and removes the directory."""
        for stop in reversed(self._stops):
            try:
                stop()
            except Failed as problem:
                print(f"while ending: {problem}", file=sys.stderr)
        if failed:
            # Logs lie here and one level deeper; what is deeper still are Dovecot's indexes.
            for log in sorted([*self.directory.glob("*.log"), *self.directory.glob("*/*.log")]):
                tail = log.read_text(errors="replace").splitlines()[-LOG_TAIL:]
                print(f"--- {log.name}", *tail, sep="\n", file=sys.stderr)
        shutil.rmtree(self.directory)


class Table:
    """The results, printed as they come."""

    def __init__(self):
        self.passed = 0
        # The name of each row that failed, and why.
        self.failures = []
        # The words that a row's name has to have.
        self.words = ""
        self._print("result", "client", "protocol", "account", "seconds")

    def row(self, client, protocol, account, check):
        """Runs a check and prints its line. Whatever it raises is its failure, not the suite's.

        Gives whether it passed, or `None` where it was not asked for.
        """
        if self.words not in client:
            return None
        started = time.monotonic()
        problem = None
        try:
            check()
        except Exception as raised:
            problem = f"{type(raised).__name__}: {raised}"
        lasted = f"{time.monotonic() - started:.1f}"
        self._print("FAILED" if problem else "ok", client, protocol, account, lasted)
        if problem:
            print(f"        {problem}", flush=True)
            self.failures.append((client, protocol, account, problem))
        else:
            self.passed += 1
        return problem is None

    def show_failures(self):
        """Prints each failure again: a log of many pages is read from its end."""
        for client, protocol, account, problem in self.failures:
            self._print("FAILED", client, protocol, account, "")
            print(f"        {problem}")
        print(f"interop: {self.passed} passed, {len(self.failures)} failed")

    def _print(self, result, client, protocol, account, seconds):
        print(f"{result:<7} {client:<60} {protocol:<8} {account:<21} {seconds:>7}", flush=True)


def stream_messages(scene, table):
    """Every client uploads 5 MB or fetches 5 MB that another uploaded, for each account."""
    for number, user in enumerate(scene.users):
        mails = [Message(f"message-{number}-{nth}", user) for nth in range(len(clients.UPLOADERS))]
        for (name, protocol, client), mail in zip(clients.UPLOADERS, mails):
            table.row(name, protocol, user, partial(upload, scene, client, mail))
        for (name, protocol, client), mail in zip(clients.FETCHERS, reversed(mails)):
            table.row(name, protocol, user, partial(fetch, scene, client, mail))


def upload(scene, client, mail):
    """Sends it through the relay and compares what lies in the mailbox then."""
    client(scene.at(mail.mailbox), mail)
    mail.compare(scene.delivered(mail))


def fetch(scene, client, mail):
    """Fetches it through the relay and compares."""
    mail.compare(client(scene.at(mail.mailbox), mail))


def run_checks(module, scene, table):
    """Every check of a module."""
    for check in module.CHECKS:
        table.row(check.__name__.replace("_", " "), "both", "", partial(check, scene))


MODULES = (
    *(faults, tokens, store, commands, people, answers, interrupted),
    *(applications, documented, page, planted, devices, rewriting, probes, minute, egress, crash),
    *(demo, systemd, running, haproxy, balanced, sockets, moving, image),
)
GROUPS = {
    "streams": stream_messages,
    **{f"clients-{protocol}": partial(matrix.check, protocol) for protocol in PROTOCOLS},
    "clients-trust": matrix.check_trust,
    "tls": tls.check,
    **{
        module.__name__: partial(run_checks, module)
        for module in MODULES
    },
    "first-run": partial(run_checks, first_run),
}


def main():
    """Builds the scene, runs every check, and tells the result in the last line."""
    wanted = [argument.partition(":") for argument in sys.argv[2:] or GROUPS]
    if len(sys.argv) < 2 or not GROUPS.keys() >= {group for group, _, _ in wanted}:
        sys.exit(f"usage: run.py BINARY [GROUP[:WORDS]...], groups: {' '.join(GROUPS)}")
    # A budget that is used up ends the suite in the same orderly way as a failure.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("interop: ended by SIGTERM"))
    scene = Scene(sys.argv[1])
    table = None
    try:
        table = Table()
        for group, _, words in wanted:
            table.words = words.replace("_", " ")
            GROUPS[group](scene, table)
        if scene.results:
            matrix.show(scene.results)
    finally:
        scene.close(failed=table is None or bool(table.failures))
    table.show_failures()
    # A row that was asked for and is not there is a failure, too.
    sys.exit(0 if table.passed and not table.failures else 1)


if __name__ == "__main__":
    main()
