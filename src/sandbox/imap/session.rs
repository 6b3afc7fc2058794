//! A client that is signed in, and its commands.

use bytes::Bytes;

use super::super::conversation::{Conversation, Cue, End};
use super::super::mailboxes::{Flags, MESSAGE_LEN_MAX, Message};
use super::super::script::Step;
use super::super::server::{Shared, SignedIn};
use super::super::throttle::Place;
use super::command::{Arguments, Command, Malformed, Token};
use super::fetch::{self, Item};
use super::search;
use super::selected::{Access, Numbering, Selected};
use super::set::NumberSet;
use super::{CAPABILITIES, LITERALS_LEN_MAX};
use crate::names::Username;

/// Every mailbox's UIDVALIDITY: no UID is ever given twice while a sandbox lives.
const UID_VALIDITY: u32 = 1;

/// Longest date-time of APPEND, in bytes (RFC 3501 section 9).
const DATE_TIME_LEN: usize = 26;

const FLAGS: &str = "\\Answered \\Flagged \\Deleted \\Seen \\Draft";

/// What is shown to those who are signed in.
pub(super) fn capabilities() -> String {
    format!("{CAPABILITIES} AUTH=XOAUTH2 AUTH=OAUTHBEARER CHILDREN UNSELECT")
}

/// A signed-in client.
pub(super) struct Session<'a> {
    shared: &'a Shared,
    talk: Conversation,
    user: Username,
    place: Option<Place>,
    selected: Option<Selected>,
}

/// How a command ends.
enum Reply {
    Ok(String),
    No(&'static str),
}

/// Why a command has no reply of its own.
enum Failure {
    Malformed,
    WrongState,
    End(End),
}

impl From<Malformed> for Failure {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

impl From<End> for Failure {
    fn from(end: End) -> Self {
        Self::End(end)
    }
}

impl<'a> Session<'a> {
    /// Goes on after the sign-in.
    pub(super) fn new(shared: &'a Shared, talk: Conversation, signed_in: SignedIn) -> Self {
        let SignedIn { user, place } = signed_in;
        Self { shared, talk, user, place, selected: None }
    }

    /// Speaks until either side ends it.
    pub(super) async fn speak(&mut self) -> End {
        loop {
            if let Err(end) = self.exchange().await {
                return end;
            }
        }
    }

    /// Ends it.
    pub(super) async fn close(self, end: End) {
        drop(self.place);
        self.talk.close(end).await;
    }

    /// Reads one command and answers it.
    async fn exchange(&mut self) -> Result<(), End> {
        let literals_len_max = MESSAGE_LEN_MAX + LITERALS_LEN_MAX;
        let Some(command) = Command::read(&mut self.talk, literals_len_max).await? else {
            return Ok(());
        };
        let Command { tag, verb, arguments } = command;
        if self.talk.cue(Step::Command(&verb), &tag).await? == Cue::Skip {
            return Ok(());
        }
        let reply = match self.obey(&verb, arguments).await {
            Err(Failure::End(end)) => return Err(end),
            reply => reply,
        };
        // RFC 3501 section 7.4.1: no EXPUNGE in answer to these, whose numbers it would shift.
        if !matches!(verb.as_str(), "FETCH" | "STORE" | "SEARCH") {
            self.tell_changes();
        }
        self.talk.say(&match reply {
            Ok(Reply::Ok(text)) => format!("{tag} OK {text}"),
            Ok(Reply::No(text)) => format!("{tag} NO {text}"),
            Err(Failure::WrongState) => format!("{tag} BAD Select a mailbox first."),
            Err(Failure::Malformed | Failure::End(_)) => {
                format!("{tag} BAD Command argument error.")
            }
        });
        if verb == "LOGOUT" { Err(End::Orderly) } else { Ok(()) }
    }

