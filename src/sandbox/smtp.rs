//! The submission server, as Exchange Online's is: XOAUTH2 and OAUTHBEARER under TLS alone.
//!
//! Source: RFC 5321, 2034, 2920, 3030 (CHUNKING, BINARYMIME), 3207, 4954, 6152, 6409, 6531.
//! In:     commands; messages of up to [`MESSAGE_LEN_MAX`] bytes to up to [`RECIPIENTS_MAX`]
//!         recipients. Out: replies; each message byte for byte into the mailboxes of its
//!         recipients, whether they are mailboxes of the sandbox or not.

use bytes::{Bytes, BytesMut};

use super::conversation::{Conversation, Cue, End};
use super::data::{MessageText, TooLong};
use super::mailboxes::{Flags, MESSAGE_LEN_MAX};
use super::record::hidden;
use super::script::Step;
use super::server::{Shared, SignedIn};
use super::sign_in::{self, SignInRefusal};
use crate::names::Username;
use crate::proto::sasl::challenge;
use crate::provider::{Mechanism, UpstreamTls};

/// How many recipients a message may have (RFC 5321 section 4.5.3.1.8 wants 100 at least).
const RECIPIENTS_MAX: usize = 500;

/// What a session hears that is one too many for its mailbox: learn.microsoft.com, "Improvements to
/// the SMTP submission client protocol".
const CROWDED: &str = "432 4.3.2 Concurrent connections limit exceeded. \
                       Visit https://aka.ms/concurrent_sending for more information. [sandbox]";

/// What EHLO shows besides SIZE, STARTTLS and AUTH.
const KEYWORDS: [&str; 7] =
    ["PIPELINING", "DSN", "ENHANCEDSTATUSCODES", "8BITMIME", "BINARYMIME", "CHUNKING", "SMTPUTF8"];

/// Speaks with one client until either ends it.
pub(super) async fn converse(mut talk: Conversation, shared: &Shared) {
    let starts_in_clear = shared.begin_tls.submission == UpstreamTls::StartTls;
    if starts_in_clear && let Err(end) = speak_in_clear(&mut talk).await {
        return talk.close(end).await;
    }
    let Ok(mut talk) = talk.start_tls(&shared.tls).await else { return };
    if !starts_in_clear && let Err(end) = greet(&mut talk).await {
        return talk.close(end).await;
    }
    let mut session =
        Session { shared, talk, said_hello: false, signed_in: None, transaction: None };
    let end = session.speak().await;
    let Session { talk, signed_in, .. } = session;
    drop(signed_in);
    talk.close(end).await;
}

async fn greet(talk: &mut Conversation) -> Result<(), End> {
    if talk.cue(Step::Greeting, "").await? != Cue::Skip {
        talk.say("220 localhost mailbearer sandbox ESMTP ready");
    }
    Ok(())
}

/// Speaks until TLS is to begin.
async fn speak_in_clear(talk: &mut Conversation) -> Result<(), End> {
    greet(talk).await?;
    loop {
        let command = Command::read(talk).await?;
        if talk.cue(Step::Command(&command.verb), "").await? == Cue::Skip {
            continue;
        }
        match command.verb.as_str() {
            "EHLO" => talk.say(&capabilities("STARTTLS")),
            "HELO" => talk.say("250 localhost"),
            "NOOP" => talk.say("250 2.0.0 OK"),
            "QUIT" => return quit(talk),
            "STARTTLS" => {
                talk.say("220 2.0.0 SMTP server ready");
                return Ok(());
            }
            _ => talk.say("530 5.7.0 Must issue a STARTTLS command first"),
        }
    }
}

fn capabilities(security: &str) -> String {
    let mut lines = format!("250-localhost Hello\r\n250-SIZE {MESSAGE_LEN_MAX}\r\n250-{security}");
    for (at, keyword) in KEYWORDS.iter().enumerate() {
        let separator = if at + 1 == KEYWORDS.len() { ' ' } else { '-' };
        lines.push_str(&format!("\r\n250{separator}{keyword}"));
    }
    lines
}

fn quit<T>(talk: &mut Conversation) -> Result<T, End> {
    talk.say("221 2.0.0 Service closing transmission channel");
    Err(End::Orderly)
}

