"""What takes a minute to show: tokens that live 5 seconds, a provider that refuses for long, and
messages that are paced.

All of it runs at the same time, each part with a relay and an endpoint of its own.
"""

import concurrent.futures
import contextlib
import itertools
import threading
import time

import clients
import endpoint
import expect
import kept
from consents import Rotation
from mailbearer import Relay
from message import Message
from oidc import OidcProvider
from paced import the_messages_of_a_device_are_paced

# How long everything goes on, in seconds.
LASTS_S = 60
# How long tokens live, in seconds.
TOKEN_LIFE_S = 5
# How many sign-ins are refused in that time, and how many token requests they may cost.
REFUSED_SIGN_INS = 100
REQUESTS_MAX = 6
# Bytes of body where a small message will do.
SMALL = 1000


def a_minute_of_rotation_refused_sign_ins_and_paced_messages(scene):
    """The parts are told from each other by what they raise."""
    parts = (
        real_clients_are_served_while_refresh_tokens_rotate,
        sign_ins_after_the_consent_ended_cost_few_token_requests,
        sign_ins_in_an_outage_cost_few_token_requests,
        the_messages_of_a_device_are_paced,
    )
    with concurrent.futures.ThreadPoolExecutor(len(parts)) as at_once:
        for done in [at_once.submit(part, scene) for part in parts]:
            done.result()


def real_clients_are_served_while_refresh_tokens_rotate(scene):
    """Two people, a public and a confidential client, before a provider that detects reuse."""
    with contextlib.ExitStack() as stack:
        provider = OidcProvider(scene.directory, TOKEN_LIFE_S)
        stack.callback(provider.stop)
        scene.dovecot.trust(provider)
        relay = Relay(scene.binary, scene.directory / "minute", scene.provider, scene.ca_file)
        stack.callback(relay.stop)
        relay.keep_in(kept.STORE)
        relay.add_provider(
            "oidc",
            "xoauth2",
            scene.postfix.port,
            scene.dovecot.implicit_port,
            "implicit",
            provider.token_endpoint,
            provider.scopes,
        )
        (relay.directory / "oidc-secret").write_text(provider.client_secret)
        password = f'local_password = "{relay.local_password}"\n'
        confidential = password + 'client_secret = { file = "oidc-secret" }'
        people = {scene.users[0]: provider.public_client, "dave@domain.test": provider.client_id}
        for user, client in people.items():
            more = confidential if client == provider.client_id else password
            relay.add_kept_account(user, "oidc", client, more)
        for user, client in people.items():
            relay.authorize(user, provider.consent(user, client))
        relay.start()

        until = time.monotonic() + LASTS_S
        with concurrent.futures.ThreadPoolExecutor(len(people)) as at_once:
            rounds = [at_once.submit(_mail_until, until, scene, relay, user) for user in people]
            count = sum(done.result() for done in rounds)
        figures = provider.figures()

    refreshes = {user: len(times) for user, times in figures["users"].items()}
    print(f"        {count} round trips, token requests: {refreshes}", flush=True)
    expect.that(figures["reuses"] == 0, f"{figures['reuses']} spent refresh tokens were shown")
    expect.that(figures["refused"] == 0, f"{figures['refused']} token requests were refused")
    # A token is renewed when half its life is left or a little before; by whoever signs in first.
    fewest, most = LASTS_S // TOKEN_LIFE_S, 3 * LASTS_S // TOKEN_LIFE_S
    for user, requests in refreshes.items():
        told = f"{requests} token requests for {user} in {LASTS_S} s, not {fewest} to {most}"
        expect.that(fewest <= requests <= most, told)


def sign_ins_after_the_consent_ended_cost_few_token_requests(scene):
    """Each is told what to do; the provider is hardly asked."""

    def end(consents):
        consents.end_all()

    _refused_for_a_minute(scene, "ended", end, lambda heard: heard.wants_consent)


def sign_ins_in_an_outage_cost_few_token_requests(scene):
    """Each hears that it is temporary; the endpoint is given time to recover."""

    def overload(consents):
        consents.answer = endpoint.say_503

    def is_temporary(heard):
        return heard.reply.startswith(("454 4.7.0 ", "NO [UNAVAILABLE] "))

    _refused_for_a_minute(scene, "outage", overload, is_temporary)


def _refused_for_a_minute(scene, name, trouble, is_told):
    with kept.authorized(scene, name, Rotation.STRICT, 1) as (relay, consents):
        trouble(consents)
        before = consents.requests
        began = time.monotonic()
        where = kept.at(scene, relay)
        for number in range(REFUSED_SIGN_INS):
            heard = (kept.by_smtp if number % 2 else kept.by_imap)(where)
            # The first ones may still be served by the token that was there before.
            told = is_told(heard) or (heard.is_accepted and number < 5)
            expect.that(told, f"{name}: sign-in {number} was answered with {heard.reply}")
            _wait_until(began + (number + 1) * LASTS_S / REFUSED_SIGN_INS)
        asked = consents.requests - before
    print(f"        {name}: {REFUSED_SIGN_INS} sign-ins, {asked} token requests", flush=True)
    expect.that(0 < asked <= REQUESTS_MAX, f"{name}: {asked} token requests in {LASTS_S} s")


def _mail_until(until, scene, relay, user):
    """Each client in its turn sends a message and another one fetches it; gives how many."""
    at = kept.at(scene, relay, user)
    pairs = zip(itertools.cycle(clients.UPLOADERS), itertools.cycle(clients.FETCHERS))
    for number, ((_, _, send), (_, _, fetch)) in enumerate(pairs):
        if time.monotonic() > until:
            return number
        sent = Message(f"minute-{user.partition('@')[0]}-{number}", user, SMALL)
        send(at, sent)
        sent.compare(scene.delivered(sent))
        sent.compare(fetch(at, sent))
    return 0


def _wait_until(moment):
    threading.Event().wait(max(0, moment - time.monotonic()))


CHECKS = [a_minute_of_rotation_refused_sign_ins_and_paced_messages]
