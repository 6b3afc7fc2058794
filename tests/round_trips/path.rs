//! A path to a server on which every byte takes its time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// How long a question and its answer take.
pub const ROUND_TRIP: Duration = Duration::from_millis(100);

/// The content type of a TLS record that is encrypted (RFC 8446 section 5.1).
const APPLICATION_DATA: u8 = 23;

/// A path. Dropping it cuts it.
pub struct Path {
    pub address: SocketAddr,
    port: Arc<AtomicU16>,
    records_up: Arc<AtomicUsize>,
    _serving: JoinSet<()>,
}

impl Path {
    /// One that leads nowhere yet.
    pub async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (port, records_up) = (Arc::<AtomicU16>::default(), Arc::<AtomicUsize>::default());
        let (leads_to, records) = (Arc::clone(&port), Arc::clone(&records_up));
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (near, _) = listener.accept().await.unwrap();
                let (port, records) = (leads_to.load(Ordering::Relaxed), Arc::clone(&records));
                connections.spawn(lead(near, port, records));
            }
        });
        Self { address, port, records_up, _serving: serving }
    }

    /// Leads to this port of the machine.
    pub fn lead_to(&self, port: u16) {
        self.port.store(port, Ordering::Relaxed);
    }

    /// How many encrypted records went to the server.
    pub fn records_up(&self) -> usize {
        self.records_up.load(Ordering::Relaxed)
    }
}

/// One connection. TCP's own round trip comes first: the client may send behind it, and the server
/// hears of the connection when what the client sends then arrives.
async fn lead(near: TcpStream, port: u16, records: Arc<AtomicUsize>) {
    near.set_nodelay(true).unwrap();
    let opened = Instant::now() + ROUND_TRIP;
    let (near_reads, near_writes) = near.into_split();
    let (up_sender, up) = mpsc::unbounded_channel();
    let reading = tokio::spawn(async move {
        read(near_reads, up_sender, |bytes| {
            records.fetch_add(encrypted_records(bytes), Ordering::Relaxed);
            Instant::now().max(opened) + ROUND_TRIP / 2
        })
        .await;
    });
    sleep_until(opened + ROUND_TRIP / 2).await;
    let far = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    far.set_nodelay(true).unwrap();
    let (far_reads, far_writes) = far.into_split();
    let (down_sender, down) = mpsc::unbounded_channel();
    tokio::join!(
        write(up, far_writes),
        read(far_reads, down_sender, |_| Instant::now() + ROUND_TRIP / 2),
        write(down, near_writes),
    );
    reading.abort();
}

/// Bytes, and when they arrive. None are the end.
type Flight = (Instant, Vec<u8>);

async fn read(
    mut from: impl AsyncRead + Unpin,
    to: mpsc::UnboundedSender<Flight>,
    arrives: impl Fn(&[u8]) -> Instant,
) {
    loop {
        let mut bytes = vec![0; 65_536];
        // A reset is an end, too.
        let len = from.read(&mut bytes).await.unwrap_or(0);
        bytes.truncate(len);
        if to.send((arrives(&bytes), bytes)).is_err() || len == 0 {
            return;
        }
    }
}

async fn write(mut from: mpsc::UnboundedReceiver<Flight>, mut to: impl AsyncWrite + Unpin) {
    while let Some((arrives, bytes)) = from.recv().await {
        sleep_until(arrives).await;
        // Whoever is gone hears nothing.
        let sent = if bytes.is_empty() { to.shutdown().await } else { to.write_all(&bytes).await };
        if sent.is_err() {
            return;
        }
    }
}

/// How many there are in `bytes`, which hold whole records: each was written in one piece.
fn encrypted_records(mut bytes: &[u8]) -> usize {
    let mut records = 0;
    while let [kind, _, _, high, low, rest @ ..] = bytes {
        records += usize::from(*kind == APPLICATION_DATA);
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        bytes = rest.get(len..).unwrap_or_default();
    }
    records
}
