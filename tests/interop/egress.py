"""The way out: messages through real SOCKS5 and HTTP proxies, and what is told where one leads
nowhere. The names of the mail server and of the token endpoint resolve for the proxies alone."""

import contextlib
import json
import smtplib
import ssl
from functools import partial

import expect
from endpoint import TokenEndpoint
from limited import Limited
from mailbearer import LOCAL_PASSWORD, Relay
from processes import PATIENCE_S, run
from proxies import (
    BASIC_CREDENTIALS,
    CREDENTIALS,
    ISSUER,
    MAIL,
    Proxy,
    dante,
    microsocks,
    microsocks_with_password,
    tinyproxy,
)

MAILBOX, RECIPIENT = "erp@egress.test", "somebody@elsewhere.test"
# sysexits.h: EX_TEMPFAIL; and the exit code when the thing asked for failed.
TRY_LATER, FAILED = 75, 1

PROVIDER = """
[providers.away]
token_endpoint = "{token_endpoint}"
scopes = {scopes}
ca_file = "{ca_file}"
submission = {{ host = "{host}", port = {port}, tls = "starttls" }}
"""

EGRESS = """
[egress]
{keys}
"""


def a_message_goes_through_microsocks(scene):
    """Without a password."""
    with _set(scene, "microsocks", microsocks) as (upstream, relay, proxy):
        relay.add(EGRESS.format(keys=f'mail_proxy = "socks5://127.0.0.1:{proxy.port}"'))
        _goes_through(upstream, relay)
        _is_walked(relay, proxy)


def a_message_goes_through_microsocks_with_a_password(scene):
    """And with a wrong one, or none, it does not, and the error says which."""
    with _set(scene, "microsocks-password", microsocks_with_password) as (upstream, relay, proxy):
        address = f"127.0.0.1:{proxy.port}"
        secret = relay.directory / "mail-proxy"
        secret.write_text(f"socks5://{CREDENTIALS}{address}\n")
        relay.add(EGRESS.format(keys='mail_proxy = { file = "mail-proxy" }'))
        _goes_through(upstream, relay)
        for url, told in (
            (f"socks5://mailbearer:wrong@{address}", "refuses the user name or the password"),
            (f"socks5://{address}", "wants a user name and a password"),
        ):
            # The relay reads the file again, so nothing is told to it.
            secret.write_text(url)
            _is_told(relay, FAILED, f"the proxy {address} (`egress.mail_proxy`), asked for", told)


def a_message_goes_through_dante(scene):
    """Without a password."""
    with _set(scene, "dante", dante) as (upstream, relay, proxy):
        relay.add(EGRESS.format(keys=f'mail_proxy = "socks5://127.0.0.1:{proxy.port}"'))
        _goes_through(upstream, relay)
        _is_walked(relay, proxy)


def a_message_and_its_token_go_through_tinyproxy(scene):
    """With BasicAuth, by CONNECT for both, the token endpoint being https."""
    with contextlib.ExitStack() as stack:
        certificates = _certificates(scene, "tinyproxy")
        endpoint = stack.enter_context(_endpoint(scene, certificates))
        token_endpoint = f"https://{ISSUER}:{endpoint.port}/token"
        upstream = stack.enter_context(Limited(certificates))
        allowed = (upstream.port, endpoint.port)
        relay = stack.enter_context(
            _relay(scene, "tinyproxy", certificates, upstream, token_endpoint)
        )
        proxy = Proxy(relay.directory, "tinyproxy", partial(tinyproxy, allowed=allowed))
        stack.enter_context(proxy)
        url = f"http://{BASIC_CREDENTIALS}127.0.0.1:{proxy.port}"
        relay.add(EGRESS.format(keys=f'mail_proxy = "{url}"\nhttp_proxy = "{url}"'))
        _goes_through(upstream, relay)
        _is_walked(relay, proxy)
        expect.that(endpoint.requests > 0, "the token endpoint was not asked")
        log = proxy.logged()
        for target in (f"{MAIL}:{upstream.port}", f"{ISSUER}:{endpoint.port}"):
            expect.that(f"CONNECT {target} " in log, f"{target} is not in {log}")


def tinyproxy_that_refuses_is_told_by_hop_for_mail_and_for_tokens(scene):
    """A wrong password: 407 for both. A port that it does not allow: 403."""
    certificates = _certificates(scene, "tinyproxy-refuses")
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(Limited(certificates))
        token_endpoint = f"https://{ISSUER}/token"
        relay = stack.enter_context(
            _relay(scene, "tinyproxy-refuses", certificates, upstream, token_endpoint)
        )
        proxy = stack.enter_context(Proxy(relay.directory, "tinyproxy", tinyproxy))
        address = f"127.0.0.1:{proxy.port}"
        (relay.directory / "proxy").write_text(f"http://mailbearer:wrong@{address}")
        keys = 'mail_proxy = { file = "proxy" }\nhttp_proxy = { file = "proxy" }'
        relay.add(EGRESS.format(keys=keys))
        hop = f"the proxy {address} (`egress.mail_proxy`), asked for {MAIL}:{upstream.port}, "
        _is_told(
            relay,
            FAILED,
            f"{hop}refuses the user name or the password",
            f"no connection through the proxy {address} (",
            "check `egress.http_proxy`",
        )
        (relay.directory / "proxy").write_text(f"http://{BASIC_CREDENTIALS}{address}")
        _is_told(relay, FAILED, f"{hop}does not allow that (HTTP 403 ")


