//! One message, submitted to an upstream that has signed us in.
//!
//! Sources: RFC 5321 sections 3.3 (MAIL, RCPT, DATA), 4.1.1.4 and 4.5.2 (the end of a message, dots),
//!          4.1.1.10 (QUIT); replies as RFC 5321 section 4.2 has them.
//! In:      replies, bounded as `upstream_reply` says. Out: one command for each reply.
//! Ends:    in `Over` or `Close`; a refusal is followed by QUIT, but for 421, which closes.

use super::upstream_reply::{Reply, ReplyReader};
use crate::names::Address;
use crate::proto::{Input, Lasting, Output, UpstreamFault};

/// A message on its way to an upstream.
#[derive(Debug)]
pub struct Submission {
    sender: Address,
    recipient: Address,
    /// The message with its dots doubled and its end.
    message: Vec<u8>,
    replies: ReplyReader,
    phase: Phase,
}

/// To what a reply is awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Mail,
    Recipient,
    Data,
    Message,
    Quit,
}

/// What a submission needs next. Output is to be sent before anything else is done.
#[derive(Debug)]
pub enum SubmissionStep {
    /// More input.
    Read(Submission),
    /// Nothing: here is a reply. It goes on.
    Heard(Heard, Submission),
    /// Nothing more: this was the last reply.
    Over(Heard),
    /// The upstream cannot be spoken to.
    Close(UpstreamFault),
}

/// A reply of the upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// What it answers, as people know it: `MAIL FROM:<alice@contoso.com>`, `the message`.
    pub to: String,
    /// The reply: printable ASCII without line ends, at most 400 bytes.
    pub reply: String,
    /// What it says about the message.
    pub meaning: Meaning,
}

/// What a reply says about the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// Nothing yet.
    Continue,
    /// It may come: what is sent next is the message.
    Wanted,
    /// The upstream has taken it.
    Taken,
    /// The upstream does not take it.
    Refused(Lasting),
    /// Nothing any more.
    Farewell,
}

impl Submission {
    /// Begins to submit `message`, whose lines end in CRLF, from `sender` to `recipient`.
    pub fn begin(sender: Address, recipient: Address, message: &[u8], output: &mut Output) -> Self {
        let (message, replies) = (with_end(message), ReplyReader::default());
        let submission = Self { sender, recipient, message, replies, phase: Phase::Mail };
        output.line(&submission.said(Phase::Mail));
        submission
    }

    /// Consumes what it can of `input` and says what is needed next.
    pub fn receive(mut self, input: &mut Input, output: &mut Output) -> SubmissionStep {
        match self.replies.read(input) {
            Ok(Some(reply)) => self.advance(&reply, output),
            Ok(None) => SubmissionStep::Read(self),
            Err(fault) => SubmissionStep::Close(fault),
        }
    }

    fn advance(mut self, reply: &Reply, output: &mut Output) -> SubmissionStep {
        let (code, answered) = (reply.code(), self.phase);
        let to = self.said(answered);
        let heard = |meaning| Heard { to, reply: reply.one_line(), meaning };
        if answered == Phase::Quit {
            return SubmissionStep::Over(heard(Meaning::Farewell));
        }
        let heard = match (answered, code) {
            // RFC 5321 section 3.8: it closes the connection.
            (_, 421) => return SubmissionStep::Over(heard(Meaning::Refused(Lasting::Temporary))),
            (_, 400..=499) => heard(Meaning::Refused(Lasting::Temporary)),
            (_, 500..=599) => heard(Meaning::Refused(Lasting::Permanent)),
            (Phase::Mail | Phase::Recipient, 200..=299) => heard(Meaning::Continue),
            (Phase::Data, 354) => heard(Meaning::Wanted),
            (Phase::Message, 200..=299) => heard(Meaning::Taken),
            (Phase::Mail | Phase::Recipient | Phase::Data | Phase::Message | Phase::Quit, _) => {
                let problem = "its reply fits no command of a submission";
                return SubmissionStep::Close(UpstreamFault::Protocol { problem });
            }
        };
        self.phase = match (answered, heard.meaning) {
            (Phase::Mail, Meaning::Continue) => Phase::Recipient,
            (Phase::Recipient, Meaning::Continue) => Phase::Data,
            (Phase::Data, Meaning::Wanted) => Phase::Message,
            _ => Phase::Quit,
        };
        match self.phase {
            Phase::Message => output.bytes(&std::mem::take(&mut self.message)),
            next @ (Phase::Mail | Phase::Recipient | Phase::Data | Phase::Quit) => {
                output.line(&self.said(next));
            }
        }
        SubmissionStep::Heard(heard, self)
    }

    /// What is said to have that reply; of the message itself a word.
    fn said(&self, phase: Phase) -> String {
        match phase {
            Phase::Mail => format!("MAIL FROM:<{}>", self.sender),
            Phase::Recipient => format!("RCPT TO:<{}>", self.recipient),
            Phase::Data => "DATA".to_owned(),
            Phase::Message => "the message".to_owned(),
            Phase::Quit => "QUIT".to_owned(),
        }
    }
}

/// `message` as it is sent: a dot doubled that begins a line (RFC 5321 section 4.5.2), and the line
/// that ends it.
fn with_end(message: &[u8]) -> Vec<u8> {
    let mut sent = Vec::with_capacity(message.len().saturating_add(END.len()));
    for line in message.split_inclusive(|&byte| byte == b'\n') {
        if line.starts_with(b".") {
            sent.push(b'.');
        }
        sent.extend_from_slice(line);
    }
    sent.extend_from_slice(END);
    sent
}

