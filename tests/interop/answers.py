"""Answers of a provider that are not what was asked for: of somebody else, with too little in them,
forged, foreign, stolen, or played again. What was kept before goes on, and nothing else is kept.
"""

import urllib.error
import urllib.parse
import urllib.request

import browser
import expect
import tenant
from asking import asking, at_terminal
from browser import query_of
from people import ALICE, FAILED, USAGE, pasting, relay_of_alice
from processes import PATIENCE_S

# Somebody else.
MALLORY = "mallory@people.test"


def a_bare_code_is_not_taken_when_it_is_pasted(scene):
    """Without `state` nobody can tell whose it is: it says so, and keeps nothing."""
    with relay_of_alice(scene, "bare") as relay:
        paste = pasting(scene, lambda seen: query_of(seen.url)["code"] + "\n\x04")
        done = at_terminal(relay, [ALICE, "--paste"], paste)
        expect.that(done.code != 0, f"a bare code was taken: {done.stdout}")
        expect.that("address" in done.stdout or "URL" in done.stdout, f"it said {done.stdout!r}")
        tenant.is_refused_for_lack_of_consent(scene, relay, ALICE)


def an_answer_of_another_issuer_is_refused(scene):
    """RFC 9207 section 2.4: the right `state`, but `iss` is another's, or is left out."""
    endpoints = f'issuer = "{scene.oidc.issuer}"\n' + tenant.OFFLINE
    with relay_of_alice(scene, "iss", endpoints) as relay:
        for iss in ("https://attacker.test", None):
            with asking(relay, ALICE, "--json") as ask:
                url = ask.line()["authorize_url"]
                query = {"code": "forged-by-another", "state": query_of(url)["state"]}
                if iss is not None:
                    query["iss"] = iss
                _call_back(query_of(url)["redirect_uri"], query)
                # It may go on waiting for the true answer: it must not have sent the code.
                ask.stop()
        sent = [it["form"].get("code") for it in scene.oidc.requests(scene.oidc.public_client)]
        expect.that("forged-by-another" not in sent, "the code was sent to the token endpoint")
        tenant.is_refused_for_lack_of_consent(scene, relay, ALICE)


def the_consent_of_somebody_else_is_not_kept(scene):
    """Both names are shown, in the terminal and on the page; with `--as` it is kept."""
    with relay_of_alice(scene, "wrong-person") as relay:
        done, seen = tenant.consent(scene, relay, ALICE, MALLORY)
        expect.that(done.code == FAILED, f"it ended with {done.code}: {done.stdout}")
        for where, told in (("authorize", done.stderr + done.stdout), ("the page", seen.text)):
            expect.that(ALICE in told and MALLORY in told, f"{where} says only {told!r}")
        tenant.is_refused_for_lack_of_consent(scene, relay, ALICE)

        done, _ = tenant.consent(scene, relay, ALICE, MALLORY, arguments=("--as", MALLORY))
        expect.that(done.code == 0, f"with --as it ended with {done.code}: {done.stderr}")
        # For submission the provider is told who consented.
        tenant.mail_goes_round(scene, relay, ALICE, "as")


def a_scope_that_was_not_ticked_is_named(scene):
    """The rest is kept; without any scope for mail nothing is."""
    with relay_of_alice(scene, "unticked") as relay:
        done, seen = tenant.consent(scene, relay, ALICE, untick=("mail.send",))
        expect.that(done.code == 0, f"it ended with {done.code}: {done.stderr}")
        for where, told in (("authorize", _told(done)), ("the page", seen.text)):
            expect.that("mail.send" in told and "mail.read" not in told, f"{where} names another: {told!r}")
        tenant.is_accepted(scene, relay, ALICE)
        token = scene.oidc.refresh_token(scene.oidc.public_client)

        done, seen = tenant.consent(scene, relay, ALICE, untick=("mail.read", "mail.send"))
        expect.that(done.code == FAILED, f"without any it ended with {done.code}: {done.stdout}")
        for where, told in (("authorize", _told(done)), ("the page", seen.text)):
            expect.that("mail.read" in told and "mail.send" in told, f"{where} says {told!r}")
        # What was kept before is as it was.
        refusal = scene.oidc.refusal_of(scene.oidc.public_client, token)
        expect.that(refusal is None, f"the earlier refresh token is dead: {refusal}")


def a_whole_consent_lacks_nothing(scene):
    """The token's scope leaves out `openid` and `offline_access`: nothing is said to lack."""
    with relay_of_alice(scene, "whole") as relay:
        done, seen = tenant.consent(scene, relay, ALICE)
        expect.that(done.code == 0, f"it ended with {done.code}: {done.stderr}")
        told = _told(done) + seen.text
        for scope in scene.oidc.scopes:
            expect.that(scope not in told, f"{scope} is named: {told!r}")


