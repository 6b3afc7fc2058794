"""Keys and certificates of applications, made by openssl, and assertions judged by PyJWT: neither
knows anything of mailbearer."""

import base64
import json
import pathlib
import time

import jwt
from cryptography.x509 import load_pem_x509_certificate

import expect
from processes import program, run

# A moment by two clocks of one machine, and what lies between a request and our look at it, in
# seconds.
LEEWAY_S = 60


class Key:
    """An RSA key with a certificate of its own."""

    def __init__(self, directory, name):
        directory = pathlib.Path(directory)
        self.private_key = directory / f"{name}.key"
        self.certificate = directory / f"{name}.pem"
        run(
            [program("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "365"]
            + ["-subj", f"/CN={name}", "-keyout", str(self.private_key)]
            + ["-out", str(self.certificate)]
        )

    @property
    def jwk(self):
        """Its public half, as a client registers it (RFC 7517)."""
        return json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self._public_key()))

    def thumbprint(self, digest):
        """The certificate's fingerprint by openssl, as RFC 7515 section 4.1.7 writes it."""
        told = run(
            [program("openssl"), "x509", "-in", str(self.certificate), "-noout", "-fingerprint"]
            + [f"-{digest}"]
        )
        octets = bytes.fromhex(told.decode().partition("=")[2].strip().replace(":", ""))
        return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()

    def header_and_claims(self, assertion, algorithm, audience):
        """What an assertion says, which this key has signed; PyJWT judges signature and times."""
        claims = jwt.decode(
            assertion,
            self._public_key(),
            algorithms=[algorithm],
            audience=audience,
            options={"require": ["exp", "iat", "aud", "iss", "sub"]},
        )
        return jwt.get_unverified_header(assertion), claims

    def sign(self, claims, algorithm="RS256"):
        """An assertion that somebody else than mailbearer makes."""
        return jwt.encode(claims, self.private_key.read_text(), algorithm)

    def _public_key(self):
        return load_pem_x509_certificate(self.certificate.read_bytes()).public_key()


def has_life(claims, shortest_s, longest_s):
    """It was made now, and is good for so long (RFC 7519 sections 4.1.4 to 4.1.6)."""
    now = time.time()
    expect.that(abs(claims["iat"] - now) <= LEEWAY_S, f"iat is {claims['iat'] - now:.0f} s off")
    begins = claims.get("nbf", claims["iat"])
    expect.that(begins <= now + 1, "it is not good yet")
    life_s = claims["exp"] - claims["iat"]
    expect.that(shortest_s <= life_s <= longest_s, f"it is good for {life_s} s")
