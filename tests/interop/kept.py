"""A relay whose accounts have consents to keep, and the sign-ins by which it is tried."""

import base64
import contextlib
import dataclasses
import imaplib
import smtplib

import clients
from consents import CLIENT, Consents, Rotation
from mailbearer import LOCAL_PASSWORD, Relay
from processes import PATIENCE_S

# What a client hears that has to tell its person to consent again.
CONSENT_NEEDED = "mailbearer authorize"

# After how many days without use a consent ends, as Microsoft has it.
IDLE_DAYS = 90

# Where the store of such a relay lies.
STORE = "state/mailbearer.redb"


@dataclasses.dataclass(frozen=True)
class Heard:
    """What a client heard in answer to its sign-in."""

    reply: str

    @property
    def is_accepted(self):
        return self.reply.startswith(("235 ", "OK "))

    @property
    def wants_consent(self):
        return CONSENT_NEEDED in self.reply

    @property
    def is_wrong_password(self):
        return self.reply.startswith(("535 5.7.8", "NO [AUTHENTICATIONFAILED]"))


def relay_before(scene, name, consents, account=None, store=STORE, more=""):
    """A relay, not started, before the real servers, with one account that `consents` are of."""
    relay = Relay(scene.binary, scene.directory / name, scene.provider, scene.ca_file)
    relay.keep_in(store)
    add_consents(scene, relay, "consents", consents)
    relay.add_kept_account(account or scene.users[0], "consents", CLIENT)
    relay.add(more)
    return relay


def add_consents(scene, relay, name, consents):
    """Adds the provider whose token endpoint `consents` is."""
    relay.add_provider(
        name,
        "xoauth2",
        scene.postfix.port,
        scene.dovecot.implicit_port,
        "implicit",
        consents.url,
        more=f'revocation_endpoint = "{consents.revocation_url}"\nrefresh_idle_days = {IDLE_DAYS}\n',
    )


@contextlib.contextmanager
def authorized(scene, name, rotation=Rotation.STRICT, token_life_s=3600, store=STORE, more=""):
    """A relay that runs, and its consents; the first user has consented."""
    consents = Consents(scene.provider, rotation, token_life_s)
    consents.start()
    relay = relay_before(scene, name, consents, store=store, more=more)
    try:
        relay.authorize(scene.users[0], consents.consent(scene.users[0]))
        relay.start()
        yield relay, consents
    finally:
        consents.stop()
        relay.stop()


def at(scene, relay, user=None, password=LOCAL_PASSWORD):
    """Where a client finds that relay."""
    user = user or scene.users[0]
    return clients.At(relay.smtp_port, relay.imap_port, user, password, str(scene.directory))


def by_smtp(where):
    """Signs in by AUTH PLAIN."""
    with smtplib.SMTP("127.0.0.1", where.smtp_port, "client.test", PATIENCE_S) as client:
        client.ehlo()
        response = base64.b64encode(f"\0{where.user}\0{where.password}".encode()).decode()
        code, text = client.docmd("AUTH", f"PLAIN {response}")
        return Heard(f"{code} {text.decode()}")


def by_imap(where):
    """Signs in by LOGIN."""
    with imaplib.IMAP4("127.0.0.1", where.imap_port, timeout=PATIENCE_S) as client:
        try:
            _, (text, *_) = client.login(where.user, where.password)
        except imaplib.IMAP4.error as refusal:
            # imaplib keeps the text and drops the NO.
            return Heard(f"NO {refusal.args[0].decode()}")
        return Heard(f"OK {text.decode()}")


@contextlib.contextmanager
def signed_in(where):
    """A submission session that stays, and ends with QUIT if the relay has not ended it."""
    with smtplib.SMTP("127.0.0.1", where.smtp_port, "client.test", PATIENCE_S) as client:
        client.login(where.user, where.password)
        yield client


def has_ended(client):
    """Whether the relay has closed the session."""
    try:
        client.noop()
    except (smtplib.SMTPServerDisconnected, ConnectionError):
        return True
    return False
