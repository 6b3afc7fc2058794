//! What the splice promises, on in-memory pipes with a paused clock.

use tokio::io::{
    AsyncReadExt as _, AsyncWriteExt as _, BufStream, DuplexStream, Join, Sink, duplex,
};
use tokio::task::JoinHandle;

use super::*;
use crate::net::tls::stream::TlsStream;

const IDLE: Duration = Duration::from_secs(2_100);

/// Streams that keep nothing back.
macro_rules! unpaced {
    ($($stream:ty),+) => {
        $(impl Paced for $stream {
            fn kept_until(&self) -> Option<Instant> {
                None
            }

            fn moved(&mut self, _: u64, _: u64) {}
        })+
    };
}
unpaced!(DuplexStream, BufStream<DuplexStream>, TlsStream<DuplexStream>);
unpaced!(Join<DuplexStream, Sink>, Join<Truncated, Sink>);

/// Ends as a TLS stream does whose peer closed TCP alone.
struct Truncated;

impl AsyncRead for Truncated {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()))
    }
}

/// A splice that runs, and the far ends of its two sides.
struct Running {
    client: DuplexStream,
    upstream: DuplexStream,
    spliced: JoinHandle<Spliced>,
}

fn start(start: Start, pipe_len: usize) -> Running {
    let (client, mut near_client) = duplex(pipe_len);
    let (upstream, mut near_upstream) = duplex(pipe_len);
    let spliced = tokio::spawn(async move {
        splice(&mut near_client, &mut near_upstream, start, std::future::pending()).await
    });
    Running { client, upstream, spliced }
}

fn nothing_left() -> Start {
    Start { up: Bytes::new(), down: Bytes::new(), client_closed: false, idle_timeout: IDLE }
}

/// Bytes that repeat at no power of two.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn bytes_pass_unchanged_both_ways_at_once() {
    let Running { client, upstream, spliced } = start(nothing_left(), 1_000);
    let (up, down) = (pattern(3_000_000), pattern(2_000_001));
    let (mut client_read, mut client_write) = tokio::io::split(client);
    let (mut upstream_read, mut upstream_write) = tokio::io::split(upstream);
    let send_up = async { client_write.write_all(&up).await.unwrap() };
    let send_down = async { upstream_write.write_all(&down).await.unwrap() };
    let (mut got_up, mut got_down) = (vec![0; up.len()], vec![0; down.len()]);
    let get_up = async { upstream_read.read_exact(&mut got_up).await.unwrap() };
    let get_down = async { client_read.read_exact(&mut got_down).await.unwrap() };
    tokio::join!(send_up, send_down, get_up, get_down);
    assert!(got_up == up && got_down == down);
    upstream_write.shutdown().await.unwrap();
    let spliced = spliced.await.unwrap();
    assert_eq!((spliced.up_bytes, spliced.down_bytes), (3_000_000, 2_000_001));
    assert!(matches!(spliced.end, End::Closed(Side::Upstream)), "{:?}", spliced.end);
}

