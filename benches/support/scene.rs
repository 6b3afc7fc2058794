//! What stands behind every proxy: certificates, a token endpoint, the upstream, near and far.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use super::process::Child;
use super::{delay, ideal, tokens, upstream};

/// One upstream with all that it needs, for all rounds.
pub struct Scene {
    dir: TempDir,
    /// What is measured as mailbearer.
    pub program: PathBuf,
    near: [u16; 4],
    far: [u16; 4],
    /// The port of the token endpoint.
    pub tokens: u16,
    _processes: [Child; 3],
}

/// Which of its doors a proxy dials.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// On loopback, implicit TLS.
    Near,
    /// 40 ms away, implicit TLS; IMAP signs in by two steps.
    Far,
    /// The same with STARTTLS for submission.
    FarStartTls,
}

/// The ports of a way.
#[derive(Clone, Copy)]
pub struct Upstream {
    pub imap: u16,
    pub submission: u16,
    pub starttls: bool,
}

impl Scene {
    /// Starts all of it, for the mailbearer that `program` is.
    pub fn start(program: PathBuf) -> Self {
        // Dovecot's own users have to reach its sockets; the key in here is good for nothing else.
        let open = std::fs::Permissions::from_mode(0o755);
        let dir = tempfile::Builder::new().permissions(open).tempdir().unwrap();
        write_certificates(dir.path());
        let (upstream, near) = Child::role("upstream", dir.path(), &[]);
        let (delay, far) = Child::role("delay", dir.path(), &near);
        let (endpoint, [tokens]) = Child::role("tokens", dir.path(), &[]);
        Self { dir, program, near, far, tokens, _processes: [upstream, delay, endpoint] }
    }

    /// Where the certificates are, and the files of the proxies.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Where a proxy dials.
    pub fn upstream(&self, way: Way) -> Upstream {
        let [imap, two_step, submission, starttls] =
            if way == Way::Near { self.near } else { self.far };
        match way {
            Way::Near => Upstream { imap, submission, starttls: false },
            Way::Far => Upstream { imap: two_step, submission, starttls: false },
            Way::FarStartTls => Upstream { imap: two_step, submission: starttls, starttls: true },
        }
    }
}

/// Plays a role if the arguments of this program say so.
pub fn play_role() -> bool {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [word, role, dir, ports @ ..] = arguments.as_slice() else { return false };
    if word != "role" {
        return false;
    }
    let dir = Path::new(dir);
    let ports: Vec<u16> = ports.iter().map(|port| port.parse().unwrap()).collect();
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
        match role.as_str() {
            "upstream" => upstream::serve(dir).await,
            "delay" => delay::serve(&ports).await,
            "tokens" => tokens::serve().await,
            "ideal" => ideal::serve(dir, &ports).await,
            other => panic!("no role {other}"),
        }
    });
    true
}

/// Writes `ca.pem`, `server.pem` and `server.key` into `dir`.
fn write_certificates(dir: &Path) {
    let mut authority = CertificateParams::new([]).unwrap();
    authority.distinguished_name.push(DnType::CommonName, "mailbearer bench CA");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    std::fs::write(dir.join("ca.pem"), authority.self_signed(&key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(authority, key);
    let key = KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let mut server = CertificateParams::new(names).unwrap();
    server.distinguished_name.push(DnType::CommonName, "localhost");
    let server = server.signed_by(&key, &issuer).unwrap();
    std::fs::write(dir.join("server.pem"), server.pem()).unwrap();
    std::fs::write(dir.join("server.key"), key.serialize_pem()).unwrap();
}
