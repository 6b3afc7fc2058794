//! What the files promise to those who have to take them: openssl, and rustls as our own upstream
//! side uses it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, ServerConfig, ServerConnection};
use tempfile::TempDir;
use tokio::io::duplex;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_rustls::TlsConnector;
use x509_cert::Certificate;
use x509_cert::der::{DecodePem as _, Encode as _};

use super::*;
use crate::net::tls;
use crate::net::tls::certificates::Certificates;
use crate::net::tls::server::CertificateFiles;

const HOST: &str = "relay";

fn make_in(dir: &TempDir, asked: &[&str]) -> Result<String, CertificatesError> {
    let asked: Vec<String> = asked.iter().map(|name| (*name).to_owned()).collect();
    make(&dir.path().join("certs"), &asked, HOST).map(|report| report.to_string())
}

fn made(asked: &[&str]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    make_in(&dir, asked).unwrap();
    dir
}

fn read(dir: &TempDir, name: &str) -> String {
    fs::read_to_string(dir.path().join("certs").join(name)).unwrap()
}

fn all(dir: &TempDir) -> BTreeMap<String, String> {
    let entries = fs::read_dir(dir.path().join("certs")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.map(|name| (name.clone(), read(dir, &name))).collect()
}

fn refused(dir: &TempDir, asked: &[&str]) -> (String, Exit) {
    let error = make_in(dir, asked).unwrap_err();
    (error.to_string(), error.exit())
}

/// Runs openssl where the files are; gives what it printed, and whether it was content.
fn openssl(dir: &TempDir, line: &str) -> (String, bool) {
    let mut command = Command::new("openssl");
    let command = command.args(line.split(' ')).current_dir(dir.path().join("certs"));
    let output = command.output().unwrap();
    let both = [output.stdout, output.stderr].concat();
    (String::from_utf8(both).unwrap(), output.status.success())
}

/// Whether a rustls client that trusts the authority alone takes the server for `name`.
fn rustls_takes(dir: &TempDir, name: &str) -> bool {
    let files = Directory::open(&dir.path().join("certs")).unwrap();
    let chain = tls::certificates(&files.server_pem()).unwrap();
    let key = read(dir, "server.key");
    let key = rustls_pemfile::private_key(&mut key.as_bytes()).unwrap().unwrap();
    let provider = || Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(tls::certificates(&files.ca_pem()).unwrap().remove(0)).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    while client.is_handshaking() {
        let mut sent = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut sent).unwrap();
        }
        server.read_tls(&mut sent.as_slice()).unwrap();
        server.process_new_packets().unwrap();
        let mut answer = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut answer).unwrap();
        }
        client.read_tls(&mut answer.as_slice()).unwrap();
        if client.process_new_packets().is_err() {
            return false;
        }
    }
    true
}

/// The certificate in the PEM `text`.
fn der(text: &str) -> Vec<u8> {
    Certificate::from_pem(text).unwrap().to_der().unwrap()
}