    async fn obey(&mut self, verb: &str, mut arguments: Arguments) -> Result<Reply, Failure> {
        let arguments = &mut arguments;
        match verb {
            "CAPABILITY" => self.talk.say(&format!("* CAPABILITY {}", capabilities())),
            "ID" => self.talk.say("* ID (\"name\" \"mailbearer sandbox\")"),
            "NAMESPACE" => self.talk.say("* NAMESPACE ((\"\" \"/\")) NIL NIL"),
            "NOOP" | "SUBSCRIBE" | "UNSUBSCRIBE" => {}
            "LOGOUT" => {
                self.selected = None;
                self.talk.say("* BYE Logging out.");
            }
            "SELECT" => return self.select(arguments, Access::ReadWrite),
            "EXAMINE" => return self.select(arguments, Access::ReadOnly),
            "LIST" | "LSUB" => self.list(verb, arguments)?,
            "STATUS" => return self.status(arguments),
            "APPEND" => return self.append(arguments),
            "IDLE" => self.idle().await?,
            "CHECK" => {
                self.selected()?;
            }
            "UNSELECT" => {
                self.leave()?;
            }
            "CLOSE" => {
                if self.leave()?.access == Access::ReadWrite {
                    self.shared.mailboxes.expunge(&self.user, |_| true);
                }
            }
            "EXPUNGE" => return self.expunge(|_| true),
            "UID EXPUNGE" => {
                let set = NumberSet::parse(&arguments.atom()?)?;
                let largest = self.selected()?.largest_uid();
                return self.expunge(|uid| set.contains(uid, largest));
            }
            "FETCH" => self.fetch(arguments, Numbering::Sequence).await?,
            "UID FETCH" => self.fetch(arguments, Numbering::Uid).await?,
            "STORE" => return self.store(arguments, Numbering::Sequence),
            "UID STORE" => return self.store(arguments, Numbering::Uid),
            "SEARCH" => self.search(arguments, Numbering::Sequence)?,
            "UID SEARCH" => self.search(arguments, Numbering::Uid)?,
            "AUTHENTICATE" | "LOGIN" | "STARTTLS" => return Ok(Reply::No("You are signed in.")),
            "CREATE" | "DELETE" | "RENAME" | "COPY" | "UID COPY" => {
                return Ok(Reply::No("[CANNOT] There is INBOX and nothing else."));
            }
            _ => return Err(Failure::Malformed),
        }
        Ok(Reply::Ok(format!("{verb} completed.")))
    }

    fn select(&mut self, arguments: &mut Arguments, access: Access) -> Result<Reply, Failure> {
        self.selected = None;
        if !is_inbox(&arguments.string()?) {
            return Ok(NONEXISTENT);
        }
        let messages = self.messages();
        let unseen = messages.iter().position(|message| !message.flags.contain(Flags::SEEN));
        self.talk.say(&format!("* {} EXISTS\r\n* 0 RECENT\r\n* FLAGS ({FLAGS})", messages.len()));
        if let Some(at) = unseen {
            self.talk.say(&format!("* OK [UNSEEN {}] Is the first unseen message", at + 1));
        }
        let (code, permanent) = match access {
            Access::ReadWrite => ("[READ-WRITE] SELECT", FLAGS),
            Access::ReadOnly => ("[READ-ONLY] EXAMINE", ""),
        };
        let next_uid = self.shared.mailboxes.next_uid(&self.user);
        self.talk.say(&format!(
            "* OK [PERMANENTFLAGS ({permanent})] Permanent flags\r\n\
             * OK [UIDVALIDITY {UID_VALIDITY}] UIDVALIDITY value\r\n\
             * OK [UIDNEXT {next_uid}] The next unique identifier value"
        ));
        self.selected = Some(Selected::new(&messages, access));
        Ok(Reply::Ok(format!("{code} completed.")))
    }

    fn list(&mut self, verb: &str, arguments: &mut Arguments) -> Result<(), Failure> {
        let reference = arguments.string()?;
        let pattern = [&reference[..], &arguments.string()?].concat();
        arguments.end()?;
        if pattern.is_empty() {
            self.talk.say(&format!("* {verb} (\\Noselect) \"/\" \"\""));
        } else if matches_inbox(&pattern) {
            self.talk.say(&format!("* {verb} (\\HasNoChildren) \"/\" INBOX"));
        }
        Ok(())
    }

    fn status(&mut self, arguments: &mut Arguments) -> Result<Reply, Failure> {
        if !is_inbox(&arguments.string()?) {
            return Ok(NONEXISTENT);
        }
        let messages = self.messages();
        let unseen = messages.iter().filter(|message| !message.flags.contain(Flags::SEEN));
        let unseen = unseen.count();
        let mut values = Vec::new();
        for name in arguments.atoms()? {
            let name = name.to_ascii_uppercase();
            let value = match name.as_str() {
                "MESSAGES" => messages.len().to_string(),
                "RECENT" => "0".to_owned(),
                "UIDNEXT" => self.shared.mailboxes.next_uid(&self.user).to_string(),
                "UIDVALIDITY" => UID_VALIDITY.to_string(),
                "UNSEEN" => unseen.to_string(),
                _ => return Err(Failure::Malformed),
            };
            values.push(format!("{name} {value}"));
        }
        self.talk.say(&format!("* STATUS INBOX ({})", values.join(" ")));
        Ok(Reply::Ok("STATUS completed.".to_owned()))
    }