def a_consent_that_the_person_cancels_is_told_and_changes_nothing(scene):
    """`access_denied`, with text of the provider's that a page has to escape."""
    with relay_of_alice(scene, "cancelled") as relay:
        tenant.consented(scene, relay, ALICE)
        with asking(relay, ALICE, "--json") as ask:
            url = ask.line()["authorize_url"]
            seen = scene.browser.visit(url, browser.cancels(ALICE), browser.TO_LOOPBACK)
            done = ask.finish()
        expect.that(done.code == FAILED, f"it ended with {done.code}: {done.stdout}")
        expect.that(seen.text is not None, "nobody answered the browser")
        tenant.mail_goes_round(scene, relay, ALICE, "cancelled")


def answers_that_nobody_asked_for_change_nothing(scene):
    """A forged `state`, none, a foreign page's call: the person's own answer still counts."""
    with relay_of_alice(scene, "forged") as relay:
        with asking(relay, ALICE, "--json") as ask:
            url = ask.line()["authorize_url"]
            redirect_uri = query_of(url)["redirect_uri"]
            for query in (
                {"code": "forged", "state": "0" * len(query_of(url)["state"])},
                {"code": "forged"},
                {"state": query_of(url)["state"]},
                {"error": "access_denied", "state": "other"},
                {},
            ):
                _call_back(redirect_uri, query)
                expect.that(ask.runs(), f"{query} ended it")
            # By a name that is not ours it would be a page elsewhere that leads here.
            query = {"code": "forged", "state": query_of(url)["state"]}
            _call_back(redirect_uri, query, host="attacker.test")
            expect.that(ask.runs(), "an answer to a foreign Host ended it")
            seen = scene.browser.visit(url, browser.consents(ALICE), browser.TO_LOOPBACK)
            done = ask.finish()
        expect.that(done.code == 0, f"it ended with {done.code}: {done.stdout}{done.stderr}")
        sent = [it["form"].get("code") for it in scene.oidc.requests(scene.oidc.public_client)]
        expect.that("forged" not in sent, "a forged code was sent to the token endpoint")

        # Played again: oidc-provider would end the grant if it saw the code a second time.
        _call_back(query_of(url)["redirect_uri"], query_of(seen.url))
        tenant.mail_goes_round(scene, relay, ALICE, "forged")
        refusals = [it for it in scene.oidc.requests(scene.oidc.public_client) if it["error"]]
        codes = [it["form"].get("code") for it in refusals]
        expect.that(query_of(seen.url)["code"] not in codes, "the code was sent twice")


def a_stolen_code_with_the_right_state_changes_nothing(scene):
    """The provider refuses it, for the verifier is another's (PKCE); the old consent goes on."""
    with relay_of_alice(scene, "injected") as relay:
        tenant.consented(scene, relay, ALICE)
        with asking(relay, ALICE, "--json") as theirs:
            other = theirs.line()["authorize_url"]
        with asking(relay, ALICE, "--json") as ask:
            url = ask.line()["authorize_url"]
            redirect_uri = query_of(url)["redirect_uri"]
            # A code for the other request, but for this redirect URI: only the verifier is wrong.
            other = _with_redirect_uri(other, redirect_uri)
            seen = scene.browser.visit(other, browser.consents(ALICE), browser.TO_LOOPBACK)
            query = {**query_of(seen.url), "state": query_of(url)["state"]}
            _call_back(redirect_uri, query)
            done = ask.finish()
        expect.that(done.code not in (0, USAGE), f"it ended with {done.code}: {done.stdout}")
        tenant.mail_goes_round(scene, relay, ALICE, "injected")


CHECKS = [
    a_bare_code_is_not_taken_when_it_is_pasted,
    an_answer_of_another_issuer_is_refused,
    the_consent_of_somebody_else_is_not_kept,
    a_scope_that_was_not_ticked_is_named,
    a_whole_consent_lacks_nothing,
    a_consent_that_the_person_cancels_is_told_and_changes_nothing,
    answers_that_nobody_asked_for_change_nothing,
    a_stolen_code_with_the_right_state_changes_nothing,
]


def _told(done):
    """What `authorize --json` says, but for the address, in which every scope stands."""
    _, *answer = done.stdout.splitlines()
    return "\n".join([*answer, done.stderr])


def _call_back(redirect_uri, query, host=None):
    """Calls where an answer is waited for, as any program on this machine can."""
    request = urllib.request.Request(f"{redirect_uri}?{urllib.parse.urlencode(query)}")
    if host is not None:
        request.add_header("Host", host)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        opener.open(request, None, PATIENCE_S).close()
    except (urllib.error.URLError, ConnectionError):
        # Refused, or nobody is there any more: either will do.
        pass


def _with_redirect_uri(url, redirect_uri):
    parts = urllib.parse.urlsplit(url)
    query = urllib.parse.urlencode({**query_of(url), "redirect_uri": redirect_uri})
    return parts._replace(query=query).geturl()
