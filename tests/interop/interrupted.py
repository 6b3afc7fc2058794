"""What happens while a person is still consenting: the relay reads its file again, or is killed."""

import browser
import expect
import tenant
from asking import asking
from people import ALICE, FAILED, TRY_LATER, relay_of_alice

# Whom a reload adds.
BOB = "bob@people.test"
WAYS = {"browser": (), "device": ("--device",)}


def a_reload_while_a_consent_waits_does_not_end_it(scene):
    """By browser and by device code; the reload is in force, and so is the consent."""
    for way, arguments in WAYS.items():
        with relay_of_alice(scene, f"reload-{way}") as relay:
            with asking(relay, ALICE, "--json", *arguments) as ask:
                line = ask.line()
                _add_bob(scene, relay)
                relay.do("reload")
                tenant.row(relay, BOB)
                expect.that(ask.runs(), "the reload ended it")
                _answer(scene, line)
                done = ask.finish()
            expect.that(done.code == 0, f"it ended with {done.code}: {done.stderr}")
            tenant.mail_goes_round(scene, relay, ALICE, f"reload-{way}")
            tenant.is_refused_for_lack_of_consent(scene, relay, BOB)


def an_account_that_a_reload_removes_is_given_no_consent(scene):
    """Who answers all the same is told; when the account is back, it has to be asked again."""
    with relay_of_alice(scene, "reload-removes") as relay:
        with_alice = relay.file.read_text()
        with asking(relay, ALICE, "--json") as ask:
            line = ask.line()
            relay.file.write_text(with_alice.replace(ALICE, BOB))
            relay.do("reload")
            seen = _answer(scene, line)
            done = ask.finish()
        expect.that(done.code == FAILED, f"it ended with {done.code}: {done.stdout}")
        expect.that(seen.status != 200, f"the page says {seen.text!r}")
        relay.file.write_text(with_alice)
        relay.do("reload")
        tenant.is_refused_for_lack_of_consent(scene, relay, ALICE)


def a_relay_that_is_killed_keeps_nothing_and_the_next_consent_works(scene):
    """`kill -9` while the person signs in: `authorize` says to begin again, and the answer finds nobody."""
    with relay_of_alice(scene, "killed") as relay:
        for way, arguments in WAYS.items():
            with asking(relay, ALICE, "--json", *arguments) as ask:
                line = ask.line()
                relay.kill()
                done = ask.finish()
            expect.that(done.code == TRY_LATER, f"{way}: it ended with {done.code}: {done.stderr}")
            expect.that("begin again" in done.stderr, f"{way}: it said {done.stderr!r}")
            seen = _answer(scene, line)
            if way == "browser":
                expect.that(seen.text is None, f"somebody answered: {seen.text!r}")
            relay.start()
            tenant.is_refused_for_lack_of_consent(scene, relay, ALICE)
        token_state = tenant.row(relay, ALICE)["token"]
        expect.that(token_state == "consent needed", f"accounts says {token_state!r}")
        tenant.consented(scene, relay, ALICE)
        tenant.mail_goes_round(scene, relay, ALICE, "killed")


CHECKS = [
    a_reload_while_a_consent_waits_does_not_end_it,
    an_account_that_a_reload_removes_is_given_no_consent,
    a_relay_that_is_killed_keeps_nothing_and_the_next_consent_works,
]


def _add_bob(scene, relay):
    relay.add(
        tenant.ACCOUNT.format(
            name=BOB,
            provider="oidc",
            local_password=relay.local_password,
            lines=tenant.person(scene.oidc),
        )
    )


def _answer(scene, line):
    """Alice consents, by whatever `authorize --json` showed."""
    if "authorize_url" in line:
        return scene.browser.visit(
            line["authorize_url"], browser.consents(ALICE), browser.TO_LOOPBACK
        )
    return scene.browser.visit(line["verification_uri"], browser.enters(line["user_code"], ALICE))
