"""A real OpenID provider: npm's `oidc-provider`, whose refresh tokens rotate and whose reuse
detection ends a consent. `tests/run packages` installs it."""

import json
import pathlib
import subprocess
import urllib.parse
import urllib.request

from processes import PATIENCE_S, Child, Failed, program, run

HERE = pathlib.Path(__file__).resolve().parent
# Where `tests/interop/install-oidc` puts it.
MODULES = HERE.parents[1] / "target" / "interop" / "oidc"
NODE_VERSION_MIN = 18


class OidcProvider:
    """One that runs; its access tokens live so many seconds."""

    def __init__(self, directory, token_life_s):
        version = run([program("node"), "--version"]).decode().strip()
        if int(version.removeprefix("v").partition(".")[0]) < NODE_VERSION_MIN:
            raise Failed(f"Node {NODE_VERSION_MIN} or later is needed, this is {version}")
        if not (MODULES / "node_modules").is_dir():
            raise Failed(f"nothing is installed in {MODULES}: ./tests/run packages installs it")
        log = pathlib.Path(directory) / f"oidc-{token_life_s}.log"
        argv = [program("node"), str(HERE / "oidc" / "server.js"), str(MODULES), str(token_life_s)]
        self._child = Child("oidc-provider", argv, log, stdout=subprocess.PIPE)
        try:
            told = json.loads(self._child.first_line())
        except BaseException:
            self.stop()
            raise
        self._issuer = told["issuer"]
        self.token_endpoint = told["token_endpoint"]
        self.revocation_endpoint = told["revocation_endpoint"]
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
        with self._opener.open(f"{self._issuer}/consents?{query}", b"", PATIENCE_S) as answer:
            return json.load(answer)["refresh_token"]

    def figures(self):
        """What it counted: see `oidc/server.js`."""
        with self._opener.open(f"{self._issuer}/figures", None, PATIENCE_S) as answer:
            return json.load(answer)

    def stop(self):
        """Ends it."""
        self._child.stop()