/// A line from the client.
struct Command {
    /// In upper case; it is data of the peer and may be anything.
    verb: String,
    argument: String,
}

impl Command {
    /// Reads one and puts it on record without its credentials.
    async fn read(talk: &mut Conversation) -> Result<Self, End> {
        let line = talk.line().await?;
        let text = String::from_utf8_lossy(&line);
        let (verb, argument) = text.split_once(' ').unwrap_or((&text, ""));
        let command =
            Self { verb: verb.to_ascii_uppercase(), argument: argument.trim().to_owned() };
        match (command.verb.as_str(), argument.split_once(' ')) {
            ("AUTH", Some((mechanism, response))) => {
                let response = hidden("token", response.len());
                talk.heard(format!("{verb} {mechanism} {response}").as_bytes());
            }
            _ => talk.heard(&line),
        }
        Ok(command)
    }
}

/// A client under TLS.
struct Session<'a> {
    shared: &'a Shared,
    talk: Conversation,
    said_hello: bool,
    signed_in: Option<SignedIn>,
    transaction: Option<Transaction>,
}

/// A message that is being sent.
#[derive(Default)]
struct Transaction {
    recipients: Vec<Username>,
    /// `BODY=BINARYMIME`, which DATA cannot carry (RFC 3030 section 3).
    binary: bool,
    /// What BDAT brought so far.
    chunks: BytesMut,
    /// BDAT has begun, or brought too much.
    chunking: Option<Result<(), TooLong>>,
}

