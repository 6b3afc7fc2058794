"""What `openssl s_client` sees of every TLS listener: versions, suites, chain, renewal.

Each check is a function of the `Scene`; it raises when the promise in its name is broken.
"""

import contextlib
import re
import subprocess
from functools import partial

import expect
from listeners import PROTOCOLS
from place import HOST, TLS
from processes import PATIENCE_S, Child, free_port, program, run, wait_for

# What s_client calls the protocols.
STARTTLS = {"submission": "smtp", "imap": "imap", "pop3": "pop3"}
# OpenSSL's names of everything that a client can offer, however weak.
WEAKEST = "ALL:COMPLEMENTOFALL:@SECLEVEL=0"
# RFC 9325 sections 4.2 and 4.2.1: forward secrecy and authenticated encryption, and nothing else; by
# an RSA key, which `mailbearer certificates` makes.
SOUND = {
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-RSA-CHACHA20-POLY1305",
}
# RFC 8446 section 9.1: one must, two should. The CCM suites are for constrained devices.
SOUND_13 = {
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
}
ALL_13 = [*sorted(SOUND_13), "TLS_AES_128_CCM_SHA256", "TLS_AES_128_CCM_8_SHA256"]
# What the relay logs about a file, and about a reload.
NOT_READ = "certificate not read again"
NOT_RELOADED = "configuration not reloaded"
# The alerts handshake_failure and protocol_version (RFC 8446 section 6.2).
REFUSED = re.compile(r"SSL alert number (40|70)\b")
# By the options of s_client.
OLD_VERSIONS = ("-tls1", "-tls1_1")
VERSIONS = {"-tls1_2": "TLSv1.2", "-tls1_3": "TLSv1.3"}
PEM = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


def old_versions_would_be_spoken_by_this_openssl(scene):
    """Or their refusal would prove nothing."""
    with _old_server(scene) as port:
        for version in OLD_VERSIONS:
            seen = _s_client(scene, port, version, "-cipher", WEAKEST)
            expect.that(_suite(seen) is not None, f"{version} is not spoken at all: {seen}")


def tls_1_2_and_1_3_alone_are_spoken(scene, protocol, tls):
    """TLS 1.0 and 1.1 end in an alert (RFC 8996 sections 4 and 5)."""
    for version, name in VERSIONS.items():
        seen = _at_listener(scene, protocol, tls, version)
        expect.that(f"New, {name}, Cipher is {_suite(seen)}" in seen, f"no {name}: {seen}")
    for version in OLD_VERSIONS:
        seen = _at_listener(scene, protocol, tls, version, "-cipher", WEAKEST)
        expect.that(_suite(seen) is None, f"{version} is spoken: {seen}")
        expect.that(REFUSED.search(seen) is not None, f"{version} ends otherwise: {seen}")


def sound_suites_alone_are_taken(scene, protocol, tls):
    """Every suite is found that a client can get: no CBC, and no RSA key exchange."""
    offered = run([program("openssl"), "ciphers", "-s", "-tls1_2", WEAKEST]).decode().strip()
    taken = _taken(
        offered.split(":"),
        lambda left: _at_listener(
            scene, protocol, tls, "-tls1_2", "-cipher", ":".join([*left, "@SECLEVEL=0"])
        ),
    )
    expect.that(taken == SOUND, f"TLS 1.2 has the suites {sorted(taken)}")
    taken = _taken(
        ALL_13,
        lambda left: _at_listener(
            scene, protocol, tls, "-tls1_3", "-ciphersuites", ":".join(left)
        ),
    )
    expect.that(taken == SOUND_13, f"TLS 1.3 has the suites {sorted(taken)}")


def the_chain_leads_to_its_authority(scene, protocol, tls):
    """For the name and both addresses; with another authority, or for another name, it does not."""
    for option in ("-verify_hostname localhost", "-verify_ip 127.0.0.1", "-verify_ip ::1"):
        seen = _at_listener(scene, protocol, tls, *option.split())
        expect.that("Verify return code: 0 (ok)" in seen, f"{option} fails: {seen}")
    seen = _at_listener(scene, protocol, tls, "-verify_hostname", "elsewhere.test")
    expect.that("hostname mismatch" in seen.lower(), f"the name is not looked at: {seen}")
    port = scene.listeners.ports[f"{protocol}-{tls}"]
    seen = _s_client(scene, port, *_starttls(protocol, tls), ca_file=scene.ca_file)
    expect.that("Verify return code: 0 (ok)" not in seen, f"the CA is not looked at: {seen}")