    fn append(&mut self, arguments: &mut Arguments) -> Result<Reply, Failure> {
        if !is_inbox(&arguments.string()?) {
            return Ok(Reply::No("[TRYCREATE] There is INBOX and nothing else."));
        }
        let flags = match arguments.peek() {
            Some(Token::Open) => flags(&arguments.atoms()?),
            _ => Flags::NONE,
        };
        let first = arguments.string()?;
        let (date, message) = match arguments.peek() {
            Some(_) => (Some(date_time(&first)?), arguments.string()?),
            None => (None, first),
        };
        arguments.end()?;
        Ok(match self.shared.mailboxes.add(&self.user, message, flags, date) {
            Ok(uid) => Reply::Ok(format!("[APPENDUID {UID_VALIDITY} {uid}] APPEND completed.")),
            Err(_) => Reply::No("[OVERQUOTA] The sandbox is full."),
        })
    }

    /// Tells changes as they happen, until the client says DONE.
    async fn idle(&mut self) -> Result<(), Failure> {
        self.talk.say("+ IDLE accepted, awaiting DONE command.");
        let mut changes = self.shared.changes.subscribe();
        loop {
            self.tell_changes();
            self.talk.flush().await?;
            let line = tokio::select! {
                line = self.talk.line() => line?,
                _ = changes.changed() => continue,
            };
            self.talk.heard(&line);
            let done = line.eq_ignore_ascii_case(b"DONE");
            return if done { Ok(()) } else { Err(Failure::Malformed) };
        }
    }

    fn expunge(&mut self, wanted: impl Fn(u32) -> bool) -> Result<Reply, Failure> {
        if self.selected()?.access == Access::ReadOnly {
            return Ok(READ_ONLY);
        }
        self.shared.mailboxes.expunge(&self.user, wanted);
        Ok(Reply::Ok("EXPUNGE completed.".to_owned()))
    }

    async fn fetch(
        &mut self,
        arguments: &mut Arguments,
        numbering: Numbering,
    ) -> Result<(), Failure> {
        let wanted = self.selected()?.chosen(&self.messages(), &arguments.atom()?, numbering)?;
        let mut items = fetch::items(arguments)?;
        arguments.end()?;
        if numbering == Numbering::Uid && !items.contains(&Item::Uid) {
            items.insert(0, Item::Uid);
        }
        let marks_seen = items.iter().any(|it| matches!(it, Item::Body(body) if body.marks_seen));
        let marks_seen = marks_seen && self.selected()?.access == Access::ReadWrite;
        for (number, mut message) in wanted {
            if marks_seen && !message.flags.contain(Flags::SEEN) {
                let change = |flags| flags | Flags::SEEN;
                self.shared.mailboxes.change_flags(&self.user, message.uid, change);
                message.flags = change(message.flags);
                if !items.contains(&Item::Flags) {
                    items.push(Item::Flags);
                }
            }
            let pieces = items.iter().map(|item| item.write(&message));
            let (bytes, shown) = fetch::response(number, pieces);
            self.talk.say_bytes(&bytes, &shown).await?;
        }
        Ok(())
    }

    fn store(&mut self, arguments: &mut Arguments, numbering: Numbering) -> Result<Reply, Failure> {
        let wanted = self.selected()?.chosen(&self.messages(), &arguments.atom()?, numbering)?;
        let action = arguments.atom()?.to_ascii_uppercase();
        let flags = flags(&arguments.atoms()?);
        arguments.end()?;
        let (action, silent) = match action.strip_suffix(".SILENT") {
            Some(action) => (action, true),
            None => (action.as_str(), false),
        };
        let change: fn(Flags, Flags) -> Flags = match action {
            "FLAGS" => |_, flags| flags,
            "+FLAGS" => |old, flags| old | flags,
            "-FLAGS" => Flags::without,
            _ => return Err(Failure::Malformed),
        };
        if self.selected()?.access == Access::ReadOnly {
            return Ok(READ_ONLY);
        }
        for (number, message) in wanted {
            let mailboxes = &self.shared.mailboxes;
            let flags = mailboxes.change_flags(&self.user, message.uid, |old| change(old, flags));
            let Some(flags) = flags.filter(|_| !silent) else { continue };
            let uid = match numbering {
                Numbering::Sequence => String::new(),
                Numbering::Uid => format!("UID {} ", message.uid),
            };
            self.talk.say(&format!("* {number} FETCH ({uid}FLAGS ({flags}))"));
        }
        Ok(Reply::Ok("STORE completed.".to_owned()))
    }

