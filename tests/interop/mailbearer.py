"""mailbearer itself: the stand-in provider that issues tokens, and the relay under test."""

import json
import os
import pathlib
import select
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

LISTENERS = """
[listeners.submission]
protocol = "submission"
address = "127.0.0.1:{smtp_port}"

[listeners.imap]
protocol = "imap"
address = "127.0.0.1:{imap_port}"
"""


class Provider:
    """`mailbearer demo --provider-only --json`: a token endpoint whose tokens are RS256 JWTs."""

    def __init__(self, binary, directory):
        argv = [binary, "demo", "--provider-only", "--json"]
        log = pathlib.Path(directory) / "provider.log"
        self._child = Child("the stand-in provider", argv, log, stdout=subprocess.PIPE)
        try:
            told = json.loads(self._first_line())
        except BaseException:
            self.stop()
            raise
        self.token_endpoint = told["token_endpoint"]
        self.client_id = told["client_id"]
        self.client_secret = told["client_secret"]
        self.scopes = told["scopes"]
        self.key_id = told["kid"]
        self.public_key_pem = told["public_key_pem"]

    def _first_line(self):
        """The one line of JSON that it prints once it serves."""
        stdout = self._child.process.stdout
        if not select.select([stdout], [], [], PATIENCE_S)[0]:
            raise Failed(f"the stand-in provider printed nothing within {PATIENCE_S} s")
        line = stdout.readline()
        if not line:
            raise Failed(f"the stand-in provider ended at once, see {self._child.log}")
        return line

    def stop(self):
        """Ends it."""
        self._child.stop()


class Relay:
    """`mailbearer serve` with a file written here."""

    def __init__(self, binary, directory, provider, ca_file):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True)
        self.smtp_port = free_port()
        self.imap_port = free_port()
        self._binary = binary
        self._provider = provider
        self._ca_file = ca_file
        self._child = None
        self._file = self.directory / "mailbearer.toml"
        self._file.write_text(LISTENERS.format(smtp_port=self.smtp_port, imap_port=self.imap_port))
        (self.directory / "client-secret").write_text(provider.client_secret)
        hashed = run([binary, "password", "--hash"], input=LOCAL_PASSWORD.encode() + b"\n")
        self._local_password = hashed.decode().strip()

    def add_provider(
        self, name, mechanism, smtp_port, imap_port, imap_tls, token_endpoint=None
    ):
        """Adds a provider: how its mail servers are reached, and where tokens are asked for."""
        self._add(
            PROVIDER.format(
                name=name,
                mechanism=mechanism,
                smtp_port=smtp_port,
                imap_port=imap_port,
                imap_tls=imap_tls,
                token_endpoint=token_endpoint or self._provider.token_endpoint,
                scopes=json.dumps(self._provider.scopes),
                ca_file=self._ca_file,
            )
        )

    def add_account(self, name, provider):
        """Adds an account, or a whole domain, of that provider."""
        self._add(
            ACCOUNT.format(
                name=name,
                provider=provider,
                client_id=self._provider.client_id,
                local_password=self._local_password,
            )
        )

    def _add(self, table):
        with open(self._file, "a", encoding="utf-8") as stream:
            stream.write(table)

    def start(self):
        """Starts it and waits until it answers."""
        # A proxy that the machine's environment names must not see the token requests.
        env = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
        argv = [self._binary, "-c", str(self._file), "serve"]
        self._child = Child("mailbearer", argv, self.directory / "mailbearer.log", env=env)
        self._child.wait_until_listening(self.smtp_port)
        self._child.wait_until_listening(self.imap_port)

    def terminate(self):
        """Sends SIGTERM and does not wait."""
        self._child.process.terminate()

    def exit_code(self):
        """Its exit code; waits until it has ended."""
        return self._child.process.wait(PATIENCE_S)

    def stop(self):
        """Ends it, if it runs."""
        if self._child is not None:
            self._child.stop()
            self._child = None
