//! HTTP towards browsers: who may connect, how many at once, and for how long.
//!
//! Limits: [`CONNECTIONS_MAX`] at once, further ones wait in the system's queue; of them one
//!         address may have a share (`http/peers.rs`), and further ones are closed, or its oldest;
//!         one request each;
//!         TLS within [`TLS_TIMEOUT`], the header within [`HEADER_TIMEOUT`] and [`HEADER_LEN_MAX`]
//!         bytes, all of it within [`CONNECTION_TIMEOUT`].

mod peers;

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use ipnet::IpNet;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::debug;

pub(super) use self::peers::Shares;
use self::peers::{Peers, Share};
use crate::net::tls::certificates::Certificate;

/// How many connections are served at once; further ones wait in the system's queue.
const CONNECTIONS_MAX: usize = 64;

/// How long the TLS handshake may take.
const TLS_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a request's header may take to come.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest header of a request, in bytes: an answer of Entra carries a code of some KiB in its
/// request line.
const HEADER_LEN_MAX: usize = 32 * 1024;

/// How long a connection may last: a request to a provider takes up to 60 s.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(90);

/// How long requests may go on once serving has stopped.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// How long nothing is accepted after that failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What stands behind a port. Each connection is served by the one of its beginning.
#[derive(Clone)]
pub(crate) struct Front {
    /// What answers; requests carry their [`Ends`].
    pub(crate) router: Router,
    /// What TLS begins with; without it clear http is spoken.
    pub(crate) tls: Option<Arc<Certificate>>,
    /// From where many may come by one address.
    pub(crate) proxies: Vec<IpNet>,
    /// What all others may have.
    pub(super) shares: Shares,
}

impl Front {
    /// What `peer` may have of the connections.
    fn share_of(&self, peer: IpAddr) -> Share {
        if self.proxies.iter().any(|it| it.contains(&peer)) {
            Share::Unlimited
        } else {
            self.shares.of(peer)
        }
    }
}

/// The ends of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ends {
    /// Who connected, in the form of IPv4 where it is one.
    pub(crate) peer: IpAddr,
    /// Where it arrived.
    pub(crate) local: SocketAddr,
    /// Whether under TLS.
    pub(crate) is_tls: bool,
}

/// Answers on `listener` in clear by `router` until `stop`, to each address as far as its share goes.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    shares: Shares,
    stop: CancellationToken,
) {
    let front = Front { router, tls: None, proxies: Vec::new(), shares };
    let (_unchanged, front) = watch::channel(front);
    serve_front(listener, front, stop).await;
}

/// Answers on `listener` as `front` says until `stop`, then lets the requests that run end.
pub(crate) async fn serve_front(
    listener: TcpListener,
    front: watch::Receiver<Front>,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let peers = Peers::default();
    let mut connections = JoinSet::new();
    while let Some(Ok(place)) = stop.run_until_cancelled(places.clone().acquire_owned()).await {
        while connections.try_join_next().is_some() {}
        let Some(accepted) = stop.run_until_cancelled(listener.accept()).await else { break };
        let Ok((stream, peer)) = accepted else {
            stop.run_until_cancelled(tokio::time::sleep(ACCEPT_PAUSE)).await;
            continue;
        };
        let peer = peer.ip().to_canonical();
        let front = front.borrow().clone();
        let Some(guest) = peers.admit(peer, front.share_of(peer)) else { continue };
        let stop = stop.clone();
        connections.spawn(async move {
            let conversing = timeout(CONNECTION_TIMEOUT, converse(stream, peer, front, stop));
            let conversed = match guest.place.run_until_cancelled(conversing).await {
                Some(Ok(conversed)) => conversed,
                Some(Err(_)) => Err("it lasted too long".to_owned()),
                None => Err("another connection took its place".to_owned()),
            };
            if let Err(problem) = conversed {
                debug!(peer = %peer, problem, "page lost a connection");
            }
            drop((place, guest));
        });
    }
    drop(listener);
    // Whoever is late is cut off.
    let _ = timeout(STOP_TIMEOUT, async { while connections.join_next().await.is_some() {} }).await;
}

