"""Mail clients that are told by a command line or a file: curl and the agents that move mail.

Each is a function of a `Place` and a message: it submits the message, or gives back the one that
lies in the mailbox. It raises when it does not get through.
"""

import dataclasses
import pathlib
import shutil
import subprocess

from place import HOST, TIMEOUT_S, on, yes
from servers import MAIL_USER

# When a client that is known for it is taken to hang, in seconds; on busy cores they need three.
HANGS_AFTER_S = 20
# How often it may. Two in a row were seen on a machine that was busy with something else.
HANGS_MAX = 3


def curl_submits(place, sent):
    """curl; `--ssl-reqd` is its STARTTLS that has to succeed."""
    upload = place.file("upload", sent.bytes)
    place.run(
        _curl(place, "smtp", "/client.test")
        + ["--mail-from", sent.mailbox, "--mail-rcpt", sent.mailbox, "--upload-file", upload]
    )


def curl_fetches_by_imap(place, _wanted):
    """curl, the first message of the mailbox."""
    return place.run(_curl(place, "imap", "/INBOX;MAILINDEX=1"))


def curl_fetches_by_pop3(place, _wanted):
    """curl, by RETR."""
    return place.run(_curl(place, "pop3", "/1"))


def _curl(place, scheme, path):
    scheme += "s" if place.tls == "implicit" else ""
    return [
        *("curl", "--silent", "--show-error", "--max-time", TIMEOUT_S, "--cacert", place.ca_file),
        *(["--ssl-reqd"] if place.tls == "starttls" else []),
        *("--user", f"{place.user}:{place.password}"),
        *("--url", f"{scheme}://{HOST}:{place.port}{path}"),
    ]


def swaks_submits(place, sent):
    """swaks, told to leave the data alone."""
    data = place.file("data", sent.dot_stuffed() + b".\r\n")
    tls = {"plain": [], "starttls": ["--tls"], "implicit": ["--tls-on-connect"]}[place.tls]
    checked = ["--tls-verify", "--tls-ca-path", place.ca_file] if tls else []
    place.run(
        ["swaks", "--server", HOST, "--port", place.port, *tls, *checked]
        + ["--helo", "client.test", "--timeout", TIMEOUT_S, "--silent", "3"]
        + ["--auth", "LOGIN", "--auth-user", place.user, "--auth-password", place.password]
        + ["--from", sent.mailbox, "--to", sent.mailbox, "--no-data-fixup", "--data", f"@{data}"]
    )


def msmtp_submits(place, sent):
    """msmtp; without TLS it shows a password only where the mechanism is named."""
    settings = place.file(
        "msmtprc",
        f"""
defaults
host {HOST}
port {place.port}
domain client.test
timeout {TIMEOUT_S}
auth plain
user {place.user}
passwordeval cat {place.password_file()}
tls {on(place.tls != "plain")}
tls_starttls {on(place.tls == "starttls")}
tls_trust_file {place.ca_file}
account default
""",
    )
    argv = ["msmtp", "-C", settings, "-f", sent.mailbox, "--", sent.mailbox]
    place.run(argv, sent.bytes.replace(b"\r\n", b"\n"))


def mbsync_fetches(place, _wanted):
    """mbsync (isync), into a Maildir."""
    kinds = {"plain": "None", "starttls": "STARTTLS", "implicit": "IMAPS"}
    settings = place.file(
        "mbsyncrc",
        f"""
IMAPAccount mailbearer
Host {HOST}
Port {place.port}
User {place.user}
PassCmd "cat {place.password_file()}"
SSLType {kinds[place.tls]}
SystemCertificates no
CertificateFile {place.ca_file}
AuthMechs LOGIN

IMAPStore far
Account mailbearer

MaildirStore near
Inbox {place.directory}/inbox

Channel inbox
Far :far:
Near :near:
Create Near
Sync Pull
SyncState *
""",
    )
    place.run(["mbsync", "--config", settings, "--all"])
    return _only_message(place.directory / "inbox")


def fetchmail_fetches_by_imap(place, _wanted):
    """fetchmail; STARTTLS has to succeed where a TLS version is named."""
    return _fetchmail(place, "imap")


