//! What a client shows of itself at a token endpoint, as far as it stands in files: a pause after a
//! refusal ends when somebody has corrected one of them.
//!
//! In:     the files' times, sizes and places on the disk. None is opened, so nothing secret is held.
//! Blocks: for a look at a few files, in a thread of its own, which is waited for [`LOOK_TIMEOUT`].

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::provider::{ClientAuth, Grant, ServiceAccountKey, Way};
use crate::secret::SecretSource;

/// How long a look may take. A mount that hangs must not take the time of the request that comes
/// behind it, which says what is wrong with the disk, nor that of a token in memory.
const LOOK_TIMEOUT: Duration = Duration::from_secs(1);

/// How the files were at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shown(Vec<Option<Stamp>>);

/// What changes with a file that is written anew, replaced, or led to another one by a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    len: u64,
    changed_at: (i64, i64),
}

impl Shown {
    /// What is shown for `grant` now. Nothing where no file holds any of it: what stands in the
    /// configuration changes by a reload, which ends pauses, too. Nothing either where the disk does
    /// not say in time.
    pub(super) async fn now(grant: &Arc<Grant>) -> Option<Self> {
        if files(grant).is_empty() {
            return None;
        }
        let grant = Arc::clone(grant);
        in_time(move || Self(files(&grant).into_iter().map(Stamp::of).collect())).await
    }
}

/// What `look` finds, if it does so within [`LOOK_TIMEOUT`].
async fn in_time<T: Send + 'static>(look: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let looked = timeout(LOOK_TIMEOUT, tokio::task::spawn_blocking(look)).await;
    // It fails when the program ends, and then nobody asks any more.
    looked.ok()?.ok()
}

impl Stamp {
    /// That of the file at `path`, if there is one.
    fn of(path: &Path) -> Option<Self> {
        let file = fs::metadata(path).ok()?;
        let changed_at = (file.ctime(), file.ctime_nsec());
        Some(Self { device: file.dev(), inode: file.ino(), len: file.len(), changed_at })
    }
}

/// The files that hold what is shown for `grant`.
fn files(grant: &Grant) -> Vec<&Path> {
    let own = match &grant.way {
        Way::Password { password, .. } => vec![file(password)],
        Way::ServiceAccount(account) => match &account.key {
            ServiceAccountKey::File(path) => vec![Some(path.as_path())],
            ServiceAccountKey::Written { private_key, .. } => vec![file(private_key)],
        },
        Way::ClientCredentials(_)
        | Way::WorkloadIdentity(_)
        | Way::AuthorizationCode(_)
        | Way::DeviceCode(_)
        | Way::ManagedIdentity(_)
        | Way::Command(_) => Vec::new(),
    };
    let of_client = match grant.way.client().map(|client| &client.auth) {
        Some(ClientAuth::SecretPost(secret) | ClientAuth::SecretBasic(secret)) => {
            vec![file(secret)]
        }
        Some(ClientAuth::PrivateKeyJwt(key)) => {
            vec![key.certificate.as_ref().and_then(file), file(&key.private_key)]
        }
        Some(ClientAuth::AssertionFile(path)) => vec![Some(path.as_path())],
        Some(ClientAuth::None) | None => Vec::new(),
    };
    own.into_iter().chain(of_client).flatten().collect()
}

fn file(source: &SecretSource) -> Option<&Path> {
    match source {
        SecretSource::File(path) => Some(path),
        SecretSource::Value(_) | SecretSource::Env { .. } | SecretSource::Command(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::task::yield_now;
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn look_is_waited_for_a_second_and_no_longer_when_the_disk_hangs() {
        assert_eq!(in_time(|| 7).await, Some(7));
        let (let_go, hangs) = mpsc::channel::<()>();
        let looking = tokio::spawn(in_time(move || hangs.recv().is_ok()));
        yield_now().await;
        advance(LOOK_TIMEOUT - Duration::from_millis(1)).await;
        assert!(!looking.is_finished());
        advance(Duration::from_millis(2)).await;
        assert_eq!(looking.await.unwrap(), None);
        drop(let_go);
    }
}
