//! What a relay in this process logs, at every level.

use std::io;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;
use tokio::time::timeout;
use tracing::subscriber::DefaultGuard;
use tracing::{Dispatch, Level};
use tracing_subscriber::registry;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::client::PATIENCE;

/// The lines of everything that runs on this thread from now on, until it is dropped.
///
/// The runtime of a test has one thread, which the relay shares.
pub struct Log {
    written: Written,
    _subscribed: DefaultGuard,
    /// While there is one subscriber alone, `tracing` (0.1) believes that nobody listens to a line
    /// whose first thread has none: another test's.
    _second: Dispatch,
}

#[derive(Clone, Default)]
struct Written {
    text: Arc<Mutex<String>>,
    more: Arc<Notify>,
}

impl Log {
    /// Keeps what is logged.
    pub fn keep() -> Self {
        let second = Dispatch::new(registry());
        let written = Written::default();
        let writer = written.clone();
        let subscribed = tracing_subscriber::fmt()
            .with_max_level(Level::TRACE)
            .with_ansi(false)
            .without_time()
            .with_target(false)
            .with_writer(move || writer.clone())
            .finish()
            .set_default();
        Self { written, _subscribed: subscribed, _second: second }
    }

    /// What was logged since the last call, up to the first line with `part` in it, which is waited
    /// for; what is behind that line is kept.
    pub async fn take_until(&self, part: &str) -> String {
        let taken = async {
            loop {
                let more = self.written.more.notified();
                if let Some(taken) = self.written.take_until(part) {
                    return taken;
                }
                more.await;
            }
        };
        match timeout(PATIENCE, taken).await {
            Ok(taken) => taken,
            Err(_) => panic!("no {part:?} is logged, but {}", self.written.text.lock().unwrap()),
        }
    }
}

impl Written {
    fn take_until(&self, part: &str) -> Option<String> {
        let mut text = self.text.lock().unwrap();
        let at = text.find(part)?;
        let end = at + text[at..].find('\n')? + 1;
        let rest = text.split_off(end);
        Some(std::mem::replace(&mut text, rest))
    }
}

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.lock().unwrap().push_str(std::str::from_utf8(bytes).unwrap());
        self.more.notify_one();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
