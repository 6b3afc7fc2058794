//! The control socket of a running relay.

use std::io;
use std::path::Path;

use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::web::control::{SOCKET, router};
use crate::web::operator::Operator;

/// Binds it in the state directory. One that an ended process left is replaced: the store's lock
/// says that there is no other.
pub(super) fn bind(directory: &Path) -> io::Result<UnixListener> {
    let path = directory.join(SOCKET);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => UnixListener::bind(path),
    }
}

/// Answers there until `stop`.
pub(super) async fn serve(socket: UnixListener, operator: Operator, stop: CancellationToken) {
    let server = axum::serve(socket, router(operator));
    if let Err(error) = server.with_graceful_shutdown(stop.cancelled_owned()).await {
        warn!(error = error.to_string(), "the control socket is closed");
    }
}
