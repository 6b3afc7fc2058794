"""Secrets planted in every grant, and looked for wherever mailbearer shows something: logs at trace
level, errors, `accounts`, the page, and the command lines of its processes."""

import base64
import contextlib
import json
import pathlib
import secrets
import urllib.parse

import browser
import endpoint
import expect
import kept
import page
import tenant
from asking import asking
from endpoint import TokenEndpoint
from keys import Key
from mailbearer import LOCAL_PASSWORD, hashed
from recorder import ACCESS_TOKEN, Recorder

# Every value of a token request that is secret (RFC 6749, 7521, 7636, 8628).
SECRET_FIELDS = (
    *("code", "code_verifier", "device_code", "refresh_token", "client_secret"),
    *("client_assertion", "assertion", "password"),
)
# Bytes of a PEM that stand in one line.
PEM_LINE = 64
TRACE = '\n[log]\nlevel = "trace"\n'

# A provider whose endpoint gives tokens that open nothing, and one whose endpoint repeats what it
# was sent in its error, as badly written ones do.
PROVIDERS = """
[providers.recorder]
token_endpoint = "{recorder}/token"
scopes = ["https://mail.test/.default"]
{hosts}
[providers.echo]
token_endpoint = "{echo}"
scopes = ["https://mail.test/.default"]
{hosts}
"""
HOSTS = """ca_file = "{ca_file}"
submission = {{ host = "localhost", port = {smtp_port}, tls = "starttls" }}
imap = {{ host = "localhost", port = {imap_port}, tls = "implicit" }}
"""


def no_secret_of_any_grant_is_seen_anywhere(scene):
    """Each account signs in by both protocols; the page and every command are looked at, too."""
    planted = Planted(scene)
    with contextlib.ExitStack() as stack:
        recorder = stack.enter_context(Recorder())
        echo = TokenEndpoint(scene.provider)
        echo.answer = _echo
        echo.start()
        stack.callback(echo.stop)
        tables = _tables(scene, planted, recorder, echo)
        relay, url = stack.enter_context(page.relay_with_page(scene, "planted", tables + TRACE))
        seen = _use(scene, planted, relay, url)
        relay.stop()
        seen["the log"] = relay.logged()
        # Nothing is logged at a level below this one; what libraries say there is left out.
        expect.that("DEBUG" in seen["the log"], "the log is not at its lowest level")
        expect.that(recorder.requests, "no token was asked for")
        expect.that(echo.requests, "no error was made")
        for request in recorder.requests:
            planted.add_fields("recorded", request.form)

    for request in scene.oidc.requests("interop-planted"):
        planted.add_fields("sent", request["form"])
        if request["refresh_token"]:
            planted.add("a refresh token", request["refresh_token"])
    for where, text in seen.items():
        for secret, what in planted.forms():
            expect.that(secret not in text, f"{what} is seen in {where}")


CHECKS = [no_secret_of_any_grant_is_seen_anywhere]


class Planted:
    """Secrets, each unlike any other."""

    def __init__(self, scene):
        self.directory = scene.directory / "planted-secrets"
        self.directory.mkdir()
        self._secrets = {}
        self.add("the admin token", page.ADMIN_TOKEN)
        self.add("an access token", ACCESS_TOKEN)
        self.add("a local password", LOCAL_PASSWORD)

    def value(self, what):
        """A new secret."""
        return self.add(what, f"planted-{secrets.token_hex(16)}")

    def file(self, what):
        """A file that holds a new secret."""
        file = self.directory / what.replace(" ", "-")
        file.write_text(self.value(what) + "\n")
        file.chmod(0o600)
        return file

    def key(self, name):
        """A key, whose every line is a secret."""
        key = Key(self.directory, name)
        for line in key.private_key.read_text().splitlines():
            if len(line) == PEM_LINE:
                self.add(f"the private key {name}", line)
        return key

    def add(self, what, secret):
        """One that was made elsewhere."""
        self._secrets[secret] = what
        return secret

    def add_fields(self, how, form):
        """Those of a token request."""
        for name in SECRET_FIELDS:
            if form.get(name):
                self.add(f"{name}, as it was {how}", form[name])

    def forms(self):
        """Each secret as it is, and as forms and headers carry it."""
        for secret, what in self._secrets.items():
            yield secret, what
            yield urllib.parse.quote_plus(secret), f"{what}, encoded,"
            yield base64.b64encode(secret.encode()).decode().rstrip("="), f"{what}, in base64,"