impl Session<'_> {
    async fn speak(&mut self) -> End {
        loop {
            if let Err(end) = self.exchange().await {
                return end;
            }
        }
    }

    /// Reads one command and answers it.
    async fn exchange(&mut self) -> Result<(), End> {
        let Command { verb, argument } = Command::read(&mut self.talk).await?;
        // Its chunk comes in any case (RFC 3030 section 2).
        let last = if verb == "BDAT" { self.take_chunk(&argument).await? } else { Last::No };
        if self.talk.cue(Step::Command(&verb), "").await? == Cue::Skip {
            return Ok(());
        }
        match verb.as_str() {
            "EHLO" | "HELO" if argument.is_empty() => self.talk.say("501 5.5.4 Who are you"),
            "EHLO" | "HELO" => {
                (self.said_hello, self.transaction) = (true, None);
                let reply = match verb.as_str() {
                    "EHLO" => capabilities("AUTH XOAUTH2 OAUTHBEARER"),
                    _ => "250 localhost".to_owned(),
                };
                self.talk.say(&reply);
            }
            "NOOP" => self.talk.say("250 2.0.0 OK"),
            "RSET" => {
                self.transaction = None;
                self.talk.say("250 2.0.0 Resetting");
            }
            "VRFY" => self.talk.say("252 2.1.5 Cannot VRFY user"),
            "QUIT" => return quit(&mut self.talk),
            "AUTH" => self.auth(&argument).await?,
            "MAIL" => self.mail(&argument),
            "RCPT" => self.rcpt(&argument),
            "DATA" => self.data().await?,
            "BDAT" => self.bdat(last).await?,
            "STARTTLS" => self.talk.say("503 5.5.1 TLS is active"),
            _ => self.talk.say("500 5.3.3 Unrecognized command"),
        }
        Ok(())
    }

    async fn auth(&mut self, argument: &str) -> Result<(), End> {
        let (name, inline) = argument.split_once(' ').unwrap_or((argument, ""));
        let Some(mechanism) = sign_in::mechanism(name) else {
            self.talk.say("504 5.7.4 Unrecognized authentication type");
            return Ok(());
        };
        if !self.said_hello || self.signed_in.is_some() {
            self.talk.say("503 5.5.1 Bad sequence of commands");
            return Ok(());
        }
        let response = match inline {
            "" => {
                self.talk.say("334 ");
                let line = self.talk.line().await?;
                self.talk.heard_hidden("token", line.len());
                line
            }
            inline => Bytes::copy_from_slice(inline.as_bytes()),
        };
        if *response == *b"*" {
            self.talk.say("501 5.7.0 Authentication cancelled");
            return Ok(());
        }
        let verdict = self.shared.judge(&mut self.talk, mechanism, &response, "").await?;
        match verdict.result {
            Ok(signed_in) => {
                self.signed_in = Some(signed_in);
                self.talk.say("235 2.7.0 Authentication successful");
            }
            Err(_) if verdict.answered => {}
            Err(SignInRefusal::Crowded) => self.talk.say(CROWDED),
            Err(refusal) => self.refuse(mechanism, refusal).await?,
        }
        Ok(())
    }

    /// Sends the error challenge, and the final reply once the client answered it.
    async fn refuse(&mut self, mechanism: Mechanism, refusal: SignInRefusal) -> Result<(), End> {
        let challenge = sign_in::error_challenge(mechanism, refusal, self.talk.protocol());
        self.talk.say(&format!("334 {challenge}"));
        let answer = self.talk.line().await?;
        self.talk.heard(&answer);
        if *answer == *challenge::acknowledgement(mechanism).as_bytes() {
            self.talk.say("535 5.7.3 Authentication unsuccessful [sandbox]");
        } else {
            self.talk.say("501 5.5.2 The error challenge wants another answer");
        }
        Ok(())
    }

    fn mail(&mut self, argument: &str) {
        let reply = match path(argument, "FROM:") {
            _ if !self.said_hello => "503 5.5.1 Send hello first",
            _ if self.signed_in.is_none() => "530 5.7.57 Client not authenticated to send mail",
            _ if self.transaction.is_some() => "503 5.5.1 Sender already specified",
            _ if !self.has_place() => CROWDED,
            None => "501 5.5.4 Invalid arguments",
            Some((_, parameters)) if declared_len(parameters) > MESSAGE_LEN_MAX => {
                "552 5.3.4 Message size exceeds fixed maximum message size"
            }
            Some((_, parameters)) => {
                let binary = has_parameter(parameters, "BODY=BINARYMIME");
                self.transaction = Some(Transaction { binary, ..Transaction::default() });
                "250 2.1.0 Sender OK"
            }
        };
        self.talk.say(reply);
    }

    /// Whether the session counts for its mailbox; it does as soon as there is a place.
    fn has_place(&mut self) -> bool {
        let Some(SignedIn { user, place }) = &mut self.signed_in else { return false };
        if place.is_none() {
            *place = self.shared.gauge.enter(self.talk.protocol(), user);
        }
        place.is_some()
    }

    fn rcpt(&mut self, argument: &str) {
        let recipient = path(argument, "TO:").and_then(|(path, _)| Username::parse(path).ok());
        let reply = match (&mut self.transaction, recipient) {
            (None, _) => "503 5.5.1 Need MAIL first",
            (_, None) => "501 5.1.3 Invalid address",
            (Some(transaction), _) if transaction.recipients.len() == RECIPIENTS_MAX => {
                "452 4.5.3 Too many recipients"
            }
            (Some(transaction), Some(recipient)) => {
                transaction.recipients.push(recipient.folded());
                "250 2.1.5 Recipient OK"
            }
        };
        self.talk.say(reply);
    }

    async fn data(&mut self) -> Result<(), End> {
        let Some(transaction) = self.ready_transaction() else { return Ok(()) };
        if transaction.binary || transaction.chunking.is_some() {
            self.talk.say("503 5.5.1 This message comes by BDAT");
            return Ok(());
        }
        self.talk.say("354 Start mail input; end with <CRLF>.<CRLF>");
        let mut text = MessageText::new(MESSAGE_LEN_MAX);
        while !text.receive(self.talk.received()) {
            self.talk.fill().await?;
        }
        self.deliver(text.finish()).await
    }

    /// Receives the chunk that BDAT announces.
    async fn take_chunk(&mut self, argument: &str) -> Result<Last, End> {
        let mut words = argument.split_ascii_whitespace();
        let len = words.next().and_then(|len| len.parse::<usize>().ok());
        let last = match words.next() {
            None => Some(Last::No),
            Some(word) => word.eq_ignore_ascii_case("LAST").then_some(Last::Yes),
        };
        let (Some(len), Some(last)) = (len, last) else {
            // Where its chunk ends, and the next command begins, cannot be known.
            self.talk.say("501 5.5.4 Invalid arguments");
            return Err(End::Orderly);
        };
        let mut left = len;
        while left > 0 {
            if self.talk.received().is_empty() {
                self.talk.fill().await?;
            }
            let received = self.talk.received();
            let piece = received.split_to(left.min(received.len()));
            left -= piece.len();
            let Some(transaction) = &mut self.transaction else { continue };
            if transaction.chunks.len() + piece.len() > MESSAGE_LEN_MAX {
                transaction.chunking = Some(Err(TooLong));
            } else {
                transaction.chunks.extend_from_slice(&piece);
            }
        }
        Ok(last)
    }

    async fn bdat(&mut self, last: Last) -> Result<(), End> {
        let Some(transaction) = self.ready_transaction() else { return Ok(()) };
        let state = *transaction.chunking.get_or_insert(Ok(()));
        match last {
            Last::Yes => {
                let message = Bytes::copy_from_slice(&transaction.chunks);
                self.deliver(state.map(|()| message)).await
            }
            Last::No => {
                self.talk.say("250 2.0.0 Chunk received");
                Ok(())
            }
        }
    }

    /// The transaction if it has recipients; the client was told if not.
    fn ready_transaction(&mut self) -> Option<&mut Transaction> {
        match &mut self.transaction {
            Some(transaction) if !transaction.recipients.is_empty() => Some(transaction),
            _ => {
                self.talk.say("503 5.5.1 Need MAIL and RCPT first");
                None
            }
        }
    }

    /// Puts a whole message into the mailboxes and ends the transaction.
    async fn deliver(&mut self, message: Result<Bytes, TooLong>) -> Result<(), End> {
        let transaction = self.transaction.take().unwrap_or_default();
        if let Ok(message) = &message {
            self.talk.heard_hidden("message", message.len());
        }
        if self.talk.cue(Step::Message, "").await? == Cue::Skip {
            return Ok(());
        }
        let Ok(message) = message else {
            self.talk.say("552 5.3.4 Message size exceeds fixed maximum message size");
            return Ok(());
        };
        if let Some(SignedIn { user, .. }) = &self.signed_in {
            self.shared.gauge.take_turn(user).await;
        }
        let id = self.shared.next_queue_id();
        let mailboxes = &self.shared.mailboxes;
        let mut deliveries = transaction
            .recipients
            .iter()
            .map(|recipient| mailboxes.add(recipient, message.clone(), Flags::NONE, None));
        if deliveries.any(|delivery| delivery.is_err()) {
            self.talk.say("452 4.3.1 Insufficient system storage");
        } else {
            self.talk.say(&format!("250 2.0.0 OK <{id}@sandbox> [Hostname=localhost]"));
        }
        Ok(())
    }
}

