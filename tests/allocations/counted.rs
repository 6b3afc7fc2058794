//! A relay on a thread of its own, the allocations of which can be counted.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread;

use allocation_counter::{AllocationInfo, measure};
use mailbearer::app::{App, Backing};
use mailbearer::config::{Config, Secrets};
use mailbearer::provider::Protocol;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot};

/// A relay. It runs as long as the program of the test.
pub(crate) struct Counted {
    addresses: Vec<(Protocol, SocketAddr)>,
    orders: mpsc::UnboundedSender<Order>,
}

/// The order to count.
struct Order {
    /// Told when it is begun.
    begun: oneshot::Sender<()>,
    /// Ready, or gone, when it is to end.
    until: oneshot::Receiver<()>,
    /// Takes what was counted.
    counted: oneshot::Sender<AllocationInfo>,
}

impl Counted {
    /// Starts the relay of the configuration `file`. What it logs goes nowhere, but is made.
    pub(crate) async fn start(file: PathBuf) -> Self {
        // Where another test was first, there is a log already.
        let _ = tracing_subscriber::fmt().with_writer(std::io::sink).try_init();
        let (tell, told) = oneshot::channel();
        let (orders, ordered) = mpsc::unbounded_channel();
        thread::spawn(move || serve(&file, tell, ordered));
        Self { addresses: told.await.unwrap(), orders }
    }

    /// Where `protocol` is spoken.
    pub(crate) fn address(&self, protocol: Protocol) -> SocketAddr {
        let mut addresses = self.addresses.iter().filter(|(spoken, _)| *spoken == protocol);
        addresses.next().expect("a listener of each protocol").1
    }

    /// Counts what the relay's thread allocates during `work`.
    pub(crate) async fn count(&self, work: impl Future<Output = ()>) -> AllocationInfo {
        let (begun, has_begun) = oneshot::channel();
        let (end, until) = oneshot::channel();
        let (counted, count) = oneshot::channel();
        assert!(self.orders.send(Order { begun, until, counted }).is_ok(), "the relay runs");
        has_begun.await.unwrap();
        work.await;
        end.send(()).unwrap();
        count.await.unwrap()
    }
}

fn serve(
    file: &Path,
    tell: oneshot::Sender<Vec<(Protocol, SocketAddr)>>,
    mut ordered: mpsc::UnboundedReceiver<Order>,
) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let config = Config::load(file, Secrets::Verify).unwrap();
        let app = App::bind(config, Backing::in_memory()).unwrap();
        let bound = app.bound().map(|it| (it.protocol, it.address.tcp().unwrap())).collect();
        tokio::spawn(app.run());
        tell.send(bound).unwrap();
    });
    while let Some(Order { begun, until, counted }) = runtime.block_on(ordered.recv()) {
        let count = measure(|| {
            begun.send(()).unwrap();
            runtime.block_on(until).unwrap();
        });
        counted.send(count).unwrap();
    }
}
