"""Child processes: each started with a log of its own, waited for with a deadline, ended by id."""

import pathlib
import select
import shutil
import socket
import subprocess
import time

# Where the suite lies.
HERE = pathlib.Path(__file__).resolve().parent
# How long a peer may take to start, stop or deliver, in seconds. Two busy cores need about three.
PATIENCE_S = 60
# How often a condition is looked at again, in seconds.
POLL_S = 0.05


class Failed(Exception):
    """Something did not do what it must; the text says what."""


def program(name):
    """The path of an installed program; daemons live in /usr/sbin, which not every PATH names."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/bin")
    if path is None:
        raise Failed(f"{name} is not installed: ./tests/run packages installs it")
    return path


def free_port():
    """A loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(what, condition):
    """Waits until `condition()` gives something true, and gives that back."""
    deadline = time.monotonic() + PATIENCE_S
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise Failed(f"{what}: not within {PATIENCE_S} s")
        time.sleep(POLL_S)
    return result


def listens(port):
    """Whether somebody accepts connections at this loopback port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S).close()
    except ConnectionRefusedError:
        return False
    return True


def run(argv, timeout=PATIENCE_S, **options):
    """Runs a command to its end; its output is told if it fails."""
    done = subprocess.run(
        argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout, **options
    )
    if done.returncode != 0:
        shown = done.stdout.decode(errors="replace").strip()
        raise Failed(f"{argv[0]} ended with {done.returncode}: {shown}")
    return done.stdout


class Child:
    """A program that runs until it is told to end."""

    def __init__(self, name, argv, log, stdout=None, env=None):
        self.name = name
        self.log = log
        with open(log, "ab") as stream:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=stdout or stream, stderr=stream, env=env
            )

    def wait_until_listening(self, port):
        """Waits until it accepts connections at `port`; fails as soon as it has ended."""

        def ready():
            if self.process.poll() is not None:
                raise Failed(f"{self.name} ended with {self.process.returncode}, see {self.log}")
            return listens(port)

        wait_for(f"{self.name} listens on port {port}", ready)

    def first_line(self):
        """The first line that it prints into its pipe: it serves then."""
        stdout = self.process.stdout
        if not select.select([stdout], [], [], PATIENCE_S)[0]:
            raise Failed(f"{self.name} printed nothing within {PATIENCE_S} s, see {self.log}")
        line = stdout.readline()
        if not line:
            raise Failed(f"{self.name} ended at once, see {self.log}")
        return line

    def stop(self):
        """Ends it with SIGTERM, or with SIGKILL when it does not heed that."""
        if self.process.stdout is not None:
            self.process.stdout.close()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(PATIENCE_S)
                raise Failed(f"{self.name} did not end within {PATIENCE_S} s of SIGTERM") from None
