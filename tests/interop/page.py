"""Consent through mailbearer's own page: https with the suite's certificate authority, reached by
`web.public_url`, in the real Chromium, which trusts that authority and nothing else besides."""

import contextlib
import http.client
import re
import ssl
import urllib.parse

import browser
import expect
import kept
import tenant
from asking import asking
from processes import PATIENCE_S, free_port, listens, wait_for
from proxy import SOURCE, TlsProxy

USER, OTHER = "alice@page.test", "bob@page.test"
ADMIN_TOKEN = "interop-admin-token-of-the-page"

WEB = """
[web]
address = "127.0.0.1:{port}"
public_url = "{url}"
certificate = "{certificates}/server.pem"
private_key = "{certificates}/server.key"
admin_token = {{ file = "admin-token" }}
"""

BEHIND_PROXY = """
[web]
address = "127.0.0.1:{port}"
public_url = "{url}"
behind_proxy = ["{source}"]
admin_token = {{ file = "admin-token" }}
"""


def consent_through_the_page(scene):
    """Admin token, account, provider and back: the page says who signed in, and mail goes round."""
    with relay_with_page(scene, "page-consent") as (relay, url):
        tenant.is_refused_for_lack_of_consent(scene, relay, USER)
        to_callback = f"^{re.escape(url)}/oauth/callback\\?"
        seen = scene.browser.visit(
            f"{url}/", [*signs_in(), *asks_by_browser(USER), *browser.consents(USER)], to_callback
        )
        _, accounts, asked, *_ = seen.pages
        expect.that(USER in accounts and OTHER in accounts, f"the accounts are {accounts!r}")
        expect.that(f"{url}/oauth/callback" in asked, f"the redirect URI is not shown: {asked!r}")
        expect.that(seen.status == 200 and USER in seen.text, f"the page says {seen.text!r}")
        # Neither the code nor its address is shown or kept.
        query = browser.query_of(seen.url)
        expect.that(query["code"] not in seen.text, "the page shows the code")
        tenant.is_accepted(scene, relay, USER)
        tenant.mail_goes_round(scene, relay, USER, "page")
        tenant.is_refused_for_lack_of_consent(scene, relay, OTHER)

        seen = scene.browser.visit(f"{url}/", [*signs_in(), {"wait": "h2"}])
        expect.that("ready" in seen.text, f"the accounts are {seen.text!r}")

        # The same answer once more: oidc-provider would end the grant if it saw the code again.
        _get(scene, url, f"/oauth/callback?{urllib.parse.urlencode(query)}")
        forged = {**query, "state": "0" * len(query["state"])}
        _get(scene, url, f"/oauth/callback?{urllib.parse.urlencode(forged)}")
        relay.stop()
        relay.start()
        tenant.mail_goes_round(scene, relay, USER, "page-again")


def consent_through_a_proxy_that_ends_tls(scene):
    """`behind_proxy`: it is believed that the browser speaks https; nobody else is."""
    with contextlib.ExitStack() as stack:
        proxy = stack.enter_context(TlsProxy(scene.ca_file.parent))
        relay, url = stack.enter_context(relay_with_page(scene, "page-proxy", proxy=proxy))
        to_callback = f"^{re.escape(url)}/oauth/callback\\?"
        steps = [*signs_in(), *asks_by_browser(USER), *browser.consents(USER)]
        seen = scene.browser.visit(f"{url}/", steps, to_callback)
        expect.that(seen.status == 200 and USER in seen.text, f"the page says {seen.text!r}")
        expect.that(proxy.cookies, "nobody was given a cookie")
        for cookie in proxy.cookies:
            expect.that("; secure" in cookie.lower(), "a cookie may go out in clear")
        tenant.mail_goes_round(scene, relay, USER, "page-proxy")

        # The same words of somebody who is no proxy.
        name = urllib.parse.urlsplit(url).netloc
        claims = {"X-Forwarded-Host": name, "X-Forwarded-Proto": "https", "Host": name}
        page = http.client.HTTPConnection("127.0.0.1", proxy.page_port, timeout=PATIENCE_S)
        with contextlib.closing(page):
            page.request("GET", "/", None, claims)
            status = page.getresponse().status
        expect.that(status == 403, f"a stranger who says https was answered with {status}")


