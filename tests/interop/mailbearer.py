"""mailbearer itself: the stand-in provider that issues tokens, and the relay under test."""

import dataclasses
import functools
import json
import os
import pathlib
import signal
import subprocess

from processes import PATIENCE_S, Child, Failed, free_port, run

# What every account of the suite shows. The odd characters are those that clients must quote.
LOCAL_PASSWORD = 'correct "horse\\ 4%'

PROVIDER = """
[providers.{name}]
token_endpoint = "{token_endpoint}"
scopes = {scopes}
mechanism = "{mechanism}"
ca_file = "{ca_file}"
submission = {{ host = "localhost", port = {smtp_port}, tls = "starttls" }}
imap = {{ host = "localhost", port = {imap_port}, tls = "{imap_tls}" }}
"""

ACCOUNT = """
[accounts."{name}"]
provider = "{provider}"
grant = "client-credentials"
client_id = "{client_id}"
client_secret = {{ file = "client-secret" }}
local_password = "{local_password}"
"""

# An account whose person has to consent; without a password of the file, one is made.
KEPT_ACCOUNT = """
[accounts."{name}"]
provider = "{provider}"
grant = "authorization-code"
client_id = "{client_id}"
{more}
"""

# Something that speaks for an account; `keys` say how it is known.
DEVICE = """
[devices.{name}]
account = "{account}"
{keys}
"""

STORE = """
[store]
path = "{path}"
"""

LISTENER = """
[listeners.{name}]
protocol = "{protocol}"
address = "127.0.0.1:{port}"
{more}
"""


class Provider:
    """`mailbearer demo --provider-only --json`: a token endpoint whose tokens are RS256 JWTs."""

    def __init__(self, binary, directory):
        argv = [binary, "demo", "--provider-only", "--json"]
        log = pathlib.Path(directory) / "provider.log"
        self._child = Child("the stand-in provider", argv, log, stdout=subprocess.PIPE)
        try:
            told = json.loads(self._child.first_line())
        except BaseException:
            self.stop()
            raise
        self.token_endpoint = told["token_endpoint"]
        self.client_id = told["client_id"]
        self.client_secret = told["client_secret"]
        self.scopes = told["scopes"]
        self.key_id = told["kid"]
        self.public_key_pem = told["public_key_pem"]

    def stop(self):
        """Ends it."""
        self._child.stop()


@dataclasses.dataclass(frozen=True)
class Done:
    """What came of a command."""

    code: int
    stdout: str
    stderr: str


