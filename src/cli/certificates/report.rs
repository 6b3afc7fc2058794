//! What was made, and what to do with it: at the relay and at each device.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use aws_lc_rs::digest::{self, SHA256};

use super::authority::Authority;
use super::directory::Directory;
use super::names::Names;
use crate::store::shell_word;
use crate::web::moment::Moment;

/// What was made.
pub(super) struct Report {
    pub(super) directory: Directory,
    pub(super) authority: Authority,
    pub(super) is_new: bool,
    pub(super) names: Names,
    /// When the server's certificate ends, since 1970.
    pub(super) ends_at: Duration,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { directory, authority, is_new, names, ends_at } = self;
        let (ca, server) = (directory.ca_pem(), directory.server_pem());
        let day = |since_1970| Moment::new(since_1970).day();
        let which = if *is_new { "made" } else { "kept" };
        writeln!(f, "{which} {}, an authority until {}", ca.display(), day(authority.ends_at()))?;
        if let Some(permitted) = authority.permitted() {
            writeln!(f, "  good for {}, hosts below them, and IP addresses", permitted.join(", "))?;
        }
        if let Ok(der) = authority.der() {
            writeln!(f, "  SHA-256 {}", fingerprint(&der))?;
        }
        writeln!(f, "{which} {}, its key: keep it secret", directory.ca_key().display())?;
        writeln!(f, "made {}, a certificate until {}", server.display(), day(*ends_at))?;
        writeln!(f, "  of {names}")?;
        writeln!(f, "made {}, its key", directory.server_key().display())?;

        writeln!(f, "\nWrite in the table of each listener:\n")?;
        writeln!(f, "    tls = \"starttls\"   # or \"implicit\", where clients say SSL/TLS")?;
        writeln!(f, "    certificate = {}", toml(&server))?;
        writeln!(f, "    private_key = {}", toml(&directory.server_key()))?;
        writeln!(f, "\nThe user that mailbearer serves as has to be able to read both. Run this")?;
        writeln!(f, "again before {} for the next certificate: devices go on", day(*ends_at))?;
        writeln!(f, "trusting the authority, and a relay that runs takes it by itself.")?;

        write_trust(f, &ca, *is_new)
    }
}

/// How devices come to trust the authority at `ca`.
fn write_trust(f: &mut fmt::Formatter<'_>, ca: &Path, is_new: bool) -> fmt::Result {
    if !is_new {
        return write!(f, "\nDevices that trust {} need nothing.", ca.display());
    }
    let word = shell_word(&ca.to_string_lossy());
    writeln!(f, "\nBring ca.pem, and no key, to each device that connects, and trust it there:\n")?;
    let keychain = "/Library/Keychains/System.keychain";
    for (system, how) in [
        ("Windows", "certutil -addstore -f Root ca.pem   (as administrator)".to_owned()),
        (
            "macOS",
            format!("sudo security add-trusted-cert -d -r trustRoot -k {keychain} ca.pem"),
        ),
        (
            "Debian",
            format!(
                "sudo cp {word} /usr/local/share/ca-certificates/mailbearer.crt\n            sudo \
                 update-ca-certificates"
            ),
        ),
        (
            "Fedora",
            format!(
                "sudo cp {word} /etc/pki/ca-trust/source/anchors/mailbearer.pem\n            sudo \
                 update-ca-trust"
            ),
        ),
        (
            "Thunderbird",
            "Settings, Privacy & Security, Manage Certificates, Authorities, Import".to_owned(),
        ),
        ("Java", "keytool -importcert -cacerts -alias mailbearer -file ca.pem".to_owned()),
        (
            "Printers",
            "the device's web page, Security, CA certificates, Import; where it wants\n            \
             .crt or .cer, rename ca.pem; where it wants DER:\n            openssl x509 -in ca.pem \
             -outform der -out ca.cer"
                .to_owned(),
        ),
    ] {
        writeln!(f, "{system:<12}{how}")?;
    }
    writeln!(f, "\nA device that can trust no authority has to leave the check off, or to speak")?;
    write!(f, "in clear: then write require_tls = false, and let it alone in by `allow`.")
}

/// The fingerprint by which people compare certificates, as openssl writes it.
fn fingerprint(der: &[u8]) -> String {
    let digest = digest::digest(&SHA256, der);
    let bytes: Vec<String> = digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
    bytes.join(":")
}

/// A path as a string of TOML.
fn toml(path: &Path) -> toml::Value {
    toml::Value::String(path.to_string_lossy().into_owned())
}
