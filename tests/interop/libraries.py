"""Mail libraries: of Python, JavaScript and Perl, as programs of people's own use them.

Each is a function of a `Place` and a message, as those of `agents` are.
"""

import contextlib
import imaplib
import poplib
import smtplib

import nodejs
from place import HOST
from processes import HERE, PATIENCE_S


def smtplib_submits(place, sent):
    """Python's smtplib."""
    if place.tls == "implicit":
        client = smtplib.SMTP_SSL(
            HOST, place.port, "client.test", timeout=PATIENCE_S, context=place.context()
        )
    else:
        client = smtplib.SMTP(HOST, place.port, "client.test", PATIENCE_S)
    with client:
        if place.tls == "starttls":
            client.starttls(context=place.context())
        client.login(place.user, place.password)
        client.sendmail(sent.mailbox, [sent.mailbox], sent.bytes)


def imaplib_fetches(place, _wanted):
    """Python's imaplib."""
    if place.tls == "implicit":
        client = imaplib.IMAP4_SSL(
            HOST, place.port, ssl_context=place.context(), timeout=PATIENCE_S
        )
    else:
        client = imaplib.IMAP4(HOST, place.port, PATIENCE_S)
    with client:
        if place.tls == "starttls":
            client.starttls(place.context())
        client.login(place.user, place.password)
        client.select(readonly=True)
        _, answer = client.fetch("1", "(BODY.PEEK[])")
        return answer[0][1]


def poplib_fetches(place, _wanted):
    """Python's poplib."""
    if place.tls == "implicit":
        client = poplib.POP3_SSL(HOST, place.port, timeout=PATIENCE_S, context=place.context())
    else:
        client = poplib.POP3(HOST, place.port, PATIENCE_S)
    with contextlib.closing(client):
        if place.tls == "starttls":
            client.stls(place.context())
        client.user(place.user)
        client.pass_(place.password)
        _, lines, _ = client.retr(1)
        client.quit()
        return b"".join(line + b"\r\n" for line in lines)


def nodemailer_submits(place, sent):
    """nodemailer, on Node."""
    _javascript(place, "submit.js", sent.mailbox, given=sent.bytes)


def imapflow_fetches(place, _wanted):
    """imapflow, on Node."""
    return _javascript(place, "fetch.js")


def _javascript(place, script, *arguments, given=b""):
    argv = nodejs.script("javascript", script, *_told(place), *arguments)
    return place.run(argv, given)


def net_smtp_submits(place, sent):
    """Perl's Net::SMTP."""
    _perl(place, "submit.pl", sent.mailbox, given=sent.bytes)


def net_pop3_fetches(place, _wanted):
    """Perl's Net::POP3."""
    return _perl(place, "fetch_pop3.pl")


def mail_imapclient_fetches(place, _wanted):
    """Perl's Mail::IMAPClient."""
    return _perl(place, "fetch_imap.pl")


def _perl(place, script, *arguments, given=b""):
    return place.run(["perl", HERE / "perl" / script, *_told(place), *arguments], given)


def _told(place):
    """What each of our scripts is told: where, how, whom to trust and who signs in."""
    return [HOST, place.port, place.tls, place.ca_file, place.user, place.password_file()]
