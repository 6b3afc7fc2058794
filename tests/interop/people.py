"""People who consent: in the browser that opens, in one elsewhere, and on another device.

The provider is the real oidc-provider, the browser the real Chromium. Each check has a relay of its
own that runs already; in the end a message goes out and comes back.
"""

import contextlib
import json
import urllib.parse

import browser
import expect
import kept
import tenant
from asking import address_in, asking, at_terminal
from browser import query_of
from oidc import OidcProvider
from processes import wait_for

# Who consents, and a mailbox that she may open besides hers.
ALICE, SHARED = "alice@people.test", "info@people.test"
# Exit codes of the interface.
FAILED, USAGE, TRY_LATER = 1, 64, 75


def consent_in_the_browser_that_authorize_opens(scene):
    """By `xdg-open`; the session that was refused a second ago is served at once."""
    with relay_of_alice(scene, "opened") as relay:
        tenant.is_refused_for_lack_of_consent(scene, relay, ALICE)
        with contextlib.ExitStack() as stack:
            plan = browser.consents(ALICE), browser.TO_LOOPBACK
            desktop = stack.enter_context(scene.browser.standing_by(*plan))
            ask = stack.enter_context(asking(relay, ALICE, desktop=desktop))
            done = ask.finish()
            expect.that(done.code == 0, f"it ended with {done.code}: {done.stdout}{done.stderr}")
            tenant.is_accepted(scene, relay, ALICE)
            seen = desktop.seen()
        told = done.stdout + done.stderr
        expect.that("127.0.0.1" in told, f"no redirect URI to register is shown: {told!r}")
        expect.that(ALICE in told, f"it does not say who consented: {told!r}")
        expect.that(seen.status == 200 and ALICE in seen.text, f"the page says {seen.text!r}")
        _is_code_request(seen.addresses[0])
        tenant.mail_goes_round(scene, relay, ALICE, "opened")


def consent_in_a_browser_that_a_program_drives(scene):
    """`--json`: the address, then who consented; nothing else is printed."""
    with relay_of_alice(scene, "json") as relay:
        with asking(relay, ALICE, "--json") as ask:
            line = ask.line()
            expect.that(list(line) == ["authorize_url"], f"the first line is {line}")
            seen = scene.browser.visit(
                line["authorize_url"], browser.consents(ALICE), browser.TO_LOOPBACK
            )
            done = ask.finish()
        expect.that(done.code == 0, f"it ended with {done.code}: {done.stdout}{done.stderr}")
        _, last = map(json.loads, done.stdout.splitlines())
        expect.that(last == {"authorized": ALICE, "user": ALICE}, f"the last line is {last}")
        expect.that(ALICE in seen.text, f"the page says {seen.text!r}")
        expect.that("code=" not in seen.text, "the page shows the code")
        (request,) = scene.oidc.requests(scene.oidc.public_client)[-1:]
        form = request["form"]
        # RFC 6749 section 4.1.3 and RFC 7636 section 4.5.
        expect.that(form["grant_type"] == "authorization_code", f"it asked by {form}")
        expect.that(43 <= len(form["code_verifier"]) <= 128, "the verifier has a wrong length")
        expect.that(form["redirect_uri"] == _redirect_uri(line), "another redirect URI was sent")
        tenant.mail_goes_round(scene, relay, ALICE, "json")


def consent_pasted_at_a_terminal(scene):
    """`--paste`: nobody listens where the browser is sent; its address line is pasted whole."""
    with relay_of_alice(scene, "pasted") as relay:
        paste = pasting(scene, lambda seen: seen.url)
        done = at_terminal(relay, [ALICE, "--paste"], paste)
        expect.that(done.code == 0, f"it ended with {done.code}: {done.stdout}")
        tenant.mail_goes_round(scene, relay, ALICE, "pasted")


def consent_on_another_device(scene):
    """`device-code`: the code is entered by a browser that knows nothing of mailbearer."""
    lines = f'grant = "device-code"\nclient_id = "{scene.oidc.public_client}"\n'
    with tenant.relay_before(scene, "device", {ALICE: lines}) as relay:
        _consent_by_device(scene, relay)
        tenant.mail_goes_round(scene, relay, ALICE, "device")


def consent_on_another_device_for_an_account_with_a_browser(scene):
    """`authorize --device` with an `authorization-code` account."""
    with relay_of_alice(scene, "device-too") as relay:
        _consent_by_device(scene, relay, "--device")
        tenant.mail_goes_round(scene, relay, ALICE, "device-too")


