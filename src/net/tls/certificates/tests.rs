//! What a relay shows while its files change, and what it says of them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use rcgen::{CertificateParams, date_time_ymd};
use rustls::pki_types::ServerName;
use rustls::version::TLS13;
use tempfile::TempDir;
use tokio::io::duplex;
use tokio_rustls::TlsConnector;

use super::*;
use crate::net::props::{Authority, HOST, Log, put};

const DAY: Duration = Duration::from_secs(24 * 3_600);

/// A certificate that is in force, and who issues the next.
struct Rig {
    authority: Authority,
    dir: TempDir,
    certificate: Arc<Certificate>,
    log: Log,
    _collecting: Box<dyn std::any::Any>,
}

impl Rig {
    fn new() -> Self {
        let (authority, dir) = (Authority::new(), tempfile::tempdir().unwrap());
        let files = put(dir.path(), &authority.issue(HOST));
        let certificate = Certificates::default().read(&files).unwrap();
        let (log, collecting) = Log::collect();
        Self { authority, dir, certificate, log, _collecting: Box::new(collecting) }
    }

    /// Puts one of the two files in place.
    fn put(&self, name: &str, text: &str) {
        fs::write(self.dir.path().join(name), text).unwrap();
    }

    /// What is logged by a look at the files.
    fn look(&self) -> Vec<String> {
        self.certificate.look();
        self.log.take()
    }
}

