//! `mailbearer serve`: runs the relay until SIGTERM or SIGINT; SIGHUP reloads.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::{Exit, check, tell};
use crate::app::{App, Backing, Supervisor};
use crate::config::{Config, Problem, Secrets};
use crate::logging::{self, LogLevel};
use crate::net::listen::inherited::Inherited;
use crate::relay::Shutdown;
use crate::store::{Purpose, Store, StoreError};
use crate::web::operator::Reload;

/// How long reads of files may go on at the end. What has to be written is waited for before; a disk
/// that hangs under what a monitor asked for holds up nobody.
const READS_END_WITHIN: Duration = Duration::from_secs(1);

/// Runs the relay of the configuration file `named`, or of the one that is found.
pub(super) fn run(named: Option<PathBuf>) -> Exit {
    // Before anything else could inherit them, and before there are threads.
    let inherited = Inherited::from_environment();
    let (path, config) = match check::load(named, Secrets::Verify) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    let level = logging::init(&config.log);
    for warning in &config.warnings {
        let file = path.display().to_string();
        let Problem { line, key, message: problem, help: hint } = warning;
        warn!(file, line, key, problem, hint, "configuration");
    }
    match serve(config, path, inherited, level) {
        Ok(()) => Exit::Done,
        Err(Failure { exit, problem }) => {
            tell(problem);
            exit
        }
    }
}

/// Why nothing is served.
struct Failure {
    exit: Exit,
    /// A sentence for the user.
    problem: String,
}

impl From<String> for Failure {
    fn from(problem: String) -> Self {
        Self { exit: Exit::Failed, problem }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let exit = match error {
            StoreError::InUse { .. } => Exit::TryLater,
            StoreError::Unusable { .. } => Exit::Config,
            StoreError::NotOwner { .. } | StoreError::Io { .. } => Exit::Failed,
        };
        Self { exit, problem: error.to_string() }
    }
}

/// Serves until the signals say otherwise.
///
/// # Errors
/// When the store, the runtime, the listeners or the signals cannot be set up.
fn serve(
    config: Config,
    file: PathBuf,
    inherited: Inherited,
    level: LogLevel,
) -> Result<(), Failure> {
    let store = Store::open(&config.store, &Purpose::Serve)?;
    if let Some(problem) = store.warning() {
        warn!(problem, "the store");
    }
    let state_directory = store.control_directory().inspect_err(|problem| {
        warn!(problem, "there is no control socket, so commands cannot reach this relay");
    });
    let backing = Backing {
        store,
        state_directory: state_directory.ok(),
        file: Some(file),
        inherited,
        set_log_level: Box::new(move |to| level.set(to)),
        supervisor: Supervisor::of_environment(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("no threads can be started ({error})"))?;
    let served = runtime.block_on(async {
        let app = App::bind(config, backing).map_err(|error| error.to_string())?;
        let no_signals = |error| format!("signals cannot be received ({error})");
        let stops = stop_on_signals(app.shutdown()).map_err(no_signals)?;
        let reloads = reload_on_signal(app.reloads()).map_err(no_signals)?;
        let mut lines = String::new();
        for bound in app.bound() {
            lines += &format!("listening on {} ({})\n", bound.address, bound.listener);
        }
        for bound in app.page() {
            lines += &format!("listening on {} (web)\n", bound.address);
        }
        for address in app.probes() {
            lines += &format!("listening on {address} (probes)\n");
        }
        // Who closed standard output does not want to know.
        let _ = io::stdout().lock().write_all(lines.as_bytes());
        app.run().await;
        stops.abort();
        reloads.abort();
        Ok(())
    });
    runtime.shutdown_timeout(READS_END_WITHIN);
    served
}

/// The first SIGTERM or SIGINT drains, the second one ends every session.
fn stop_on_signals(shutdown: Shutdown) -> io::Result<JoinHandle<()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(tokio::spawn(async move {
        for (token, what) in [(shutdown.drain, "drain"), (shutdown.cut, "end now")] {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            info!(signal = name, what, "signal received");
            token.cancel();
        }
    }))
}

/// SIGHUP lets the relay read its configuration file again; the log tells what comes of it.
fn reload_on_signal(reloads: mpsc::Sender<Reload>) -> io::Result<JoinHandle<()>> {
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            info!(signal = "SIGHUP", what = "reload", "signal received");
            let (order, outcome) = oneshot::channel();
            // In a shutdown nobody takes it, and nothing is to be done.
            if reloads.send(order).await.is_ok() {
                let _ = outcome.await;
            }
        }
    }))
}
