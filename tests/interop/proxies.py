"""Real proxies, for whom alone the names of the mail server and of the token endpoint resolve."""

import pathlib
import textwrap

from processes import Child, free_port, program

# RFC 6761: no other resolver knows them.
MAIL, ISSUER = "mail.interop.test", "id.interop.test"
USER, PASSWORD = "mailbearer", "p@ss word"
# The same in a URL.
CREDENTIALS = "mailbearer:p%40ss%20word@"
# tinyproxy takes letters, digits and few characters besides.
BASIC_PASSWORD, BASIC_CREDENTIALS = "p.ss-word", "mailbearer:p%2Ess-word@"


class Proxy:
    """One that runs until it is left; `argv` is given its port, and a directory for its files."""

    def __init__(self, directory, name, argv):
        self.port = free_port()
        self.log = pathlib.Path(directory) / f"{name}.log"
        hosts = pathlib.Path(directory) / "hosts"
        hosts.write_text(f"127.0.0.1 localhost {MAIL} {ISSUER}\n")
        hosts.chmod(0o644)
        # Nobody else sees this mount.
        script = 'mount --bind "$1" /etc/hosts && shift && exec "$@"'
        alone = [program("unshare"), "--mount", "sh", "-c", script, "sh", hosts]
        self._child = Child(name, [*alone, *argv(self.port, pathlib.Path(directory))], self.log)

    def __enter__(self):
        try:
            self._child.wait_until_listening(self.port)
        except BaseException:
            self._child.stop()
            raise
        return self

    def __exit__(self, *_):
        self._child.stop()

    def logged(self):
        """What it has logged."""
        return self.log.read_text(errors="replace")


def microsocks(port, _directory):
    """Whoever comes may use it."""
    return [program("microsocks"), "-i", "127.0.0.1", "-p", str(port)]


def microsocks_with_password(port, directory):
    """Those who show a user name and a password."""
    return [*microsocks(port, directory), "-u", USER, "-P", PASSWORD]


def dante(port, directory, blocked=None):
    """Whoever comes may use it, but not to the port `blocked`."""
    block = f"socks block {{ from: 0/0 to: 0/0 port = {blocked} }}" if blocked else ""
    text = f"""
        logoutput: stderr
        internal: 127.0.0.1 port = {port}
        external: lo
        clientmethod: none
        socksmethod: none
        user.privileged: root
        user.unprivileged: nobody
        client pass {{ from: 127.0.0.0/8 to: 0/0 log: error }}
        {block}
        socks pass {{
            from: 127.0.0.0/8 to: 0/0
            command: connect
            log: connect error
        }}
    """
    return [program("danted"), "-f", _write(directory / "danted.conf", text)]


def tinyproxy(port, directory, allowed=()):
    """Those who show a user name and a password may CONNECT to the ports `allowed`."""
    # Without any, it would allow all.
    ports = "\n".join(f"ConnectPort {allowed}" for allowed in [1, *allowed])
    text = f"""
User nobody
Port {port}
Listen 127.0.0.1
Timeout 60
MaxClients 20
LogLevel Connect
Allow 127.0.0.1
BasicAuth {USER} {BASIC_PASSWORD}
{ports}
"""
    return [program("tinyproxy"), "-d", "-c", _write(directory / "tinyproxy.conf", text)]


def _write(path, text):
    path.write_text(textwrap.dedent(text))
    return str(path)