/// Serves one request; the error is what ended it before its time.
async fn converse(
    stream: TcpStream,
    peer: IpAddr,
    front: Front,
    stop: CancellationToken,
) -> Result<(), String> {
    let problem = |error: std::io::Error| error.to_string();
    let local = stream.local_addr().map_err(problem)?;
    let local = SocketAddr::new(local.ip().to_canonical(), local.port());
    // Each answer is written at once, and nothing follows it.
    let _ = stream.set_nodelay(true);
    let router = front.router.layer(Extension(Ends { peer, local, is_tls: front.tls.is_some() }));
    match front.tls {
        None => answer(stream, router, HEADER_TIMEOUT, stop).await,
        Some(certificate) => {
            let stream = timeout(TLS_TIMEOUT, certificate.acceptor().accept(stream))
                .await
                .map_err(|_| "no TLS in time".to_owned())?
                .map_err(problem)?;
            answer(stream, router, HEADER_TIMEOUT, stop).await
        }
    }
}

/// Answers the one request of `stream` by `router`; its header has to come within `header_timeout`.
/// After `stop` a request is no longer waited for.
///
/// # Errors
/// What ended it before its time.
pub(super) async fn answer<S>(
    stream: S,
    router: Router,
    header_timeout: Duration,
    stop: CancellationToken,
) -> Result<(), String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(HEADER_LEN_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut serving = pin!(serving);
    let served = tokio::select! {
        served = &mut serving => served,
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    served.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// A server that says hello; gives where.
    async fn hello() -> (SocketAddr, CancellationToken) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(async || "hello"));
        let stop = CancellationToken::new();
        tokio::spawn(serve(listener, router, Shares::UNLIMITED_HERE, stop.clone()));
        (address, stop)
    }

    async fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // Who is refused half-way may not take the rest.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    }

    #[tokio::test]
    async fn one_request_of_a_connection_is_answered() {
        let (address, _stop) = hello().await;
        let request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        let answer = ask(address, &request.repeat(2)).await;
        assert_eq!(answer.matches("HTTP/1.1 200").count(), 1, "{answer}");
        assert!(answer.ends_with("hello"), "{answer}");
    }

    #[tokio::test]
    async fn header_that_is_too_long_is_refused() {
        let (address, _stop) = hello().await;
        let of_len = |len| format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(len));
        assert!(ask(address, &of_len(HEADER_LEN_MAX / 2)).await.starts_with("HTTP/1.1 200"));
        // What one read brings is parsed before the limit is looked at.
        let answer = ask(address, &of_len(4 * HEADER_LEN_MAX)).await;
        assert!(answer.starts_with("HTTP/1.1 431") || answer.is_empty(), "{answer}");
    }

    #[tokio::test]
    async fn nobody_is_served_once_it_has_stopped() {
        let (address, stop) = hello().await;
        stop.cancel();
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn header_that_does_not_come_ends_the_connection() {
        let (near, mut far) = tokio::io::duplex(1024);
        let answering =
            tokio::spawn(answer(near, Router::new(), HEADER_TIMEOUT, CancellationToken::new()));
        far.write_all(b"GET / HTTP/1.1\r\nHost:").await.unwrap();
        let began = tokio::time::Instant::now();
        answering.await.unwrap().unwrap_err();
        assert_eq!(began.elapsed(), HEADER_TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn connection_that_asked_for_nothing_is_closed_when_it_stops() {
        let (near, mut far) = tokio::io::duplex(1024);
        let stop = CancellationToken::new();
        let answering = answer(near, Router::new(), HEADER_TIMEOUT, stop.clone());
        let answering = tokio::spawn(answering);
        let began = tokio::time::Instant::now();
        stop.cancel();
        answering.await.unwrap().unwrap();
        assert_eq!(began.elapsed(), Duration::ZERO);
        let mut rest = Vec::new();
        far.read_to_end(&mut rest).await.unwrap();
        assert!(rest.is_empty());
    }
}
