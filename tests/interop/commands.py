"""The commands beside a running `serve`, with clients in between, and what none of it may show."""

import concurrent.futures
import json
import pathlib
import smtplib
import time

import endpoint
import expect
import kept
import online
from consents import Consents, Rotation
from mailbearer import LOCAL_PASSWORD
from processes import wait_for

# How soon the sessions of a revoked password are closed, in seconds.
CLOSED_S = 10
# How often a wrong password is tried by each protocol.
WRONG_PASSWORDS = 25
# Beside a password that is refused: each answer takes a second, so they are tried at once.
AT_ONCE = 25


def fifty_wrong_passwords_cost_no_token_request(scene):
    """25 by SMTP, 25 by IMAP; the consent is untouched, and the right one works at once."""
    with kept.authorized(scene, "fifty", Rotation.STRICT, 1) as (relay, consents):
        before = consents.requests
        wrong = kept.at(scene, relay, password="wrong")
        tries = [kept.by_smtp, kept.by_imap] * WRONG_PASSWORDS
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as at_once:
            for heard in at_once.map(lambda sign_in: sign_in(wrong), tries):
                expect.that(heard.is_wrong_password, f"it was answered with {heard.reply}")
        asked = consents.requests - before
        expect.that(asked == 0, f"{asked} token requests were made")
        for sign_in in (kept.by_smtp, kept.by_imap):
            heard = sign_in(kept.at(scene, relay))
            expect.that(heard.is_accepted, f"the right one was answered with {heard.reply}")
        expect.that(consents.reuses == 0, "a spent refresh token was shown")


def a_password_is_made_used_and_revoked_beside_a_running_serve(scene):
    """The session that it signed in ends within 10 s; the others stay."""
    user = scene.users[0]
    with kept.authorized(scene, "passwords") as (relay, _):
        main = relay.do("password", user).strip()
        printer = relay.do("password", user, "--label", "printer").strip()
        expect.that(len(main) == len(printer) == 20, "a password has 20 characters")
        listed = relay.do("password", user, "--list")
        expect.that("printer" in listed and printer not in listed, f"--list shows {listed!r}")

        by_printer = kept.at(scene, relay, password=printer)
        expect.that(kept.by_imap(by_printer).is_wrong_password, "the label is good for IMAP, too")
        with kept.signed_in(by_printer) as session, kept.signed_in(kept.at(scene, relay)) as other:
            relay.do("password", user, "--revoke", "printer")
            revoked = time.monotonic()
            wait_for("the session ends", lambda: kept.has_ended(session))
            lasted = time.monotonic() - revoked
            expect.that(lasted <= CLOSED_S, f"the session went on for {lasted:.1f} s")
            expect.that(not kept.has_ended(other), "another password's session ended, too")
        expect.that(kept.by_smtp(by_printer).is_wrong_password, "a revoked password is taken")
        for password in (main, LOCAL_PASSWORD):
            heard = kept.by_imap(kept.at(scene, relay, password=password))
            expect.that(heard.is_accepted, f"a good password was answered with {heard.reply}")


def accounts_tell_what_a_sign_in_changes(scene):
    """The consent, the token, the last error with its fix; as a table and for programs."""
    user = scene.users[0]
    consents = Consents(scene.provider, Rotation.STRICT, 1)
    relay = kept.relay_before(scene, "accounts", consents)
    consents.start()
    try:
        relay.start()
        expect.that(_row(relay, user)["token"] == "consent needed", "nobody has consented yet")
        relay.authorize(user, consents.consent(user))
        expect.that(kept.by_imap(kept.at(scene, relay)).is_accepted, "the sign-in was refused")
        row = _row(relay, user)
        expect.that(row["token"] == "ready" and row["refreshed_at"], f"accounts says {row}")

        consents.answer = endpoint.say_503
        wait_for("an outage shows", lambda: not kept.by_smtp(kept.at(scene, relay)).is_accepted)
        error = _row(relay, user)["last_error"]
        expect.that(error["kind"] == "temporary" and error["fix"], f"accounts says {error}")
        expect.that(user in relay.do("accounts"), "the table lacks the account")
    finally:
        relay.stop()
        consents.stop()


def a_consent_given_back_is_over_at_the_provider_and_here(scene):
    """`authorize --revoke`; the client then hears what to do, and a new consent mends it."""
    user = scene.users[0]
    with kept.authorized(scene, "given-back", Rotation.STRICT, 1) as (relay, consents):
        relay.do("authorize", user, "--revoke")
        expect.that(consents.revocations == 1, "the provider heard nothing of it")
        heard = kept.by_smtp(kept.at(scene, relay))
        expect.that(heard.wants_consent, f"the sign-in was answered with {heard.reply}")
        relay.authorize(user, consents.consent(user))
        expect.that(kept.by_smtp(kept.at(scene, relay)).is_accepted, "the new consent is unused")


