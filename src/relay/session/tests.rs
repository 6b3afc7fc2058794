//! What a session promises about time, on in-memory pipes with a paused clock.

mod mutations;

use std::net::{IpAddr, Ipv4Addr};
use std::slice;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::account::password::{Origin, Passwords, Peer};
use crate::account::{AccountSettings, LocalPassword, Sender};
use crate::names::{AccountPattern, Username};
use crate::net::props::Log;
use crate::net::tls::certificates::Certificates;
use crate::oauth::Tokens;
use crate::proto::{COMMANDS_MAX, LocalCredentials};
use crate::provider::{Grant, PerProtocol, Protocol, Provider};
use crate::relay::protocol::{Imap, Submission};
use crate::relay::{Limits, ListenerSettings, ListenerTls, Relay, Service, Shutdown};
use crate::secret::{ExposeSecret as _, SecretSource, SecretString};
use crate::store::Store;

/// `\0alice@example.com\0wrong`, and the same of an account that does not exist.
const WRONG_PASSWORD: &str = "AUTH PLAIN AGFsaWNlQGV4YW1wbGUuY29tAHdyb25n\r\n";
const UNKNOWN_ACCOUNT: &str = "AUTH PLAIN AG5vYm9keUBleGFtcGxlLmNvbQB3cm9uZw==\r\n";

fn alice(local_password: LocalPassword) -> AccountSettings {
    let provider = Provider::unknown("own");
    let grant = Grant::of_application().at("http://127.0.0.1:1/");
    AccountSettings {
        name: AccountPattern::parse("alice@example.com").unwrap(),
        provider: Arc::new(provider),
        grant: Arc::new(grant),
        scopes: PerProtocol::default(),
        local_password,
        mailbox: PerProtocol::default(),
        sender: Sender::Keep,
        is_pop3_served: false,
    }
}

fn hashed() -> LocalPassword {
    // Argon2id with the least memory and time there is, of "right".
    let phc = "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$Q1Yl7QpQ6Q4Y9Gv9b7Yj3w";
    LocalPassword::Hash(SecretString::from(phc))
}

/// Starts a session of a relay with that one account; gives the client's end.
fn connect<P: MailProtocol>(local_password: LocalPassword) -> (DuplexStream, JoinHandle<()>) {
    connect_until::<P>(Shutdown::default(), local_password)
}

/// The same of a relay that will be shut down.
fn connect_until<P: MailProtocol>(
    shutdown: Shutdown,
    local_password: LocalPassword,
) -> (DuplexStream, JoinHandle<()>) {
    start::<P>(listener(P::PROTOCOL, shutdown, local_password))
}

/// Starts a session of `listener`.
pub(in crate::relay) fn start<P: MailProtocol>(
    listener: Arc<Listener>,
) -> (DuplexStream, JoinHandle<()>) {
    let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let place = listener.relay().admit(peer).unwrap();
    let (client, stream) = duplex(4_096);
    let session = run::<P, DuplexStream>(listener, stream, peer.into(), place, Span::current());
    (client, tokio::spawn(session))
}

/// The listener of a relay with that one account.
fn listener(
    protocol: Protocol,
    shutdown: Shutdown,
    local_password: LocalPassword,
) -> Arc<Listener> {
    listener_of(settings(protocol), shutdown, local_password)
}

/// A listener in clear for everybody.
pub(in crate::relay) fn settings(protocol: Protocol) -> ListenerSettings {
    ListenerSettings {
        name: "test".to_owned(),
        protocol,
        addresses: Vec::new(),
        allow: vec!["127.0.0.0/8".parse().unwrap()],
        proxy_protocol_from: Vec::new(),
        accounts: None,
        devices: false,
        upstream: None,
        tls: ListenerTls::None,
        require_tls: None,
    }
}

/// The same by `settings`.
pub(in crate::relay) fn listener_of(
    settings: ListenerSettings,
    shutdown: Shutdown,
    local_password: LocalPassword,
) -> Arc<Listener> {
    let accounts = vec![alice(local_password)];
    let (listeners, limits) = (slice::from_ref(&settings), Limits::default());
    let certificates = &mut Certificates::default();
    let service = Arc::new(
        Service::new(accounts, Vec::new(), listeners, limits, Arc::default(), certificates)
            .unwrap(),
    );
    let store = Store::in_memory();
    let passwords = Arc::new(Passwords::new(store.clone()).unwrap());
    // Each account has a made password besides, and so has one that does not exist.
    for name in ["alice@example.com", "nobody@example.com"] {
        passwords.make(&Username::parse(name).unwrap(), None, &[]).unwrap();
    }
    let relay = Relay::new(passwords, Tokens::new(store), Arc::clone(&service), shutdown);
    Arc::new(Listener::new(&Arc::new(relay), &service, settings))
}