def dante_that_blocks_and_a_closed_port_are_told_by_hop(scene):
    """Its rules, and the answer of the machine behind it."""
    certificates = _certificates(scene, "blocked")
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(Limited(certificates))
        relay = stack.enter_context(_relay(scene, "blocked", certificates, upstream))
        argv = partial(dante, blocked=upstream.port)
        proxy = stack.enter_context(Proxy(relay.directory, "dante", argv))
        relay.add(EGRESS.format(keys=f'mail_proxy = "socks5://127.0.0.1:{proxy.port}"'))
        _is_told(relay, FAILED, "does not allow that (not allowed by its rules)")
    with _set(scene, "closed", microsocks) as (upstream, relay, proxy):
        relay.add(EGRESS.format(keys=f'mail_proxy = "socks5://127.0.0.1:{proxy.port}"'))
        text = relay.file.read_text()
        # discard: nobody listens there.
        relay.file.write_text(text.replace(f"port = {upstream.port}", "port = 9"))
        _is_told(relay, TRY_LATER, "cannot connect (connection refused)")


def without_the_proxy_nothing_goes_through(scene):
    """The oracle: the name leads nowhere; a client hears that it may try again."""
    certificates = _certificates(scene, "direct")
    with Limited(certificates) as upstream:
        with _relay(scene, "direct", certificates, upstream) as relay:
            relay.start()
            with smtplib.SMTP("127.0.0.1", relay.smtp_port, "client.test", PATIENCE_S) as client:
                client.ehlo()
                at = scene.at(MAILBOX)
                code, text = client.docmd("AUTH", f"PLAIN {expect.plain(at)}")
            expect.that(code == 454, f"AUTH was answered with {code} {text}")
            told = relay.command("check", "--online").stdout
            expect.that(f"{MAIL}:{upstream.port} cannot be resolved" in told, told)
        expect.that(not upstream.received, "a message arrived")


CHECKS = [
    a_message_goes_through_microsocks,
    a_message_goes_through_microsocks_with_a_password,
    a_message_goes_through_dante,
    a_message_and_its_token_go_through_tinyproxy,
    tinyproxy_that_refuses_is_told_by_hop_for_mail_and_for_tokens,
    dante_that_blocks_and_a_closed_port_are_told_by_hop,
    without_the_proxy_nothing_goes_through,
]


@contextlib.contextmanager
def _set(scene, name, argv):
    """A mail server, a relay before it that does not run, and a proxy between them."""
    certificates = _certificates(scene, name)
    with Limited(certificates) as upstream, _relay(scene, name, certificates, upstream) as relay:
        with Proxy(relay.directory, name, argv) as proxy:
            yield upstream, relay, proxy


def _certificates(scene, name):
    """What names the mail server and the token endpoint, from an authority of its own."""
    directory = scene.directory / f"egress-{name}-certificates"
    names = ["--name", MAIL, "--name", ISSUER]
    run([scene.binary, "certificates", "--out", directory, *names])
    return directory


@contextlib.contextmanager
def _relay(scene, name, certificates, upstream, token_endpoint=None):
    ca_file = certificates / "ca.pem"
    relay = Relay(scene.binary, scene.directory / f"egress-{name}", scene.provider, ca_file)
    # dante and tinyproxy give up root's rights.
    relay.directory.chmod(0o755)
    relay.drop_imap()
    relay.keep_in("mailbearer.redb")
    relay.add(
        PROVIDER.format(
            token_endpoint=token_endpoint or scene.provider.token_endpoint,
            scopes=json.dumps(scene.provider.scopes),
            ca_file=ca_file,
            host=MAIL,
            port=upstream.port,
        )
    )
    relay.add_account(MAILBOX, "away")
    try:
        yield relay
    finally:
        relay.stop()


def _goes_through(upstream, relay):
    """A client signs in and sends; the message is at the server, byte for byte."""
    relay.start()
    text = b"Message-ID: <egress@client.test>\r\nSubject: out\r\n\r\n.hello\r\n"
    with smtplib.SMTP("127.0.0.1", relay.smtp_port, "client.test", PATIENCE_S) as client:
        client.ehlo()
        client.user, client.password = MAILBOX, LOCAL_PASSWORD
        client.auth("PLAIN", client.auth_plain)
        client.sendmail(MAILBOX, [RECIPIENT], text)
    (received,) = upstream.received
    expect.that(received.bytes == text, f"{received.bytes} arrived")


def _is_walked(relay, proxy):
    """`check --online` names the proxy at the steps that are its."""
    printed = relay.do("check", "--online", MAILBOX)
    address = f"127.0.0.1:{proxy.port}"
    for told in (f"of the proxy {address} (", f"connected through the proxy at {address}\n"):
        expect.that(told in printed, f"{told!r} is not in {printed}")


def _is_told(relay, code, *parts):
    """`check --online` ends so, and says that."""
    done = relay.command("check", "--online", MAILBOX)
    told = done.stdout + done.stderr
    missing = [part for part in parts if part not in told]
    expect.that(done.code == code and not missing, f"{missing} is not in {done}")
    expect.that("mailbearer:" not in told and "p%40ss" not in told, f"a password is in {told}")


@contextlib.contextmanager
def _endpoint(scene, certificates):
    """A token endpoint that speaks https."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    endpoint = TokenEndpoint(scene.provider, context)
    endpoint.start()
    try:
        yield endpoint
    finally:
        endpoint.stop()