def a_device_code_that_the_person_cancels_is_told(scene):
    """`access_denied` (RFC 8628 section 3.5): the command ends, nothing is kept."""
    with relay_of_alice(scene, "device-cancelled") as relay:
        with asking(relay, ALICE, "--device", "--json") as ask:
            line = ask.line()
            enter, confirm, *_ = browser.enters(line["user_code"], ALICE)
            steps = [enter, {**confirm, "click": "#cancel"}]
            scene.browser.visit(line["verification_uri"], steps)
            done = ask.finish()
        expect.that(done.code == FAILED, f"it ended with {done.code}: {done.stderr}")
        tenant.is_refused_for_lack_of_consent(scene, relay, ALICE)


def refresh_tokens_rotate_after_a_consent_and_reuse_ends_it(scene):
    """Each token lives three seconds; a thief's use of an old one ends the grant, and is told."""
    provider = OidcProvider(scene.directory, 3)
    scene.dovecot.trust(provider)
    try:
        with tenant.relay_before(scene, "rotation", _person(provider), provider) as relay:
            tenant.consented(scene, relay, ALICE)
            first = provider.refresh_token(provider.public_client)
            until = provider.figures()["refreshes"] + 3

            def has_rotated():
                tenant.is_accepted(scene, relay, ALICE)
                return provider.figures()["refreshes"] >= until

            wait_for("three refresh tokens are used", has_rotated)
            tenant.mail_goes_round(scene, relay, ALICE, "rotated")
            figures = provider.figures()
            expect.that(figures["reuses"] == 0, "a spent refresh token was shown")
            expect.that(figures["refused"] == 0, "a token request was refused")

            refusal = provider.refusal_of(provider.public_client, first)
            expect.that(refusal == "invalid_grant", f"the spent one was answered with {refusal}")
            wait_for("it is told", lambda: kept.by_smtp(_at(scene, relay)).wants_consent)
            tenant.is_refused_for_lack_of_consent(scene, relay, ALICE)
            tenant.consented(scene, relay, ALICE)
            tenant.mail_goes_round(scene, relay, ALICE, "mended")
    finally:
        provider.stop()


def a_consent_given_back_is_dead_at_the_provider(scene):
    """`authorize --revoke` (RFC 7009): the refresh token is good for nobody any more."""
    client = scene.oidc.public_client
    with relay_of_alice(scene, "revoked") as relay:
        tenant.consented(scene, relay, ALICE)
        tenant.mail_goes_round(scene, relay, ALICE, "before")
        token = scene.oidc.refresh_token(client)
        relay.do("authorize", ALICE, "--revoke")
        expect.that(token in scene.oidc.revocations(), "the provider heard nothing of it")
        refusal = scene.oidc.refusal_of(client, token)
        expect.that(refusal == "invalid_grant", f"the token was answered with {refusal}")
        tenant.is_refused_for_lack_of_consent(scene, relay, ALICE)


def endpoints_are_discovered_by_the_issuer_alone(scene):
    """One key in place of four: browser, token endpoint, device and revocation are all found."""
    endpoints = f'issuer = "{scene.oidc.issuer}"\n' + tenant.OFFLINE
    with tenant.relay_before(scene, "issuer", _person(scene.oidc), endpoints=endpoints) as relay:
        tenant.consented(scene, relay, ALICE)
        tenant.mail_goes_round(scene, relay, ALICE, "issuer")
        relay.do("authorize", ALICE, "--revoke")
        token = scene.oidc.refresh_token(scene.oidc.public_client)
        expect.that(token in scene.oidc.revocations(), "the revocation endpoint was not found")
        _consent_by_device(scene, relay, "--device")
        tenant.mail_goes_round(scene, relay, ALICE, "issuer-device")


def metadata_of_another_issuer_is_refused(scene):
    """RFC 8414 section 3.3: the issuer has to be the one that was asked; nothing is opened."""
    elsewhere = scene.oidc.issuer.replace("127.0.0.1", "localhost")
    endpoints = f'issuer = "{elsewhere}"\n' + tenant.OFFLINE
    with tenant.relay_before(scene, "other", _person(scene.oidc), endpoints=endpoints) as relay:
        done = relay.command("authorize", ALICE, "--json")
        expect.that(done.code not in (0, USAGE), f"it ended with {done.code}")
        expect.that("authorize_url" not in done.stdout, "it shows an address to open")
        told = done.stdout + done.stderr
        expect.that("issuer" in told, f"it said {told!r}")


