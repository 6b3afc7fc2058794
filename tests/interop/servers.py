"""The real mail servers: Dovecot for IMAP, POP3, delivery and token checks, Postfix for submission.

Both run as instances of their own under one temporary directory, on loopback ports that were free.
Neither knows a password: XOAUTH2 and OAUTHBEARER alone, and Dovecot checks the signature and the
life of each token against the provider's public key. Postfix asks Dovecot.
"""

import pathlib
import pwd
import shutil

from processes import HERE, Child, Failed, free_port, listens, program, run, wait_for

# Who owns the mailboxes: a user that every Debian has.
MAIL_USER = "mail"

# How much of a message is read to recognise it, in bytes: more than all headers together.
HEAD_LEN = 65_536

DOVECOT_CONF = """
base_dir = {run}
state_dir = {run}/state
log_path = {directory}/dovecot.log
auth_verbose = yes
listen = 127.0.0.1
protocols = imap pop3 lmtp
instance_name = mailbearer-interop

ssl = required
ssl_cert = <{certificates}/server.pem
ssl_key = <{certificates}/server.key
ssl_min_protocol = TLSv1.2

auth_mechanisms = xoauth2 oauthbearer
auth_failure_delay = 0
passdb {{
  driver = passwd-file
  deny = yes
  args = {directory}/denied
}}
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {directory}/oauth2.conf
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={mail}/%u allow_all_users=yes
}}
first_valid_uid = {uid}
mail_location = maildir:~/
# Mail is kept as it came over the wire, so that the files can be compared.
mail_save_crlf = yes
protocol lmtp {{
  auth_username_format = %Lu
}}

service imap-login {{
  inet_listener imap {{
    port = {starttls_port}
  }}
  inet_listener imaps {{
    port = {implicit_port}
    ssl = yes
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {pop3_starttls_port}
  }}
  inet_listener pop3s {{
    port = {pop3_implicit_port}
    ssl = yes
  }}
}}
service auth {{
  unix_listener postfix {{
    mode = 0660
    user = postfix
    group = postfix
  }}
}}
# Every session comes from one address here; failures of one must not slow the others.
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service lmtp {{
  unix_listener lmtp {{
    mode = 0660
    user = postfix
    group = postfix
  }}
}}
"""

# An application's token names no mailbox, as at Exchange Online, so the name that the client gives
# is compared with nothing: both sides of the comparison are the word "application".
DOVECOT_OAUTH2_CONF = """
introspection_mode = local
local_validation_key_dict = fs:posix:prefix={directory}/keys/
username_attribute = iss
username_format = application
"""

POSTFIX_COMMON_CF = """
compatibility_level = 3.6
queue_directory = {directory}/queue
data_directory = {directory}/data
maillog_file = {directory}/postfix.log
maillog_file_prefixes = {directory}
inet_interfaces = loopback-only
inet_protocols = ipv4
mydestination =
local_transport = error:there are no local mailboxes here
alias_maps =
"""

POSTFIX_MAIN_CF = """
myhostname = postfix.test
virtual_mailbox_domains = static:all
virtual_transport = lmtp:unix:{lmtp}
smtpd_tls_security_level = encrypt
smtpd_tls_cert_file = {certificates}/server.pem
smtpd_tls_key_file = {certificates}/server.key
smtpd_tls_mandatory_protocols = >=TLSv1.2
smtpd_tls_auth_only = yes
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = {sasl}
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_error_sleep_time = 0
message_size_limit = 52428800
mailbox_size_limit = 0
virtual_mailbox_limit = 0
"""

# What a queue has besides the lines of the printer page: it tries again every second, so that nobody
# waits for minutes here.
NULL_CLIENT_MAIN_CF = """
myhostname = office.test
minimal_backoff_time = 1s
maximal_backoff_time = 1s
queue_run_delay = 1s
"""