def fetchmail_fetches_by_pop3(place, _wanted):
    """fetchmail, by USER and PASS."""
    return _fetchmail(place, "pop3")


def _fetchmail(place, protocol):
    kept = place.directory / "kept"
    tls = {"plain": "sslproto ''", "starttls": "sslproto 'TLS1.2+'", "implicit": "ssl"}[place.tls]
    password = place.password.replace("\\", "\\\\")
    settings = place.file(
        "fetchmailrc",
        f"""
set no syslog
set invisible
poll {HOST} protocol {protocol} port {place.port} auth password
  username '{place.user}' password '{password}'
  {tls} sslcertck sslcertfile "{place.ca_file}"
  fetchall no rewrite mda "cat >{kept}"
""",
    )
    argv = ["fetchmail", "--fetchmailrc", settings, "--pidfile", place.directory / "pid"]
    place.run([*argv, "--idfile", place.directory / "ids"])
    return kept.read_bytes()


def getmail_fetches_by_imap(place, _wanted):
    """getmail6, into a Maildir of somebody else: it delivers nothing as root."""
    return _getmail(place, "IMAP")


def getmail_fetches_by_pop3(place, _wanted):
    """getmail6, by USER and PASS."""
    return _getmail(place, "POP3")


def _getmail(place, protocol):
    ssl = "SSL" if place.tls == "implicit" else ""
    for name in ("", "tmp", "new", "cur"):
        (place.directory / "inbox" / name).mkdir()
        shutil.chown(place.directory / "inbox" / name, MAIL_USER)
    settings = place.file(
        "getmailrc",
        f"""
[retriever]
type = Simple{protocol}{ssl}Retriever
server = {HOST}
port = {place.port}
username = {place.user}
password_command = ("cat", "{place.password_file()}")
{f"ca_certs = {place.ca_file}" if ssl else ""}
[destination]
type = Maildir
path = {place.directory}/inbox/
user = {MAIL_USER}
[options]
read_all = false
delivered_to = false
received = false
""",
    )
    argv = ["getmail", "--getmaildir", place.directory, "--rcfile", settings, "--quiet"]

    def leave_nothing():
        for path in (place.directory / "inbox" / "new").iterdir():
            path.unlink()

    # getmail 6.18, seen in five of 144 runs: it begins to listen for the end of the process that
    # delivers when that runs already, and may miss it.
    _run_what_may_hang(place, argv, leave_nothing)
    return _only_message(place.directory / "inbox")


def offlineimap_fetches(place, _wanted):
    """offlineimap3, into a Maildir."""
    settings = place.file(
        "offlineimaprc",
        f"""
[general]
accounts = a
metadata = {place.directory}/metadata
[Account a]
localrepository = near
remoterepository = far
[Repository near]
type = Maildir
localfolders = {place.directory}/near
[Repository far]
type = IMAP
remotehost = {HOST}
remoteport = {place.port}
remoteuser = {place.user}
remotepassfile = {place.password_file()}
auth_mechanisms = PLAIN, LOGIN
ssl = {yes(place.tls == "implicit")}
starttls = {yes(place.tls == "starttls")}
{"" if place.tls == "plain" else f"sslcacertfile = {place.ca_file}"}
readonly = True
folderfilter = lambda name: name == 'INBOX'
""",
    )
    argv = ["offlineimap", "-o", "-1", "-u", "quiet", "-c", settings]
    # imaplib2 3.5, seen in one of 50 runs: the thread that reads may end before the reply to
    # STARTTLS, because `starttls` tells it to while it still holds the reply to CAPABILITY.
    if place.tls == "starttls":
        _run_what_may_hang(place, argv, lambda: None)
    else:
        place.run(argv)
    return _only_message(place.directory / "near" / "INBOX")


def _run_what_may_hang(place, argv, between):
    """Runs it anew when it hangs, through a fault of its own; `between` is done before each time."""
    for _ in range(HANGS_MAX):
        try:
            return dataclasses.replace(place, patience_s=HANGS_AFTER_S).run(argv)
        except subprocess.TimeoutExpired:
            between()
    return place.run(argv)


def _only_message(maildir):
    (path,) = [*pathlib.Path(maildir).glob("new/*"), *pathlib.Path(maildir).glob("cur/*")]
    return path.read_bytes()
