"""The authority that `mailbearer certificates` makes, and what it gives to the listeners."""

import dataclasses
import pathlib
import shutil

from processes import run


@dataclasses.dataclass(frozen=True)
class Pair:
    """The files of a certificate and its key."""

    certificate: pathlib.Path
    private_key: pathlib.Path


class Authority:
    """One authority, and a directory with a certificate of it for each name."""

    def __init__(self, binary, directory):
        self.binary = binary
        self.directory = pathlib.Path(directory)
        self._make(self.directory)
        self.ca_file = self.directory / "ca.pem"
        # Clients that give up root's rights read it, too.
        self.directory.chmod(0o755)

    def pair(self, name):
        """The certificate of that name, made when it is first asked for."""
        directory = self.directory / name
        pair = Pair(directory / "server.pem", directory / "server.key")
        if not directory.exists():
            directory.mkdir()
            for file in ("ca.pem", "ca.key"):
                shutil.copy(self.directory / file, directory)
            self.renew(pair)
        return pair

    def renew(self, pair):
        """Puts a new certificate and a new key in the place of the old ones."""
        self._make(pair.certificate.parent)

    def _make(self, directory):
        run([self.binary, "certificates", "--out", directory])