POSTFIX_MASTER_CF = """
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
error unix - - n - - error
smtp unix - - n - - smtp
retry unix - - n - - error
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


class Dovecot:
    """Dovecot 2.3: IMAP and POP3 by implicit TLS and by STARTTLS, LMTP, and SASL for Postfix."""

    def __init__(self, directory, certificates, provider, denied):
        self.directory = pathlib.Path(directory)
        self.implicit_port = free_port()
        self.starttls_port = free_port()
        self.pop3_implicit_port = free_port()
        self.pop3_starttls_port = free_port()
        self.sasl = self.directory / "run" / "postfix"
        self.lmtp = self.directory / "run" / "lmtp"
        self._mail = self.directory / "mail"
        self._child = None

        owner = pwd.getpwnam(MAIL_USER)
        self._mail.mkdir(parents=True)
        shutil.chown(self._mail, owner.pw_uid, owner.pw_gid)
        (self.directory / "denied").write_text("".join(f"{user}:::\n" for user in denied))
        self.trust(provider)
        (self.directory / "oauth2.conf").write_text(
            DOVECOT_OAUTH2_CONF.format(directory=self.directory)
        )
        (self.directory / "dovecot.conf").write_text(
            DOVECOT_CONF.format(
                directory=self.directory,
                run=self.directory / "run",
                mail=self._mail,
                certificates=certificates,
                uid=owner.pw_uid,
                gid=owner.pw_gid,
                implicit_port=self.implicit_port,
                starttls_port=self.starttls_port,
                pop3_implicit_port=self.pop3_implicit_port,
                pop3_starttls_port=self.pop3_starttls_port,
            )
        )

    def trust(self, provider):
        """Lays a provider's public key where Dovecot looks: by `azp`, algorithm and `kid`."""
        for issued_to in ("default", provider.client_id):
            keys = self.directory / "keys" / issued_to / "RS256"
            keys.mkdir(parents=True, exist_ok=True)
            (keys / provider.key_id).write_text(provider.public_key_pem)

    def start(self):
        """Starts it and waits until it answers."""
        version = run([program("dovecot"), "--version"]).decode()
        if not version.startswith("2.3."):
            raise Failed(f"Dovecot 2.3 (Debian 12) is needed, this is {version.strip()}")
        argv = [program("dovecot"), "-F", "-c", str(self.directory / "dovecot.conf")]
        self._child = Child("dovecot", argv, self.directory / "dovecot.out")
        ports = (self.implicit_port, self.starttls_port)
        for port in (*ports, self.pop3_implicit_port, self.pop3_starttls_port):
            self._child.wait_until_listening(port)

    def stop(self):
        """Ends it, if it runs."""
        if self._child is not None:
            self._child.stop()
            self._child = None

    def find(self, mailbox, is_wanted):
        """The messages in a mailbox, as stored, whose first bytes are wanted."""
        inbox = self._mail / mailbox
        found = []
        for path in [*inbox.glob("new/*"), *inbox.glob("cur/*")]:
            try:
                with open(path, "rb") as stream:
                    head = stream.read(HEAD_LEN)
                    if is_wanted(head):
                        found.append(head + stream.read())
            except FileNotFoundError:
                # A session has just moved it from `new` to `cur`: it is found there, now or later.
                continue
        return found


class PostfixInstance:
    """A Postfix with files of its own."""

    def __init__(self, directory, main_cf):
        self.directory = pathlib.Path(directory)
        self.port = free_port()
        self._config = self.directory / "config"
        for name in ("config", "queue", "data"):
            (self.directory / name).mkdir(parents=True)
        shutil.chown(self.directory / "data", "postfix")
        common = POSTFIX_COMMON_CF.format(directory=self.directory)
        (self._config / "main.cf").write_text(common + main_cf)
        (self._config / "master.cf").write_text(POSTFIX_MASTER_CF.format(port=self.port))

    def start(self):
        """Starts it and waits until it answers."""
        self._control("start")
        wait_for("postfix listens", lambda: listens(self.port))

    def stop(self):
        """Ends it, if it runs."""
        try:
            self._control("status")
        except Failed:
            return
        self._control("stop")
        wait_for("postfix is gone", lambda: not listens(self.port))

    def logged(self):
        """All that it has logged."""
        log = self.directory / "postfix.log"
        return log.read_text(errors="replace") if log.exists() else ""

    def _control(self, verb):
        run([program("postfix"), "-c", str(self._config), verb])


class Postfix(PostfixInstance):
    """Postfix: submission with STARTTLS required, delivering to Dovecot."""

    def __init__(self, directory, certificates, dovecot):
        main_cf = POSTFIX_MAIN_CF.format(
            certificates=certificates, lmtp=dovecot.lmtp, sasl=dovecot.sasl
        )
        super().__init__(directory, main_cf)


class NullClient(PostfixInstance):
    """Postfix as a queue, by the lines of docs/printers.md: it takes mail of this machine, and gives
    all of it to mailbearer at `port`, where it signs in as `user`."""

    def __init__(self, directory, port, user, password):
        page = (HERE.parents[1] / "docs/printers.md").read_text()
        passwords = pathlib.Path(directory) / "mailbearer"
        changes = {
            "[127.0.0.1]:1587": f"[127.0.0.1]:{port}",
            "/etc/postfix/mailbearer": str(passwords),
            # The machine in the page's office, which this one is not.
            ", 192.168.20.2": "",
            "scanner@contoso.com": user,
            "LOCAL-PASSWORD": password,
        }
        blocks = {name: _block(page, name) for name in ("main.cf", "password")}
        for name, block in blocks.items():
            for written, here in changes.items():
                block = block.replace(written, here)
            blocks[name] = block
        super().__init__(directory, blocks["main.cf"] + NULL_CLIENT_MAIN_CF)
        passwords.write_text(blocks["password"])
        passwords.chmod(0o600)


def _block(page, name):
    """The lines of the page that are marked as those of `name`."""
    _, found, behind = page.partition(f"```text {name}\n")
    if not found:
        raise Failed(f"docs/printers.md has no lines of {name}")
    return behind.partition("```")[0]
