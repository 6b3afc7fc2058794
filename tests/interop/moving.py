"""Moving over: the same mail through email-oauth2-proxy, and through what `import` makes of its file.

The program is the one from PyPI; see `install-python`.
"""

import contextlib
import os

import clients
from mailbearer import LOCAL_PASSWORD
from message import Message
from processes import HERE, Child, Failed, free_port, run

# Where `tests/interop/install-python` puts it.
INSTALLED = HERE.parents[1] / "target" / "interop" / "python" / "bin"

# Its file: an application's grant, so that nobody has to consent.
CONFIG = """
[Server setup]
documentation = written for this suite
	in two lines

[IMAP-{imap_port}]
server_address = localhost
server_port = {imap_upstream}
local_address = 127.0.0.1

[SMTP-{smtp_port}]
server_address = localhost
server_port = {smtp_upstream}
server_starttls = True
local_address = 127.0.0.1

[{user}]
token_url = {token_url}
oauth2_scope = {scope}
oauth2_flow = client_credentials
client_id = {client_id}
client_secret = {client_secret}

[emailproxy]
delete_account_token_on_password_error = True
"""


def the_same_mail_goes_through_before_and_after_moving_over(scene):
    """One message sent and fetched through each, with the same ports, user name and password."""
    directory = scene.directory / "moving"
    directory.mkdir()
    user = scene.users[0]
    imap_port, smtp_port = free_port(), free_port()
    file = directory / "emailproxy.config"
    file.write_text(
        CONFIG.format(
            imap_port=imap_port,
            smtp_port=smtp_port,
            imap_upstream=scene.dovecot.implicit_port,
            smtp_upstream=scene.postfix.port,
            user=user,
            token_url=scene.provider.token_endpoint,
            scope=" ".join(scene.provider.scopes),
            client_id=scene.provider.client_id,
            client_secret=scene.provider.client_secret,
        )
    )
    # Both trust what this says; proxies of the machine's environment are none for loopback.
    env = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    env |= {"SSL_CERT_FILE": str(scene.ca_file), "XDG_STATE_HOME": str(directory)}
    at = clients.At(smtp_port, imap_port, user, LOCAL_PASSWORD, str(scene.directory))
    imported = Imported(scene, directory, env)
    # Before: what it writes into its file must not be imported.
    imported.translate(file)
    before = [str(INSTALLED / "emailproxy"), "--no-gui", "--config-file", str(file)]
    if not (INSTALLED / "emailproxy").exists():
        raise Failed(f"nothing is in {INSTALLED}: ./tests/run packages installs it")
    with running("emailproxy", before, directory, env, (imap_port, smtp_port)):
        _there_and_back(scene, at, Message("before-moving", user))
    # After it ran there are tokens in its file; they change nothing of the result.
    first = imported.file.read_text()
    if imported.translate(file) != first:
        raise Failed("the file says something else since the program has kept tokens in it")
    imported.accept_password()
    after = imported.argv("serve")
    with running("imported", after, directory, env, (imap_port, smtp_port)):
        _there_and_back(scene, at, Message("after-moving", user))


class Imported:
    """What is made of the file."""

    def __init__(self, scene, directory, env):
        self._scene = scene
        self._env = env
        self.file = directory / "mailbearer.toml"

    def argv(self, *arguments):
        """A command with it."""
        return [self._scene.binary, "-c", str(self.file), *arguments]

    def translate(self, file):
        """Imports, and has `check` look at it; gives the text."""
        self._do("import", "emailproxy", str(file), "--output", str(self.file), "--force")
        self._do("check")
        return self.file.read_text().replace(
            "# Its tokens are not taken over, and need not be: new ones are asked for.\n", ""
        )

    def accept_password(self):
        """Adds the password that the mail programs show already, as docs/moving.md says."""
        hashed = self._scene.relay.local_password
        account = f'[accounts."{self._scene.users[0]}"]\n'
        text = self.file.read_text()
        if account not in text:
            raise Failed(f"no account in {text}")
        self.file.write_text(text.replace(account, f'{account}local_password = "{hashed}"\n'))

    def _do(self, *arguments):
        run(self.argv(*arguments), env=self._env)


@contextlib.contextmanager
def running(name, argv, directory, env, ports):
    """The program while it is entered."""
    child = Child(name, argv, directory / f"{name}.log", env=env)
    try:
        for port in ports:
            child.wait_until_listening(port)
        yield
    finally:
        child.stop()


def _there_and_back(scene, at, mail):
    """Sends the message, compares what was delivered, and what is fetched."""
    upload = next(client for _, protocol, client in clients.UPLOADERS if protocol == "smtp")
    fetch = next(client for _, protocol, client in clients.FETCHERS if protocol == "imap")
    upload(at, mail)
    mail.compare(scene.delivered(mail))
    mail.compare(fetch(at, mail))


CHECKS = [the_same_mail_goes_through_before_and_after_moving_over]