def a_token_is_printed_and_opens_the_mailbox(scene):
    """`token`, beside `serve` and without it."""
    user = scene.users[0]
    with kept.authorized(scene, "token") as (relay, consents):
        for _ in ("beside serve", "alone"):
            printed = relay.do("token", user, "--protocol", "imap")
            expect.that(printed == consents.access_token + "\n", f"it printed {printed[:20]!r}…")
            relay.stop()


def a_reload_is_all_or_nothing_and_keeps_sessions(scene):
    """By command and by SIGHUP; a wrong file changes nothing and is told."""
    user, added = scene.users[0], "dave@domain.test"
    with kept.authorized(scene, "reload") as (relay, _), kept.signed_in(kept.at(scene, relay)) as live:
        good = relay.file.read_text()
        relay.file.write_text(good + "\n[limits]\nsessions = 0\n")
        done = relay.command("reload")
        expect.that(done.code != 0 and "sessions" in done.stderr, f"it said {done.stderr!r}")
        relay.file.write_text(good)
        relay.add_provider(
            *("one", "xoauth2", scene.postfix.port, scene.dovecot.implicit_port, "implicit")
        )
        relay.add_account(added, "one")
        expect.that(kept.by_smtp(kept.at(scene, relay, added)).is_wrong_password, "too early")
        relay.do("reload")
        expect.that(kept.by_smtp(kept.at(scene, relay, added)).is_accepted, "it was not added")
        relay.file.write_text(good)
        relay.hang_up()
        wait_for("SIGHUP removes it", lambda: _is_gone(kept.at(scene, relay, added)))
        expect.that(live.noop()[0] == 250, "the session did not outlive the reloads")
        expect.that(kept.by_smtp(kept.at(scene, relay, user)).is_accepted, "the consent is gone")


def health_is_an_exit_code(scene):
    """0 beside `serve`, 1 without it."""
    with kept.authorized(scene, "health") as (relay, _):
        relay.do("healthcheck")
        relay.stop()
        done = relay.command("healthcheck")
        expect.that(done.code == 1, f"without `serve` it ended with {done.code}")


def no_secret_is_seen_anywhere(scene):
    """Logs at trace level, `accounts`, the command line, and the bytes of all files it made."""
    user = scene.users[0]
    trace = '[log]\nlevel = "trace"\n'
    with kept.authorized(scene, "secrets", Rotation.STRICT, 1, more=trace) as (relay, consents):
        made = relay.do("password", user).strip()
        for password in (made, LOCAL_PASSWORD, "planted-wrong-password"):
            for sign_in in (kept.by_smtp, kept.by_imap):
                sign_in(kept.at(scene, relay, password=password))
        seen = {
            "accounts": relay.do("accounts") + relay.do("accounts", "--json"),
            "its command line": pathlib.Path(f"/proc/{relay.pid()}/cmdline").read_text(),
            "password --list": relay.do("password", user, "--list"),
        }
        consents.end_all()
        wait_for("it is told", lambda: kept.by_smtp(kept.at(scene, relay)).wants_consent)
        seen["accounts, after a refusal"] = relay.do("accounts", "--json")
        relay.stop()
        seen["the log"] = relay.logged()
        for file in relay.store.parent.iterdir():
            seen[file.name] = file.read_bytes().decode("latin-1")
        key = (relay.store.parent / "store.key").read_text().strip()
        secrets = {
            **{token: "a refresh token" for token in consents.given},
            consents.access_token: "an access token",
            made: "a made password",
            LOCAL_PASSWORD: "a local password",
            "planted-wrong-password": "a wrong password",
            key: "the key",
        }
        expect.that(len(consents.given) > 1, "no refresh token was ever used")
        for where, text in seen.items():
            for secret, what in secrets.items():
                allowed = where == "store.key" and secret == key
                expect.that(allowed or secret not in text, f"{what} is seen in {where}")


CHECKS = [
    fifty_wrong_passwords_cost_no_token_request,
    a_password_is_made_used_and_revoked_beside_a_running_serve,
    accounts_tell_what_a_sign_in_changes,
    a_consent_given_back_is_over_at_the_provider_and_here,
    a_token_is_printed_and_opens_the_mailbox,
    a_reload_is_all_or_nothing_and_keeps_sessions,
    health_is_an_exit_code,
    no_secret_is_seen_anywhere,
    *online.CHECKS,
]


def _row(relay, account):
    """What `accounts --json` says of it."""
    (row,) = [it for it in json.loads(relay.do("accounts", "--json")) if it["account"] == account]
    return row


def _is_gone(where):
    """Whether nobody of that name may sign in any more."""
    try:
        return kept.by_smtp(where).is_wrong_password
    except smtplib.SMTPServerDisconnected:
        # Signed in while it was being removed, and cut off.
        return False
