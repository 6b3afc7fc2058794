//! HTTP towards browsers: who may connect, how many at once, and for how long.
//!
//! Limits: [`CONNECTIONS_MAX`] at once, further ones wait in the system's queue; of them one
//!         address may have a share ([`Peers`]), further ones are closed; one request each;
//!         TLS within [`TLS_TIMEOUT`], the header within [`HEADER_TIMEOUT`] and [`HEADER_LEN_MAX`]
//!         bytes, all of it within [`CONNECTION_TIMEOUT`].

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// How many connections are served at once; further ones wait in the system's queue.
const CONNECTIONS_MAX: usize = 64;

/// How many of them are kept for this machine and for proxies, behind which there are many: an
/// operator who opens the page through a tunnel gets in whatever strangers do.
const RESERVED: usize = 8;

/// How many of them one address may have at most: a browser opens six.
const PEER_CONNECTIONS_MAX: usize = 16;

/// How many bits of an address of IPv6 count. The rest is chosen by whoever has the network (RFC
/// 4291 section 2.5.1).
const IPV6_NETWORK_BITS: u32 = 64;

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
    /// How TLS begins; without it clear http is spoken.
    pub(crate) tls: Option<TlsAcceptor>,
    /// From where many may come by one address.
    pub(crate) proxies: Vec<IpNet>,
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