/// Whether a chunk is the last one.
#[derive(Debug, Clone, Copy)]
enum Last {
    Yes,
    No,
}

/// Reads `FROM:<path> parameters`, the keyword in any case; the path may be empty.
fn path<'a>(argument: &'a str, keyword: &str) -> Option<(&'a str, &'a str)> {
    let (found, rest) = argument.split_at_checked(keyword.len())?;
    let rest = rest.trim_start().strip_prefix('<').filter(|_| found.eq_ignore_ascii_case(keyword));
    rest?.split_once('>')
}

/// What `SIZE=` declares (RFC 1870).
fn declared_len(parameters: &str) -> usize {
    let mut parameters = parameters.split_ascii_whitespace();
    let declared =
        parameters.find_map(|it| it.to_ascii_uppercase().strip_prefix("SIZE=")?.parse().ok());
    declared.unwrap_or(0)
}

fn has_parameter(parameters: &str, wanted: &str) -> bool {
    parameters.split_ascii_whitespace().any(|it| it.eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_with_and_without_parameters() {
        assert_eq!(path("from:<a@b> SIZE=5", "FROM:"), Some(("a@b", " SIZE=5")));
        assert_eq!(path("FROM: <>", "FROM:"), Some(("", "")));
        assert_eq!(path("FROM:a@b", "FROM:"), None);
        assert_eq!(path("TO:<a@b>", "FROM:"), None);
        assert_eq!(declared_len(" BODY=8BITMIME size=157286401"), 157_286_401);
        assert!(has_parameter(" body=binarymime", "BODY=BINARYMIME"));
    }
}