/// The end of a message whose last line has its CRLF.
const END: &[u8] = b".\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &[u8] = b"Subject: x\r\n\r\n.one\r\n..\r\ntwo.\r\n";

    /// What is said and heard when the upstream sends `replies`, cut at `at`; the last line tells
    /// how it ended.
    fn play(replies: &[u8], cuts: &[usize]) -> Vec<String> {
        let address = |text| Address::parse(text).unwrap();
        let (mut input, mut output) = (Input::default(), Output::default());
        let (sender, recipient) = (address("alice@contoso.com"), address("bob@example.com"));
        let mut machine = Submission::begin(sender, recipient, MESSAGE, &mut output);
        let mut told = Vec::new();
        let mut pieces = Vec::new();
        let mut from = 0;
        for &at in cuts.iter().chain([&replies.len()]) {
            pieces.push(&replies[from..at]);
            from = at;
        }
        for piece in pieces {
            input.extend(piece);
            loop {
                let said = output.take();
                if !said.is_empty() {
                    told.push(format!("C: {}", said.escape_ascii()));
                }
                match machine.receive(&mut input, &mut output) {
                    SubmissionStep::Read(next) => {
                        machine = next;
                        break;
                    }
                    SubmissionStep::Heard(Heard { to, reply, meaning }, next) => {
                        told.push(format!("{to} -> {reply} ({meaning:?})"));
                        machine = next;
                    }
                    SubmissionStep::Over(Heard { to, reply, meaning }) => {
                        assert!(output.is_empty());
                        told.push(format!("{to} -> {reply} ({meaning:?}), over"));
                        return told;
                    }
                    SubmissionStep::Close(fault) => {
                        told.push(fault.to_string());
                        return told;
                    }
                }
            }
        }
        told
    }

    /// The same in one piece, in any two, and byte by byte.
    fn at_every_split(replies: &[u8]) -> Vec<String> {
        let whole = play(replies, &[]);
        for at in 0..=replies.len() {
            assert_eq!(play(replies, &[at]), whole, "split at {at}");
        }
        let bytes: Vec<_> = (0..replies.len()).collect();
        assert_eq!(play(replies, &bytes), whole);
        whole
    }

    #[test]
    fn submission_says_one_command_for_each_reply() {
        let told = at_every_split(
            b"250 2.1.0 Sender OK\r\n250-2.1.5 Recipient\r\n250 2.1.5 OK\r\n354 go\r\n\
              250 2.0.0 OK queued as 4F1\r\n221 bye\r\n",
        );
        assert_eq!(
            told,
            [
                r"C: MAIL FROM:<alice@contoso.com>\r\n",
                "MAIL FROM:<alice@contoso.com> -> 250 2.1.0 Sender OK (Continue)",
                r"C: RCPT TO:<bob@example.com>\r\n",
                "RCPT TO:<bob@example.com> -> 250 2.1.5 Recipient OK (Continue)",
                r"C: DATA\r\n",
                "DATA -> 354 go (Wanted)",
                // RFC 5321 section 4.5.2: a dot is doubled, and one alone is the end.
                r"C: Subject: x\r\n\r\n..one\r\n...\r\ntwo.\r\n.\r\n",
                "the message -> 250 2.0.0 OK queued as 4F1 (Taken)",
                r"C: QUIT\r\n",
                "QUIT -> 221 bye (Farewell), over",
            ]
        );
    }

    #[test]
    fn submission_takes_leave_when_it_is_refused() {
        let accepted: [&[u8]; 3] = [b"250 a\r\n", b"251 b\r\n", b"354 c\r\n"];
        for refused in 0..=3 {
            for (reply, meaning) in [
                ("451 4.3.0 later", Meaning::Refused(Lasting::Temporary)),
                ("550 5.1.1 no", Meaning::Refused(Lasting::Permanent)),
            ] {
                let mut replies = accepted[..refused].concat();
                replies.extend(format!("{reply}\r\n221 bye\r\n").bytes());
                let told = at_every_split(&replies);
                let [.., heard, quit, end] = &told[..] else { panic!("{told:?}") };
                assert!(heard.ends_with(&format!("-> {reply} ({meaning:?})")), "{told:?}");
                assert_eq!(
                    (quit.as_str(), end.as_str()),
                    (r"C: QUIT\r\n", "QUIT -> 221 bye (Farewell), over")
                );
            }
        }
    }

    #[test]
    fn submission_is_over_at_a_421() {
        let told = at_every_split(b"250 a\r\n421 4.3.2 closing\r\n250 c\r\n");
        let last = told.last().unwrap();
        assert_eq!(
            last,
            "RCPT TO:<bob@example.com> -> 421 4.3.2 closing (Refused(Temporary)), over"
        );
    }

    #[test]
    fn submission_ends_where_a_reply_fits_nothing() {
        for replies in [&b"354 go\r\n"[..], b"250 a\r\n354 b\r\n", b"250 a\r\n250 b\r\n250 c\r\n"] {
            let told = at_every_split(replies);
            assert!(told.last().unwrap().contains("fits no command"), "{told:?}");
        }
        let told = at_every_split(b"hello\r\n");
        assert!(told.last().unwrap().contains("does not begin with a code"), "{told:?}");
    }
}