def consent_by_device_code_through_the_page(scene):
    """The page shows a code and a link; it is entered, and the account is ready."""
    with relay_with_page(scene, "page-device") as (relay, url):
        _, confirm, *consent = browser.enters("", USER)
        steps = [
            *signs_in(),
            _presses(USER, "device"),
            {"wait": ".code", "click": 'a[href*="user_code="]'},
            confirm,
            *consent,
        ]
        seen = scene.browser.visit(f"{url}/", steps)
        expect.that("Go back to your device" in seen.text, f"the provider says {seen.text!r}")
        at = kept.at(scene, relay, USER)
        # The relay asks the provider every five seconds (RFC 8628 section 3.5).
        wait_for("the consent is kept", lambda: kept.by_smtp(at).is_accepted)
        tenant.mail_goes_round(scene, relay, USER, "page-device")


def the_page_keeps_no_consent_of_somebody_else(scene):
    """Both names are told; a cancelled one and one with a scope too few are told as well."""
    with relay_with_page(scene, "page-wrong") as (relay, url):
        to_callback = f"^{re.escape(url)}/oauth/callback\\?"

        def answered(answer):
            steps = [*signs_in(), *asks_by_browser(USER), *answer]
            return scene.browser.visit(f"{url}/", steps, to_callback).text

        told = answered(browser.consents(OTHER))
        expect.that(USER in told and OTHER in told, f"the page says {told!r}")
        tenant.is_refused_for_lack_of_consent(scene, relay, USER)
        told = answered(browser.cancels(USER))
        expect.that(USER in told or "denied" in told or "refused" in told, f"it says {told!r}")
        tenant.is_refused_for_lack_of_consent(scene, relay, USER)
        told = answered(browser.consents(USER, untick=("mail.send",)))
        expect.that(
            "mail.send" in told and "mail.read" not in told, f"what lacks is not named: {told!r}"
        )
        tenant.is_accepted(scene, relay, USER)


def forged_answers_to_the_page_end_no_consent(scene):
    """Asked for by `authorize`, answered at `public_url`: whoever forges needs the `state`."""
    with relay_with_page(scene, "page-forged") as (relay, url):
        with asking(relay, USER, "--json") as ask:
            authorize_url = ask.line()["authorize_url"]
            state = browser.query_of(authorize_url)["state"]
            for query in (
                {"code": "forged", "state": "0" * len(state)},
                {"code": "forged", "state": state[:-1]},
                {"code": "forged"},
                {"error": "access_denied", "state": "other"},
            ):
                status, _ = _get(scene, url, f"/oauth/callback?{urllib.parse.urlencode(query)}")
                expect.that(status >= 400, f"{query} was answered with {status}")
                expect.that(ask.runs(), f"{query} ended it")
            to_callback = f"^{re.escape(url)}/oauth/callback\\?"
            scene.browser.visit(authorize_url, browser.consents(USER), to_callback)
            done = ask.finish()
        expect.that(done.code == 0, f"it ended with {done.code}: {done.stderr}")
        codes = [it["form"].get("code") for it in scene.oidc.requests("interop-page-forged")]
        expect.that("forged" not in codes, "a forged code was sent to the token endpoint")
        tenant.mail_goes_round(scene, relay, USER, "page-forged")