/// Signs in at `listener` with a password that was just made.
async fn signed_in(listener: &Listener) -> SignedIn {
    let passwords = listener.relay().passwords();
    let username = Username::parse("alice@example.com").unwrap();
    let made = passwords.make(&username, None, &[]).unwrap().password;
    let (accounts, protocol, peer) = (None, Protocol::Imap, Peer::Elsewhere);
    let origin = Origin { accounts, devices: false, protocol, peer };
    let password = made.expose_secret().as_bytes().to_vec().into();
    let claim = LocalCredentials { username, password };
    passwords.sign_in(listener.service().directory(), origin, &claim).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_password_revoked_while_the_provider_is_signed_in_to_ends_the_session() {
    let listener = listener(Protocol::Imap, Shutdown::default(), LocalPassword::None);
    let access = signed_in(&listener).await;
    listener.relay().passwords().revoke(access.account().name(), None).unwrap();
    let cut = timeout(Duration::from_secs(1), until_cut(&listener, &access)).await;
    assert_eq!(cut, Ok(Reason::Revoked));
}

#[tokio::test(start_paused = true)]
async fn an_account_removed_while_the_provider_is_signed_in_to_ends_the_session() {
    let listener = listener(Protocol::Imap, Shutdown::default(), LocalPassword::None);
    let access = signed_in(&listener).await;
    let (limits, certificates) = (Limits::default(), &mut Certificates::default());
    let empty =
        Service::new(Vec::new(), Vec::new(), &[], limits, Arc::default(), certificates).unwrap();
    listener.relay().change(Arc::new(empty));
    let cut = timeout(Duration::from_secs(1), until_cut(&listener, &access)).await;
    assert_eq!(cut, Ok(Reason::AccountRemoved));
}

async fn line(client: &mut DuplexStream) -> String {
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') {
        line.push(client.read_u8().await.unwrap());
    }
    String::from_utf8(line).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_wrong_password_and_an_unknown_account_are_logged_alike_with_what_to_compare() {
    for (sign_in, name) in
        [(WRONG_PASSWORD, "alice@example.com"), (UNKNOWN_ACCOUNT, "nobody@example.com")]
    {
        let (log, _collecting) = Log::collect();
        let (mut client, session) = connect::<Submission>(hashed());
        line(&mut client).await;
        client.write_all(sign_in.as_bytes()).await.unwrap();
        line(&mut client).await;
        drop(client);
        session.await.unwrap();
        let [refused, _closed] = log.take().try_into().unwrap();
        for part in
            ["WARN", " refused ", name, "wrong-password", "`mailbearer password`", "`accounts`"]
        {
            assert!(refused.contains(part), "{part}: {refused}");
        }
        assert!(!refused.contains("AGFs") && !refused.contains("\"wrong\""), "{refused}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_password_and_an_unknown_account_are_answered_alike_after_one_second() {
    let mut replies = Vec::new();
    let plain = || LocalPassword::Plain(SecretSource::Value(SecretString::from("right")));
    for (password, sign_in) in [
        (plain(), WRONG_PASSWORD),
        (plain(), UNKNOWN_ACCOUNT),
        (hashed(), WRONG_PASSWORD),
        (hashed(), UNKNOWN_ACCOUNT),
        (LocalPassword::None, WRONG_PASSWORD),
        (LocalPassword::None, UNKNOWN_ACCOUNT),
    ] {
        let (mut client, _session) = connect::<Submission>(password);
        line(&mut client).await;
        let sent = Instant::now();
        client.write_all(sign_in.as_bytes()).await.unwrap();
        let reply = line(&mut client).await;
        replies.push((reply, sent.elapsed().as_millis()));
    }
    let (first, _) = replies[0].clone();
    assert!(first.starts_with("535 5.7.8 "), "{first}");
    assert!(replies.iter().all(|(reply, ms)| *reply == first && *ms == 1_000), "{replies:?}");
}

#[tokio::test(start_paused = true)]
async fn an_account_whose_provider_lacks_the_protocol_is_told_no_wrong_password() {
    let password = LocalPassword::Plain(SecretSource::Value(SecretString::from("wrong")));
    let (mut client, _session) = connect::<Submission>(password);
    line(&mut client).await;
    client.write_all(WRONG_PASSWORD.as_bytes()).await.unwrap();
    let reply = line(&mut client).await;
    assert!(reply.starts_with("454 4.7.0 "), "{reply}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_signs_in_is_told_and_closed_after_its_own_minute() {
    let (mut client, session) = connect::<Submission>(hashed());
    line(&mut client).await;
    let started = Instant::now();
    sleep(Duration::from_secs(50)).await;
    client.write_all(b"NOOP\r\n").await.unwrap();
    assert!(line(&mut client).await.starts_with("250 "));
    assert!(line(&mut client).await.starts_with("421 4.4.2 "));
    assert_eq!(started.elapsed().as_secs(), 60);
    drop(client);
    session.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn our_own_waits_are_not_counted_as_the_clients_time() {
    let (mut client, _session) = connect::<Imap>(hashed());
    line(&mut client).await;
    let started = Instant::now();
    // Four refused sign-ins of a second each leave the minute what it was.
    for tag in ["a", "b", "c", "d"] {
        client.write_all(format!("{tag} LOGIN alice wrong\r\n").as_bytes()).await.unwrap();
        assert!(line(&mut client).await.starts_with(tag));
    }
    assert!(line(&mut client).await.starts_with("* BYE "));
    assert_eq!(started.elapsed().as_secs(), 64);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_gives_up_while_we_wait_ends_its_session_at_once() {
    let (mut client, session) = connect::<Submission>(hashed());
    line(&mut client).await;
    client.write_all(WRONG_PASSWORD.as_bytes()).await.unwrap();
    let started = Instant::now();
    drop(client);
    session.await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn more_than_64_kib_behind_a_sign_in_are_not_taken_from_the_client() {
    let (mut client, _session) = connect::<Submission>(hashed());
    line(&mut client).await;
    client.write_all(WRONG_PASSWORD.as_bytes()).await.unwrap();
    let mut taken = 0;
    let flood = async {
        loop {
            client.write_all(&[b'x'; 1_024]).await.unwrap();
            taken += 1_024;
        }
    };
    let _: Result<(), _> = timeout(Duration::from_millis(500), flood).await;
    assert!((65_536..=65_536 + 8_192).contains(&taken), "{taken} bytes were taken");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_no_replies_does_not_hold_up_the_drain() {
    let shutdown = Shutdown::default();
    let (mut client, session) = connect_until::<Submission>(shutdown.clone(), hashed());
    client.write_all("EHLO\r\n".repeat(600).as_bytes()).await.unwrap();
    sleep(Duration::from_secs(1)).await; // by now its replies have filled the pipe
    let started = Instant::now();
    shutdown.drain.cancel();
    session.await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    drop(client);
}

#[tokio::test(start_paused = true)]
async fn commands_behind_a_refused_sign_in_are_answered_until_they_are_too_many() {
    let (mut client, session) = connect::<Submission>(hashed());
    let flood = format!("{WRONG_PASSWORD}{}QUIT\r\n", "EHLO\r\n".repeat(10_000));
    let (mut hear, mut say) = tokio::io::split(&mut client);
    let mut heard = String::new();
    let say = async {
        say.write_all(flood.as_bytes()).await.unwrap();
        say.shutdown().await.unwrap();
    };
    let (heard_len, ()) = tokio::join!(hear.read_to_string(&mut heard), say);
    heard_len.unwrap();
    session.await.unwrap();
    // One of them was the sign-in, and the last one is told that it is one too many.
    let answered = heard.matches("250 AUTH PLAIN LOGIN\r\n").count();
    assert_eq!(answered, usize::from(COMMANDS_MAX) - 2);
    assert!(heard.ends_with("421 4.7.0 too many commands and no sign-in, closing\r\n"), "{heard}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_no_replies_is_not_read_from_and_cut_when_its_time_is_over() {
    let (mut client, session) = connect::<Submission>(hashed());
    let started = Instant::now();
    // Fewer than are too many, and their replies fill the pipe.
    client.write_all("EHLO\r\n".repeat(150).as_bytes()).await.unwrap();
    sleep(Duration::from_secs(1)).await; // by now they have
    let limit = Limits::default().sign_in_timeout;
    let mut taken = 0;
    let flood = async {
        loop {
            client.write_all(&[b'\n'; 64]).await.unwrap();
            taken += 64;
        }
    };
    let _: Result<(), _> = timeout(limit - Duration::from_secs(2), flood).await;
    assert!(taken <= 4_096, "{taken} bytes are more than the pipe holds");
    session.await.unwrap();
    let lasted = started.elapsed();
    assert!((limit..limit + Duration::from_secs(3)).contains(&lasted), "{lasted:?}");
}
