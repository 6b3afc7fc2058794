"""Where a client of the table finds mailbearer, who it is there, and how its program is run."""

import dataclasses
import os
import pathlib
import ssl
import urllib.parse

from processes import PATIENCE_S, program, run

# What the certificate of every listener names; clients look for it there.
HOST = "localhost"
# How a client may be told to reach a listener.
TLS = ("plain", "starttls", "implicit")
# How long a client may take, in seconds; most need a fifth of one.
TIMEOUT_S = str(PATIENCE_S)


@dataclasses.dataclass(frozen=True)
class Place:
    """One listener, one mailbox, and an empty directory that is the client's home."""

    tls: str
    port: int
    user: str
    password: str
    ca_file: pathlib.Path
    directory: pathlib.Path
    # How long the client may take, in seconds.
    patience_s: int = PATIENCE_S

    def file(self, name, content):
        """Writes a file that nobody else may read, as several clients demand; gives its path."""
        path = self.directory / name
        path.touch(mode=0o600)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def password_file(self):
        """The password, in a file of its own."""
        return self.file("password", self.password + "\n")

    def url(self, scheme, path=""):
        """The listener with the credentials in it; the scheme ends in `s` for implicit TLS."""
        scheme += "s" if self.tls == "implicit" else ""
        user, password = (urllib.parse.quote(text, safe="") for text in (self.user, self.password))
        return f"{scheme}://{user}:{password}@{HOST}:{self.port}{path}"

    def context(self):
        """What Python checks certificates with: chain and host name."""
        return ssl.create_default_context(cafile=self.ca_file)

    def run(self, argv, given=b""):
        """Runs the client to its end, with nothing of this machine's environment but its PATH."""
        env = {
            "PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
            "HOME": str(self.directory),
            "LANG": "C.UTF-8",
            "TERM": "xterm",
            "NO_PROXY": "*",
        }
        first, *rest = argv
        argv = [program(first), *map(str, rest)]
        return run(argv, self.patience_s, input=given, env=env, cwd=self.directory)


def yes(condition):
    """The word for it in most configuration files."""
    return "yes" if condition else "no"


def on(condition):
    """The other word for it."""
    return "on" if condition else "off"
