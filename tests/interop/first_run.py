"""`init` at a terminal, from an empty directory to mail that goes round through the real servers.

The provider is the real oidc-provider and the browser the real Chromium; what the old application
enters is read from the screen.
"""

import os
import pathlib
import pty
import re
import select
import subprocess
import time

import browser
import clients
import expect
from asking import ADDRESS
from message import Message
from processes import PATIENCE_S, Child, Failed, free_port, program, run

ALICE = "alice@people.test"
# Bytes of body where a small message will do.
SMALL = 1000
ENTER, UP, DOWN = "\r", "\x1b[A", "\x1b[B"
# What moves the cursor or changes colours (ECMA-48: CSI to its final byte).
CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


class Person:
    """Somebody at a terminal with the program before them."""

    def __init__(self, argv, directory):
        self._ours, its = pty.openpty()
        environment = {"HOME": str(directory), "TERM": "xterm", "PATH": os.environ["PATH"]}
        self._process = subprocess.Popen(
            argv,
            stdin=its,
            stdout=its,
            stderr=its,
            cwd=directory,
            env=environment,
            start_new_session=True,
        )
        os.close(its)
        self._raw = ""
        self._seen = 0
        self.answers = 0

    @property
    def shown(self):
        """All that the screen showed, as text."""
        return CONTROL.sub("", self._raw)

    def sees(self, text):
        """Waits until the screen shows it, behind what was waited for before."""
        deadline = time.monotonic() + PATIENCE_S
        while (at := self.shown.find(text, self._seen)) < 0:
            if not self._read(deadline):
                raise Failed(f"init does not show {text!r}: {self.shown}")
        self._seen = at + len(text)

    def answers_to(self, question, keys):
        """Waits for the question and types the answer."""
        self.sees(question)
        self.types(keys)
        self.answers += 1

    def types(self, keys):
        """Presses keys."""
        os.write(self._ours, keys.encode())

    def address(self, start):
        """The whole address that begins with `start`."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            for found in ADDRESS.finditer(self.shown):
                if found[0].startswith(start) and found.end() < len(self.shown):
                    return found[0]
            if not self._read(deadline):
                raise Failed(f"init shows no address: {self.shown}")

    def ends(self):
        """Waits for the end; gives the exit code."""
        deadline = time.monotonic() + PATIENCE_S
        while self._read(deadline):
            pass
        return self._process.wait(PATIENCE_S)

    def field(self, name):
        """What is told behind `name`, the last time."""
        found = re.findall(rf"^  {name} +(\S+)\r?$", self.shown, re.MULTILINE)
        expect.that(found, f"no {name} is told: {self.shown}")
        return found[-1]

    def leave(self):
        """Ends it, if it runs."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(PATIENCE_S)
        os.close(self._ours)

    def _read(self, deadline):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([self._ours], [], [], left)[0]:
            return False
        try:
            more = os.read(self._ours, 4096)
        except OSError:
            # Nobody has the other side open any more.
            return False
        self._raw += more.decode(errors="replace")
        return bool(more)


def a_person_gets_from_nothing_to_mail_that_goes_round(scene):
    """Every question is answered at the terminal; the consent is given in Chromium and pasted."""
    provider = scene.oidc
    # What nobody has at home: certificates of a test, and ports of its own.
    with _at_terminal(scene, "person") as (person, directory, ports):
        person.answers_to("Address of the mailbox:", ALICE + ENTER)
        person.answers_to("Who has this mailbox?", UP + ENTER)
        person.answers_to("Issuer of its authorisation server:", provider.issuer + ENTER)
        person.answers_to("Scopes for mail:", " ".join(provider.scopes) + ENTER)
        person.answers_to("Its submission server", f"localhost:{scene.postfix.port}" + ENTER)
        person.answers_to("Its IMAP server", f"localhost:{scene.dovecot.implicit_port}/tls" + ENTER)
        person.answers_to("Who opens the mailbox?", ENTER)
        person.answers_to("Application (client) ID:", provider.public_client + ENTER)
        person.answers_to("Client secret:", ENTER)
        # Without a display: the code, then pasting.
        person.answers_to("Consent at the provider:", DOWN + ENTER)
        url = person.address(provider.authorization_endpoint)
        seen = scene.browser.visit(url, browser.consents(ALICE), browser.TO_LOOPBACK)
        person.types(seen.url + ENTER)
        code = person.ends()
        expect.that(code == 0, f"init ended with {code}: {person.shown}")
        expect.that(person.answers == 10, f"{person.answers} answers")
        _mail_goes_round(scene, person, directory, ports, ALICE)


