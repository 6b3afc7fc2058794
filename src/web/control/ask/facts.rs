//! What whoever helps with a trouble wants to know of a relay, and may be shown: no secret is part
//! of it.

use serde::{Deserialize, Serialize};

use super::Ask;
use crate::relay::recent::{Closed, How};
use crate::web::accounts::AccountRow;
use crate::web::moment::Moment;
use crate::web::operator::{Operator, OperatorError};

/// The facts of a relay.
#[derive(Debug, Serialize, Deserialize)]
pub struct GatherFacts {}

/// What is known of it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Facts {
    /// Its version.
    pub version: String,
    /// Why it is not ready, each in a sentence; null where none runs.
    pub not_ready: Option<Vec<String>>,
    /// What is wrong if the store could not be written last.
    pub unsaved: Option<String>,
    /// Every account.
    pub accounts: Vec<AccountRow>,
    /// The sessions that ended last, the last one first.
    pub sessions: Vec<ClosedRow>,
}

/// A session that ended.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosedRow {
    /// When.
    pub at: Moment,
    /// The listener's name in the file.
    pub listener: String,
    /// What was spoken.
    pub protocol: String,
    /// Where the client was.
    pub from: String,
    /// Whose account it was, if the client has shown that it may use one, signed in or not.
    pub account: Option<String>,
    /// How far it came, in one word.
    pub outcome: String,
    /// Why it ended, in one word.
    pub reason: String,
    /// Whose side ended it.
    pub side: String,
    /// What the operating system said, or why no TLS came about.
    pub error: Option<String>,
    /// What the failure most likely means.
    pub cause: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// What the provider said last.
    pub last_reply: Option<String>,
    /// Messages that the provider has taken.
    pub messages: Option<u64>,
    /// Bytes streamed from client to provider.
    pub up_bytes: u64,
    /// Bytes streamed from provider to client.
    pub down_bytes: u64,
    /// How long it lasted, in seconds.
    pub lasted_s: u64,
}

impl Ask for GatherFacts {
    const PATH: &'static str = "/facts";
    type Answer = Facts;

    async fn carry_out(self, operator: Operator) -> Result<Self::Answer, OperatorError> {
        Ok(Facts {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            not_ready: operator.health().ok(),
            unsaved: operator.unsaved(),
            accounts: operator.accounts().await?,
            sessions: operator.recent().into_iter().map(ClosedRow::from).collect(),
        })
    }
}

impl From<Closed> for ClosedRow {
    fn from(closed: Closed) -> Self {
        let Closed { at, listener, protocol, from, account, how } = closed;
        let How { outcome, reason, side, error, cause, hint, last_reply, messages, .. } = how;
        Self {
            at: Moment::new(at),
            listener,
            protocol: protocol.name().to_owned(),
            from,
            account: account.map(|account| account.to_string()),
            outcome: outcome.to_owned(),
            reason: reason.to_owned(),
            side: side.to_owned(),
            error,
            cause: cause.map(str::to_owned),
            hint,
            last_reply,
            messages,
            up_bytes: how.up_bytes,
            down_bytes: how.down_bytes,
            lasted_s: how.lasted.as_secs(),
        }
    }
}
