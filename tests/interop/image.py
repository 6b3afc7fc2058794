"""The image: its root as deploy/image-root makes it, run as its user, and the manifests around it.

No container engine is needed: the root is entered by chroot, read-only but for the state directory.
"""

import contextlib
import os
import shutil
import signal
import subprocess

import clients
from mailbearer import LOCAL_PASSWORD
from message import Message
from moving import INSTALLED
from processes import HERE, Child, Failed, free_port, program, run

ROOT = HERE.parents[1]
# How long valgrind may take, in seconds.
ORDER_WITHIN_S = 180
# Whom the Dockerfile names.
USER = 65534
PROGRAM = "/usr/local/bin/mailbearer"

CONFIG = """
[listeners.submission]
protocol = "submission"
address = "127.0.0.1:{smtp_port}"
[listeners.imap]
protocol = "imap"
address = "127.0.0.1:{imap_port}"
[providers.one]
token_endpoint = "{token_endpoint}"
scopes = {scopes}
submission = {{ host = "localhost", port = {smtp_upstream}, tls = "starttls" }}
imap = {{ host = "localhost", port = {imap_upstream}, tls = "implicit" }}
[accounts."{user}"]
provider = "one"
grant = "client-credentials"
client_id = "{client_id}"
client_secret = "{client_secret}"
local_password = "{local_password}"
"""


def the_image_sends_and_fetches_mail_as_its_user_from_a_read_only_root(scene):
    """Through chroot as 65534; roots are those of the image, to which the suite's CA is added."""
    root = scene.directory / "image"
    run([ROOT / "deploy" / "image-root", scene.binary, root])
    size = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
    stripped = scene.directory / "stripped"
    run([program("strip"), "-o", str(stripped), scene.binary])
    size += stripped.stat().st_size - (root / PROGRAM[1:]).stat().st_size
    print(f"        the image's root has {size / 1_000_000:.0f} MB (program stripped)", flush=True)
    for there in ("bin/sh", "usr/bin", "root"):
        if (root / there).exists():
            raise Failed(f"{there} is in the image")
    user = scene.users[0]
    imap_port, smtp_port = free_port(), free_port()
    _configure(scene, root, user, smtp_port, imap_port)
    with read_only(root) as state:
        # An empty directory of its own, as the Dockerfile copies one there.
        os.chown(state, USER, USER)
        os.chmod(state, 0o700)
        # As the Dockerfile has it.
        env = {"SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt"}
        chroot = [program("chroot"), f"--userspec={USER}:{USER}", "--groups=", str(root), PROGRAM]
        relay = Child("image", [*chroot, "serve"], scene.directory / "image.log", env=env)
        try:
            for port in (smtp_port, imap_port):
                relay.wait_until_listening(port)
            run([*chroot, "healthcheck"], env=env)
            at = clients.At(smtp_port, imap_port, user, LOCAL_PASSWORD, str(scene.directory))
            mail = Message("through-the-image", user)
            _named(clients.UPLOADERS, "smtp")(at, mail)
            mail.compare(scene.delivered(mail))
            mail.compare(_named(clients.FETCHERS, "imap")(at, mail))
            bundle = run([*chroot, "support-bundle"], env=env).decode()
        finally:
            relay.stop()
    if "reason=closed" not in bundle or scene.provider.client_secret in bundle:
        raise Failed(f"support-bundle printed {bundle}")


def _named(all_clients, protocol):
    return next(client for _, own, client in all_clients if own == protocol)


def _configure(scene, root, user, smtp_port, imap_port):
    """Writes the file, the suite's CA, and what a container's engine writes into /etc."""
    (root / "etc/mailbearer/mailbearer.toml").write_text(
        CONFIG.format(
            smtp_port=smtp_port,
            imap_port=imap_port,
            smtp_upstream=scene.postfix.port,
            imap_upstream=scene.dovecot.implicit_port,
            token_endpoint=scene.provider.token_endpoint,
            scopes=str(scene.provider.scopes).replace("'", '"'),
            user=user,
            client_id=scene.provider.client_id,
            client_secret=scene.provider.client_secret,
            local_password=scene.relay.local_password,
        )
    )
    with open(root / "etc/ssl/certs/ca-certificates.crt", "a", encoding="ascii") as roots:
        roots.write(scene.ca_file.read_text())
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")
    shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")


@contextlib.contextmanager
def read_only(root):
    """The root mounted read-only over itself, with a state directory that can be written; gives that."""
    state = root / "var/lib/mailbearer"
    state.mkdir(parents=True)
    run(["mount", "--bind", str(root), str(root)])
    try:
        run(["mount", "-o", "remount,bind,ro", str(root)])
        run(["mount", "-t", "tmpfs", "tmpfs", str(state)])
        try:
            yield state
        finally:
            run(["umount", str(state)])
    finally:
        run(["umount", str(root)])


def the_linker_of_the_image_is_told_what_runs(scene):
    """By deploy/order: functions, each once, those of the start before those of the first session."""
    symbols = _order(scene.binary)
    if len(set(symbols)) != len(symbols):
        raise Failed("deploy/order names a function twice")

    def first(*words):
        found = (at for at, name in enumerate(symbols) if all(word in name for word in words))
        return next(found, None)

    start, session = first("mailbearer", "3cli5serve"), first("mailbearer", "5relay8upstream")
    if start is None or session is None or start > session:
        raise Failed(f"serve is at {start}, a session at {session} of {len(symbols)} functions")


def _order(binary):
    """The functions that deploy/order names. It and what it runs end at the time limit."""
    with subprocess.Popen(
        [ROOT / "deploy" / "order", binary],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            symbols, told = process.communicate(timeout=ORDER_WITHIN_S)
        except subprocess.TimeoutExpired:
            raise Failed(f"deploy/order took more than {ORDER_WITHIN_S} s") from None
        finally:
            # However this ends: nobody else signals a session of its own.
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    if process.returncode != 0:
        shown = told.decode(errors="replace").strip()
        raise Failed(f"deploy/order ended with {process.returncode}: {shown}")
    return symbols.decode().splitlines()


def compose_and_kubernetes_know_every_key_of_the_manifests(_scene):
    """By the schemas that the validators bring; a key that is not known is an error."""
    if not (INSTALLED / "kubernetes-validate").exists():
        raise Failed(f"nothing is in {INSTALLED}: ./tests/run packages installs it")
    compose = ROOT / "deploy/compose.yaml"
    run([INSTALLED / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", compose])
    manifests = sorted((ROOT / "deploy/kubernetes").glob("*.yaml"))
    if len(manifests) < 3:
        raise Failed(f"there are {len(manifests)} manifests")
    for manifest in manifests:
        run([INSTALLED / "kubernetes-validate", "--strict", manifest])


CHECKS = [
    the_image_sends_and_fetches_mail_as_its_user_from_a_read_only_root,
    the_linker_of_the_image_is_told_what_runs,
    compose_and_kubernetes_know_every_key_of_the_manifests,
]
