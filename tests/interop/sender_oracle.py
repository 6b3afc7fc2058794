"""Judges what became of a message whose sender mailbearer rewrote. Python's email package says what
a From means; the bytes are taken apart here, and nothing of mailbearer's is used."""

import email
import email.policy
import email.utils
import hashlib
import re
import time

from expect import that

# RFC 5322 sections 2.2 and 4.5: printable but the colon, with blanks before it in old messages.
FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:(.*)", re.DOTALL)
MESSAGE_ID = re.compile(rb"<[!-;=?-~]+@[!-;=?-~]+>")
FOLD = re.compile(rb"\r\n(?=[ \t])")
# The fields that may differ, and those that are added where they are missing.
SENDER = (b"from", b"reply-to")
ADDED = (b"date", b"message-id")
# How far the Date that is added may be from now, in seconds.
DATE_OFF_S = 120


class Parts:
    """A message: the fields of its header, one by one with all their bytes, and the rest."""

    def __init__(self, message):
        self.has_header = message.startswith(b"\r\n") or bool(
            FIELD.fullmatch(message.partition(b"\r\n")[0])
        )
        header, self.rest = b"", message
        if self.has_header and not message.startswith(b"\r\n"):
            header, gap, body = message.partition(b"\r\n\r\n")
            # Without an empty line it is all header.
            header, self.rest = (header + b"\r\n", b"\r\n" + body) if gap else (message, b"")
        *fields, torso = re.split(rb"\r\n(?![ \t])", header)
        # Behind the last CRLF is nothing, or a line that was cut off.
        self.fields = [*(field + b"\r\n" for field in fields), *filter(None, [torso])]

    def named(self, name):
        """The fields of that name."""
        return [it for it in self.fields if _name(it) == name]

    def without(self, names):
        """All fields but those of these names, in their order."""
        return b"".join(it for it in self.fields if _name(it) not in names)


def judge(sent, arrived, mailbox):
    """Fails unless only the sender of `sent` became `mailbox`."""
    before, after = Parts(sent), Parts(arrived)
    that(after.has_header, f"no header arrived: {arrived[:100]!r}")
    # What has no header gets one, and an empty line behind it.
    rest = before.rest if before.has_header else b"\r\n" + sent
    that(_digest(after.rest) == _digest(rest), _unlike("the body", rest, after.rest))
    added = tuple(name for name in ADDED if not before.named(name))
    for name in added:
        that(len(after.named(name)) == 1, f"{name} arrived {len(after.named(name))} times")
    kept, left = before.without(SENDER), after.without((*SENDER, *added))
    that(_digest(left) == _digest(kept), _unlike("the header", kept, left))
    if b"date" in added:
        date = email.utils.parsedate_to_datetime(_value(after.named(b"date")[0]).decode())
        that(abs(date.timestamp() - time.time()) < DATE_OFF_S, f"the Date is {date}")
    if b"message-id" in added:
        message_id = _value(after.named(b"message-id")[0])
        that(MESSAGE_ID.fullmatch(message_id), f"the Message-ID is {message_id}")
    _judge_from(after, mailbox)
    _judge_reply_to(before, after, mailbox)


def _judge_from(after, mailbox):
    senders = after.named(b"from")
    that(len(senders) == 1, f"{len(senders)} From arrived: {senders}")
    that(addresses(senders[0]) == [mailbox], f"the new From is {senders[0]!r}")


def _judge_reply_to(before, after, mailbox):
    old, new = before.named(b"reply-to"), after.named(b"reply-to")
    if old:
        that(new == old, f"Reply-To was {old}, is {new}")
        return
    senders = before.named(b"from")
    meant = [address for sender in senders for address in addresses(sender)]
    if not new:
        # There was nobody to reply to, or the same one.
        that(set(meant) <= {mailbox}, f"no Reply-To arrived, but the From was {senders}")
        return
    that(senders and len(new) == 1, f"Reply-To {new} arrived, the From was {senders}")
    if len(senders) == 1:
        told = f"Reply-To is {new[0]!r}, the From was {senders[0]!r}"
        that(_value(new[0]) == _value(senders[0]), told)
    told = f"Reply-To means {addresses(new[0])}, the From was {senders}"
    # Of several From, the first will do.
    that(addresses(new[0]) in (meant, addresses(senders[0]) if senders else []), told)


def addresses(field):
    """The addresses in a field, as Python's email package understands it."""
    text = b"From: " + _value(field) + b"\r\n\r\n"
    if not _value(field):
        return []
    parsed = email.message_from_bytes(text, policy=email.policy.SMTPUTF8)["From"]
    return [address.addr_spec for address in parsed.addresses if address.domain]


def _name(field):
    found = FIELD.match(field)
    return found[1].lower() if found else b""


def _value(field):
    """What stands behind the colon, in one line."""
    return FOLD.sub(b"", FIELD.match(field)[2]).strip()


def _digest(octets):
    return hashlib.sha256(octets).hexdigest()


def _unlike(what, sent, arrived):
    pairs = zip(sent, arrived)
    at = next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(sent), len(arrived)))
    around = slice(max(0, at - 30), at + 30)
    return (
        f"{what} is another from byte {at} of {len(sent)}, {len(arrived)} arrived: "
        f"sent {sent[around]!r}, got {arrived[around]!r}"
    )
