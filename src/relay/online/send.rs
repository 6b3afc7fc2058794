//! A test message, sent as a session of the account would send one.

use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

use super::message::message;
use super::{Obstacle, Online, host_of};
use crate::account::directory::Account;
use crate::names::Address;
use crate::net::buffer::{READ_LEN, read_piece};
use crate::proto::smtp::{self, Heard, Meaning, SubmissionStep};
use crate::proto::{Input, Output};
use crate::provider::Protocol;
use crate::relay::diagnosis::Diagnosis;
use crate::relay::downstream::close;
use crate::relay::gate::Permit;
use crate::relay::meter::Took;
use crate::relay::protocol::{MailProtocol as _, Submission};
use crate::relay::stamp::stamp;
use crate::relay::upstream::UpstreamStream;
use crate::relay::verdict::sign_in;

/// How long all of it may take until the provider's answer to the message. The control socket ends
/// a connection after 90 s.
const SEND_TIMEOUT: Duration = Duration::from_secs(80);

/// Within which of it the sign-in has to be over, a second one with a newer token included.
const SIGN_IN_TIMEOUT: Duration = Duration::from_secs(50);

/// How long the answer to QUIT is waited for. Nothing depends on it.
const QUIT_TIMEOUT: Duration = Duration::from_secs(3);

/// Something that was said, as it happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// The provider took the sign-in.
    SignedIn {
        /// Host and port.
        host: String,
        /// As whom.
        mailbox: String,
    },
    /// The provider's reply to something.
    Reply {
        /// To what: `MAIL FROM:<alice@contoso.com>`, `the message`.
        to: String,
        /// The reply in one line, with its code.
        reply: String,
    },
}

/// A message that the provider has taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Its reply, in which most name the message as their queue does.
    pub reply: String,
}

impl Online {
    /// Sends a short message of `account` to `recipient`; what is said meanwhile is `told`.
    ///
    /// # Errors
    /// What stood in the way: then nobody has the message, unless the obstacle says so.
    pub async fn send_test(
        &self,
        account: &Account,
        recipient: Address,
        mut told: impl FnMut(Said) + Send,
    ) -> Result<Sent, Obstacle> {
        let sent = Box::pin(self.send(account, recipient, &mut told)).await;
        let account = account.name().as_str();
        match &sent {
            Ok(Sent { reply }) => info!(account, reply, "test message sent"),
            Err(Obstacle { cause, fix, .. }) => warn!(account, cause, fix, "test message not sent"),
        }
        sent
    }

    async fn send(
        &self,
        account: &Account,
        recipient: Address,
        told: &mut (impl FnMut(Said) + Send),
    ) -> Result<Sent, Obstacle> {
        let started = Instant::now();
        let host = host_of(account, Submission::PROTOCOL)?;
        let way = self.prepare::<Submission>(account, host).await?;
        let destination = way.destination::<Submission>();
        let sender = Address::parse(destination.mailbox.as_str())
            .map_err(|error| Obstacle::no_sender(destination.mailbox.as_str(), error))?;
        let deadline = started + SIGN_IN_TIMEOUT;
        let mut took = Took::default();
        let signed_in = sign_in::<Submission>(
            &self.tokens,
            account,
            &destination,
            &mut (),
            deadline,
            &mut took,
        )
        .await;
        let signed_in = signed_in.map_err(|error| way.obstacle(&error))?;
        self.tokens.accepted(account.name(), Protocol::Submission);
        told(Said::SignedIn { host: host.to_string(), mailbox: destination.mailbox.to_string() });
        let message = message(&sender, &recipient, &stamp(sender.domain()));
        let mut output = Output::default();
        let machine = smtp::Submission::begin(sender, recipient, message.as_bytes(), &mut output);
        let dialogue = Dialogue {
            host: host.to_string(),
            permit: &way.permit,
            stream: signed_in.stream,
            input: signed_in.input,
            output,
            outcome: None,
            is_message_out: false,
        };
        dialogue.run(machine, started + SEND_TIMEOUT, told).await
    }
}

/// What is said about a message, after the sign-in.
struct Dialogue<'a> {
    host: String,
    /// The place at the gate of the mailbox.
    permit: &'a Permit,
    stream: UpstreamStream,
    input: Input,
    output: Output,
    /// What became of the message, once that is known.
    outcome: Option<Result<Sent, Obstacle>>,
    /// Whether all of the message is on its way.
    is_message_out: bool,
}

impl Dialogue<'_> {
    async fn run(
        mut self,
        machine: smtp::Submission,
        deadline: Instant,
        told: &mut (impl FnMut(Said) + Send),
    ) -> Result<Sent, Obstacle> {
        let mut step = SubmissionStep::Read(machine);
        let mut deadline = deadline;
        let problem = loop {
            let (machine, is_reply_due) = match step {
                SubmissionStep::Read(machine) => (machine, true),
                SubmissionStep::Heard(heard, machine) => {
                    if self.take(heard, told) {
                        deadline = deadline.min(Instant::now() + QUIT_TIMEOUT);
                    }
                    (machine, false)
                }
                SubmissionStep::Over(heard) => {
                    self.take(heard, told);
                    break "it ended the session".to_owned();
                }
                SubmissionStep::Close(fault) => break fault.to_string(),
            };
            let going_on = async {
                self.send().await?;
                if is_reply_due { self.read().await } else { Ok(()) }
            };
            match timeout_at(deadline, going_on).await {
                Ok(Ok(())) => step = machine.receive(&mut self.input, &mut self.output),
                Ok(Err(error)) => break format!("it broke off the connection: {error}"),
                Err(_) => break "no answer in time".to_owned(),
            }
        };
        close(&mut self.stream).await;
        let (host, is_message_out) = (self.host, self.is_message_out);
        self.outcome.unwrap_or_else(|| {
            Err(if is_message_out {
                Obstacle::no_answer(&host, &problem)
            } else {
                Obstacle::broken(&host, &problem)
            })
        })
    }

    async fn send(&mut self) -> io::Result<()> {
        if self.output.is_empty() {
            return Ok(());
        }
        self.stream.write_all(&self.output.take()).await?;
        self.stream.flush().await
    }

    async fn read(&mut self) -> io::Result<()> {
        let input = &mut self.input;
        match read_piece(&mut self.stream, READ_LEN, |bytes| input.extend(bytes)).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// Takes note of a reply; gives whether it decides what becomes of the message.
    fn take(&mut self, heard: Heard, told: &mut impl FnMut(Said)) -> bool {
        let Heard { to, reply, meaning } = heard;
        self.is_message_out = meaning == Meaning::Wanted;
        let decided = match meaning {
            Meaning::Continue | Meaning::Wanted | Meaning::Farewell => None,
            Meaning::Taken => Some(Ok(Sent { reply: reply.clone() })),
            Meaning::Refused(lasting) => {
                let known = Diagnosis::in_session(Protocol::Submission, &reply);
                if known.is_some_and(Diagnosis::is_throttle) {
                    self.permit.close_gate();
                }
                Some(Err(Obstacle::of_reply(&reply, lasting)))
            }
        };
        told(Said::Reply { to, reply });
        let decides = decided.is_some();
        self.outcome = self.outcome.take().or(decided);
        decides
    }
}
