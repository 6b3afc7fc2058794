"""A real OpenID provider: npm's `oidc-provider`, whose refresh tokens rotate and whose reuse
detection ends a consent. `tests/run packages` installs it."""

import json
import pathlib
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import nodejs
from processes import PATIENCE_S, Child, Failed


class OidcProvider:
    """One that runs; its access tokens live so many seconds."""

    def __init__(self, directory, token_life_s):
        log = pathlib.Path(directory) / f"oidc-{token_life_s}.log"
        argv = nodejs.script("oidc", "server.js", token_life_s)
        self._child = Child("oidc-provider", argv, log, stdout=subprocess.PIPE)
        try:
            told = json.loads(self._child.first_line())
        except BaseException:
            self.stop()
            raise
        self.issuer = told["issuer"]
        self.authorization_endpoint = told["authorization_endpoint"]
        self.token_endpoint = told["token_endpoint"]
        self.device_authorization_endpoint = told["device_authorization_endpoint"]
        self.revocation_endpoint = told["revocation_endpoint"]
        self.resource = told["resource"]
        self.scopes = told["scopes"]
        self.public_client = told["public_client"]
        self.client_id = told["client_id"]
        self.client_secret = told["client_secret"]
        self.key_id = told["kid"]
        self.public_key_pem = told["public_key_pem"]
        # Loopback is reached directly, whatever proxy the machine's environment names.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def consent(self, user, client_id):
        """`user` consents, as if in a browser; gives the first refresh token."""
        query = urllib.parse.urlencode({"user": user, "client": client_id})
        return self._ask(f"/consents?{query}", b"")["refresh_token"]

    def register(self, client_id, **metadata):
        """Registers a client; what is not said is as OpenID Connect Registration has it."""
        self._ask("/clients", json.dumps({"client_id": client_id, **metadata}).encode())

    def figures(self):
        """What it counted: see `oidc/server.js`."""
        return self._ask("/figures")

    def requests(self, client_id):
        """The token requests of a client, the oldest first: see `oidc/server.js`."""
        return self._ask(f"/requests?{urllib.parse.urlencode({'client': client_id})}")

    def revocations(self):
        """The tokens that were given back."""
        return self._ask("/revocations")

    def refresh_token(self, client_id):
        """The refresh token that the client was given last."""
        given = [it["refresh_token"] for it in self.requests(client_id) if it["refresh_token"]]
        if not given:
            raise Failed(f"{client_id} was given no refresh token")
        return given[-1]

    def refusal_of(self, client_id, refresh_token):
        """What a public client hears that shows this refresh token: an error, or `None`."""
        form = {
            "grant_type": "refresh_token",
            "client_id": client_id,
            "refresh_token": refresh_token,
        }
        try:
            self._ask("/token", urllib.parse.urlencode(form).encode())
        except urllib.error.HTTPError as refusal:
            return json.load(refusal)["error"]
        return None

    def stop(self):
        """Ends it."""
        self._child.stop()

    def _ask(self, path, body=None):
        with self._opener.open(self.issuer + path, body, PATIENCE_S) as answer:
            return json.load(answer)
