"""What may happen to the store: no room, no writing, gone, damaged, foreign, or taken.

Each is told with what to do, the exit codes say whether waiting helps, and whoever can be served is.
The provider rotates strictly, so a refresh token that was not kept would show.
"""

import contextlib
import json
import pathlib

import expect
import kept
import probes
from consents import Consents, Rotation
from processes import free_port, run, wait_for

# Exit codes of interface and sysexits(3).
TRY_LATER, CONFIG = 75, 78
UNSAVED = "mailbearer_store_unsaved"
# The file system of a store that gets full, in bytes: the store fits, and little more.
SMALL_DISK_LEN = 4 * 1024 * 1024


def a_full_disk_is_told_and_the_tokens_are_used_from_memory(scene):
    """Sign-ins go on while it is full; once there is room, all is written."""
    port = free_port()
    with _small_disk(scene) as disk:
        store, more = str(disk / "state" / "store.redb"), probes.probes_at(port)
        with kept.authorized(scene, "full", Rotation.STRICT, 1, store, more) as (relay, consents):
            _is_served(scene, relay)
            filler = disk / "filler"
            _fill(filler)
            _refreshes(scene, relay, consents, 2)
            expect.that(_has_unsaved(relay), "`accounts` says that all is saved")
            expect.that(probes.value(port, UNSAVED) == 1, "the metrics say that all is saved")
            expect.that("file system is full" in relay.logged(), "the log says nothing of it")
            filler.unlink()
            _refreshes(scene, relay, consents, 1)
            wait_for("all is written", lambda: not _has_unsaved(relay))
            expect.that(probes.value(port, UNSAVED) == 0, "the metrics say that not all is saved")
            relay.kill()
            relay.start()
            _refreshes(scene, relay, consents, 1)
            expect.that(consents.reuses == 0, "a spent refresh token was shown")


def a_full_disk_without_a_store_is_told_and_costs_no_consent(scene):
    """There is no room to make one: `authorize` says so, beside a relay that serves all the same."""
    with _small_disk(scene) as disk:
        consents = Consents(scene.provider, Rotation.STRICT, 1)
        consents.start()
        relay = kept.relay_before(
            scene, "no-room", consents, store=str(disk / "state" / "store.redb")
        )
        try:
            relay.start()
            _fill(disk / "filler")
            done = relay.command(
                *("authorize", scene.users[0], "--refresh-token-stdin"),
                given=consents.consent(scene.users[0]) + "\n",
            )
            told = done.stdout + done.stderr
            expect.that("space" in told or "full" in told, f"it said only {told!r}")
            _refreshes(scene, relay, consents, 1)
            expect.that(_has_unsaved(relay), "`accounts` says that all is saved")
            (disk / "filler").unlink()
            wait_for("all is written", lambda: not _has_unsaved(relay))
        finally:
            relay.stop()
            consents.stop()


def a_read_only_directory_is_told_and_serves_who_needs_no_consent(scene):
    """With nothing to keep it starts without a control socket; commands name what is missing."""
    with _small_disk(scene) as disk:
        (disk / "state").mkdir(mode=0o700)
        run(["mount", "-o", "remount,ro", str(disk)])
        consents = Consents(scene.provider, Rotation.STRICT, 3600)
        consents.start()
        relay = kept.relay_before(
            scene, "read-only", consents, store=str(disk / "state" / "store.redb")
        )
        relay.add_provider(
            *("one", "xoauth2", scene.postfix.port, scene.dovecot.implicit_port, "implicit")
        )
        relay.add_account("carol@domain.test", "one")
        try:
            relay.start()
            _is_served(scene, relay, "carol@domain.test")
            heard = kept.by_smtp(kept.at(scene, relay))
            expect.that(heard.wants_consent, f"who has to consent heard {heard.reply}")
            done = relay.command("password", scene.users[0])
            expect.that(done.code not in (0, None), "a password was made on a read-only disk")
            expect.that(str(disk / "state") in done.stderr, f"it said only {done.stderr!r}")
        finally:
            relay.stop()
            consents.stop()


def a_store_on_a_disk_turned_read_only_still_serves_from_memory(scene):
    """What was kept is read; what comes is not kept, and the log names the danger."""
    with _small_disk(scene) as disk:
        with kept.authorized(
            scene, "turned", Rotation.LENIENT, 1, store=str(disk / "state" / "store.redb")
        ) as (relay, consents):
            _is_served(scene, relay)
            relay.stop()
            run(["mount", "-o", "remount,ro", str(disk)])
            relay.start()
            _refreshes(scene, relay, consents, 2)
            expect.that("read-only" in relay.logged(), "the log says nothing of it")


def a_store_deleted_while_running_is_made_again(scene):
    """The next write brings it back whole, and says so."""
    with kept.authorized(scene, "deleted", Rotation.STRICT, 1) as (relay, consents):
        _is_served(scene, relay)
        relay.store.unlink()
        _refreshes(scene, relay, consents, 2)
        expect.that(relay.store.exists(), "it was not made again")
        relay.kill()
        relay.start()
        _refreshes(scene, relay, consents, 1)
        expect.that(consents.reuses == 0, "a spent refresh token was shown")


