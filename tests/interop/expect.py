"""What a check expects, and what it says when that does not come true."""

import base64
import imaplib
import smtplib

from processes import PATIENCE_S, Failed


def that(holds, otherwise):
    """Fails with `otherwise` unless `holds`."""
    if not holds:
        raise Failed(otherwise)


def refusals(at, smtp, imap):
    """Signing in is refused by replies that begin so."""
    smtp_refusal(at, smtp)
    imap_refusal(at, imap)


def smtp_refusal(at, start):
    """AUTH PLAIN is answered by a reply that begins with `start`."""
    with smtplib.SMTP("127.0.0.1", at.smtp_port, "client.test", PATIENCE_S) as client:
        client.ehlo()
        code, text = client.docmd("AUTH", f"PLAIN {plain(at)}")
    reply = f"{code} {text.decode()}"
    that(reply.startswith(start), f"AUTH was answered with {reply!r} instead of {start}")


def imap_refusal(at, code):
    """LOGIN is answered by NO with this response code."""
    with imaplib.IMAP4("127.0.0.1", at.imap_port, timeout=PATIENCE_S) as client:
        try:
            client.login(at.user, at.password)
        except imaplib.IMAP4.error as refusal:
            text = refusal.args[0].decode()
            that(text.startswith(code), f"LOGIN was answered with {text!r} instead of {code}")
        else:
            raise Failed("LOGIN was accepted")


def plain(at):
    """The initial response of AUTH PLAIN."""
    return base64.b64encode(f"\0{at.user}\0{at.password}".encode()).decode()