def a_renewed_certificate_is_shown_and_a_bad_one_is_not(scene):
    """Without a signal, the one as the other: the files are looked at now and again."""
    authority = scene.listeners.authority
    renewed, broken = authority.pair("submission"), authority.pair("imap")
    old = broken.certificate.read_text()
    authority.renew(renewed)
    broken.certificate.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n")
    try:
        wait_for("the renewed one is shown", lambda: _is_shown(scene, "submission", renewed))
        wait_for("the bad one is told", lambda: _is_told(scene, NOT_READ, broken))
        for tls in TLS[1:]:
            shown = _shown(scene, "imap", tls)
            expect.that(shown == PEM.search(old)[0], f"imap by {tls} shows another than before")
    finally:
        broken.certificate.write_text(old)


def a_reload_reads_certificates_again_or_changes_nothing(scene):
    """By SIGHUP: with a bad file the old one is shown; with a good one the new one, at once."""
    listeners = scene.listeners
    pair = listeners.authority.pair("pop3")
    old = pair.certificate.read_text()
    pair.certificate.write_text("no certificate\n")
    refused = listeners.relay.logged().count(NOT_RELOADED)
    listeners.relay.hang_up()
    wait_for(
        "the reload is refused",
        lambda: listeners.relay.logged().count(NOT_RELOADED) > refused,
    )
    for tls in TLS[1:]:
        expect.that(_shown(scene, "pop3", tls) == PEM.search(old)[0], "another one is shown")
    listeners.authority.renew(pair)
    listeners.relay.hang_up()
    wait_for("the renewed one is shown", lambda: _is_shown(scene, "pop3", pair))


def check(scene, table):
    """What holds for each listener, then what holds for all."""
    each = (
        tls_1_2_and_1_3_alone_are_spoken,
        sound_suites_alone_are_taken,
        the_chain_leads_to_its_authority,
    )
    once = (
        old_versions_would_be_spoken_by_this_openssl,
        a_reload_reads_certificates_again_or_changes_nothing,
        a_renewed_certificate_is_shown_and_a_bad_one_is_not,
    )
    for listener_check in each:
        for protocol in PROTOCOLS:
            for tls in TLS[1:]:
                name = listener_check.__name__.replace("_", " ")
                table.row(name, protocol, tls, partial(listener_check, scene, protocol, tls))
    for scene_check in once:
        table.row(scene_check.__name__.replace("_", " "), "all", "", partial(scene_check, scene))


def _at_listener(scene, protocol, tls, *options):
    port = scene.listeners.ports[f"{protocol}-{tls}"]
    return _s_client(scene, port, *_starttls(protocol, tls), *options)


def _starttls(protocol, tls):
    return ["-starttls", STARTTLS[protocol]] if tls == "starttls" else []


def _s_client(scene, port, *options, ca_file=None):
    """All that s_client says of one handshake, whether it succeeded or not."""
    done = subprocess.run(
        [program("openssl"), "s_client", "-connect", f"127.0.0.1:{port}", "-servername", HOST]
        + ["-CAfile", str(ca_file or scene.listeners.authority.ca_file), "-no-CApath"]
        + ["-no-CAstore", "-verify_return_error", *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=PATIENCE_S,
        env={"OPENSSL_CONF": "/dev/null"},
    )
    return done.stdout.decode(errors="replace")


def _suite(seen):
    """The suite that both sides agreed upon, or `None`."""
    found = re.search(r"^New, .*, Cipher is (\S+)$", seen, re.MULTILINE)
    return None if found is None or found[1] == "(NONE)" else found[1]


def _taken(offered, connect):
    """Which of these suites the listener takes: the one it chose is offered no more."""
    left, taken = list(offered), set()
    while left and (suite := _suite(connect(left))) is not None:
        left.remove(suite)
        taken.add(suite)
    return taken


def _shown(scene, protocol, tls):
    found = PEM.search(_at_listener(scene, protocol, tls))
    return found and found[0]


def _is_shown(scene, protocol, pair):
    file = PEM.search(pair.certificate.read_text())[0]
    return all(_shown(scene, protocol, tls) == file for tls in TLS[1:])


def _is_told(scene, message, pair):
    lines = scene.listeners.relay.logged().splitlines()
    return any(message in line and str(pair.certificate) in line for line in lines)


@contextlib.contextmanager
def _old_server(scene):
    """OpenSSL's own server, which speaks every version that it can."""
    port = free_port()
    pair = scene.listeners.authority.pair("submission")
    argv = [program("openssl"), "s_server", "-accept", f"127.0.0.1:{port}", "-www"]
    argv += ["-cert", str(pair.certificate), "-key", str(pair.private_key), "-cipher", WEAKEST]
    child = Child(
        "openssl s_server", argv, scene.directory / "s_server.log",
        env={"OPENSSL_CONF": "/dev/null"},
    )
    try:
        child.wait_until_listening(port)
        yield port
    finally:
        child.stop()