/// Answers on `listener` in clear by `router` until `stop`.
pub(crate) async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let front = Front { router, tls: None, proxies: Vec::new() };
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
        let shares = peer.is_loopback() || front.proxies.iter().any(|it| it.contains(&peer));
        let Some(guest) = peers.admit(peer, shares) else { continue };
        let stop = stop.clone();
        connections.spawn(async move {
            let conversing = timeout(CONNECTION_TIMEOUT, converse(stream, peer, front, stop));
            let conversed = match guest.place.run_until_cancelled(conversing).await {
                Some(Ok(conversed)) => conversed,
                Some(Err(_)) => Err("it lasted too long".to_owned()),
                None => Err("another address took its place".to_owned()),
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
        Some(acceptor) => {
            let stream = timeout(TLS_TIMEOUT, acceptor.accept(stream))
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

/// The connections of strangers, in the order in which they came: this machine and proxies are none.
///
/// Once they have all the places that they may have, an address takes the place of the oldest of
/// the one that has most, if it has fewer itself. So one more address finds a place until there are
/// as many as places.
#[derive(Debug, Clone, Default)]
struct Peers(Arc<Mutex<Vec<Stranger>>>);

/// A connection that counts.
#[derive(Debug)]
struct Stranger {
    network: IpAddr,
    place: Arc<CancellationToken>,
}

/// A connection that was let in; dropping it ends that.
#[derive(Debug)]
struct Guest {
    peers: Peers,
    /// Cancelled when another one takes its place.
    place: Arc<CancellationToken>,
}

impl Peers {
    /// Lets a connection of `peer` in, if it has not too many; who `shares` an address with others
    /// is not counted.
    fn admit(&self, peer: IpAddr, shares: bool) -> Option<Guest> {
        let place = Arc::new(CancellationToken::new());
        if !shares {
            let network = network_of(peer);
            let mut strangers = self.lock();
            let count = |of: IpAddr| strangers.iter().filter(|it| it.network == of).count();
            let own = count(network);
            if own >= PEER_CONNECTIONS_MAX {
                return None;
            }
            if strangers.len() >= CONNECTIONS_MAX - RESERVED {
                let most = strangers.iter().map(|it| it.network).max_by_key(|it| count(*it))?;
                if count(most) <= own + 1 {
                    return None;
                }
                let oldest = strangers.iter().position(|it| it.network == most)?;
                strangers.remove(oldest).place.cancel();
            }
            strangers.push(Stranger { network, place: Arc::clone(&place) });
        }
        Some(Guest { peers: self.clone(), place })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Stranger>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.peers.lock().retain(|it| !Arc::ptr_eq(&it.place, &self.place));
    }
}

/// What of `peer` tells it from others.
fn network_of(peer: IpAddr) -> IpAddr {
    match peer {
        IpAddr::V4(_) => peer,
        IpAddr::V6(address) => {
            let host_bits = u128::BITS - IPV6_NETWORK_BITS;
            Ipv6Addr::from_bits(address.to_bits() >> host_bits << host_bits).into()
        }
    }
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
        tokio::spawn(serve(listener, router, stop.clone()));
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

    /// Connects as `peer` until it is not let in.
    fn fill(peers: &Peers, peer: IpAddr) -> Vec<Guest> {
        std::iter::from_fn(|| peers.admit(peer, false)).collect()
    }

    /// One address of many.
    fn stranger(number: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, number])
    }

    #[test]
    fn one_address_has_its_share_and_no_more_of_the_connections() {
        let peers = Peers::default();
        let [one, other] = [stranger(1), stranger(2)];
        let mut guests = fill(&peers, one);
        assert_eq!(guests.len(), PEER_CONNECTIONS_MAX);
        assert!(peers.admit(one, true).is_some() && peers.admit(other, false).is_some());
        guests.pop();
        assert!(peers.admit(one, false).is_some());
        guests.clear();
        assert!(peers.lock().is_empty());
    }

    #[test]
    fn one_more_address_finds_a_place_until_there_are_as_many_as_places() {
        let peers = Peers::default();
        let places = CONNECTIONS_MAX - RESERVED;
        let mut guests = Vec::new();
        for number in 1..=u8::try_from(places).unwrap() {
            guests.push(peers.admit(stranger(number), false).expect("there is a place"));
            // It comes again and again, and so do those before it.
            for peer in (1..=number).rev() {
                guests.extend(fill(&peers, stranger(peer)));
            }
            guests.retain(|guest| !guest.place.is_cancelled());
            assert!(guests.len() <= places && peers.lock().len() == guests.len());
            let has_place = |peer| peers.lock().iter().any(|it| it.network == stranger(peer));
            assert!((1..=number).all(has_place), "{number}");
        }
        assert!(peers.admit(stranger(200), false).is_none(), "each has one");
        guests.clear();
        assert!(peers.lock().is_empty());
    }

    #[test]
    fn place_is_taken_from_the_oldest_of_whoever_has_most() {
        let peers = Peers::default();
        let many: Vec<_> = (1..=4).map(|number| fill(&peers, stranger(number))).collect();
        let counts: Vec<_> = many.iter().map(Vec::len).collect();
        assert_eq!(counts, [16, 16, 16, 14], "the fourth takes places until all have as many");
        let displaced =
            |of: &Vec<Guest>| of.iter().take_while(|it| it.place.is_cancelled()).count();
        let first: Vec<_> = many.iter().map(displaced).collect();
        assert_eq!(first, [2, 2, 2, 0]);
        let all = many.iter().flatten().filter(|it| it.place.is_cancelled()).count();
        assert_eq!(all, 6, "the oldest and no others");
    }

    #[test]
    fn this_machine_and_proxies_are_let_in_when_strangers_have_all_else() {
        let peers = Peers::default();
        let _guests: Vec<_> = (0..=255).flat_map(|number| fill(&peers, stranger(number))).collect();
        assert_eq!(peers.lock().len(), CONNECTIONS_MAX - RESERVED);
        let proxy = IpAddr::from([10, 0, 0, 1]);
        let proxied: Vec<_> = (0..100).map_while(|_| peers.admit(proxy, true)).collect();
        assert_eq!(proxied.len(), 100, "they are held by nothing but the places");
    }

    #[test]
    fn addresses_of_one_ipv6_network_count_as_one() {
        let peers = Peers::default();
        let at = |text: &str| text.parse::<IpAddr>().unwrap();
        let guests = fill(&peers, at("2001:db8:1:2::1"));
        assert_eq!(guests.len(), PEER_CONNECTIONS_MAX);
        assert!(peers.admit(at("2001:db8:1:2:ffff:ffff:ffff:ffff"), false).is_none());
        assert!(peers.admit(at("2001:db8:1:3::1"), false).is_some());
    }
}
