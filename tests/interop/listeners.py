"""A relay with a listener for every protocol and TLS, whose certificates clients check."""

from authority import Authority
from mailbearer import LOCAL_PASSWORD, Relay
from place import TLS, Place

PROTOCOLS = ("submission", "imap", "pop3")
# The providers are reached by this TLS of IMAP and POP3, with this mechanism.
UPSTREAMS = {"implicit": "xoauth2", "starttls": "oauthbearer"}


class Listeners:
    """A relay with a listener for every protocol and TLS, and mailboxes at two providers.

    Dovecot is reached by implicit TLS with XOAUTH2 for the one, by STARTTLS with OAUTHBEARER for
    the other.
    """

    def __init__(self, scene):
        directory = scene.directory / "listeners"
        self.relay = Relay(scene.binary, directory, scene.provider, scene.ca_file)
        # Another authority than the one that the servers' certificates are from.
        self.authority = Authority(scene.binary, directory / "certificates")
        self.ports = {}
        # What all fetch by a protocol, once it was sent.
        self.deposited = {}
        for protocol in PROTOCOLS:
            for tls in TLS:
                name = f"{protocol}-{tls}"
                more = "" if tls == "plain" else self._tls(protocol, tls)
                self.ports[name] = self.relay.add_listener(name, protocol, more)
        dovecot = scene.dovecot
        for tls, mechanism in UPSTREAMS.items():
            imap, pop3 = {
                "implicit": (dovecot.implicit_port, dovecot.pop3_implicit_port),
                "starttls": (dovecot.starttls_port, dovecot.pop3_starttls_port),
            }[tls]
            more = f'pop3 = {{ host = "localhost", port = {pop3}, tls = "{tls}" }}\n'
            self.relay.add_provider(tls, mechanism, scene.postfix.port, imap, tls, more=more)
            self.relay.add_account(f"*@{tls}.test", tls)

    def _tls(self, protocol, tls):
        pair = self.authority.pair(protocol)
        return (
            f'tls = "{tls}"\n'
            # Loopback may speak in clear otherwise, and no cell would show who forgot STARTTLS.
            "require_tls = true\n"
            f'certificate = "{pair.certificate}"\n'
            f'private_key = "{pair.private_key}"'
        )

    def place(self, name, protocol, tls, user, ca_file):
        """Where a client finds the listener, and whom it trusts; in a directory of its own."""
        directory = self.relay.directory / "homes" / name
        directory.mkdir(parents=True)
        port = self.ports[f"{protocol}-{tls}"]
        return Place(tls, port, user, LOCAL_PASSWORD, ca_file, directory)
