//! What a session says, hears and logs where TLS is expected or comes unexpected, on in-memory pipes
//! with a paused clock.

use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::task::JoinHandle;
use tokio::time::{Duration, sleep};
use tokio_rustls::TlsConnector;

use super::tests::{listener_of, settings, start};
use super::*;
use crate::account::LocalPassword;
use crate::net::client_stream::HandshakeError;
use crate::net::props::{Authority, HOST, Log, put};
use crate::proto::smtp::DeviceMail;
use crate::proto::{CloseReason, Privacy};
use crate::provider::Protocol;
use crate::relay::protocol::{Imap, Submission};
use crate::relay::tls_advice::advice;
use crate::relay::{ListenerSettings, ListenerTls, Shutdown};

/// A listener with a certificate.
struct Rig {
    authority: Authority,
    dir: TempDir,
    shutdown: Shutdown,
}

impl Rig {
    fn new() -> Self {
        let (authority, dir) = (Authority::new(), tempfile::tempdir().unwrap());
        put(dir.path(), &authority.issue(HOST));
        Self { authority, dir, shutdown: Shutdown::default() }
    }

    fn settings(&self, protocol: Protocol, starttls: bool) -> ListenerSettings {
        let at = |name| self.dir.path().join(name);
        let files = crate::net::tls::server::CertificateFiles {
            certificate: at("mail.pem"),
            private_key: at("mail.key"),
        };
        let tls =
            if starttls { ListenerTls::StartTls(files) } else { ListenerTls::Implicit(files) };
        ListenerSettings { tls, ..settings(protocol) }
    }

    /// A session at a listener with implicit TLS.
    fn connect<P: MailProtocol>(&self) -> (DuplexStream, JoinHandle<()>) {
        let settings = self.settings(P::PROTOCOL, false);
        start::<P>(listener_of(settings, self.shutdown.clone(), LocalPassword::None))
    }
}

/// The closing line of a session, and whether it is the only line.
fn closing(log: &Log) -> String {
    let [line] = log.take().try_into().unwrap();
    assert!(line.contains(" closed "), "{line}");
    line
}

