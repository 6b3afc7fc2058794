//! A longer way to the upstream: a tunnel that gives each byte to the other side half a round trip
//! after it came, in order, and opens as late as a handshake of TCP over that distance.
//!
//! A client's SYN, the answer and its ACK are one and a half round trips, and the first byte of either
//! side waits for them. What is left out: the slow start, which 14 KiB a flight do not meet.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::wire::listen;

/// The round trip: between a European office and a provider's nearest site it is 10 to 60 ms.
pub const ROUND_TRIP: Duration = Duration::from_millis(40);

/// How many pieces may be under way in one direction: more than a sign-in and a message are.
const PIECES_MAX: usize = 256;

/// Prints a port for each of the `upstreams`; serves until the process ends.
pub async fn serve(upstreams: &[u16]) {
    for &port in upstreams {
        listen(move |client| tunnel(client, port));
    }
    std::future::pending().await
}

async fn tunnel(client: TcpStream, port: u16) -> io::Result<()> {
    let accepted = Instant::now();
    let (client_read, client_write) = client.into_split();
    let (to_upstream, from_client) = mpsc::channel(PIECES_MAX);
    let reading = tokio::spawn(read(client_read, to_upstream));
    sleep_until(accepted + ROUND_TRIP * 3 / 2).await;
    let upstream = TcpStream::connect(("127.0.0.1", port)).await?;
    upstream.set_nodelay(true)?;
    let (upstream_read, upstream_write) = upstream.into_split();
    let (to_client, from_upstream) = mpsc::channel(PIECES_MAX);
    let (_, up, _, down) = tokio::join!(
        reading,
        write(upstream_write, from_client),
        read(upstream_read, to_client),
        write(client_write, from_upstream),
    );
    up.and(down)
}

/// Takes pieces in, each with the time when it is due at the other side.
async fn read(mut from: impl AsyncRead + Unpin, to: mpsc::Sender<(Instant, Vec<u8>)>) {
    let mut piece = vec![0; 65_536];
    while let Ok(len @ 1..) = from.read(&mut piece).await {
        let due = Instant::now() + ROUND_TRIP / 2;
        if to.send((due, piece[..len].to_vec())).await.is_err() {
            return;
        }
    }
    // The end of a direction takes as long as its bytes.
    let _ = to.send((Instant::now() + ROUND_TRIP / 2, Vec::new())).await;
}

async fn write(
    mut to: impl AsyncWrite + Unpin,
    mut from: mpsc::Receiver<(Instant, Vec<u8>)>,
) -> io::Result<()> {
    while let Some((due, piece)) = from.recv().await {
        arrive(due).await;
        to.write_all(&piece).await?;
    }
    to.shutdown().await
}

/// Waits until `due` more exactly than tokio's timers do, which count milliseconds.
async fn arrive(due: Instant) {
    sleep_until(due - Duration::from_millis(2)).await;
    while Instant::now() < due {
        tokio::task::yield_now().await;
    }
}
