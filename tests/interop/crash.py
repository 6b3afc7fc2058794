"""`kill -9` at any instant: no consent may be lost that could be saved.

One relay serves two people who sign in all the time, while tokens live 2 seconds. Alice's provider is
a real one that rotates strictly: the reuse of a refresh token ends the consent, so a kill between
its answer and our commit costs hers, and nothing on our side could prevent it. Bob's takes the
previous refresh token until the new one was used: his may never be lost.
"""

import contextlib
import dataclasses
import datetime
import random
import re
import statistics
import threading
import time

import expect
import kept
from consents import CLIENT, Consents, Rotation
from mailbearer import Relay
from oidc import OidcProvider
from processes import POLL_S, wait_for

KILLS = 200
# A kill comes at most so long after the start, in seconds: the store is opened, and the first
# tokens are asked for, within the first half of it.
ALIVE_MAX_S = 0.7
# How long tokens live, in seconds.
TOKEN_LIFE_S = 2
# What costs a consent is an answer that no commit followed: it was on its way to us, or in the window,
# when a kill came. How long that lasts is the machine's; so it is told by the relay's log and not by
# a clock. An answer belongs to a loss if it is no further from its kills than that, in seconds: a
# provider that is slow answers a request whose relay is gone.
ANSWER_NEAR_S = 5
# The window is one commit, some milliseconds: half of them are shorter than this, in seconds, on
# busy cores and a busy disk too.
WINDOW_MEDIAN_MAX_S = 0.15
# How long all kills may take, in seconds.
BUDGET_S = 180

# What the relay logs when an answer is committed: when, whose, the length of the window, and whether
# it was a refusal.
COMMIT_LOGGED = re.compile(
    r"^(\S+Z) .*answer committed grant=(.*) window_us=(\d+) refused=(\w+)$", re.MULTILINE
)


class _Client:
    """Somebody whose old mail client signs in over and over, whatever it hears."""

    def __init__(self, sign_in, where):
        self.accepted = 0
        self.wrong_passwords = []
        self.wants_consent = threading.Event()
        self.was_accepted = threading.Event()
        self._sign_in = sign_in
        self._where = where

    def run(self, until):
        """Signs in until then."""
        while not until.is_set():
            try:
                heard = self._sign_in(self._where)
            except Exception:  # pylint: disable=broad-except
                # The relay is gone, or goes just now: the libraries say so in many ways.
                until.wait(POLL_S)
                continue
            if heard.is_accepted:
                self.accepted += 1
                self.was_accepted.set()
            elif heard.wants_consent:
                self.wants_consent.set()
            elif heard.is_wrong_password:
                self.wrong_passwords.append(heard.reply)
            until.wait(POLL_S)


def two_hundred_kills_cost_no_consent_outside_the_window(scene):
    """And none at all where the provider is lenient; each loss is told to its person alone."""
    seed = random.randrange(1 << 32)
    print(f"        seed {seed}", flush=True)
    rng = random.Random(seed)
    alice, bob = scene.users[0], "carol@domain.test"
    with contextlib.ExitStack() as stack:
        strict = OidcProvider(scene.directory, TOKEN_LIFE_S)
        stack.callback(strict.stop)
        scene.dovecot.trust(strict)
        lenient = Consents(scene.provider, Rotation.LENIENT, TOKEN_LIFE_S)
        stack.callback(lenient.stop)
        lenient.start()
        relay = _relay(scene, strict, lenient, alice, bob)
        stack.callback(relay.stop)
        relay.authorize(alice, strict.consent(alice, strict.public_client))
        relay.authorize(bob, lenient.consent(bob))

        alices, bobs = (
            [_Client(sign_in, kept.at(scene, relay, user)) for sign_in in (kept.by_smtp, kept.by_imap)]
            for user in (alice, bob)
        )
        stack.enter_context(_all_run(alices + bobs))
        story = _kill_over_and_over(relay, strict, alice, alices, rng)

        # Whatever the last kill left behind: both are served again.
        relay.start()
        for client in alices + bobs:
            client.was_accepted.clear()
        _consent_again_if_asked(relay, strict, alice, alices)
        for client in bobs:
            wait_for("bob is served again", client.was_accepted.is_set)
        story.answers = sorted(strict.figures()["users"].get(alice, []))
    commits = _commits(relay)
    story.commits = [it.at for it in commits if alice in it.grant and not it.is_refusal]
    windows = sorted(it.window_s for it in commits)
    story.tell(windows)
    expect.that(not any(it.wants_consent.is_set() for it in bobs), "bob had to consent again")
    expect.that(lenient.refreshes > 0, "bob's refresh token was never used")
    wrong = [reply for client in alices + bobs for reply in client.wrong_passwords]
    expect.that(not wrong, f"right passwords were called wrong: {wrong[:3]}")
    story.judge()
    expect.that(windows, "no commit was logged")
    median = statistics.median(windows)
    expect.that(median <= WINDOW_MEDIAN_MAX_S, f"the median of the windows is {median:.3f} s")