#[tokio::test(start_paused = true)]
async fn an_implicit_listener_greets_under_tls_and_closes_with_close_notify() {
    let rig = Rig::new();
    let (log, _collecting) = Log::collect();
    for version in [&TLS12, &TLS13] {
        for (greeting, session) in
            [("220 ", rig.connect::<Submission>()), ("* OK ", rig.connect::<Imap>())]
        {
            let (client, session) = session;
            let name = ServerName::try_from(HOST).unwrap();
            let connector = TlsConnector::from(rig.authority.client(&[version]));
            let mut client = connector.connect(name, client).await.unwrap();
            client.write_all(b"QUIT\r\n").await.unwrap();
            client.write_all(b"a LOGOUT\r\n").await.unwrap();
            let mut heard = String::new();
            // Without close_notify this is an error.
            client.read_to_string(&mut heard).await.unwrap();
            assert!(heard.starts_with(greeting), "{heard}");
            client.shutdown().await.unwrap();
            drop(client);
            session.await.unwrap();
            let line = closing(&log);
            assert!(line.contains("INFO") && line.contains("reason=\"quit\""), "{line}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_in_clear_at_an_implicit_listener_is_closed_with_the_key_to_change() {
    let rig = Rig::new();
    let (log, _collecting) = Log::collect();
    let (mut client, session) = rig.connect::<Submission>();
    client.write_all(b"EHLO client\r\n").await.unwrap();
    let mut heard = Vec::new();
    client.read_to_end(&mut heard).await.unwrap();
    assert!(heard.is_empty(), "{heard:?}");
    drop(client);
    session.await.unwrap();
    let line = closing(&log);
    for part in ["WARN", "no-tls", "in clear", "`listeners.test.tls`", "SSL/TLS in the client"] {
        assert!(line.contains(part), "{part}: {line}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_waits_for_a_greeting_in_clear_is_closed_at_the_deadline_and_told_of() {
    let rig = Rig::new();
    let (log, _collecting) = Log::collect();
    let started = Instant::now();
    let (mut client, session) = rig.connect::<Imap>();
    let mut heard = Vec::new();
    client.read_to_end(&mut heard).await.unwrap();
    assert_eq!((heard.len(), started.elapsed().as_secs()), (0, 60));
    drop(client);
    session.await.unwrap();
    let line = closing(&log);
    for part in ["WARN", "no-tls", "sent nothing", "`listeners.test.tls`"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    // A probe that connects and leaves is nothing to be warned of.
    let (client, session) = rig.connect::<Imap>();
    drop(client);
    session.await.unwrap();
    let line = closing(&log);
    let is_told = line.contains("INFO") && line.contains("reason=\"gave-up\" side=downstream ");
    assert!(is_told && !line.contains("hint"), "{line}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_trust_the_certificate_is_told_of_with_the_command_that_helps() {
    let rig = Rig::new();
    let (log, _collecting) = Log::collect();
    let (client, session) = rig.connect::<Imap>();
    let name = ServerName::try_from(HOST).unwrap();
    let stranger = Authority::called("stranger").client(&[&TLS13]);
    TlsConnector::from(stranger).connect(name, client).await.unwrap_err();
    session.await.unwrap();
    let line = closing(&log);
    for part in
        ["WARN", "no-tls", "does not trust", "`listeners.test.certificate`", "mailbearer cer"]
    {
        assert!(line.contains(part), "{part}: {line}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_when_it_sees_the_certificate_is_told_of_with_what_to_do() {
    let rig = Rig::new();
    let (log, _collecting) = Log::collect();
    let (mut client, session) = rig.connect::<Imap>();
    client.write_all(&[0x16, 3, 1]).await.unwrap();
    drop(client);
    session.await.unwrap();
    let line = closing(&log);
    for part in ["WARN", "no-tls", "in the midst", "`listeners.test.certificate`", "each time"] {
        assert!(line.contains(part), "{part}: {line}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_begins_tls_under_tls_is_told_of_what_speaks_tls_before_it() {
    let rig = Rig::new();
    let (log, _collecting) = Log::collect();
    for starttls in [true, false] {
        let settings = rig.settings(Protocol::Imap, starttls);
        let listener = listener_of(settings, rig.shutdown.clone(), LocalPassword::None);
        let (mut client, session) = start::<Imap>(listener);
        if starttls {
            client.write_all(b"a STARTTLS\r\n").await.unwrap();
            let mut lines = 0;
            while lines < 2 {
                lines += usize::from(client.read_u8().await.unwrap() == b'\n');
            }
        }
        let name = ServerName::try_from(HOST).unwrap();
        let connector = TlsConnector::from(rig.authority.client(&[&TLS13]));
        let mut client = connector.connect(name, client).await.unwrap();
        client.write_all(&[0x16, 3, 1, 2, 0]).await.unwrap();
        let mut heard = String::new();
        client.read_to_string(&mut heard).await.unwrap();
        client.shutdown().await.unwrap();
        session.await.unwrap();
        let line = closing(&log);
        for part in ["WARN", "client-hello", "a second time", "`listeners.test.tls`"] {
            assert!(line.contains(part), "{part}: {line}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_its_last_word_and_closes_under_tls_is_answered() {
    let rig = Rig::new();
    for version in [&TLS12, &TLS13] {
        let (client, session) = rig.connect::<Submission>();
        let name = ServerName::try_from(HOST).unwrap();
        let connector = TlsConnector::from(rig.authority.client(&[version]));
        let mut client = connector.connect(name, client).await.unwrap();
        client.write_all(b"EHLO client\r\nQUIT\r\n").await.unwrap();
        client.shutdown().await.unwrap();
        let mut heard = String::new();
        client.read_to_string(&mut heard).await.unwrap();
        assert!(heard.contains("\n221 "), "{version:?}: {heard}");
        session.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_in_a_handshake_ends_the_session_at_once() {
    let rig = Rig::new();
    let (mut client, session) = rig.connect::<Imap>();
    client.write_all(&[0x16, 3, 1]).await.unwrap();
    sleep(Duration::from_secs(1)).await; // by now the handshake has begun
    let started = Instant::now();
    rig.shutdown.drain.cancel();
    session.await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn advice_names_the_key_here_and_the_setting_there_whatever_went_wrong() {
    let rig = Rig::new();
    let clear = settings(Protocol::Imap);
    let [starttls, implicit] = [true, false].map(|it| rig.settings(Protocol::Imap, it));
    let problem = || "x".to_owned();
    let hello = || Ended::Over(CloseReason::ClientHello.into());
    for (ended, settings, there) in [
        (hello(), &clear, "switch SSL/TLS off in the client"),
        (hello(), &starttls, "choose STARTTLS"),
        (Ended::SecondHello, &starttls, "a second time"),
        (Ended::SecondHello, &implicit, "a second time"),
        (Ended::Over(Reason::CleartextBehindStartTls), &starttls, "choose SSL/TLS"),
        (Ended::NoTls(HandshakeError::Silent), &implicit, "choose SSL/TLS"),
        (Ended::NoTls(HandshakeError::Clear), &implicit, "choose SSL/TLS"),
        (Ended::NoTls(HandshakeError::Clear), &starttls, "choose SSL/TLS"),
        (Ended::NoTls(HandshakeError::Version { problem: problem() }), &implicit, "`require_tls`"),
        (Ended::NoTls(HandshakeError::Suite { problem: problem() }), &implicit, "up to date"),
        (Ended::NoTls(HandshakeError::TimedOut), &starttls, "SSL/TLS in the client"),
        (Ended::NoTls(HandshakeError::Other { problem: problem() }), &implicit, "between the two"),
    ] {
        let told = advice(&ended, settings).unwrap();
        assert!(told.contains("`listeners.test.tls`") && told.contains(there), "{told}");
    }
    for ended in
        [Ended::Over(Reason::Quit), Ended::SignInTimeout, Ended::NoTls(HandshakeError::Left)]
    {
        assert_eq!(advice(&ended, &implicit), None, "{ended:?}");
    }
}

#[test]
fn credentials_from_other_machines_need_tls_unless_the_file_says_otherwise() {
    use crate::account::password::Peer::{Elsewhere, ThisMachine};
    let rig = Rig::new();
    let [starttls, implicit] = [true, false].map(|it| rig.settings(Protocol::Imap, it));
    for (settings, require_tls, peer, privacy) in [
        (settings(Protocol::Imap), None, ThisMachine, Privacy::Clear),
        (settings(Protocol::Imap), Some(false), Elsewhere, Privacy::Clear),
        (starttls.clone(), None, ThisMachine, Privacy::Offered),
        (starttls.clone(), None, Elsewhere, Privacy::Required),
        (starttls.clone(), Some(true), ThisMachine, Privacy::Required),
        (starttls.clone(), Some(true), Elsewhere, Privacy::Required),
        (starttls.clone(), Some(false), ThisMachine, Privacy::Offered),
        (starttls, Some(false), Elsewhere, Privacy::Offered),
        (implicit.clone(), None, Elsewhere, Privacy::Tls),
        (implicit, Some(false), ThisMachine, Privacy::Tls),
    ] {
        let told = format!("{settings:?} {require_tls:?} {peer:?}");
        let settings = ListenerSettings { require_tls, ..settings };
        let listener = listener_of(settings, Shutdown::default(), LocalPassword::None);
        assert_eq!(listener.privacy(peer), privacy, "{told}");
    }
}

#[test]
fn a_device_may_speak_in_clear_where_credentials_need_tls_unless_the_file_says_otherwise() {
    use crate::account::password::Peer::Elsewhere;
    let rig = Rig::new();
    let starttls = rig.settings(Protocol::Submission, true);
    for (devices, require_tls, expected) in [
        (true, None, (DeviceMail::Heard, Privacy::Required)),
        (true, Some(true), (DeviceMail::HeardUnderTls, Privacy::Required)),
        (true, Some(false), (DeviceMail::Heard, Privacy::Offered)),
        // None are served: it is heard, and refused with a line in the log.
        (false, None, (DeviceMail::Heard, Privacy::Required)),
        (false, Some(true), (DeviceMail::Heard, Privacy::Required)),
        (false, Some(false), (DeviceMail::Heard, Privacy::Offered)),
    ] {
        let settings = ListenerSettings { devices, require_tls, ..starttls.clone() };
        let listener = listener_of(settings, Shutdown::default(), LocalPassword::None);
        let got = (listener.device_mail(), listener.privacy(Elsewhere));
        assert_eq!(got, expected, "{devices} {require_tls:?}");
    }
}

#[test]
fn a_session_that_waits_in_clear_holds_nothing_for_tls() {
    /// What a session holds before its sign-in, in bytes: 4,384 were measured in a build for tests,
    /// and another compiler may need a little more.
    const SESSION_LEN_MAX: usize = 4_864;
    let listener = listener_of(settings(Protocol::Imap), Shutdown::default(), LocalPassword::None);
    let from = std::net::Ipv4Addr::LOCALHOST.into();
    let place = listener.relay().admit(from).unwrap();
    let (_client, stream) = tokio::io::duplex(64);
    let session = run::<Imap, DuplexStream>(listener, stream, from.into(), place, Span::current());
    let len = size_of_val(&session);
    assert!(len <= SESSION_LEN_MAX, "{len} bytes");
    let stream_len = size_of::<tokio::net::TcpStream>();
    assert!(size_of::<ClientStream<tokio::net::TcpStream>>() <= stream_len + 8);
}
