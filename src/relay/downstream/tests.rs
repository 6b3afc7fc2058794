//! How STARTTLS is driven, by a machine that tells what it has seen.

use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt as _, DuplexStream, duplex};
use tokio_rustls::TlsConnector;

use super::*;
use crate::net::props::{Authority, HOST, put};
use crate::net::tls::certificates::Certificates;
use crate::proto::{AwaitClientTls, AwaitVerdict, CloseReason, Line};
use crate::refusal::Refusal;

/// Takes STARTTLS and QUIT; anything else it says back with what it knows of TLS.
#[derive(Debug, Default)]
struct Echo {
    is_tls: bool,
}

/// One that expects a handshake.
struct EchoAwaitTls;

/// One that expects a verdict; there is none.
struct EchoAwaiting;

impl Downstream for Echo {
    type Awaiting = EchoAwaiting;
    type AwaitTls = EchoAwaitTls;

    fn greet(&self, _: &mut Output) {}

    fn receive(self, input: &mut Input, output: &mut Output) -> Step<Self> {
        while let Line::Whole(line) = input.take_line(100) {
            match line.as_ref() {
                b"STARTTLS" => {
                    output.line("go");
                    return Step::StartTls(EchoAwaitTls);
                }
                b"QUIT" => return Step::Close(CloseReason::Quit),
                line => {
                    let line = String::from_utf8_lossy(line);
                    output.line(&format!("{line} {}", if self.is_tls { "tls" } else { "clear" }));
                }
            }
        }
        Step::Read(self)
    }

    fn farewell(_: Farewell, output: &mut Output) {
        output.line("farewell");
    }
}

impl AwaitClientTls for EchoAwaitTls {
    type Machine = Echo;

    fn started(self, input: &Input) -> Result<Echo, CloseReason> {
        if input.is_empty() {
            Ok(Echo { is_tls: true })
        } else {
            Err(CloseReason::CleartextBehindStartTls)
        }
    }
}

impl AwaitVerdict for EchoAwaiting {
    type Machine = Echo;
    type Welcome = ();

    fn accept(self, (): &(), _: &mut Output) {}

    fn refuse(self, _: &Refusal, _: &mut Output) -> Step<Echo> {
        Step::Read(Echo::default())
    }
}

/// Serves one client, who does `says`; gives how it ended and after how long.
async fn converse<T>(
    authority: &Authority,
    says: impl AsyncFnOnce(DuplexStream) -> T,
) -> (Ended, T, Duration) {
    let dir = tempfile::tempdir().unwrap();
    let files = put(dir.path(), &authority.issue(HOST));
    let certificate = Certificates::default().read(&files).unwrap();
    let (far, near) = duplex(65_536);
    let sign_in_timeout = Duration::from_secs(60);
    let mut client =
        Client::new(near, Some(certificate), sign_in_timeout, CancellationToken::new());
    let started = Instant::now();
    let serve = async {
        let ended = client.next_claim(Step::Read(Echo::default())).await.map(drop).unwrap_err();
        let lasted = started.elapsed();
        client.end::<Echo>(&ended).await;
        (ended, lasted)
    };
    let ((ended, lasted), said) = tokio::join!(serve, says(far));
    (ended, said, lasted)
}

async fn hear(stream: &mut (impl AsyncRead + Unpin), len: usize) -> String {
    let mut heard = vec![0; len];
    stream.read_exact(&mut heard).await.unwrap();
    String::from_utf8(heard).unwrap()
}

#[tokio::test(start_paused = true)]
async fn starttls_is_answered_in_clear_and_the_machine_goes_on_under_tls() {
    let authority = Authority::new();
    for version in [&TLS12, &TLS13] {
        let config = authority.client(&[version]);
        let (ended, (), _) = converse(&authority, async |mut far: DuplexStream| {
            far.write_all(b"a\r\nSTARTTLS\r\n").await.unwrap();
            assert_eq!(hear(&mut far, 13).await, "a clear\r\ngo\r\n");
            let name = ServerName::try_from(HOST).unwrap();
            let mut far = TlsConnector::from(config).connect(name, far).await.unwrap();
            far.write_all(b"b\r\n").await.unwrap();
            assert_eq!(hear(&mut far, 7).await, "b tls\r\n");
            far.write_all(b"QUIT\r\n").await.unwrap();
            assert_eq!(far.read(&mut [0; 1]).await.unwrap(), 0);
        })
        .await;
        assert!(matches!(ended, Ended::Over(Reason::Quit)), "{ended:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_came_in_clear_behind_starttls_is_neither_taken_nor_answered() {
    let authority = Authority::new();
    let (ended, heard, _) = converse(&authority, async |mut far: DuplexStream| {
        far.write_all(b"STARTTLS\r\nevil\r\n").await.unwrap();
        far.shutdown().await.unwrap();
        let mut heard = String::new();
        far.read_to_string(&mut heard).await.unwrap();
        heard
    })
    .await;
    assert!(matches!(ended, Ended::Over(Reason::CleartextBehindStartTls)), "{ended:?}");
    assert_eq!(heard, "go\r\n");

    // In a packet of its own it meets the handshake.
    let (ended, heard, _) = converse(&authority, async |mut far: DuplexStream| {
        far.write_all(b"STARTTLS\r\n").await.unwrap();
        let mut heard = hear(&mut far, 4).await;
        far.write_all(b"evil\r\n").await.unwrap();
        far.shutdown().await.unwrap();
        far.read_to_string(&mut heard).await.unwrap();
        heard
    })
    .await;
    assert!(matches!(ended, Ended::NoTls(HandshakeError::Clear)), "{ended:?}");
    assert_eq!(heard, "go\r\n");
}

#[tokio::test(start_paused = true)]
async fn a_handshake_has_what_is_left_of_the_clients_own_time() {
    let authority = Authority::new();
    for begins in [&b""[..], &[0x16], &[0x16, 3, 1, 0, 50, 1]] {
        let (ended, heard, lasted) = converse(&authority, async |mut far: DuplexStream| {
            tokio::time::sleep(Duration::from_secs(40)).await;
            far.write_all(b"STARTTLS\r\n").await.unwrap();
            let mut heard = hear(&mut far, 4).await;
            far.write_all(begins).await.unwrap();
            far.read_to_string(&mut heard).await.unwrap();
            heard
        })
        .await;
        assert!(
            matches!(ended, Ended::NoTls(HandshakeError::Silent | HandshakeError::TimedOut)),
            "{ended:?}"
        );
        assert_eq!((heard.as_str(), lasted.as_secs()), ("go\r\n", 60), "no farewell in clear");
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_after_a_handshake_is_what_it_left() {
    let authority = Authority::new();
    let config = authority.client(&[&TLS13]);
    let (ended, heard, lasted) = converse(&authority, async |mut far: DuplexStream| {
        far.write_all(b"STARTTLS\r\n").await.unwrap();
        hear(&mut far, 4).await;
        tokio::time::sleep(Duration::from_secs(30)).await;
        let name = ServerName::try_from(HOST).unwrap();
        let mut far = TlsConnector::from(config).connect(name, far).await.unwrap();
        let mut heard = String::new();
        far.read_to_string(&mut heard).await.unwrap();
        heard
    })
    .await;
    assert!(matches!(ended, Ended::SignInTimeout), "{ended:?}");
    assert_eq!((heard.as_str(), lasted.as_secs()), ("farewell\r\n", 60));
}