class _Story:
    """What the kills did. Times are in seconds since 1970."""

    def __init__(self):
        self.kills = []
        # Of each consent found lost: the kills since it was last known to be good.
        self.suspects = []
        # When the strict provider had new tokens ready, and when some of them were committed; in order.
        self.answers = []
        self.commits = []

    def tell(self, windows):
        """Prints the figures."""
        shown = "not logged"
        if windows:
            shown = f"median {1e3 * statistics.median(windows):.1f} ms, longest {1e3 * windows[-1]:.1f} ms"
        gaps = ", ".join(f"{1e3 * self._gap(kills):.1f}" for kills in self.suspects)
        print(
            f"        {len(self.kills)} kills; consents lost: 0 where rotation is lenient, "
            f"{len(self.suspects)} where it is strict (ms from answer to kill: {gaps or '-'}); "
            f"window from answer to commit: {shown}",
            flush=True,
        )

    def judge(self):
        """Each loss has an answer that was not committed."""
        for kills in self.suspects:
            expect.that(self._unsaved(kills), f"a kill cost a consent that was committed: {kills}")

    def _unsaved(self, kills):
        """The answers about those kills that no commit followed before the next answer."""
        if not kills:
            return []
        nexts = self.answers[1:] + [float("inf")]
        return [
            answer
            for answer, following in zip(self.answers, nexts)
            if kills[0] - ANSWER_NEAR_S <= answer <= kills[-1] + ANSWER_NEAR_S
            and not any(answer <= commit < following for commit in self.commits)
        ]

    def _gap(self, kills):
        """The shortest time between an answer that was not committed and one of those kills."""
        gaps = (kill - answer for kill in kills for answer in self._unsaved(kills))
        return min(gaps, key=abs, default=float("nan"))


@dataclasses.dataclass
class _Commit:
    """What the relay told of one commit."""

    at: float  # in seconds since 1970
    grant: str
    window_s: float
    is_refusal: bool


def _commits(relay):
    """The commits that the relay has logged."""
    found = []
    for at, grant, window_us, refused in COMMIT_LOGGED.findall(relay.logged()):
        instant = datetime.datetime.fromisoformat(at.removesuffix("Z") + "+00:00")
        found.append(_Commit(instant.timestamp(), grant, int(window_us) / 1e6, refused == "true"))
    return found


def _relay(scene, strict, lenient, alice, bob):
    relay = Relay(scene.binary, scene.directory / "crash", scene.provider, scene.ca_file)
    relay.keep_in(kept.STORE)
    relay.add('\n[log]\nlevel = "debug"\n')
    relay.add_provider(
        "strict",
        "xoauth2",
        scene.postfix.port,
        scene.dovecot.implicit_port,
        "implicit",
        strict.token_endpoint,
        strict.scopes,
    )
    kept.add_consents(scene, relay, "lenient", lenient)
    relay.add_kept_account(alice, "strict", strict.public_client)
    relay.add_kept_account(bob, "lenient", CLIENT)
    return relay


@contextlib.contextmanager
def _all_run(many):
    until = threading.Event()
    threads = [threading.Thread(target=client.run, args=(until,)) for client in many]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        until.set()
        for thread in threads:
            thread.join()


def _kill_over_and_over(relay, strict, alice, alices, rng):
    story = _Story()
    deadline = time.monotonic() + BUDGET_S
    since = 0
    for _ in range(KILLS):
        expect.that(time.monotonic() < deadline, f"{len(story.kills)} kills took {BUDGET_S} s")
        for client in alices:
            client.was_accepted.clear()
        relay.spawn()
        time.sleep(rng.uniform(0, ALIVE_MAX_S))
        expect.that(relay.runs(), "it ended by itself: the store did not open")
        relay.kill()
        story.kills.append(time.time())
        if any(client.wants_consent.is_set() for client in alices):
            # The kill just now came after the loss was told.
            story.suspects.append(story.kills[since:-1])
            relay.start()
            _consent_again_if_asked(relay, strict, alice, alices)
            relay.kill()
            story.kills.append(time.time())
            since = len(story.kills) - 1
        elif any(client.was_accepted.is_set() for client in alices):
            since = len(story.kills) - 1
    return story


def _consent_again_if_asked(relay, strict, alice, alices):
    """Beside the running relay, as its message says; then she is served."""

    def heard():
        return any(it.was_accepted.is_set() or it.wants_consent.is_set() for it in alices)

    wait_for("alice hears something", heard)
    if any(client.wants_consent.is_set() for client in alices):
        relay.authorize(alice, strict.consent(alice, strict.public_client))
        for client in alices:
            client.wants_consent.clear()
            client.was_accepted.clear()
    wait_for("alice is served again", lambda: any(it.was_accepted.is_set() for it in alices))
    for client in alices:
        client.wants_consent.clear()


CHECKS = [two_hundred_kills_cost_no_consent_outside_the_window]