def an_application_gets_from_nothing_to_mail_that_goes_round(scene):
    """Nobody consents: the client secret is typed, and is not shown."""
    user = scene.users[0]
    provider = scene.provider
    issuer = provider.token_endpoint.removesuffix("/token")
    with _at_terminal(
        scene, "application", "--issuer", issuer, "--scopes", " ".join(provider.scopes),
        "--submission", f"localhost:{scene.postfix.port}",
        "--imap", f"localhost:{scene.dovecot.implicit_port}/tls",
    ) as (person, directory, ports):
        person.answers_to("Address of the mailbox:", user + ENTER)
        person.answers_to("Who opens the mailbox?", DOWN + ENTER)
        person.answers_to("Application (client) ID:", provider.client_id + ENTER)
        person.answers_to("Client secret:", provider.client_secret + ENTER)
        code = person.ends()
        expect.that(code == 0, f"init ended with {code}: {person.shown}")
        expect.that(provider.client_secret not in person.shown, "the secret is on the screen")
        kept = directory / "mailbearer.client-secret"
        expect.that(kept.read_text() == provider.client_secret, "another secret is kept")
        expect.that(kept.stat().st_mode & 0o077 == 0, "others can read the secret")
        _mail_goes_round(scene, person, directory, ports, user)


def the_unit_that_init_writes_is_found_correct(scene):
    """With what it hands over to the service, by `systemd-analyze verify`, which says nothing then."""
    directory = scene.directory / "first-run-unit"
    directory.mkdir()
    (directory / "secret").write_text("secret")
    unit = directory / "mailbearer.service"
    argv = [_program(scene), "init", "--yes", "--address", "app@contoso.test"]
    argv += ["--provider", "microsoft", "--grant", "client-credentials"]
    argv += ["--client-id", "11111111-2222-3333-4444-555555555555"]
    argv += ["--client-secret-file", "secret", "--unit", str(unit), "-o", "mailbearer.toml"]
    run(argv, cwd=directory, env={"HOME": str(directory), "PATH": os.environ["PATH"]})
    expect.that(f":{directory.resolve()}/secret\n" in unit.read_text(), "no secret is handed over")
    # The program is where it is here.
    unit.write_text(unit.read_text().replace("/usr/bin/mailbearer", _program(scene)))
    said = run([program("systemd-analyze"), "--man=no", "verify", str(unit)])
    expect.that(not said.strip(), f"it says {said.decode()}")


class _at_terminal:
    """`init` in an empty directory, with free ports; ended in the end."""

    def __init__(self, scene, name, *arguments):
        self._directory = scene.directory / f"first-run-{name}"
        self._directory.mkdir()
        self._ports = free_port(), free_port()
        submission, imap = self._ports
        argv = [_program(scene), "init", "--web", "off", "--ca-file", str(scene.ca_file)]
        argv += ["--listen", f"submission=localhost:{submission}"]
        argv += ["--listen", f"imap=localhost:{imap}", *arguments]
        self._argv = argv

    def __enter__(self):
        self._person = Person(self._argv, self._directory)
        return self._person, self._directory, self._ports

    def __exit__(self, *_):
        self._person.leave()


def _program(scene):
    """The program from any directory."""
    return str(pathlib.Path(scene.binary).resolve())


def _mail_goes_round(scene, person, directory, ports, user):
    """`serve` with that file, and an old application with what the screen said."""
    told, password = person.field("user name"), person.field("password")
    expect.that(told == user, f"the user name is {told}")
    environment = {"HOME": str(directory), "PATH": os.environ["PATH"]}
    argv = [_program(scene), "-c", str(directory / "mailbearer.toml"), "serve"]
    serving = Child("mailbearer", argv, directory / "mailbearer.log", env=environment)
    try:
        for port in ports:
            serving.wait_until_listening(port)
        at = clients.At(*ports, told, password, str(directory))
        sent = Message(directory.name, user, SMALL)
        clients.smtplib_send(at, sent, "PLAIN")
        sent.compare(scene.delivered(sent))
        sent.compare(clients.imaplib_fetch(at, sent, "LOGIN command"))
    finally:
        serving.stop()


CHECKS = [
    a_person_gets_from_nothing_to_mail_that_goes_round,
    an_application_gets_from_nothing_to_mail_that_goes_round,
    the_unit_that_init_writes_is_found_correct,
]
