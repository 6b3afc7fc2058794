"""Signing in at Dovecot and Postfix themselves, to show that they do check the tokens."""

import base64
import imaplib
import json
import smtplib
import ssl
import urllib.parse
import urllib.request

from processes import PATIENCE_S


def access_token(provider):
    """A token from the provider, by the client-credentials grant."""
    form = {
        "grant_type": "client_credentials",
        "client_id": provider.client_id,
        "client_secret": provider.client_secret,
        "scope": " ".join(provider.scopes),
    }
    # Loopback is reached directly, whatever proxy the machine's environment names.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    body = urllib.parse.urlencode(form).encode()
    with opener.open(provider.token_endpoint, body, PATIENCE_S) as answer:
        return json.load(answer)["access_token"]


def tampered(token):
    """The token with one byte of its signature changed."""
    signed, signature = token.rsplit(".", 1)
    other = "A" if signature[0] != "A" else "B"
    return f"{signed}.{other}{signature[1:]}"


def signs_in_at_dovecot(port, ca_file, user, token):
    """Whether Dovecot takes the token for this user."""
    context = ssl.create_default_context(cafile=ca_file)
    with imaplib.IMAP4_SSL("localhost", port, ssl_context=context, timeout=PATIENCE_S) as client:
        try:
            client.authenticate(
                "XOAUTH2", lambda challenge: b"" if challenge else _xoauth2(user, token)
            )
        except imaplib.IMAP4.error:
            return False
        return True


def signs_in_at_postfix(port, ca_file, user, token):
    """Whether Postfix takes the token for this user."""
    context = ssl.create_default_context(cafile=ca_file)
    with smtplib.SMTP("localhost", port, "client.test", PATIENCE_S) as client:
        client.starttls(context=context)
        client.ehlo()
        client.docmd("AUTH", "XOAUTH2")
        code, _ = client.docmd(base64.b64encode(_xoauth2(user, token)).decode())
        if code == 334:
            code, _ = client.docmd("")
        return code == 235


def _xoauth2(user, token):
    return f"user={user}\x01auth=Bearer {token}\x01\x01".encode()
