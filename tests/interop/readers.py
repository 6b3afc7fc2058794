"""Mail clients that a person sits before: neomutt and s-nail, which compose what they send.

Each is a function of a `Place` and a message, as those of `agents` are.
"""

import shlex

from place import HOST, yes


def neomutt_submits(place, letter):
    """neomutt, with the text on its standard input."""
    settings = _neomuttrc(place, f'set smtp_url="{_neomutt_url(place, "smtp")}"')
    argv = ["neomutt", "-n", "-F", settings, "-s", letter.name, "--", letter.mailbox]
    place.run(argv, letter.text.encode())


def neomutt_fetches_by_imap(place, _wanted):
    """neomutt before a terminal: it copies the message to a file, as somebody types it."""
    return _neomutt_copies(place, _neomutt_url(place, "imap") + "/INBOX")


def neomutt_fetches_by_pop3(place, _wanted):
    """The same by POP3."""
    return _neomutt_copies(place, _neomutt_url(place, "pop"))


def _neomutt_copies(place, mailbox):
    copy = place.directory / "copy"
    settings = _neomuttrc(place, f'push "<copy-message>{copy}<enter><exit>"')
    command = shlex.join(["neomutt", "-n", "-R", "-F", str(settings), "-f", mailbox])
    shown = place.run(["script", "--quiet", "--return", "--command", command, "/dev/null"])
    return _unquoted(copy, shown)


def _neomutt_url(place, scheme):
    scheme += "s" if place.tls == "implicit" else ""
    return f"{scheme}://{place.user.replace('@', '%40')}@{HOST}:{place.port}"


def _neomuttrc(place, more):
    password = place.password.replace("\\", "\\\\").replace('"', '\\"')
    passwords = "\n".join(f'set {name}_pass="{password}"' for name in ("smtp", "imap", "pop"))
    return place.file(
        "neomuttrc",
        f"""
{passwords}
set from="{place.user}" hostname="client.test" use_envelope_from=yes copy=no
set smtp_authenticators="plain" imap_authenticators="login" pop_authenticators="user"
set ssl_starttls={yes(place.tls == "starttls")} ssl_force_tls={yes(place.tls != "plain")}
set ssl_ca_certificates_file="{place.ca_file}" certificate_file=""
set mbox_type=mbox confirmcreate=no confirmappend=no quit=yes delete=no wait_key=no
set header_cache="" message_cachedir="" folder="{place.directory}" charset="utf-8"
{more}
""",
    )


def snail_submits(place, letter):
    """s-nail; `sendwait` makes it tell whether the message was taken."""
    argv = [*_snail(place), "-S", f"mta={place.url('smtp')}", "-S", "sendwait"]
    argv += ["-S", f"from={place.user}", "-s", letter.name, letter.mailbox]
    place.run(argv, letter.text.encode())


def snail_fetches_by_imap(place, _wanted):
    """s-nail copies the message to a file, as somebody types it."""
    return _snail_copies(place, place.url("imap", "/INBOX"))


def snail_fetches_by_pop3(place, _wanted):
    """The same by POP3."""
    return _snail_copies(place, place.url("pop3"))


def _snail_copies(place, mailbox):
    copy = place.directory / "copy"
    typed = f"copy 1 {copy}\nexit\n".encode()
    shown = place.run([*_snail(place), "-R", "-#", "-f", mailbox], typed)
    return _unquoted(copy, shown)


def _snail(place):
    starttls = [f"{name}-use-starttls" for name in ("smtp", "imap", "pop3")]
    settings = [
        *("v15-compat", "ttycharset=utf-8", "tls-verify=strict", "hostname=client.test"),
        *(f"tls-ca-file={place.ca_file}", "tls-ca-no-defaults"),
        *("smtp-auth=login", "imap-auth=login", "pop3-auth=plain"),
        *(starttls if place.tls == "starttls" else []),
    ]
    return ["s-nail", "-:/", *(word for setting in settings for word in ("-S", setting))]


def _unquoted(copy, shown):
    """The one message of an mbox file; `shown` is what the client said where it made none."""
    if not copy.exists():
        raise RuntimeError(f"nothing was copied: {shown.decode(errors='replace')}")
    return copy.read_bytes().replace(b"\n>From ", b"\nFrom ")