/// Which certificate a client that trusts the authority is shown: its DER.
async fn shown(dir: &TempDir, certificate: &tls::certificates::Certificate) -> Vec<u8> {
    let ca = Directory::open(&dir.path().join("certs")).unwrap().ca_pem();
    let (far, near) = duplex(65_536);
    let name = ServerName::try_from("localhost").unwrap();
    let connector = TlsConnector::from(tls::trust(Some(&ca)).unwrap());
    let (accepted, connected) =
        tokio::join!(certificate.acceptor().accept(near), connector.connect(name, far));
    accepted.unwrap();
    connected.unwrap().get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

#[test]
fn certificate_is_taken_for_each_of_its_names_and_no_other() {
    let dir = made(&["Mail.Contoso.com.", "192.0.2.10", "2001:db8::10"]);
    for name in
        ["relay", "localhost", "127.0.0.1", "::1", "mail.contoso.com", "192.0.2.10", "2001:db8::10"]
    {
        let is_ip = name.parse::<std::net::IpAddr>().is_ok();
        let which = if is_ip { "ip" } else { "hostname" };
        let line = format!("verify -x509_strict -CAfile ca.pem -verify_{which} {name} server.pem");
        assert_eq!(openssl(&dir, &line), ("server.pem: OK\n".to_owned(), true), "{name}");
        assert!(rustls_takes(&dir, name), "{name}");
    }
    for name in ["contoso.com", "imap.mail.contoso.com", "192.0.2.11"] {
        assert!(!rustls_takes(&dir, name), "{name}");
    }
}

#[test]
fn authority_says_what_it_is_and_what_it_is_good_for() {
    let dir = made(&["mail.contoso.com"]);
    let (text, _) = openssl(&dir, "x509 -in ca.pem -noout -text");
    for said in [
        "Subject: CN = mailbearer CA relay 20",
        "Public-Key: (3072 bit)",
        // RFC 5280 sections 4.2.1.9 and 4.2.1.3.
        "X509v3 Basic Constraints: critical\n                CA:TRUE, pathlen:0",
        "X509v3 Key Usage: critical\n                Certificate Sign, CRL Sign",
        // RFC 5280 section 4.2.1.10, not critical: see `authority`.
        "X509v3 Name Constraints: \n                Permitted:\n                  \
         DNS:mail.contoso.com\n                  DNS:relay\n                  DNS:localhost\n\
         \x20                 IP:0.0.0.0/0.0.0.0\n                  IP:0:0:0:0:0:0:0:0/0:0:0:0:0:0:0:0",
    ] {
        assert!(text.contains(said), "{said}\n{text}");
    }
    let (text, _) = openssl(&dir, "x509 -in server.pem -noout -text");
    for said in [
        "Issuer: CN = mailbearer CA relay 20",
        "Subject: CN = mail.contoso.com",
        "Public-Key: (2048 bit)",
        "X509v3 Extended Key Usage: \n                TLS Web Server Authentication",
        "X509v3 Key Usage: critical\n                Digital Signature, Key Encipherment",
        "DNS:mail.contoso.com, DNS:relay, DNS:localhost, IP Address:127.0.0.1",
    ] {
        assert!(text.contains(said), "{said}\n{text}");
    }
}

#[test]
fn certificate_of_a_stolen_authority_is_good_for_no_other_host() {
    let dir = made(&["mail.contoso.com"]);
    let directory = Directory::open(&dir.path().join("certs")).unwrap();
    let authority = directory.authority(unix_time()).unwrap().unwrap();
    for (name, is_taken) in [("bank.example", false), ("imap.mail.contoso.com", true)] {
        let mut names = Names::default();
        names.add(Name::parse(name));
        let Issued { certificate, key, .. } = authority.issue(&names, unix_time()).unwrap();
        directory.keep_server(&certificate, &key).unwrap();
        let (told, is_content) = openssl(&dir, "verify -CAfile ca.pem server.pem");
        assert_eq!(is_content, is_taken, "{told}");
        assert_eq!(told.contains("permitted subtree violation"), !is_taken, "{told}");
        assert_eq!(rustls_takes(&dir, name), is_taken, "{name}");
    }
}

#[test]
fn certificates_last_as_long_as_devices_accept() {
    let dir = made(&[]);
    let lasts = |name: &str| {
        let certificate = Certificate::from_pem(read(&dir, name)).unwrap();
        let validity = *certificate.tbs_certificate().validity();
        let begins = validity.not_before.to_unix_duration();
        // For clocks that are behind.
        assert!(begins + Duration::from_secs(86_400) <= unix_time());
        (validity.not_after.to_unix_duration() - begins).as_secs() / 86_400
    };
    assert_eq!(lasts("ca.pem"), 3651);
    // Apple's verifier refuses more than 825.
    assert_eq!(lasts("server.pem"), 824);
}

#[test]
fn certificate_does_not_outlive_its_authority() {
    let dir = made(&[]);
    let directory = Directory::open(&dir.path().join("certs")).unwrap();
    let at = |days: u64| unix_time() + Duration::from_secs(86_400 * days);
    let late = directory.authority(at(3000)).unwrap().unwrap();
    let names = Names::of_this_machine(HOST);
    assert_eq!(late.issue(&names, at(3000)).unwrap().ends_at, late.ends_at());
    assert!(directory.authority(at(3648)).is_ok());
    let ended = directory.authority(at(3650)).map(drop).unwrap_err().to_string();
    assert!(ended.contains("is an authority that has ended: name another directory"), "{ended}");
}

#[test]
fn keys_are_for_their_owner_alone_and_certificates_for_everybody() {
    let dir = made(&[]);
    for (name, mode) in
        [("ca.pem", 0o644), ("ca.key", 0o600), ("server.pem", 0o644), ("server.key", 0o600)]
    {
        let metadata = fs::metadata(dir.path().join("certs").join(name)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, mode, "{name}");
    }
    let names: Vec<String> = all(&dir).into_keys().collect();
    assert_eq!(names, ["ca.key", "ca.pem", "server.key", "server.pem"]);
}

#[test]
fn second_run_keeps_the_authority_and_the_names_and_renews_the_certificate() {
    let dir = made(&["mail.contoso.com", "192.0.2.10"]);
    let first = all(&dir);
    let told = make_in(&dir, &["192.0.2.11", "imap.mail.contoso.com"]).unwrap();
    let second = all(&dir);
    for (name, is_kept) in
        [("ca.pem", true), ("ca.key", true), ("server.pem", false), ("server.key", false)]
    {
        assert_eq!(first[name] == second[name], is_kept, "{name}");
    }
    for name in ["mail.contoso.com", "imap.mail.contoso.com", "192.0.2.10", "192.0.2.11"] {
        assert!(rustls_takes(&dir, name), "{name}");
    }
    assert!(told.starts_with("kept ") && told.contains("need nothing."), "{told}");
    // A machine that is called otherwise goes on with the names that it was reached by.
    make(&dir.path().join("certs"), &[], "renamed").unwrap();
    assert!(rustls_takes(&dir, "relay") && !rustls_takes(&dir, "renamed"));
}

#[tokio::test(start_paused = true)]
async fn renewal_that_broke_off_between_its_files_ends_no_service_and_another_one_mends_it() {
    let dir = made(&[]);
    let files = Directory::open(&dir.path().join("certs")).unwrap();
    let pair =
        CertificateFiles { certificate: files.server_pem(), private_key: files.server_key() };
    let mut certificates = Certificates::default();
    let certificate = certificates.read(&pair).unwrap();
    let current = watch::Sender::new(certificates);
    let keeping = tokio::spawn(tls::certificates::keep(current.subscribe()));
    // The key is written first.
    let (before, key) = (read(&dir, "server.pem"), read(&dir, "server.key"));
    make_in(&dir, &[]).unwrap();
    assert_ne!(read(&dir, "server.key"), key);
    fs::write(files.server_pem(), &before).unwrap();
    sleep(Duration::from_secs(100)).await;
    assert_eq!(shown(&dir, &certificate).await, der(&before));

    make_in(&dir, &[]).unwrap();
    sleep(Duration::from_secs(31)).await;
    assert_eq!(shown(&dir, &certificate).await, der(&read(&dir, "server.pem")));
    drop(current);
    keeping.await.unwrap();
}

#[test]
fn name_that_the_authority_is_not_good_for_is_refused_and_nothing_changes() {
    let dir = made(&["mail.contoso.com"]);
    let before = all(&dir);
    let (told, exit) = refused(&dir, &["mail.fabrikam.com"]);
    assert!(
        told.contains("was made for mail.contoso.com, relay, localhost, and certificates of it")
            && told.contains("for mail.fabrikam.com are refused: name another directory"),
        "{told}"
    );
    assert_eq!((exit, all(&dir)), (Exit::Failed, before));
}

#[test]
fn text_that_is_no_name_is_refused_before_anything_is_made() {
    let dir = tempfile::tempdir().unwrap();
    for text in
        ["", ".", "mail.contoso.com:587", "*.contoso.com", "https://mail", "a b", "büro.example"]
    {
        let (told, exit) = refused(&dir, &["fine.example", text]);
        assert_eq!(exit, Exit::Usage);
        assert!(told.starts_with(&format!("--name {text:?} is neither")), "{told}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn machine_whose_name_no_certificate_can_hold_goes_without_it() {
    let names = |host: &str| Names::of_this_machine(host).to_string();
    assert_eq!(names("Relay"), "relay, localhost, 127.0.0.1, ::1");
    for host in ["", "localhost", "a b", "büro"] {
        assert_eq!(names(host), "localhost, 127.0.0.1, ::1", "{host:?}");
    }
    let dir = tempfile::tempdir().unwrap();
    make(&dir.path().join("certs"), &[], &"long.".repeat(40)).unwrap();
    assert!(rustls_takes(&dir, "localhost"));
}

#[test]
fn half_an_authority_is_refused_and_left_as_it_is() {
    let dir = made(&[]);
    for (gone, left) in [("ca.key", "ca.pem"), ("ca.pem", "ca.key")] {
        let path = dir.path().join("certs").join(gone);
        let content = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let before = all(&dir);
        let (told, exit) = refused(&dir, &[]);
        assert!(told.contains(&format!("{left}\" is there, and ")), "{told}");
        assert!(told.contains(&format!("{gone}\" is not: put it back")), "{told}");
        assert_eq!((exit, all(&dir)), (Exit::Failed, before));
        fs::write(path, content).unwrap();
    }
}

#[test]
fn authority_that_cannot_sign_is_refused_and_left_as_it_is() {
    let dir = made(&[]);
    for (name, content, problem) in [
        ("ca.key", read(&dir, "server.key"), "is not the key of the authority beside it"),
        ("ca.key", "secret".to_owned(), "holds no private key in PEM"),
        ("ca.pem", "x".to_owned(), "holds no certificate in PEM"),
    ] {
        let path = dir.path().join("certs").join(name);
        let right = fs::read(&path).unwrap();
        fs::write(&path, content).unwrap();
        let before = all(&dir);
        let (told, exit) = refused(&dir, &[]);
        assert!(told.contains(&format!("{name}\" {problem}: name another directory")), "{told}");
        assert_eq!((exit, all(&dir)), (Exit::Failed, before));
        fs::write(path, right).unwrap();
    }
}

#[test]
fn authority_of_another_tool_issues_what_clients_take() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("certs")).unwrap();
    let make = "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 30 -subj";
    assert!(openssl(&dir, &format!("{make} /CN=Other")).1);
    make_in(&dir, &["mail.contoso.com"]).unwrap();
    let line = "verify -CAfile ca.pem -verify_hostname mail.contoso.com server.pem";
    assert_eq!(openssl(&dir, line), ("server.pem: OK\n".to_owned(), true));
    assert!(rustls_takes(&dir, "mail.contoso.com"));

    for (subject, problem) in [
        ("/CN=Other -addext basicConstraints=CA:FALSE", "is no authority, but a certificate of a"),
        ("/CN=Other -addext keyUsage=digitalSignature", "is no authority, but a certificate of a"),
        ("/O=Contoso/CN=Other", "the authority's name is not one that"),
    ] {
        assert!(openssl(&dir, &format!("{make} {subject}")).1);
        let before = all(&dir);
        let (told, exit) = refused(&dir, &[]);
        assert!(told.contains(problem) && told.contains("--out"), "{told}");
        assert_eq!((exit, all(&dir)), (Exit::Failed, before));
    }
}

#[test]
fn key_of_an_authority_that_others_could_read_is_refused() {
    let dir = made(&[]);
    let path = dir.path().join("certs/ca.key");
    for mode in [0o640, 0o604, 0o620] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let before = all(&dir);
        let (told, exit) = refused(&dir, &[]);
        let fix = format!("run `chmod 600 {}` if nobody has it", path.display());
        assert!(told.contains("ca.key\" is open to other users") && told.contains(&fix), "{told}");
        assert_eq!((exit, all(&dir)), (Exit::Failed, before), "{mode:o}");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    make_in(&dir, &[]).unwrap();
}

#[test]
fn renewed_certificate_stays_readable_for_the_relay() {
    let dir = made(&[]);
    let path = |name: &str| dir.path().join("certs").join(name);
    let mode = |name: &str| fs::metadata(path(name)).unwrap().permissions().mode() & 0o777;
    // 65534 is nobody; whoever is not root can give a file to nobody else.
    let is_given = ["server.key", "server.pem"]
        .map(|name| std::os::unix::fs::chown(path(name), Some(65_534), Some(65_534)).is_ok());
    for (before, after) in [(0o640, 0o640), (0o600, 0o600), (0o666, 0o640), (0o400, 0o600)] {
        fs::set_permissions(path("server.key"), fs::Permissions::from_mode(before)).unwrap();
        make_in(&dir, &[]).unwrap();
        assert_eq!((mode("server.key"), mode("server.pem")), (after, 0o644), "{before:o}");
    }
    for (name, is_given) in ["server.key", "server.pem"].into_iter().zip(is_given) {
        let metadata = fs::metadata(path(name)).unwrap();
        assert_eq!((metadata.uid() == 65_534, metadata.gid() == 65_534), (is_given, is_given));
    }
}

#[test]
fn directory_that_cannot_be_written_is_told() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("certs"), "a file").unwrap();
    let (told, exit) = refused(&dir, &[]);
    assert!(told.contains("cannot be written") && told.contains("--out"), "{told}");
    assert_eq!(exit, Exit::Failed);
}

#[test]
fn report_says_what_to_write_and_how_to_trust_the_authority() {
    let dir = tempfile::tempdir().unwrap();
    let told = make_in(&dir, &[]).unwrap();
    let (fingerprint, _) = openssl(&dir, "x509 -in ca.pem -noout -fingerprint -sha256");
    let (_, fingerprint) = fingerprint.trim().split_once('=').unwrap();
    let certs = dir.path().join("certs").display().to_string();
    for said in [
        format!("SHA-256 {fingerprint}"),
        format!("    certificate = \"{certs}/server.pem\"\n"),
        format!("    private_key = \"{certs}/server.key\"\n"),
        "certutil -addstore -f Root ca.pem".to_owned(),
        "security add-trusted-cert".to_owned(),
        format!("sudo cp {certs}/ca.pem /usr/local/share/ca-certificates/mailbearer.crt"),
        "update-ca-trust".to_owned(),
        "Printers".to_owned(),
    ] {
        assert!(told.contains(&said), "{said}\n{told}");
    }
    assert!(!told.contains("PRIVATE KEY") && !told.ends_with('\n'));
    assert!(told.lines().all(|line| line.chars().count() <= 120), "{told}");
}
