"""A person with a browser: the real Chromium, without a screen, that fills in forms.

What a person does is a plan: steps, and where the browser has to get to. See `browser/drive.js`.
"""

import dataclasses
import json
import os
import pathlib
import shlex
import subprocess
import urllib.parse

import nodejs
from processes import PATIENCE_S, Failed, program, run, wait_for

# Where Chromium looks for what its user trusts, below their home.
NSS_DATABASE = ".pki/nssdb"
# Where an answer of a provider goes: to a listener of mailbearer's, or what would be one.
TO_LOOPBACK = r"^http://(localhost|127\.0\.0\.1|\[::1\]):\d+/?\?"


@dataclasses.dataclass(frozen=True)
class Seen:
    """Where the browser got to."""

    url: str
    # What the page there shows; nothing where nobody answered.
    status: int | None
    title: str | None
    text: str | None
    # Every address on the way, and what the page of each step showed.
    addresses: list
    pages: list


def consents(user, untick=()):
    """Steps: signs in as `user` at the provider and consents to all scopes but these."""
    return [
        {"wait": "input[name=user]", "fill": {"input[name=user]": user}, "click": "#go"},
        {
            "wait": "input[name=scope]",
            "untick": [f'input[name=scope][value="{scope}"]' for scope in untick],
            "click": "#go",
        },
    ]


def cancels(user):
    """Steps: signs in as `user` at the provider and does not consent."""
    sign_in, _ = consents(user)
    return [sign_in, {"wait": "input[name=scope]", "click": "#cancel"}]


def enters(user_code, user):
    """Steps: enters a device's code at the provider, confirms it, signs in and consents."""
    return [
        {"wait": "[name=user_code]", "fill": {"[name=user_code]": user_code}, "click": "#go"},
        {"wait": "#cancel", "click": "#go"},
        *consents(user),
        {"wait": "#done"},
    ]


def query_of(url):
    """The fields of an address."""
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))


class Browser:
    """Chromium with a home of its own, where the suite's certificate authority is trusted."""

    def __init__(self, directory, ca_file):
        self._home = pathlib.Path(directory) / "browser"
        database = self._home / NSS_DATABASE
        database.mkdir(parents=True)
        certutil = [program("certutil"), "-d", f"sql:{database}"]
        run([*certutil, "-N", "--empty-password"])
        run([*certutil, "-A", "-n", "interop", "-t", "C,,", "-i", str(ca_file)])
        # So that no row waits while the program itself is read from the disk.
        self._drive("about:blank", [], None)

    def visit(self, url, steps, until=None):
        """Opens `url` with an empty profile, does the steps, and tells where it got to."""
        return Seen(**json.loads(self._drive(url, steps, until)))

    def _drive(self, url, steps, until):
        done = subprocess.run(
            self._argv(url),
            input=json.dumps({"steps": steps, "until": until}),
            capture_output=True,
            encoding="utf-8",
            env=self._environment(),
            timeout=PATIENCE_S,
        )
        if done.returncode != 0:
            raise Failed(f"the browser: {done.stderr.strip()}")
        return done.stdout

    def standing_by(self, steps, until=None):
        """The browser of a desktop, which waits to be opened: see `Desktop`."""
        return Desktop(self._home, self._argv, self._environment(), steps, until)

    def _argv(self, url):
        return nodejs.script("browser", "drive.js", program("chromium"), url)

    def _environment(self):
        env = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
        return {**env, "HOME": str(self._home)}


class Desktop:
    """A desktop where `xdg-open` opens the browser, as mailbearer does it: by the PATH."""

    def __init__(self, home, argv, environment, steps, until):
        self._directory = home / "desktop"
        self._directory.mkdir(exist_ok=True)
        self._plan = self._directory / "plan.json"
        self._plan.write_text(json.dumps({"steps": steps, "until": until}))
        self._outcome = self._directory / "outcome"
        for leftover in ("out", "err", "outcome"):
            (self._directory / leftover).unlink(missing_ok=True)
        # As the real one it comes back at once, and leaves the browser running.
        *command, _ = argv("")
        opener = self._directory / "xdg-open"
        opener.write_text(
            "#!/bin/sh\n"
            f"export HOME={shlex.quote(environment['HOME'])}\n"
            f"({shlex.join(command)} \"$1\" <{shlex.quote(str(self._plan))} >{self._quoted('out')}"
            f" 2>{self._quoted('err')}; echo $? >{self._quoted('outcome')}) &\n"
        )
        opener.chmod(0o755)

    def __enter__(self):
        return self

    def __exit__(self, _, error, __):
        # A browser that was opened ends by itself, and soon.
        if (self._directory / "out").exists():
            wait_for("the browser ends", self._outcome.exists)
            told = (self._directory / "err").read_text().strip()
            if isinstance(error, Failed) and told:
                raise Failed(f"{error}; the browser: {told}") from error

    @property
    def environment(self):
        """What a program has in its environment on this desktop."""
        path = f"{self._directory}:{os.environ['PATH']}"
        # A display there is none of, but programs take it for the sign that they may open windows.
        return {"PATH": path, "DISPLAY": ":99", "BROWSER": str(self._directory / "xdg-open")}

    def seen(self):
        """Where the browser got to that was opened; waits for it."""
        wait_for("the browser is opened and done", self._outcome.exists)
        wait_for("the browser has ended", lambda: self._outcome.read_text().strip())
        if self._outcome.read_text().strip() != "0":
            raise Failed(f"the browser: {(self._directory / 'err').read_text().strip()}")
        return Seen(**json.loads((self._directory / "out").read_text()))

    def _quoted(self, name):
        return shlex.quote(str(self._directory / name))
