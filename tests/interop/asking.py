"""`authorize` while it waits for a person: at a terminal, or with its output read by a program."""

import contextlib
import json
import os
import pathlib
import pty
import re
import select
import subprocess
import time

from mailbearer import Done
from processes import PATIENCE_S, Failed, wait_for

# An address in what people are shown.
ADDRESS = re.compile(r"https?://\S+")
# What tells a program that its person sits elsewhere.
SSH = ("SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY")


class Asking:
    """`authorize` with its output in files."""

    def __init__(self, relay, *arguments, desktop=None):
        self._files = [relay.directory / f"authorize.{name}" for name in ("out", "err")]
        with contextlib.ExitStack() as stack:
            out, err = (stack.enter_context(open(file, "wb")) for file in self._files)
            self._process = subprocess.Popen(
                relay.argv("authorize", *arguments),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=_environment(relay, desktop),
            )
        self._lines = 0

    def line(self):
        """The next object that it prints with `--json`; waits for it."""
        line = wait_for("authorize prints a line", self._next_line)
        self._lines += 1
        return json.loads(line)

    def runs(self):
        """Whether it still waits."""
        return self._process.poll() is None

    def pid(self):
        """Its process."""
        return self._process.pid

    def finish(self):
        """Waits for its end; tells what came of it."""
        try:
            code = self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.stop()
            raise Failed(f"authorize goes on waiting: {self._read()}") from None
        return Done(code, *self._read())

    def stop(self):
        """Ends it, if it runs."""
        if self.runs():
            self._process.kill()
            self._process.wait(PATIENCE_S)

    def _read(self):
        return [file.read_text(errors="replace") for file in self._files]

    def _next_line(self):
        whole = self._files[0].read_text().split("\n")[:-1]
        if len(whole) > self._lines:
            return whole[self._lines]
        if not self.runs():
            raise Failed(f"authorize ended with {self._process.returncode}: {self._read()}")
        return None


@contextlib.contextmanager
def asking(relay, *arguments, desktop=None):
    """`authorize` that waits, and is ended if nobody answers."""
    ask = Asking(relay, *arguments, desktop=desktop)
    try:
        yield ask
    finally:
        ask.stop()


def at_terminal(relay, arguments, answer, desktop=None):
    """`authorize` at a terminal: `answer` makes of the address that it shows the line to type.

    Gives what came of it, everything that the terminal showed being its output.
    """
    ours, its = pty.openpty()
    shown = ""
    try:
        process = subprocess.Popen(
            relay.argv("authorize", *arguments),
            stdin=its,
            stdout=its,
            stderr=its,
            env=_environment(relay, desktop),
            start_new_session=True,
        )
        os.close(its)
        deadline = time.monotonic() + PATIENCE_S
        is_answered = False
        while (more := _read_terminal(ours, deadline)) is not None:
            shown += more
            if not is_answered and (line := answer(shown)) is not None:
                os.write(ours, line.encode() + b"\n")
                is_answered = True
        return Done(process.wait(PATIENCE_S), shown, "")
    except subprocess.TimeoutExpired:
        raise Failed(f"authorize goes on waiting: {shown}") from None
    finally:
        os.close(ours)
        if process.poll() is None:
            process.kill()
            process.wait(PATIENCE_S)


def address_in(shown, start):
    """The whole address that begins with `start`, in what a terminal shows; or `None`."""
    for found in ADDRESS.finditer(shown):
        # One at the very end may not be whole yet.
        if found[0].startswith(start) and found.end() < len(shown):
            return found[0]
    return None


def _read_terminal(terminal, deadline):
    left = deadline - time.monotonic()
    if left <= 0 or not select.select([terminal], [], [], left)[0]:
        raise Failed("authorize neither goes on nor ends")
    try:
        return os.read(terminal, 4096).decode(errors="replace") or None
    except OSError:
        # Nobody has the other side open any more.
        return None


def _environment(relay, desktop):
    """That of a person at this machine; without a desktop nothing opens a browser."""
    environment = relay.environment()
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "WSL_INTEROP", "BROWSER", *SSH):
        environment.pop(name, None)
    if desktop is not None:
        return {**environment, **desktop.environment}
    return {**environment, "PATH": _path_without_opener(relay.directory)}


def _path_without_opener(directory):
    """A PATH where whatever would open a browser fails."""
    nowhere = pathlib.Path(directory) / "no-desktop"
    nowhere.mkdir(exist_ok=True)
    for name in ("xdg-open", "gio", "gnome-open", "kde-open", "wslview"):
        opener = nowhere / name
        opener.write_text("#!/bin/sh\nexit 3\n")
        opener.chmod(0o755)
    return f"{nowhere}:{os.environ['PATH']}"