def strangers_get_nothing_of_the_page(scene):
    """No token, a guessed one, a foreign Host, a foreign Origin, a form of nobody's."""
    with relay_with_page(scene, "page-strangers") as (relay, url):
        seen = scene.browser.visit(f"{url}/", [*signs_in("a-guess-that-is-long-enough")])
        seen = scene.browser.visit(f"{url}/", [{"wait": "input[name=admin_token]"}])
        expect.that(USER not in seen.text, "an account is shown without the token")
        name = urllib.parse.urlsplit(url).netloc
        # Each with the right admin token, so that nothing else is wrong with it.
        for what, due, (status, text) in (
            ("a foreign Host", 421, _get(scene, url, "/", {"Host": "attacker.test"})),
            (
                "a foreign Origin",
                403,
                _post(scene, url, "/login", {"Origin": "https://attacker.test"}),
            ),
            ("no form token", 403, _post(scene, url, "/login", {"Origin": url, "Host": name})),
            (
                "no session",
                403,
                _post(scene, url, f"/accounts/{USER}/authorize", {"Origin": url}),
            ),
        ):
            expect.that(status == due, f"{what} was answered with {status}")
            expect.that(USER not in text, f"{what} shows an account")
        for path in ("/token", "/password", "/reload", "/support-bundle", "/metrics"):
            status, text = _get(scene, url, path)
            expect.that(status != 200 and USER not in text, f"{path} was answered with {status}")
        tenant.is_refused_for_lack_of_consent(scene, relay, USER)


CHECKS = [
    consent_through_the_page,
    consent_through_a_proxy_that_ends_tls,
    consent_by_device_code_through_the_page,
    the_page_keeps_no_consent_of_somebody_else,
    forged_answers_to_the_page_end_no_consent,
    strangers_get_nothing_of_the_page,
]


@contextlib.contextmanager
def relay_with_page(scene, name, more="", proxy=None):
    """A relay that serves its page, and where; the provider knows the page as a client."""
    port = free_port()
    url = f"https://localhost:{port}" if proxy is None else proxy.url
    client_id = f"interop-{name}"
    scene.oidc.register(
        client_id,
        token_endpoint_auth_method="none",
        grant_types=[
            "authorization_code",
            "refresh_token",
            "urn:ietf:params:oauth:grant-type:device_code",
        ],
        response_types=["code"],
        redirect_uris=[f"{url}/oauth/callback"],
    )
    lines = tenant.PERSON.format(client_id=client_id)
    if proxy is None:
        web = WEB.format(port=port, url=url, certificates=scene.ca_file.parent)
    else:
        proxy.page_port = port
        web = BEHIND_PROXY.format(port=port, url=url, source=SOURCE)
    with tenant.relay_before(
        scene, name, {USER: lines, OTHER: lines}, more=web + more, starts=False
    ) as relay:
        (relay.directory / "admin-token").write_text(ADMIN_TOKEN + "\n")
        (relay.directory / "admin-token").chmod(0o600)
        relay.start()
        wait_for("the page is there", lambda: listens(port))
        yield relay, url


def signs_in(admin_token=ADMIN_TOKEN):
    """Steps: shows the admin token."""
    field = "input[name=admin_token]"
    return [{"wait": field, "fill": {field: admin_token}, "click": "main form button"}]


def asks_by_browser(account):
    """Steps: asks for the consent of an account, and goes to the provider."""
    return [_presses(account, "authorize"), {"wait": "a.button", "click": "a.button"}]


def _presses(account, what):
    button = f'button[formaction="/accounts/{account}/{what}"]'
    return {"wait": button, "click": button}


def _get(scene, url, path, headers=None):
    return _ask(scene, url, "GET", path, None, headers or {})


def _post(scene, url, path, headers):
    headers = {"Content-Type": "application/x-www-form-urlencoded", **headers}
    return _ask(scene, url, "POST", path, f"admin_token={ADMIN_TOKEN}", headers)


def _ask(scene, url, method, path, body, headers):
    """Status and text of an answer, to a client that is no browser."""
    context = ssl.create_default_context(cafile=scene.ca_file)
    netloc = urllib.parse.urlsplit(url).netloc
    connection = http.client.HTTPSConnection(netloc, timeout=PATIENCE_S, context=context)
    with contextlib.closing(connection):
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
