"""The old mail clients: each sends a message by SMTP or fetches one by IMAP, with a password.

A client is a function `(at, mail, ...)` where `at` says where the relay listens and who signs in.
It raises `Failed`, or whatever its library raises, when it does not get through.
"""

import dataclasses
import imaplib
import smtplib

import message
from processes import PATIENCE_S, Failed, program, run

# How long a command-line client may take, in seconds.
TIMEOUT_S = str(PATIENCE_S)


@dataclasses.dataclass(frozen=True)
class At:
    """Where a client connects, who signs in there, and where it may leave files."""

    smtp_port: int
    imap_port: int
    user: str
    password: str
    directory: str


def curl_send(at, sent, *options):
    """curl, SMTP upload."""
    curl_delivers(at, sent, "--user", f"{at.user}:{at.password}", *options)


def curl_delivers(at, sent, *options):
    """The same as a device does it: it does not sign in, and `at.user` is the sender alone."""
    file = f"{at.directory}/{sent.name}.eml"
    with open(file, "wb") as stream:
        stream.write(sent.bytes)
    run(
        _curl(f"smtp://127.0.0.1:{at.smtp_port}/client.test", *options)
        + ["--mail-from", at.user, "--mail-rcpt", sent.mailbox, "--upload-file", file]
    )


def swaks_send(at, sent, mechanism):
    """swaks, told to leave the data alone."""
    sign_in = ["--auth", mechanism, "--auth-user", at.user, "--auth-password", at.password]
    swaks_delivers(at, sent, *sign_in)


def swaks_delivers(at, sent, *options):
    """The same as a device does it: it does not sign in, and `at.user` is the sender alone."""
    file = f"{at.directory}/{sent.name}.data"
    with open(file, "wb") as stream:
        stream.write(sent.dot_stuffed() + b".\r\n")
    run(
        [program("swaks"), "--server", "127.0.0.1", "--port", str(at.smtp_port)]
        + ["--helo", "client.test", "--timeout", TIMEOUT_S, "--silent", "2", *options]
        + ["--from", at.user, "--to", sent.mailbox, "--no-data-fixup", "--data", "@" + file]
    )


def smtplib_send(at, sent, mechanism):
    """Python's smtplib."""
    with smtplib.SMTP("127.0.0.1", at.smtp_port, "client.test", PATIENCE_S) as client:
        client.ehlo()
        client.user, client.password = at.user, at.password
        sign_in = {"PLAIN": client.auth_plain, "LOGIN": client.auth_login}[mechanism]
        client.auth(mechanism, sign_in)
        client.sendmail(at.user, [sent.mailbox], sent.bytes)


def curl_fetch(at, wanted, *options):
    """curl: finds the message by its marker, then fetches it."""
    inbox = f"imap://127.0.0.1:{at.imap_port}/INBOX"
    search = f"UID SEARCH HEADER {message.MARKER} {wanted.name}"
    sign_in = ["--user", f"{at.user}:{at.password}"]
    found = run(_curl(inbox, *sign_in, *options) + ["--request", search])
    uid = _only_one(found.removeprefix(b"* SEARCH"))
    file = f"{at.directory}/{wanted.name}.fetched"
    run(_curl(f"{inbox};UID={uid}", *sign_in, *options) + ["--output", file])
    with open(file, "rb") as stream:
        return stream.read()


def imaplib_fetch(at, wanted, mechanism):
    """Python's imaplib: finds the message by its marker, then fetches it."""
    with _imaplib(at, mechanism) as client:
        _ok(client.select(readonly=True))
        number = _only_one(_ok(client.search(None, "HEADER", message.MARKER, wanted.name))[0])
        return _ok(client.fetch(number, "(BODY.PEEK[])"))[0][1]


def imaplib_append(at, sent, mechanism):
    """Python's imaplib: uploads the message as one literal."""
    with _imaplib(at, mechanism) as client:
        _ok(client.append("INBOX", None, None, sent.bytes))


def _curl(url, *options):
    return [
        *(program("curl"), "--silent", "--show-error", "--max-time", TIMEOUT_S, "--url", url),
        *options,
    ]


def _imaplib(at, mechanism):
    client = imaplib.IMAP4("127.0.0.1", at.imap_port, timeout=PATIENCE_S)
    try:
        if mechanism == "LOGIN command":
            client.login(at.user, at.password)
        else:
            answers = {
                "PLAIN": [f"\0{at.user}\0{at.password}"],
                "LOGIN": [at.user, at.password],
            }
            answer = iter(answers[mechanism])
            client.authenticate(mechanism, lambda _challenge: next(answer).encode())
    except BaseException:
        client.shutdown()
        raise
    return client


def _ok(answer):
    status, data = answer
    if status != "OK":
        raise Failed(f"the server said {status} {data!r}")
    return data


def _only_one(numbers):
    numbers = numbers.decode().split()
    if len(numbers) != 1:
        raise Failed(f"found {len(numbers)} messages instead of one")
    return numbers[0]


def _with(client, *arguments):
    return lambda at, mail: client(at, mail, *arguments)


# Name, protocol and function of every client that uploads a message, and of those that fetch one.
# curl and smtplib send an initial response where they are told to, or where SASL-IR is offered.
UPLOADERS = [
    ("curl PLAIN", "smtp", _with(curl_send, "--login-options", "AUTH=PLAIN")),
    ("curl PLAIN, inline", "smtp", _with(curl_send, "--login-options", "AUTH=PLAIN", "--sasl-ir")),
    ("curl LOGIN", "smtp", _with(curl_send, "--login-options", "AUTH=LOGIN")),
    ("curl LOGIN, inline", "smtp", _with(curl_send, "--login-options", "AUTH=LOGIN", "--sasl-ir")),
    ("swaks PLAIN", "smtp", _with(swaks_send, "PLAIN")),
    ("swaks LOGIN", "smtp", _with(swaks_send, "LOGIN")),
    ("smtplib PLAIN", "smtp", _with(smtplib_send, "PLAIN")),
    ("smtplib LOGIN", "smtp", _with(smtplib_send, "LOGIN")),
    ("imaplib APPEND", "imap", _with(imaplib_append, "LOGIN command")),
]
FETCHERS = [
    ("curl PLAIN", "imap", _with(curl_fetch, "--login-options", "AUTH=PLAIN")),
    ("curl LOGIN", "imap", _with(curl_fetch, "--login-options", "AUTH=LOGIN")),
    ("imaplib LOGIN command", "imap", _with(imaplib_fetch, "LOGIN command")),
    ("imaplib PLAIN", "imap", _with(imaplib_fetch, "PLAIN")),
    ("imaplib LOGIN", "imap", _with(imaplib_fetch, "LOGIN")),
]