def _accounts(planted, token_uri):
    """An account of every way to get tokens, with its keys."""
    key, account_key = planted.key("client"), planted.key("service")
    service = planted.directory / "service.json"
    service.write_text(
        json.dumps(
            {
                "type": "service_account",
                "private_key_id": "interop-key-id",
                "private_key": account_key.private_key.read_text(),
                "client_email": "mailbearer@interop.test",
                "token_uri": token_uri,
            }
        )
    )
    service.chmod(0o600)
    command = planted.file("command output")
    application = 'grant = "client-credentials"\n'
    certificate = f'certificate = "{key.certificate}"\nprivate_key = "{key.private_key}"\n'
    accounts = {
        "post": application + f'client_secret = "{planted.value("a client secret")}"\n',
        "basic": application
        + f'client_secret = {{ file = "{planted.file("a secret in a file")}" }}\n'
        + 'client_auth = "secret-basic"\n',
        "certificate": application + certificate,
        "assertion": application + f'assertion_file = "{planted.file("an assertion")}"\n',
        "password": 'grant = "password"\n'
        f'password = {{ command = ["cat", "{planted.file("a password")}"] }}\n',
        "workload": 'grant = "workload-identity"\n'
        f'assertion_file = "{planted.file("a federated token")}"\n',
    }
    # Each is an application of its own, for an application has one secret.
    accounts = {name: f'client_id = "{name}"\n{lines}' for name, lines in accounts.items()}
    accounts["service"] = f'grant = "service-account"\nkey_file = "{service}"\n'
    accounts["command"] = f'grant = "command"\ncommand = ["cat", "{command}"]\n'
    return accounts


def _tables(scene, planted, recorder, echo):
    hosts = HOSTS.format(
        ca_file=scene.ca_file,
        smtp_port=scene.postfix.port,
        imap_port=scene.dovecot.implicit_port,
    )
    tables = PROVIDERS.format(recorder=recorder.url, echo=echo.url, hosts=hosts)
    for provider, token_uri in (("recorder", f"{recorder.url}/token"), ("echo", echo.url)):
        for name, lines in _accounts(planted, token_uri).items():
            tables += tenant.ACCOUNT.format(
                name=f"{name}@{provider}.test",
                provider=provider,
                local_password=hashed(scene.binary),
                lines=lines,
            )
    return tables


def _use(scene, planted, relay, url):
    """Uses all of it; gives what was shown, and where."""
    seen = {"the command line of serve": _command_line(relay.pid())}
    seen["check"] = "".join(_told(relay, "check"))
    steps = [*page.signs_in(), *page.asks_by_browser(page.USER), *browser.consents(page.USER)]
    answered = scene.browser.visit(f"{url}/", steps, f"^{url}/oauth/callback\\?")
    seen["the page after a consent"] = answered.text
    seen["the pages on the way"] = "\n".join(answered.pages)
    tenant.is_accepted(scene, relay, page.USER)

    with asking(relay, page.OTHER, "--device", "--json") as ask:
        ask.line()
        seen["the command line of authorize"] = _command_line(ask.pid())
    accounts = [row["account"] for row in json.loads(relay.do("accounts", "--json"))]
    expect.that(len(accounts) == 18, f"{len(accounts)} accounts are configured")
    for account in accounts:
        at = kept.at(scene, relay, account)
        seen[f"the replies to {account}"] = kept.by_smtp(at).reply + kept.by_imap(at).reply
        # Its output is the token: that is what it is for.
        _, seen[f"the errors of token {account}"] = _told(relay, "token", account)
        seen[f"check --online {account}"] = "".join(_told(relay, "check", "--online", account))
    seen["accounts"] = "".join(_told(relay, "accounts"))
    seen["accounts --json"] = "".join(_told(relay, "accounts", "--json"))
    whole = scene.browser.visit(f"{url}/", [*page.signs_in(), {"wait": "h2"}])
    seen["the page of the accounts"] = whole.text
    expect.that("service@recorder.test" in whole.text, "the page lacks an account")
    return seen


def _told(relay, *arguments):
    done = relay.command(*arguments)
    return done.stdout, done.stderr


def _command_line(pid):
    return pathlib.Path(f"/proc/{pid}/cmdline").read_text()


def _echo(handler, form):
    """Refuses, and repeats what it was sent."""
    sent = form.decode() + str(handler.headers)
    told = {"error": "invalid_client", "error_description": sent, "error_uri": sent}
    endpoint.send(handler, 401, "application/json", json.dumps(told).encode())
