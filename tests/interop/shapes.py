"""Messages in the shapes that devices and programs give them, made here; nobody's mail is in it.

Lines end in CRLF. What is odd about each is its name.
"""

import base64
import dataclasses
import random

OLD = "scan-2@device.test"
OLD_FROM = f"From: {OLD}"
TO, SUBJECT = "To: somebody@elsewhere.test", "Subject: a page"
DATE = "Date: Fri, 20 Nov 2026 10:00:00 +0000"
ID = "Message-ID: <1.2@device.test>"
MIME = "MIME-Version: 1.0"
BODY = ("a line", ".", "..", ".a dot first", "From here on", ">From there", "", "  ", "QUIT")
# RFC 5321 section 4.5.3.1.6, CRLF not counted.
LINE_LEN_MAX = 998
# Bytes of the large ones.
LARGE = 20 * 1024 * 1024
# What the header of a message may take, in bytes, where it is rewritten; and more than that.
HEADER_LEN_MAX = 256 * 1024


@dataclasses.dataclass(frozen=True)
class Shape:
    """A message, and the parameters that MAIL needs for it."""

    name: str
    bytes: bytes
    parameters: str = ""


def all_shapes():
    """Every one of them."""
    return [*_senders(), *_dates_and_ids(), *_headers(), *_bodies()]


def plain():
    """One with nothing odd."""
    return _shape("plain", [OLD_FROM, TO, SUBJECT, DATE, ID], ["a line"])


def too_long_header():
    """The header alone is longer than what is held of one."""
    line = "X-Filler: " + "x" * (LINE_LEN_MAX - 10)
    count = HEADER_LEN_MAX // LINE_LEN_MAX + 2
    return _shape("a header that is too long", [OLD_FROM, *[line] * count])


def _senders():
    """What devices and programs write into From and Reply-To."""
    whole = {
        "a bare address": OLD_FROM,
        "an address in angle brackets": f"From: <{OLD}>",
        "a display name": f"From: Scanner 2 <{OLD}>",
        "a quoted display name": f'From: "Scanner, 2nd \\"floor\\"" <{OLD}>',
        "an encoded word": f"From: =?utf-8?B?U2Nhbm5lciBGb3llcg==?= <{OLD}>",
        "folded encoded words": f"From: =?utf-8?Q?B=C3=BCro?=\r\n =?utf-8?Q?_2?=\r\n <{OLD}>",
        "a folded From": f"From:\r\n Scanner 2\r\n\t<{OLD}>",
        "a comment behind the address": f"From: {OLD} (Scanner (2nd) floor)",
        "comments everywhere": f"From: (a) Scanner (b) <(c){OLD}(d)> (e)",
        "several addresses in one From": f"From: A <{OLD}>, B <b@device.test>",
        "a group": f"From: Scanners: A <{OLD}>, b@device.test;",
        "an empty group": "From: undisclosed:;",
        "lower case and no blank": f"from:{OLD}",
        "upper case and many blanks": f"FROM:  \t {OLD} \t ",
        "a blank before the colon": f"From : {OLD}",
        "no address at all": "From: Scanner 2",
        "no domain": "From: scanner",
        "an empty From": "From: ",
        "From is the mailbox already": "From: Relay <relay@rewriting.test>",
        "trailing blanks folded": f"From: {OLD}  \r\n \t ",
        "a quoted local part": 'From: "scan 2@floor"@device.test',
        "a domain literal": "From: scan@[192.0.2.17]",
        "several From": f"{OLD_FROM}\r\nFrom: other@device.test",
        "several From far apart": f"{OLD_FROM}\r\nX-Between: 1\r\nFROM:\r\n other@device.test",
        "a Reply-To before From": f"Reply-To: desk@device.test\r\n{OLD_FROM}",
        "a folded Reply-To behind From": f"{OLD_FROM}\r\nreply-to:\r\n Desk\r\n <desk@device.test>",
        "a Sender": f"{OLD_FROM}\r\nSender: system@device.test",
        "fields that only look like From": f"From-Room: 2\r\nX-From: a@b.test\r\n{OLD_FROM}",
    }
    for name, field in whole.items():
        yield _shape(name, [field, TO, SUBJECT, DATE, ID])
    eight_bit = [f"From: Büro 2 <{OLD}>", TO, "Subject: größer", DATE, ID]
    yield _shape("a From in UTF-8", eight_bit, parameters=" BODY=8BITMIME SMTPUTF8")
    yield _shape("a From in Latin-1", eight_bit, charset="latin-1", parameters=" BODY=8BITMIME")
    address = ["From: Jörg <jörg@bücher.test>", "To: jürgen@elsewhere.test", SUBJECT, DATE, ID]
    yield _shape("addresses in UTF-8", address, parameters=" BODY=8BITMIME SMTPUTF8")
    yield _shape("From last", [TO, SUBJECT, DATE, ID, OLD_FROM])
    yield _shape("no From", [TO, SUBJECT, DATE, ID])


def _dates_and_ids():
    """Date and Message-ID that are missing, or look so."""
    yield _shape("no Date", [OLD_FROM, TO, SUBJECT, ID])
    yield _shape("no Message-ID", [OLD_FROM, TO, SUBJECT, DATE])
    yield _shape("From and nothing else", [OLD_FROM])
    yield _shape("To and nothing else", [TO])
    folded = "DATE:\r\n Fri, 20 Nov 2026\r\n 10:00:00 +0000"
    odd = [OLD_FROM, folded, "message-id :<1.2@device.test>"]
    yield _shape("Date folded and Message-ID spelt oddly", odd)
    yield _shape("Date and Message-ID in the body", [OLD_FROM], [DATE, ID, "From: x@y.test"])
    yield _shape("Resent-Date and Resent-Message-ID", [OLD_FROM, f"Resent-{DATE}", f"Resent-{ID}"])


