"""The clients of the table: what each does by protocol, its version, and what it cannot do."""

import dataclasses
import platform
import re
from collections.abc import Callable
from functools import partial

import agents
import libraries
import readers
from listeners import PROTOCOLS
from message import Letter, Message
from nodejs import INSTALLED
from processes import Failed, program, run

# Bytes of body: several packets and TLS records, and every kind of line.
BODY_LEN = 64 * 1024


@dataclasses.dataclass(frozen=True)
class Client:
    """A client: what tells its version, what it does by protocol, and what it cannot do."""

    name: str
    version: Callable[[], str]
    submission: Callable | None = None
    imap: Callable | None = None
    pop3: Callable | None = None
    # The kind of message that it submits.
    writes: type = partial(Message, body_len=BODY_LEN)
    # Why it cannot speak TLS so, by protocol and TLS.
    cannot: dict = dataclasses.field(default_factory=dict)

    # Where it checks no certificate, whatever it is told; by TLS, with the reason.
    unchecked: dict = dataclasses.field(default_factory=dict)

    def lacks(self, protocol, tls):
        """Why there is no such cell; or `None`."""
        if getattr(self, protocol) is None:
            spoken = [name for name in PROTOCOLS if getattr(self, name)]
            return f"is for {' and '.join(spoken)} only"
        return self.cannot.get(tls)


def _told_by(*argv, pattern=r"\d+(?:\.\d+)+"):
    """The version in what a command prints."""

    def version():
        told = run([program(argv[0]), *argv[1:]]).decode(errors="replace")
        found = re.search(pattern, told)
        if found is None:
            raise Failed(f"{argv[0]} tells no version: {told[:200]!r}")
        return found[0]

    return version


def _npm(package):
    path = INSTALLED / "javascript" / "node_modules" / package
    code = f"process.stdout.write(require('{path}/package.json').version)"
    return _told_by("node", "--eval", code)


def _perl(module):
    return _told_by("perl", f"-M{module}", "-e", f"print {module}->VERSION")


# The client, not this suite: it has no such setting.
NO_STARTTLS = {"starttls": "speaks TLS from the first byte or not at all"}
# It hands imaplib2 no CA then; seen with 8.0.0: it signed in where another CA vouched.
UNCHECKED = {"starttls": "checks no certificate behind STARTTLS, whatever `sslcacertfile` says"}

CLIENTS = [
    Client(
        "curl",
        _told_by("curl", "--version"),
        agents.curl_submits,
        agents.curl_fetches_by_imap,
        agents.curl_fetches_by_pop3,
    ),
    Client("swaks", _told_by("swaks", "--version", pattern=r"\d{8}\.\d+"), agents.swaks_submits),
    Client("msmtp", _told_by("msmtp", "--version"), agents.msmtp_submits),
    Client("mbsync", _told_by("mbsync", "--version"), imap=agents.mbsync_fetches),
    Client(
        "fetchmail",
        _told_by("fetchmail", "--version"),
        imap=agents.fetchmail_fetches_by_imap,
        pop3=agents.fetchmail_fetches_by_pop3,
    ),
    Client(
        "getmail6",
        _told_by("getmail", "--version"),
        imap=agents.getmail_fetches_by_imap,
        pop3=agents.getmail_fetches_by_pop3,
        cannot=NO_STARTTLS,
    ),
    Client(
        "offlineimap3",
        _told_by("offlineimap", "--version"),
        imap=agents.offlineimap_fetches,
        unchecked=UNCHECKED,
    ),
    Client(
        "neomutt",
        _told_by("neomutt", "-v", pattern=r"\d{8}"),
        readers.neomutt_submits,
        readers.neomutt_fetches_by_imap,
        readers.neomutt_fetches_by_pop3,
        writes=Letter,
    ),
    Client(
        "s-nail",
        _told_by("s-nail", "--version"),
        readers.snail_submits,
        readers.snail_fetches_by_imap,
        readers.snail_fetches_by_pop3,
        writes=Letter,
    ),
    Client("smtplib", platform.python_version, libraries.smtplib_submits),
    Client("imaplib", platform.python_version, imap=libraries.imaplib_fetches),
    Client("poplib", platform.python_version, pop3=libraries.poplib_fetches),
    Client("nodemailer", _npm("nodemailer"), libraries.nodemailer_submits),
    Client("imapflow", _npm("imapflow"), imap=libraries.imapflow_fetches),
    Client("Net::SMTP", _perl("Net::SMTP"), libraries.net_smtp_submits),
    Client(
        "Mail::IMAPClient", _perl("Mail::IMAPClient"), imap=libraries.mail_imapclient_fetches
    ),
    Client("Net::POP3", _perl("Net::POP3"), pop3=libraries.net_pop3_fetches),
]