/// Which certificate a client is shown: its DER.
async fn shown(authority: &Authority, certificate: &Certificate) -> Vec<u8> {
    let (far, near) = duplex(65_536);
    let name = ServerName::try_from(HOST).unwrap();
    let connecting = TlsConnector::from(authority.client(&[&TLS13])).connect(name, far);
    let (near, far) = tokio::join!(certificate.acceptor().accept(near), connecting);
    near.unwrap();
    far.unwrap().get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

#[tokio::test]
async fn a_new_certificate_is_shown_as_soon_as_its_files_are_looked_at() {
    let rig = Rig::new();
    let first = shown(&rig.authority, &rig.certificate).await;
    assert!(rig.look().is_empty(), "nothing has changed");
    put(rig.dir.path(), &rig.authority.issue(HOST));
    assert_eq!(shown(&rig.authority, &rig.certificate).await, first);
    let told = rig.look();
    assert!(told[0].contains("INFO certificate read again") && told.len() == 1, "{told:?}");
    let second = shown(&rig.authority, &rig.certificate).await;
    assert_ne!(second, first);
    assert!(rig.look().is_empty());
    assert_eq!(shown(&rig.authority, &rig.certificate).await, second);
}

#[tokio::test]
async fn files_behind_a_link_that_turns_to_another_directory_are_read_again() {
    // As Kubernetes does it: `mail.pem` → `..data/mail.pem`, `..data` → a directory by time.
    let (authority, dir) = (Authority::new(), tempfile::tempdir().unwrap());
    let at = |name: &str| dir.path().join(name);
    for volume in ["one", "two"] {
        fs::create_dir(at(volume)).unwrap();
        put(&at(volume), &authority.issue(HOST));
    }
    symlink("one", at("..data")).unwrap();
    for file in ["mail.pem", "mail.key"] {
        symlink(Path::new("..data").join(file), at(file)).unwrap();
    }
    let files = CertificateFiles { certificate: at("mail.pem"), private_key: at("mail.key") };
    let certificate = Certificates::default().read(&files).unwrap();
    let first = shown(&authority, &certificate).await;
    symlink("two", at("..new")).unwrap();
    fs::rename(at("..new"), at("..data")).unwrap();
    certificate.look();
    assert_ne!(shown(&authority, &certificate).await, first);
}

#[tokio::test]
async fn a_pair_that_is_half_written_is_waited_for_without_a_word() {
    let rig = Rig::new();
    let first = shown(&rig.authority, &rig.certificate).await;
    let [certificate, key] = rig.authority.issue(HOST);
    rig.put("mail.pem", &certificate);
    assert!(rig.look().is_empty(), "the key may be about to come");
    assert_eq!(shown(&rig.authority, &rig.certificate).await, first);
    rig.put("mail.key", &key);
    assert!(rig.look()[0].contains("certificate read again"));
    assert_ne!(shown(&rig.authority, &rig.certificate).await, first);
}

#[tokio::test]
async fn files_that_cannot_be_used_are_told_once_each_and_the_old_certificate_stays() {
    let rig = Rig::new();
    let first = shown(&rig.authority, &rig.certificate).await;
    let good = fs::read_to_string(rig.dir.path().join("mail.key")).unwrap();
    let [_, foreign] = rig.authority.issue(HOST);
    for (bad, problem) in [
        ("", "holds no private key"),
        ("-----BEGIN PRIVATE KEY-----\n!!!\n-----END PRIVATE KEY-----\n", "damaged PEM"),
        (foreign.as_str(), "is not that of the certificate"),
    ] {
        rig.put("mail.key", bad);
        assert!(rig.look().is_empty(), "it may be half written");
        let told = rig.look();
        let [line] = &told[..] else { panic!("{told:?}") };
        assert!(line.contains("ERROR certificate not read again, the old one stays"), "{line}");
        assert!(line.contains(problem) && line.contains("mail.pem"), "{line}");
        let mut secrets = foreign.lines().filter(|line| !line.starts_with('-'));
        assert!(!secrets.any(|secret| line.contains(secret)), "{line}");
        assert!(rig.look().is_empty() && rig.look().is_empty(), "it was told");
        assert_eq!(shown(&rig.authority, &rig.certificate).await, first);
    }
    fs::remove_file(rig.dir.path().join("mail.key")).unwrap();
    rig.look();
    assert!(rig.look()[0].contains("cannot be read"));
    rig.put("mail.key", &good);
    assert!(rig.look().is_empty(), "it is what is shown");
    fs::remove_file(rig.dir.path().join("mail.key")).unwrap();
    rig.look();
    assert!(rig.look()[0].contains("cannot be read"), "it was good in between");
}

#[test]
fn files_that_several_name_are_read_once() {
    let dir = tempfile::tempdir().unwrap();
    let files = put(dir.path(), &Authority::new().issue(HOST));
    let mut certificates = Certificates::default();
    let first = certificates.read(&files).unwrap();
    assert!(Arc::ptr_eq(&first, &certificates.read(&files).unwrap()));
    let missing = CertificateFiles { private_key: dir.path().join("none"), ..files };
    assert!(matches!(certificates.read(&missing), Err(CertificateError::Unreadable { .. })));
    assert_eq!(certificates.shown.len(), 1);
}

#[test]
fn a_certificate_is_told_of_before_it_begins_30_days_before_its_end_and_behind_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut params = CertificateParams::new([HOST.to_owned()]).unwrap();
    params.not_before = date_time_ymd(2029, 6, 15);
    params.not_after = date_time_ymd(2030, 6, 15);
    let begin = Duration::from_secs(1_876_176_000); // date -u -d 2029-06-15 +%s
    let end = Duration::from_secs(1_907_712_000); // date -u -d 2030-06-15 +%s
    let files = put(dir.path(), &Authority::new().issue_as(&params));
    let certificate = Certificate::read(&files).unwrap();
    let (log, _collecting) = Log::collect();
    let told_at = |now| {
        certificate.tell_of_validity(now);
        log.take()
    };
    let second = Duration::from_secs(1);
    let told = told_at(begin - second);
    assert!(told[0].contains("WARN the certificate is not good yet"), "{told:?}");
    assert!(told[0].contains("begins=\"2029-06-15T00:00:00Z\"") && told.len() == 1, "{told:?}");
    assert!(told_at(begin).is_empty());
    assert!(told_at(end - 30 * DAY - second).is_empty());
    for now in [end - 30 * DAY, end - second] {
        let told = told_at(now);
        assert!(told[0].contains("WARN the certificate ends soon: renew it"), "{told:?}");
        assert!(told[0].contains("ends=\"2030-06-15T00:00:00Z\""), "{told:?}");
    }
    for now in [end, end + 400 * DAY] {
        let told = told_at(now);
        assert!(told[0].contains("WARN the certificate has ended"), "{told:?}");
        assert!(told[0].contains("mail.pem") && told.len() == 1, "{told:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn files_are_looked_at_every_30_s_and_ends_told_daily_and_with_each_configuration() {
    let (authority, dir) = (Authority::new(), tempfile::tempdir().unwrap());
    let mut params = CertificateParams::new([HOST.to_owned()]).unwrap();
    params.not_after = date_time_ymd(2020, 1, 1);
    let files = put(dir.path(), &authority.issue_as(&params));
    let mut certificates = Certificates::default();
    let certificate = certificates.read(&files).unwrap();
    let (log, _collecting) = Log::collect();
    let current = watch::Sender::new(certificates.clone());
    let keeping = tokio::spawn(keep(current.subscribe()));
    let told = async |after: Duration| {
        sleep(after).await;
        log.take().iter().filter(|line| line.contains("has ended")).count()
    };
    assert_eq!(told(DAY - LOOK_INTERVAL).await, 1, "at the start");
    assert_eq!(told(2 * LOOK_INTERVAL).await, 1, "a day later");
    assert_eq!(told(LOOK_INTERVAL).await, 0);
    current.send_replace(certificates);
    assert_eq!(told(Duration::from_secs(1)).await, 1, "after a reload");

    put(dir.path(), &authority.issue(HOST));
    let ends_at = || certificate.state().shown.validity();
    let before = ends_at();
    sleep(Duration::from_secs(28)).await;
    assert_eq!(ends_at(), before);
    sleep(Duration::from_secs(2)).await;
    assert_ne!(ends_at(), before);
    drop(current);
    keeping.await.unwrap();
}
