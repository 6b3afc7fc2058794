//! What is asked of the providers' mail servers: a walk of one account by one protocol, and a test
//! message.
//!
//! A walk has an answer of its own each, so that many accounts fit into the time of a connection.

use serde::{Deserialize, Serialize};

use super::{Ask, protocol, protocol_names};
use crate::names::Address;
use crate::names::Username;
use crate::proto::Lasting;
use crate::relay::online::{Obstacle, Outcome, Said, Step};
use crate::web::control::telling::{Teller, Telling};
use crate::web::operator::{Operator, OperatorError};

/// What can be tried.
#[derive(Debug, Serialize, Deserialize)]
pub struct ShowReachable {
    /// Of which account; left out, of all.
    pub account: Option<String>,
}

/// What can be tried of one account.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReachableRow {
    /// Its name; of a wildcard as the file has it.
    pub account: String,
    /// By which protocols; none of a wildcard.
    pub protocols: Vec<String>,
}

impl Ask for ShowReachable {
    const PATH: &'static str = "/online";
    type Answer = Vec<ReachableRow>;

    async fn carry_out(self, operator: Operator) -> Result<Self::Answer, OperatorError> {
        let name = self.account.as_deref().map(Username::parse).transpose()?;
        let rows = operator.reachable(name.as_ref())?.into_iter().map(|it| ReachableRow {
            account: it.account.to_string(),
            protocols: protocol_names(&it.protocols),
        });
        Ok(rows.collect())
    }
}

/// A walk from the server's name to the sign-in.
#[derive(Debug, Serialize, Deserialize)]
pub struct GoOnline {
    /// Whose.
    pub account: String,
    /// By which protocol.
    pub protocol: String,
}

/// What a walk found.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Walked {
    /// The server: host and port.
    pub host: String,
    /// Every step, in order.
    pub steps: Vec<StepRow>,
    /// What is wrong if a refresh token could not be written.
    pub unsaved: Option<String>,
}

/// A step.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRow {
    /// `DNS`, `TCP`, `TLS`, `token`, or the mechanism.
    pub step: String,
    /// What came of it.
    pub result: StepResult,
    /// What is worth knowing of it, or what stood in its way.
    pub told: String,
    /// What to do; empty where `told` says it.
    pub fix: String,
}

/// What came of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepResult {
    /// It is done.
    Ok,
    /// It failed, and will again.
    Failed,
    /// It failed, and may go better later.
    Temporary,
    /// It was not tried, because one before it failed.
    NotTried,
}

impl From<Step> for StepRow {
    fn from(Step { name, outcome }: Step) -> Self {
        let (result, told, fix) = match outcome {
            Outcome::Done(told) => (StepResult::Ok, told, String::new()),
            Outcome::NotTried => (StepResult::NotTried, String::new(), String::new()),
            Outcome::Failed(Obstacle { cause, fix, lasting: Lasting::Permanent }) => {
                (StepResult::Failed, cause, fix)
            }
            Outcome::Failed(Obstacle { cause, fix, lasting: Lasting::Temporary }) => {
                (StepResult::Temporary, cause, fix)
            }
        };
        Self { step: name.to_string(), result, told, fix }
    }
}

impl Ask for GoOnline {
    const PATH: &'static str = "/online/walk";
    type Answer = Walked;

    async fn carry_out(self, operator: Operator) -> Result<Self::Answer, OperatorError> {
        let account = Username::parse(&self.account)?;
        let walk = operator.walk(&account, protocol(&self.protocol)?).await?;
        let steps = walk.it.steps.into_iter().map(StepRow::from).collect();
        Ok(Walked { host: walk.it.host, steps, unsaved: walk.unsaved })
    }
}

/// A test message.
#[derive(Debug, Serialize, Deserialize)]
pub struct SendTest {
    /// Whose.
    pub account: String,
    /// To whom.
    pub to: String,
}

/// Something that was said.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SaidRow {
    /// The provider took the sign-in.
    SignedIn {
        /// Host and port.
        host: String,
        /// As whom.
        mailbox: String,
    },
    /// The provider replied.
    Reply {
        /// To what.
        to: String,
        /// The reply, with its code.
        reply: String,
    },
}

/// The provider has taken the message.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentTest {
    /// Its reply to the message.
    pub reply: String,
    /// What is wrong if a refresh token could not be written.
    pub unsaved: Option<String>,
}

impl From<Said> for SaidRow {
    fn from(said: Said) -> Self {
        match said {
            Said::SignedIn { host, mailbox } => Self::SignedIn { host, mailbox },
            Said::Reply { to, reply } => Self::Reply { to, reply },
        }
    }
}

impl Telling for SendTest {
    const PATH: &'static str = "/send-test";
    type Line = SaidRow;
    type Answer = SentTest;

    async fn carry_out(
        self,
        operator: Operator,
        teller: Teller<SaidRow>,
    ) -> Result<SentTest, OperatorError> {
        let account = Username::parse(&self.account)?;
        let recipient = Address::parse(&self.to)
            .map_err(|error| OperatorError::Address { address: self.to.clone(), error })?;
        let told = |said: Said| teller.tell(said.into());
        let sent = operator.send_test(&account, recipient, told).await?;
        Ok(SentTest { reply: sent.it.reply, unsaved: sent.unsaved })
    }
}