class Relay:
    """`mailbearer serve` with a file written here, and the other commands with the same file."""

    def __init__(self, binary, directory, provider, ca_file):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True)
        self._ports = []
        self.log = self.directory / "mailbearer.log"
        self.file = self.directory / "mailbearer.toml"
        self._binary = binary
        self._provider = provider
        self._ca_file = ca_file
        self._child = None
        # What is in its environment besides.
        self.variables = {}
        # A program that it is run by, with its arguments.
        self.before = []
        self.smtp_port = self.add_listener("submission", "submission")
        self.imap_port = self.add_listener("imap", "imap")
        (self.directory / "client-secret").write_text(provider.client_secret)
        self.local_password = hashed(binary)

    def add_provider(
        self, name, mechanism, smtp_port, imap_port, imap_tls, token_endpoint=None, scopes=None,
        more="",
    ):
        """Adds a provider: how its mail servers are reached, and where tokens are asked for."""
        self.add(
            PROVIDER.format(
                name=name,
                mechanism=mechanism,
                smtp_port=smtp_port,
                imap_port=imap_port,
                imap_tls=imap_tls,
                token_endpoint=token_endpoint or self._provider.token_endpoint,
                scopes=json.dumps(scopes or self._provider.scopes),
                ca_file=self._ca_file,
            )
            + more
        )

    def add_listener(self, name, protocol, more=""):
        """Adds a listener, `more` being what its table says besides; gives its port."""
        port = free_port()
        self._ports.append(port)
        self.add(LISTENER.format(name=name, protocol=protocol, port=port, more=more))
        return port

    def take_ports_of(self, other):
        """Waits at the ports of `other`, whose file it has got."""
        self.smtp_port, self.imap_port = other.smtp_port, other.imap_port
        self._ports = list(other._ports)

    def drop_imap(self):
        """Takes the listener for IMAP out, for providers that have no server for it."""
        text = self.file.read_text()
        listener = LISTENER.format(name="imap", protocol="imap", port=self.imap_port, more="")
        self.file.write_text(text.replace(listener, ""))
        self._ports.remove(self.imap_port)

    def add_account(self, name, provider):
        """Adds an account, or a whole domain, of that provider."""
        self.add(
            ACCOUNT.format(
                name=name,
                provider=provider,
                client_id=self._provider.client_id,
                local_password=self.local_password,
            )
        )

    def add_kept_account(self, name, provider, client_id, more=None):
        """Adds an account whose consent is kept; `more` of it, or the usual local password."""
        if more is None:
            more = f'local_password = "{self.local_password}"'
        self.add(
            KEPT_ACCOUNT.format(name=name, provider=provider, client_id=client_id, more=more)
        )

    def add_device(self, name, account, keys):
        """Adds a device of that account, `keys` being what its table says besides."""
        self.add(DEVICE.format(name=name, account=account, keys=keys))

    def keep_in(self, path):
        """Adds where the store is; a path is relative to the file."""
        self.store = self.directory / path
        self.add(STORE.format(path=path))

    def add(self, text):
        """Adds to the file."""
        with open(self.file, "a", encoding="utf-8") as stream:
            stream.write(text)

    def command(self, *arguments, given=None):
        """Runs a command to its end, with `given` on its standard input; tells what came of it."""
        done = subprocess.run(
            self.argv(*arguments),
            input=given,
            stdin=subprocess.DEVNULL if given is None else None,
            capture_output=True,
            encoding="utf-8",
            env=self.environment(),
            timeout=PATIENCE_S,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def do(self, *arguments, given=None):
        """Runs a command that has to succeed; gives what it prints."""
        done = self.command(*arguments, given=given)
        if done.code != 0:
            raise Failed(f"{arguments} ended with {done.code}: {done.stdout}{done.stderr}")
        return done.stdout

    def authorize(self, account, refresh_token):
        """Brings a consent."""
        return self.do("authorize", account, "--refresh-token-stdin", given=f"{refresh_token}\n")

    def spawn(self):
        """Starts it, and does not wait."""
        argv = [*self.before, *self.argv("serve")]
        self._child = Child("mailbearer", argv, self.log, env=self.environment())

    def start(self):
        """Starts it and waits until it answers."""
        self.spawn()
        self.wait_until_it_serves()

    def wait_until_it_serves(self):
        """Waits until it answers; fails when it has ended."""
        for port in self._ports:
            self._child.wait_until_listening(port)

    def pid(self):
        """Its process."""
        return self._child.process.pid

    def runs(self):
        """Whether it has not ended."""
        return self._child is not None and self._child.process.poll() is None

    def terminate(self):
        """Sends SIGTERM and does not wait."""
        self._child.process.terminate()

    def hang_up(self):
        """Sends SIGHUP."""
        self._child.process.send_signal(signal.SIGHUP)

    def kill(self):
        """Ends it as a power cut does: SIGKILL."""
        self._child.process.kill()
        self._child.process.wait(PATIENCE_S)

    def exit_code(self):
        """Its exit code; waits until it has ended."""
        return self._child.process.wait(PATIENCE_S)

    def stop(self):
        """Ends it, if it runs."""
        if self._child is not None:
            self._child.stop()
            self._child = None

    def logged(self):
        """All that it has logged."""
        return self.log.read_text(errors="replace")

    def argv(self, *arguments):
        """The command line of a command with its file."""
        return [self._binary, "-c", str(self.file), *arguments]

    def environment(self):
        """What it has in its environment."""
        # A proxy that the machine's environment names must not see the token requests. A file that
        # says nothing of the store has it in a directory of its own.
        env = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
        return {**env, "XDG_STATE_HOME": str(self.directory / "xdg-state"), **self.variables}


@functools.cache
def hashed(binary):
    """The hash of the local password, which takes a while to make."""
    hashed = run([binary, "password", "--hash"], input=LOCAL_PASSWORD.encode() + b"\n")
    return hashed.decode().strip()
