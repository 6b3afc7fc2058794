//! `mailbearer serve`: runs the relay until SIGTERM or SIGINT.

use std::io::{self, Write as _};
use std::path::PathBuf;

use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

use super::{Exit, check, tell};
use crate::app::App;
use crate::config::{Config, Problem, Secrets};
use crate::logging;
use crate::relay::Shutdown;

/// Runs the relay of the configuration file `named`, or of the one that is found.
pub(super) fn run(named: Option<PathBuf>) -> Exit {
    let (path, config) = match check::load(named, Secrets::Verify) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    logging::init(&config.log);
    for warning in &config.warnings {
        let file = path.display().to_string();
        let Problem { line, key, message: problem, help: hint } = warning;
        warn!(file, line, key, problem, hint, "configuration");
    }
    match serve(config) {
        Ok(()) => Exit::Done,
        Err(problem) => {
            tell(problem);
            Exit::Failed
        }
    }
}

/// Serves until the signals say otherwise.
///
/// # Errors
/// When the runtime, the listeners or the signals cannot be set up: a sentence for the user.
fn serve(config: Config) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("no threads can be started ({error})"))?;
    runtime.block_on(async {
        let app = App::bind(config).map_err(|error| error.to_string())?;
        let signals = stop_on_signals(app.shutdown())
            .map_err(|error| format!("signals cannot be received ({error})"))?;
        let mut lines = String::new();
        for bound in app.bound() {
            lines += &format!("listening on {} ({})\n", bound.address, bound.listener);
        }
        // Who closed standard output does not want to know.
        let _ = io::stdout().lock().write_all(lines.as_bytes());
        app.run().await;
        signals.abort();
        Ok(())
    })
}

/// The first SIGTERM or SIGINT drains, the second one ends every session.
fn stop_on_signals(shutdown: Shutdown) -> io::Result<tokio::task::JoinHandle<()>> {
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
