"""A relay before the real OpenID provider and the real mail servers, and the mail that shows that
an account of it works."""

import contextlib
import json

import browser
import clients
import expect
import kept
from asking import asking
from mailbearer import Relay
from message import Message
from processes import Failed

# The provider's table: where its endpoints are is told by `endpoints`.
PROVIDER = """
[providers.{name}]
{endpoints}
scopes = {scopes}
mechanism = "xoauth2"
ca_file = "{ca_file}"
submission = {{ host = "localhost", port = {smtp_port}, tls = "starttls" }}
imap = {{ host = "localhost", port = {imap_port}, tls = "implicit" }}
"""

ACCOUNT = """
[accounts."{name}"]
provider = "{provider}"
local_password = "{local_password}"
{lines}
"""

# What makes oidc-provider give a refresh token (OpenID Connect Core section 11).
OFFLINE = 'authorization_params = { prompt = "consent" }\n'

# An account whose person consents by a browser, with a client that has no secret.
PERSON = """grant = "authorization-code"
client_id = "{client_id}"
"""

# Bytes of body where a small message will do.
SMALL = 1000


def all_endpoints(provider):
    """Every endpoint by its key."""
    return OFFLINE + "".join(
        f'{key} = "{getattr(provider, key)}"\n'
        for key in (
            "authorization_endpoint",
            "token_endpoint",
            "device_authorization_endpoint",
            "revocation_endpoint",
        )
    )


def person(provider):
    """The keys of a person with the public client."""
    return PERSON.format(client_id=provider.public_client)


@contextlib.contextmanager
def relay_before(
    scene, name, accounts, provider=None, endpoints=None, scopes=None, more="", variables=None,
    starts=True,
):
    """A relay that runs, before `provider`; `accounts` are their names and keys."""
    provider = provider or scene.oidc
    relay = Relay(scene.binary, scene.directory / name, scene.provider, scene.ca_file)
    relay.variables = variables or {}
    relay.keep_in(kept.STORE)
    relay.add(
        PROVIDER.format(
            name="oidc",
            endpoints=all_endpoints(provider) if endpoints is None else endpoints,
            scopes=json.dumps(scopes or provider.scopes),
            ca_file=scene.ca_file,
            smtp_port=scene.postfix.port,
            imap_port=scene.dovecot.implicit_port,
        )
    )
    for user, lines in accounts.items():
        relay.add(
            ACCOUNT.format(
                name=user, provider="oidc", local_password=relay.local_password, lines=lines
            )
        )
    relay.add(more)
    try:
        if starts:
            relay.start()
        yield relay
    finally:
        relay.stop()


def consent(scene, relay, account, user=None, untick=(), arguments=()):
    """`user` consents for `account` by the browser; what came of it, and what the browser saw."""
    with asking(relay, account, "--json", *arguments) as ask:
        url = ask.line()["authorize_url"]
        seen = scene.browser.visit(
            url, browser.consents(user or account, untick), browser.TO_LOOPBACK
        )
        return ask.finish(), seen


def consented(scene, relay, account):
    """The same, and it has to be kept."""
    done, seen = consent(scene, relay, account)
    expect.that(done.code == 0, f"authorize ended with {done.code}: {done.stdout}{done.stderr}")
    return seen


def mail_goes_round(scene, relay, user, name):
    """A real message goes out through Postfix, and comes back through Dovecot."""
    at = kept.at(scene, relay, user)
    sent = Message(f"{relay.directory.name}-{name}", user, SMALL)
    clients.smtplib_send(at, sent, "PLAIN")
    sent.compare(scene.delivered(sent))
    sent.compare(clients.imaplib_fetch(at, sent, "LOGIN command"))


def is_refused_for_lack_of_consent(scene, relay, user):
    """Both protocols tell the client what its person has to do."""
    for sign_in in (kept.by_smtp, kept.by_imap):
        heard = sign_in(kept.at(scene, relay, user))
        expect.that(heard.wants_consent, f"without a consent it heard {heard.reply}")


def is_accepted(scene, relay, user):
    """Both protocols sign the client in."""
    for sign_in in (kept.by_smtp, kept.by_imap):
        heard = sign_in(kept.at(scene, relay, user))
        expect.that(heard.is_accepted, f"the sign-in was answered with {heard.reply}")


def row(relay, account):
    """What `accounts --json` says of it."""
    rows = [it for it in json.loads(relay.do("accounts", "--json")) if it["account"] == account]
    if len(rows) != 1:
        raise Failed(f"accounts shows {len(rows)} rows of {account}")
    return rows[0]