    fn search(&mut self, arguments: &mut Arguments, numbering: Numbering) -> Result<(), Failure> {
        let key = search::key(arguments)?;
        let messages = self.messages();
        let selected = self.selected()?;
        let found = selected
            .known(&messages)
            .filter(|(number, message)| key.holds(message, selected.place(*number)));
        let numbers = found.map(|(number, message)| match numbering {
            Numbering::Sequence => format!(" {number}"),
            Numbering::Uid => format!(" {}", message.uid),
        });
        let numbers: String = numbers.collect();
        self.talk.say(&format!("* SEARCH{numbers}"));
        Ok(())
    }

    /// Tells the client which messages came and went.
    fn tell_changes(&mut self) {
        let Some(selected) = &mut self.selected else { return };
        let messages = self.shared.mailboxes.messages(&self.user);
        for response in selected.update(&messages) {
            self.talk.say(&response);
        }
    }

    fn messages(&self) -> Vec<Message> {
        self.shared.mailboxes.messages(&self.user)
    }

    fn selected(&self) -> Result<&Selected, Failure> {
        self.selected.as_ref().ok_or(Failure::WrongState)
    }

    fn leave(&mut self) -> Result<Selected, Failure> {
        self.selected.take().ok_or(Failure::WrongState)
    }
}

const NONEXISTENT: Reply = Reply::No("[NONEXISTENT] There is INBOX and nothing else.");
const READ_ONLY: Reply = Reply::No("The mailbox is read-only.");

fn is_inbox(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"INBOX")
}

/// Whether a pattern of LIST covers INBOX; wildcards count at its end alone.
fn matches_inbox(pattern: &[u8]) -> bool {
    let is_wildcard = |byte: &u8| matches!(byte, b'*' | b'%');
    let fixed_len = pattern.iter().position(is_wildcard).unwrap_or(pattern.len());
    match pattern.split_at_checked(fixed_len) {
        Some((name, [])) => is_inbox(name),
        Some((start, wildcards)) if wildcards.iter().all(is_wildcard) => {
            b"INBOX".get(..start.len()).is_some_and(|it| it.eq_ignore_ascii_case(start))
        }
        _ => false,
    }
}

fn flags(names: &[String]) -> Flags {
    names.iter().fold(Flags::NONE, |flags, name| flags | Flags::named(name))
}

/// Takes a date-time as it is: it is only ever given back.
fn date_time(text: &Bytes) -> Result<String, Malformed> {
    let fits = text.len() == DATE_TIME_LEN;
    let plain = text.iter().all(|&byte| matches!(byte, b' '..=b'~') && byte != b'"');
    let text = std::str::from_utf8(text).ok().filter(|_| fits && plain);
    text.map(str::to_owned).ok_or(Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_covers_inbox_in_any_case() {
        for pattern in ["*", "%", "INBOX", "inbox", "In*", "INBOX%", "*%"] {
            assert!(matches_inbox(pattern.as_bytes()), "{pattern}");
        }
        for pattern in ["INBOXES", "Sent", "INBOX/%", "S*", "INBOXES*", "*X/"] {
            assert!(!matches_inbox(pattern.as_bytes()), "{pattern}");
        }
    }

    #[test]
    fn a_date_time_has_26_plain_characters() {
        let read = |text: &'static str| date_time(&Bytes::from_static(text.as_bytes()));
        assert!(read(" 7-Feb-1994 21:52:25 -0800").is_ok());
        for text in [
            "",
            "7-Feb-1994 21:52:25 -0800",
            "17-Feb-1994 21:52:25 -080\"",
            "17-Feb-1994 21:52:25 -080\r",
        ] {
            assert_eq!(read(text), Err(Malformed), "{text:?}");
        }
    }
}