def a_store_with_another_key_is_refused_and_left_alone(scene):
    """78; with its own key it serves again."""

    def another_key(relay):
        key = relay.store.parent / "store.key"
        theirs = key.read_bytes()
        key.write_bytes(b"A" * 43 + b"=\n")
        return lambda: key.write_bytes(theirs)

    _is_refused(scene, "another-key", another_key, "key")


def a_store_without_its_key_is_refused_and_left_alone(scene):
    """78; a new key is never made beside an old store."""

    def no_key(relay):
        key = relay.store.parent / "store.key"
        away = key.rename(key.with_suffix(".away"))
        return lambda: away.rename(key)

    _is_refused(scene, "no-key", no_key, "key")


def a_damaged_store_is_refused_and_left_alone(scene):
    """78, whether cut off, overwritten or emptied."""
    damages = {
        "cut-off": lambda whole: whole[: len(whole) // 2],
        "overwritten": lambda whole: bytes(len(whole)),
        "foreign": lambda whole: b"SQLite format 3\0" + whole[16:],
        "emptied": lambda _whole: b"",
    }
    for name, damage in damages.items():

        def damaged(relay, damage=damage):
            whole = relay.store.read_bytes()
            relay.store.write_bytes(damage(whole))
            return lambda: relay.store.write_bytes(whole)

        _is_refused(scene, name, damaged, str(pathlib.Path(kept.STORE).name))


def a_store_that_others_can_read_is_refused(scene):
    """78, with the line to type."""

    def readable(relay):
        relay.store.chmod(0o644)
        return lambda: relay.store.chmod(0o600)

    _is_refused(scene, "readable", readable, "chmod")


def a_second_serve_on_one_store_is_refused_and_the_first_goes_on(scene):
    """75: it may be a restart that overlaps."""
    with kept.authorized(scene, "first", Rotation.STRICT, 1) as (relay, consents):
        second = kept.relay_before(scene, "second", consents, store=str(relay.store))
        done = second.command("serve")
        expect.that(done.code == TRY_LATER, f"the second ended with {done.code}: {done.stderr}")
        expect.that("in use" in done.stderr, f"it said only {done.stderr!r}")
        _refreshes(scene, relay, consents, 1)
        relay.do("healthcheck")


CHECKS = [
    a_full_disk_is_told_and_the_tokens_are_used_from_memory,
    a_full_disk_without_a_store_is_told_and_costs_no_consent,
    a_read_only_directory_is_told_and_serves_who_needs_no_consent,
    a_store_on_a_disk_turned_read_only_still_serves_from_memory,
    a_store_deleted_while_running_is_made_again,
    a_store_with_another_key_is_refused_and_left_alone,
    a_store_without_its_key_is_refused_and_left_alone,
    a_damaged_store_is_refused_and_left_alone,
    a_store_that_others_can_read_is_refused,
    a_second_serve_on_one_store_is_refused_and_the_first_goes_on,
]


def _is_refused(scene, name, spoil, word):
    """`serve` and a command end with 78 and say `word`; the files stay; mended, it serves."""
    with kept.authorized(scene, name, Rotation.STRICT) as (relay, consents):
        relay.stop()
        mend = spoil(relay)
        spoiled = _files(relay.store.parent)
        for arguments in (("serve",), ("accounts",)):
            done = relay.command(*arguments)
            expect.that(done.code == CONFIG, f"{name}: {arguments} ended with {done.code}")
            expect.that(word in done.stderr, f"{name}: {arguments} said only {done.stderr!r}")
        expect.that(_files(relay.store.parent) == spoiled, f"{name}: the files were touched")
        mend()
        relay.start()
        _is_served(scene, relay)
        expect.that(consents.reuses == 0, f"{name}: a spent refresh token was shown")


def _files(directory):
    """What lies there, but for what every process makes."""
    passing = {"lock", "control.sock"}
    return {it.name: it.read_bytes() for it in directory.iterdir() if it.name not in passing}


def _is_served(scene, relay, user=None):
    where = kept.at(scene, relay, user)
    for sign_in in (kept.by_smtp, kept.by_imap):
        heard = sign_in(where)
        expect.that(heard.is_accepted, f"the sign-in was answered with {heard.reply}")


def _refreshes(scene, relay, consents, times):
    """Every sign-in is accepted while so many more refresh tokens are used."""
    until = consents.refreshes + times

    def served():
        _is_served(scene, relay)
        return consents.refreshes >= until

    wait_for(f"{times} refresh tokens are used", served)


def _has_unsaved(relay):
    """Whether `accounts` says that something is in memory alone."""
    return any(row["unsaved"] for row in json.loads(relay.do("accounts", "--json")))


@contextlib.contextmanager
def _small_disk(scene):
    """A file system of its own for a store."""
    disk = scene.directory / "disk"
    disk.mkdir()
    options = f"size={SMALL_DISK_LEN},mode=0700"
    run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)])
    try:
        yield disk
    finally:
        run(["umount", str(disk)])
        disk.rmdir()


def _fill(file):
    """Leaves no block free."""
    with open(file, "wb", buffering=0) as stream:
        for step in (65_536, 4096, 1):
            with contextlib.suppress(OSError):
                while stream.write(bytes(step)):
                    pass