def a_shared_mailbox_uses_the_grant_of_the_person_who_may_open_it(scene):
    """`grant_of`: one consent for both, its own password and mailbox, and the end of both."""
    accounts = {**_person(scene.oidc), SHARED: f'grant_of = "{ALICE}"\n'}
    with tenant.relay_before(scene, "shared", accounts) as relay:
        for sign_in in (kept.by_smtp, kept.by_imap):
            reply = sign_in(kept.at(scene, relay, SHARED)).reply
            expect.that(f"{kept.CONSENT_NEEDED} {ALICE}" in reply, f"it heard {reply}")
        done = relay.command("authorize", SHARED, "--json")
        told = done.stdout + done.stderr
        expect.that(done.code != 0 and ALICE in told, f"it ended with {done.code}: {told}")
        expect.that("authorize_url" not in told, "it asks for a consent of its own")

        asked = len(scene.oidc.requests(scene.oidc.public_client))
        tenant.consented(scene, relay, ALICE)
        tenant.mail_goes_round(scene, relay, SHARED, "shared")
        tenant.mail_goes_round(scene, relay, ALICE, "own")
        forms = [it["form"] for it in scene.oidc.requests(scene.oidc.public_client)[asked:]]
        grants = [form["grant_type"] for form in forms]
        expect.that(grants.count("authorization_code") == 1, f"it asked by {grants}")
        relay.do("authorize", ALICE, "--revoke")
        for account in (ALICE, SHARED):
            tenant.is_refused_for_lack_of_consent(scene, relay, account)


CHECKS = [
    consent_in_the_browser_that_authorize_opens,
    consent_in_a_browser_that_a_program_drives,
    consent_pasted_at_a_terminal,
    consent_on_another_device,
    consent_on_another_device_for_an_account_with_a_browser,
    a_device_code_that_the_person_cancels_is_told,
    refresh_tokens_rotate_after_a_consent_and_reuse_ends_it,
    a_consent_given_back_is_dead_at_the_provider,
    endpoints_are_discovered_by_the_issuer_alone,
    metadata_of_another_issuer_is_refused,
    a_shared_mailbox_uses_the_grant_of_the_person_who_may_open_it,
]


def _person(provider):
    return {ALICE: tenant.person(provider)}


def relay_of_alice(scene, name, endpoints=None):
    """A relay that runs, with her as its one account; nobody has consented."""
    return tenant.relay_before(scene, name, _person(scene.oidc), endpoints=endpoints)


def pasting(scene, pasted):
    """What a person types who has consented: what `pasted` makes of where the browser got to."""

    def paste(shown):
        url = address_in(shown, scene.oidc.authorization_endpoint)
        if url is None:
            return None
        return pasted(scene.browser.visit(url, browser.consents(ALICE), browser.TO_LOOPBACK))

    return paste


def _at(scene, relay):
    return kept.at(scene, relay, ALICE)


def _consent_by_device(scene, relay, *arguments):
    with asking(relay, ALICE, "--json", *arguments) as ask:
        line = ask.line()
        # RFC 8628 section 3.2. The members of an object have no order (RFC 8259 section 1).
        keys = {"verification_uri", "verification_uri_complete", "user_code", "expires_in"}
        expect.that(line.keys() == keys, f"the first line is {line}")
        scene.browser.visit(line["verification_uri"], browser.enters(line["user_code"], ALICE))
        done = ask.finish()
    expect.that(done.code == 0, f"it ended with {done.code}: {done.stdout}{done.stderr}")
    last = json.loads(done.stdout.splitlines()[-1])
    expect.that(last == {"authorized": ALICE, "user": ALICE}, f"the last line is {last}")


def _redirect_uri(line):
    return query_of(line["authorize_url"])["redirect_uri"]


def _is_code_request(url):
    """RFC 6749 section 4.1.1, RFC 7636 section 4.3, OpenID Connect Core section 3.1.2.1."""
    query = query_of(url)
    fixed = {
        "response_type": "code",
        "code_challenge_method": "S256",
        "login_hint": ALICE,
        "prompt": "consent",
    }
    for key, value in fixed.items():
        expect.that(query.get(key) == value, f"{key} is {query.get(key)!r}, not {value!r}")
    # A SHA-256 in base64url.
    expect.that(len(query["code_challenge"]) == 43, "the challenge has a wrong length")
    # RFC 6749 section 10.10: 128 bits that nobody guesses, in any alphabet up to base64.
    expect.that(len(query["state"]) >= 22, "the state can be guessed")
    redirect = urllib.parse.urlsplit(query["redirect_uri"])
    # RFC 8252 section 7.3.
    expect.that(
        (redirect.scheme, redirect.hostname, redirect.path) == ("http", "127.0.0.1", "/")
        and redirect.port,
        f"the redirect URI is {query['redirect_uri']}",
    )
