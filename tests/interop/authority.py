"""A certificate authority, and the certificates that it gives to mailbearer's listeners."""

import dataclasses
import pathlib
import shutil

from processes import HERE, program, run

# For a day, which no run outlives.
DAYS = "1"


@dataclasses.dataclass(frozen=True)
class Pair:
    """The files of a certificate and its key."""

    certificate: pathlib.Path
    private_key: pathlib.Path


class Authority:
    """One of its own, whose certificates are for localhost."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        run([HERE.parents[1] / "certs" / "make", self.directory])
        self.ca_file = self.directory / "ca.pem"
        # Clients that give up root's rights read it, too.
        self.directory.chmod(0o755)
        self.ca_file.chmod(0o644)

    def pair(self, name):
        """A certificate of that name, made when it is first asked for."""
        pair = Pair(self.directory / f"{name}.pem", self.directory / f"{name}.key")
        if not pair.certificate.exists():
            self.renew(pair)
        return pair

    def renew(self, pair):
        """Puts a new certificate and a new key in the place of the old ones."""
        made = Pair(self.directory / "new.pem", self.directory / "new.key")
        run(
            [program("openssl"), "req", "-x509", "-days", DAYS, "-subj", "/CN=localhost"]
            + ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc"]
            + ["-CA", self.ca_file, "-CAkey", self.directory / "ca.key"]
            + ["-addext", "basicConstraints=critical,CA:FALSE"]
            + ["-addext", "extendedKeyUsage=serverAuth"]
            + ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1"]
            + ["-keyout", made.private_key, "-out", made.certificate]
        )
        # The one replaces the other at once, as tools that renew certificates do it.
        shutil.move(made.private_key, pair.private_key)
        shutil.move(made.certificate, pair.certificate)