#[tokio::test(start_paused = true)]
async fn leftovers_come_first_and_once() {
    let leftovers = Start {
        up: Bytes::from_static(b"MAIL FROM:<a@example.com>\r\nRCP"),
        down: Bytes::from_static(b"235 2.7.0 Accepted\r\n"),
        ..nothing_left()
    };
    let Running { mut client, mut upstream, .. } = start(leftovers, 1_000);
    client.write_all(b"T TO:<b@example.com>\r\n").await.unwrap();
    upstream.write_all(b"250 2.1.0 Ok\r\n").await.unwrap();
    let mut up = [0; 52];
    upstream.read_exact(&mut up).await.unwrap();
    assert_eq!(&up[..], b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\n");
    let mut down = [0; 34];
    client.read_exact(&mut down).await.unwrap();
    assert_eq!(&down[..], b"235 2.7.0 Accepted\r\n250 2.1.0 Ok\r\n");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_runs_dry_does_not_keep_replies_from_coming() {
    // The most that a splice may need: tokio lets a task do 128 things before others have a turn.
    const TURNS_MAX: usize = 10;

    let (near, mut client) = duplex(1_000);
    let (mut upstream, far) = duplex(1_000);
    upstream.write_all(b"250 2.1.0 Ok\r\n").await.unwrap();
    let spliced = tokio::spawn(async move {
        let mut near = tokio::io::join(tokio::io::repeat(b'x'), near);
        let mut far = tokio::io::join(far, tokio::io::sink());
        let mut turns = 0;
        let cut = poll_fn(move |_| {
            turns += 1;
            if turns > TURNS_MAX { Poll::Ready(Reason::Quit) } else { Poll::Pending }
        });
        splice(&mut near, &mut far, nothing_left(), cut).await
    });
    let Spliced { up_bytes, end, .. } = spliced.await.unwrap();
    assert!(matches!(end, End::Cut(_)) && up_bytes > 0);
    let mut heard = String::new();
    client.read_to_string(&mut heard).await.unwrap();
    assert_eq!(heard, "250 2.1.0 Ok\r\n");
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_stops_stops_the_sender() {
    let Running { mut client, mut upstream, .. } = start(nothing_left(), 1_000);
    let sent = tokio::spawn(async move {
        let mut sent = 0;
        // Nothing is ever read at the other end, so this ends by the time-out alone.
        let send = async {
            loop {
                sent += client.write(&[b'x'; 1_000]).await.unwrap();
            }
        };
        let _: Result<(), _> = tokio::time::timeout(Duration::from_secs(60), send).await;
        (sent, client)
    });
    let (sent, _client) = sent.await.unwrap();
    assert!(sent < 200_000, "{sent} bytes are somewhere in between");
    let mut first = [0; 1];
    upstream.read_exact(&mut first).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_clients_close_waits_until_the_upstream_is_silent_for_5_s() {
    let Running { mut client, mut upstream, spliced } = start(nothing_left(), 1_000);
    client.write_all(b"QUIT\r\n").await.unwrap();
    client.shutdown().await.unwrap();
    let closed_at = Instant::now();
    let mut quit = [0; 6];
    upstream.read_exact(&mut quit).await.unwrap();
    tokio::time::sleep(Duration::from_secs(4)).await;
    upstream.write_all(b"250 2.0.0 Ok: queued\r\n").await.unwrap();
    let mut rest = Vec::new();
    upstream.read_to_end(&mut rest).await.unwrap();
    assert!(closed_at.elapsed() >= Duration::from_secs(9), "{:?}", closed_at.elapsed());
    assert!(closed_at.elapsed() < Duration::from_secs(10), "{:?}", closed_at.elapsed());
    upstream.write_all(b"221 2.0.0 Bye\r\n").await.unwrap();
    drop(upstream);
    let mut heard = String::new();
    client.read_to_string(&mut heard).await.unwrap();
    assert_eq!(heard, "250 2.0.0 Ok: queued\r\n221 2.0.0 Bye\r\n");
    assert!(matches!(spliced.await.unwrap().end, End::Closed(Side::Downstream)));
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_client_closed_ends_60_s_later_if_its_upstream_stays_silent() {
    let closed = Start { client_closed: true, ..nothing_left() };
    let started = Instant::now();
    let Running { client: _client, upstream: _upstream, spliced } = start(closed, 1_000);
    assert!(matches!(spliced.await.unwrap().end, End::Closed(Side::Downstream)));
    assert_eq!(started.elapsed().as_secs(), 65);
}

#[tokio::test(start_paused = true)]
async fn a_download_behind_a_clients_close_is_not_cut_while_it_moves() {
    let closed = Start { client_closed: true, ..nothing_left() };
    let started = Instant::now();
    let Running { mut client, mut upstream, spliced } = start(closed, 1_000);
    // The upstream is silent for so long before it begins that the close is passed on.
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_secs(30)).await;
        upstream.write_all(b"x").await.unwrap();
    }
    let spliced = spliced.await.unwrap();
    assert!(matches!(spliced.end, End::Closed(Side::Downstream)), "{:?}", spliced.end);
    assert_eq!(started.elapsed().as_secs(), 10 * 30 + 60);
    let mut heard = String::new();
    client.read_to_string(&mut heard).await.unwrap();
    assert_eq!(heard, "x".repeat(10));
}

#[tokio::test(start_paused = true)]
async fn a_close_is_not_passed_on_while_the_client_is_slow_to_take_what_the_upstream_said() {
    let Running { mut client, mut upstream, spliced } = start(nothing_left(), 64);
    client.shutdown().await.unwrap();
    let sent = pattern(10_000);
    let send = async {
        upstream.write_all(&sent).await.unwrap();
        // Still open: a close here would cost what the upstream has not sent yet.
        let closed = tokio::time::timeout(Duration::from_secs(1), upstream.read_u8()).await;
        closed.unwrap_err();
        drop(upstream);
    };
    let receive = async {
        tokio::time::sleep(Duration::from_secs(120)).await;
        let mut heard = Vec::new();
        client.read_to_end(&mut heard).await.unwrap();
        heard
    };
    let ((), heard) = tokio::join!(send, receive);
    assert!(heard == sent, "{} bytes were heard", heard.len());
    assert!(matches!(spliced.await.unwrap().end, End::Closed(Side::Downstream)));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_has_closed_and_takes_nothing_is_cut_after_the_idle_time() {
    let Running { mut client, mut upstream, spliced } = start(nothing_left(), 64);
    client.shutdown().await.unwrap();
    upstream.write_all(&[b'x'; 64]).await.unwrap();
    upstream.write_all(&[b'x'; 64]).await.unwrap();
    let started = Instant::now();
    assert!(matches!(spliced.await.unwrap().end, End::Idle));
    assert_eq!(started.elapsed().as_secs(), IDLE.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stalls_in_mid_download_is_cut_after_the_idle_time() {
    let Running { mut client, mut upstream, spliced } = start(nothing_left(), 64);
    let started = Instant::now();
    let sending = tokio::spawn(async move {
        let mut sent = 0;
        while let Ok(len) = upstream.write(&[b'x'; 64]).await {
            sent += len;
        }
        sent
    });
    tokio::time::sleep(Duration::from_secs(100)).await;
    client.read_exact(&mut [0; 64]).await.unwrap();
    assert!(matches!(spliced.await.unwrap().end, End::Idle));
    assert_eq!(started.elapsed().as_secs(), 100 + IDLE.as_secs());
    let sent = sending.await.unwrap();
    assert!(sent < 200_000, "{sent} bytes were taken for a client that took 64");
}

#[tokio::test(start_paused = true)]
async fn a_session_in_which_nothing_moves_ends_after_the_idle_time_and_not_before() {
    let Running { client: _client, mut upstream, spliced } = start(nothing_left(), 1_000);
    let started = Instant::now();
    tokio::time::sleep(IDLE - Duration::from_secs(1)).await;
    upstream.write_all(b"* OK still here\r\n").await.unwrap();
    assert!(matches!(spliced.await.unwrap().end, End::Idle));
    let lasted = started.elapsed().as_secs();
    assert!((2 * IDLE.as_secs() - 1..=2 * IDLE.as_secs()).contains(&lasted), "{lasted} s");
}

#[tokio::test(start_paused = true)]
async fn what_the_upstream_said_last_is_heard_when_it_closes_in_mid_upload() {
    let Running { mut client, mut upstream, spliced } = start(nothing_left(), 64);
    client.write_all(&[b'x'; 150]).await.unwrap();
    upstream.write_all(b"421 4.3.2 Service not available\r\n").await.unwrap();
    drop(upstream);
    let mut heard = String::new();
    let spliced = spliced.await.unwrap();
    assert!(
        matches!(spliced.end, End::Closed(Side::Upstream) | End::Broke(Side::Upstream, _)),
        "{:?}",
        spliced.end
    );
    client.read_to_string(&mut heard).await.unwrap();
    assert_eq!(heard, "421 4.3.2 Service not available\r\n");
}

#[tokio::test(start_paused = true)]
async fn what_was_written_is_flushed_when_no_more_is_there_to_write() {
    let (mut client, mut near_client) = duplex(64);
    let (mut upstream, near_upstream) = duplex(64);
    // Keeps small pieces until it is flushed, as a TLS stream may.
    let mut buffered = BufStream::new(near_upstream);
    let cut = std::future::pending();
    let spliced = splice(&mut near_client, &mut buffered, nothing_left(), cut);
    let said = async {
        client.write_all(b"NOOP\r\n").await.unwrap();
        let mut heard = [0; 6];
        upstream.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"NOOP\r\n");
    };
    tokio::select! {
        () = said => {}
        spliced = spliced => panic!("{spliced:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_closes_without_close_notify_ends_its_session_as_any_other() {
    let (_client, mut near_client) = duplex(64);
    let mut upstream = tokio::io::join(Truncated, tokio::io::sink());
    let cut = std::future::pending();
    let spliced = splice(&mut near_client, &mut upstream, nothing_left(), cut).await;
    assert!(matches!(spliced.end, End::Closed(Side::Upstream)), "{:?}", spliced.end);
}

#[tokio::test(start_paused = true)]
async fn a_session_can_be_cut_off() {
    let (_client, mut near_client) = duplex(64);
    let (_upstream, mut near_upstream) = duplex(64);
    let cut = pin!(async {
        tokio::time::sleep(Duration::from_secs(30)).await;
        Reason::Revoked
    });
    let spliced = splice(&mut near_client, &mut near_upstream, nothing_left(), cut).await;
    assert!(matches!(spliced.end, End::Cut(Reason::Revoked)));
}