def _headers():
    """Headers that are odd in other ways."""
    fields = [OLD_FROM, TO, SUBJECT, DATE, ID]
    yield Shape("nothing at all", b"")
    yield Shape("an empty header and no body", b"\r\n")
    yield _shape("an empty header", [])
    yield Shape("no header", b"just text, as a device writes it\r\nsecond line\r\n")
    yield Shape("no header, a dot first", b".\r\n.second\r\n\r\nthird\r\n")
    yield Shape("no header, an address first", b"hello somebody@elsewhere.test\r\n\r\nFrom: x\r\n")
    yield Shape("no empty line", "".join(f"{it}\r\n" for it in fields).encode())
    yield _shape("no body", fields, [])
    resent = ["Resent-From: r@device.test", "Resent-Sender: s@device.test", "Resent-To: t@x.test"]
    yield _shape("Resent fields", [*resent, *fields])
    signed = [
        "DKIM-Signature: v=1; a=rsa-sha256; d=device.test; s=k;\r\n\th=from:to:subject;\r\n"
        "\tbh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;\r\n\tb=AAAA",
        "Received: from device.test ([192.0.2.17])\r\n\tby mail.test; Fri, 20 Nov 2026 10:00:00",
        "Return-Path: <scan-2@device.test>",
    ]
    yield _shape("DKIM-Signature, Received and Return-Path", [*signed, *fields])
    yield _shape("a line of an mbox in the header", [OLD_FROM, f">From {OLD} Fri Nov 20", TO, DATE])
    yield _shape("a garbage line in the header", [OLD_FROM, "this is no field", TO, DATE, ID])
    yield _shape("fields that begin with dots", [".X-One: 1", OLD_FROM, "..X-Two: 2", TO, DATE])
    blank = "Subject: a\r\n \r\n\t\r\n b"
    yield _shape("continuations that are blank", [OLD_FROM, blank, TO, DATE])
    yield _shape("continuations with dots", [f"From: A\r\n .\r\n <{OLD}>", "To:\r\n\t..x@y.test"])
    yield _shape("trailing blanks everywhere", [f"{it} \t" for it in fields])
    yield _shape("a field of the longest line", [*fields, "X: " + "x" * (LINE_LEN_MAX - 3)])
    yield _shape("a field of 10,000 bytes in one line", [*fields, "X: " + "x" * 10_000])
    many = [f"X-Number-{number}: {'y' * 100}" for number in range(2000)]
    yield _shape("a header of 230 KB", [*many, *fields])
    folded = "To: " + ",\r\n ".join(f"t{number}@elsewhere.test" for number in range(500))
    yield _shape("500 recipients in a folded To", [OLD_FROM, folded, SUBJECT, DATE, ID])
    yield _shape("control bytes", [*fields, "X-Tab:\tone\ttwo", "X-Bell: \x07\x1b[1m"])


def _bodies():
    """Bodies, of which no byte may change."""
    fields = [OLD_FROM, TO, SUBJECT, DATE, ID, MIME]
    parts = 'Content-Type: multipart/mixed; boundary="=-edge"'
    attachment = base64.encodebytes(random.Random("page").randbytes(3000)).decode().splitlines()
    yield _shape(
        "multipart with a message inside",
        [*fields, parts],
        [
            *("preamble", "--=-edge", "Content-Type: text/plain", "", "hello", "--=-edge"),
            *("Content-Type: message/rfc822", "", "From: inner@device.test", "Date: x", "", "in"),
            *("--=-edge", "Content-Type: application/pdf", "Content-Transfer-Encoding: base64"),
            *("", *attachment, "--=-edge--", "epilogue"),
        ],
    )
    sized = _shape("a declared SIZE", fields)
    yield dataclasses.replace(sized, parameters=f" SIZE={len(sized.bytes)} BODY=7BIT")
    yield _shape("quoted-printable", fields, ["a =", ".", "=2E", "soft=20", "=C3=BC =3D "])
    eight_bit = [*fields, "Content-Transfer-Encoding: 8bit"]
    yield _shape("8-bit", eight_bit, ["Grüße, 你好"], parameters=" BODY=8BITMIME")
    yield _shape("dots", fields, [".", "..", "...", ". ", ".\t.", "x.", ""])
    yield _shape("a body of blank lines", fields, [""] * 50)
    mbox = ["From a@b Fri Nov 20 10:00:00 2026", ">From c", ">>From"]
    yield _shape("lines of an mbox", fields, mbox)
    smtp = ["MAIL FROM:<x@y.test>", "DATA", "QUIT", "RSET"]
    yield _shape("a body that looks like SMTP", fields, smtp)
    yield Shape("other line ends", plain().bytes + b"one\ntwo\rthree\n\nfour\n\rfive\r\r\n")
    yield _shape("the longest lines", fields, ["x" * LINE_LEN_MAX, "." * (LINE_LEN_MAX - 1)] * 3)
    yield _shape("a line of 100,000 bytes", fields, ["y" * 100_000])
    rng = random.Random("large")
    line = base64.b64encode(rng.randbytes(54)).decode()
    yield _shape("20 MB of an attachment", fields, [line, *[line[::-1]] * (LARGE // len(line))])
    yield _shape("20 MB of dots", fields, ["." * 80] * (LARGE // 82))


def _shape(name, fields, body=BODY, charset="utf-8", parameters=""):
    header = "".join(f"{field}\r\n" for field in fields)
    text = header + "\r\n" + "".join(f"{line}\r\n" for line in body)
    return Shape(name, text.encode(charset), parameters)
