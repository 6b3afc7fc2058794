//! The README's table of replies, and that of docs/errors.md, against what the protocol machines say.

use mailbearer::names::{AccountPattern, Address, Username};
use mailbearer::proto::imap::{ImapDownstream, NonSyncLiterals};
use mailbearer::proto::pop3::Pop3Downstream;
use mailbearer::proto::smtp::{
    DeviceMail, Extensions, Filter, Rewrite, Rules, SmtpDownstream, Stamp, Surroundings,
};
use mailbearer::proto::{AwaitVerdict as _, Downstream, Farewell, Input, Output, Privacy, Step};
use mailbearer::refusal::{Refusal, Unavailable};

use super::pages::pages;

/// What a machine answers to a sign-in that is refused.
fn refused<M: Downstream>(machine: M, sign_in: &[u8], refusal: &Refusal) -> String {
    let (mut input, mut output) = (Input::default(), Output::default());
    input.extend(sign_in);
    let Step::Verify(_, awaiting) = machine.receive(&mut input, &mut output) else {
        panic!("no sign-in: {sign_in:?}");
    };
    output.take();
    let _ = awaiting.refuse(refusal, &mut output);
    String::from_utf8(output.take().to_vec()).unwrap()
}

fn farewell<M: Downstream>(farewell: Farewell) -> String {
    let mut output = Output::default();
    M::farewell(farewell, &mut output);
    String::from_utf8(output.take().to_vec()).unwrap()
}

/// The last line that a machine says to `input`, to which it needs no verdict.
fn said<M: Downstream>(machine: M, input: &[u8]) -> String {
    let (mut received, mut output) = (Input::default(), Output::default());
    received.extend(input);
    let step = machine.receive(&mut received, &mut output);
    assert!(matches!(step, Step::Read(_)), "{input:?}");
    let said = String::from_utf8(output.take().to_vec()).unwrap();
    said.lines().last().unwrap().to_owned()
}

/// The spans of the table below `heading` of a page, row by row: one for each protocol; … stands for
/// anything.
fn rows<const PROTOCOLS: usize>(name: &str, heading: &str) -> Vec<[String; PROTOCOLS]> {
    let page = pages().into_iter().find(|page| page.name == name).unwrap();
    let (_, table) = page.text.split_once(heading).unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with("| "));
    rows.map(|row| {
        let spans: Vec<String> = row.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        spans.try_into().unwrap()
    })
    .collect()
}

/// Fails unless each of `heard` fits one row, and each row one of them.
fn assert_told<const PROTOCOLS: usize>(
    rows: &[[String; PROTOCOLS]],
    heard: impl Iterator<Item = [String; PROTOCOLS]>,
) {
    let mut used = vec![0; rows.len()];
    for heard in heard {
        let fits =
            |row: &&[String; PROTOCOLS]| row.iter().zip(&heard).all(|(it, heard)| shows(it, heard));
        assert_eq!(rows.iter().filter(fits).count(), 1, "{heard:?}");
        let at = rows.iter().position(|row| fits(&row)).unwrap();
        *used.get_mut(at).unwrap() += 1;
    }
    assert!(used.iter().all(|count| *count > 0), "{used:?}");
}

fn shows(shown: &str, heard: &str) -> bool {
    let mut rest = heard.split_once("a1 ").map_or(heard, |(_, behind)| behind);
    shown.split('…').enumerate().all(|(nth, part)| {
        let found = rest.find(part.trim()).filter(|at| nth > 0 || *at == 0);
        found.inspect(|at| rest = rest.get(*at + part.trim().len()..).unwrap_or_default()).is_some()
    })
}

fn refusals() -> Vec<Refusal> {
    let account = Username::parse("alice@contoso.com").unwrap();
    vec![
        Refusal::WrongPassword,
        Refusal::ConsentNeeded { account: account.clone() },
        Refusal::GrantRefused { account },
        Refusal::MailboxBusy,
        Refusal::Unavailable(Unavailable::TokenEndpoint),
        Refusal::Unavailable(Unavailable::Upstream),
        Refusal::Unavailable(Unavailable::Overloaded),
        Refusal::Unavailable(Unavailable::LocalPassword),
        Refusal::Unavailable(Unavailable::Addresses),
        Refusal::UpstreamRefused {
            reply: "535 5.7.3 Authentication unsuccessful".to_owned(),
            cause: "the provider refuses this mailbox".to_owned(),
        },
    ]
}

const FAREWELLS: [Farewell; 4] = [
    Farewell::Draining,
    Farewell::SignInTimeout,
    Farewell::TooManySessions,
    Farewell::TooManyFromPeer,
];

fn smtp(privacy: Privacy) -> SmtpDownstream {
    SmtpDownstream::new(Extensions::default(), privacy)
}

fn imap(privacy: Privacy) -> ImapDownstream {
    ImapDownstream::new(NonSyncLiterals::NotOffered, privacy)
}

fn by_smtp(refusal: &Refusal) -> String {
    refused(smtp(Privacy::Clear), b"EHLO me\r\nAUTH PLAIN AGEAYg==\r\n", refusal)
}

fn by_imap(refusal: &Refusal) -> String {
    refused(imap(Privacy::Clear), b"a1 LOGIN a b\r\n", refusal)
}

fn by_pop3(refusal: &Refusal) -> String {
    refused(Pop3Downstream::new(Privacy::Clear), b"USER a\r\nPASS b\r\n", refusal)
}

#[test]
fn every_reply_to_a_sign_in_has_one_row_in_the_readme_and_every_row_a_reply() {
    let refusals = refusals();
    let heard = refusals.iter().map(|refusal| [by_smtp(refusal), by_imap(refusal)]);
    let left = FAREWELLS.map(|it| [farewell::<SmtpDownstream>(it), farewell::<ImapDownstream>(it)]);
    assert_told(&rows("README.md", "| the client hears |"), heard.chain(left));
}

#[test]
fn every_reply_to_a_sign_in_is_told_for_each_protocol() {
    let refusals = refusals();
    let heard =
        refusals.iter().map(|refusal| [by_smtp(refusal), by_imap(refusal), by_pop3(refusal)]);
    let left = FAREWELLS.map(|it| {
        [
            farewell::<SmtpDownstream>(it),
            farewell::<ImapDownstream>(it),
            farewell::<Pop3Downstream>(it),
        ]
    });
    let needs_tls = [
        said(smtp(Privacy::Required), b"EHLO me\r\nAUTH PLAIN AGEAYg==\r\n"),
        said(imap(Privacy::Required), b"a1 LOGIN a b\r\n"),
        said(Pop3Downstream::new(Privacy::Required), b"USER a\r\n"),
    ];
    let cancelled = [
        said(smtp(Privacy::Clear), b"EHLO me\r\nAUTH PLAIN\r\n*\r\n"),
        said(imap(Privacy::Clear), b"a1 AUTHENTICATE PLAIN\r\n*\r\n"),
        said(Pop3Downstream::new(Privacy::Clear), b"AUTH PLAIN\r\n*\r\n"),
    ];
    // Of PLAIN: NUL between the identity asked for, the user name and the password (RFC 4616).
    let foreign = "Ym9iQGV4YW1wbGUuY29tAGFsaWNlQGV4YW1wbGUuY29tAHB3";
    let acts_for_another = [
        said(smtp(Privacy::Clear), format!("EHLO me\r\nAUTH PLAIN {foreign}\r\n").as_bytes()),
        said(imap(Privacy::Clear), format!("a1 AUTHENTICATE PLAIN\r\n{foreign}\r\n").as_bytes()),
        said(Pop3Downstream::new(Privacy::Clear), format!("AUTH PLAIN {foreign}\r\n").as_bytes()),
    ];
    let rows = rows("docs/errors.md", "| what happened | SMTP | IMAP | POP3 |");
    assert_told(&rows, heard.chain(left).chain([needs_tls, acts_for_another, cancelled]));
}

#[test]
fn every_reply_to_a_device_has_one_row_and_every_row_a_reply() {
    let device = |privacy| smtp(privacy).with_devices(DeviceMail::Heard);
    let mail = b"HELO me\r\nMAIL FROM:<a@b.example>\r\n";
    // A device shows no password that could be wrong.
    let told = refusals().into_iter().filter(|it| *it != Refusal::WrongPassword);
    let heard = told.chain([Refusal::NoDevice]);
    let heard = heard.map(|refusal| [refused(device(Privacy::Clear), mail, &refusal)]);
    let needs_tls = said(smtp(Privacy::Required), mail);
    assert_told(&device_rows(0), heard.chain([[needs_tls]]));
}

/// A place without room for a message, or with room for any number.
struct Hour(bool);

impl Surroundings for Hour {
    fn take_message(&mut self) -> bool {
        self.0
    }

    fn give_back_message(&mut self) {}

    fn stamp(&mut self) -> Stamp {
        Stamp { date: "x".to_owned(), message_id: "<x>".to_owned() }
    }
}

/// What a client hears last that says `commands`, each of which its provider answers, and then `text`
/// as a message, if any.
fn filtered(commands: &[&str], text: &str, has_room: bool) -> [String; 1] {
    let rewrite = Rewrite::EnvelopeAndHeader(Address::parse("scanner@contoso.com").unwrap());
    let senders = Some(vec![AccountPattern::parse("*@contoso.com").unwrap()]);
    let mut filter = Filter::new(Rules { rewrite, senders }, Box::new(Hour(has_room)));
    let (mut up, mut heard) = (Output::default(), String::new());
    for command in commands {
        filter.take_from_client(command.as_bytes(), &mut up);
        let reply = if up.take().starts_with(b"DATA") { "354 go\r\n" } else { "250 ok\r\n" };
        let mut down = Output::default();
        filter.take_from_upstream(reply.as_bytes(), &mut down);
        heard = String::from_utf8(down.take().to_vec()).unwrap();
    }
    let mut taken = 0;
    while let Some(rest) = text.as_bytes().get(taken..).filter(|rest| !rest.is_empty()) {
        taken += filter.take_from_client(rest, &mut up);
        up.take();
    }
    [filter.last_words().map_or(heard, str::to_owned)]
}

#[test]
fn every_reply_of_the_filter_has_one_row_and_every_row_a_reply() {
    let mail = "MAIL FROM:<scan@contoso.com>\r\n";
    let long = format!("X: {}\r\n.\r\n", "x".repeat(256 * 1024));
    let heard = [
        filtered(&["MAIL FROM:<scan@printers.invalid>\r\n"], "", true),
        filtered(&[mail], "", false),
        filtered(&["MAIL FROM:<a b>\r\n"], "", true),
        filtered(&["NOOP\n"], "", true),
        filtered(&["BDAT 0\r\n"], "", true),
        filtered(&["MAIL FROM:<scan@contoso.com> BODY=BINARYMIME\r\n"], "", true),
        filtered(&[mail, "DATA\r\n"], "Subject: x\r\n\r\nx\n.\r\n", true),
        filtered(&[mail, "DATA\r\n"], "Subject: x\n\r\nx\r\n.\r\n", true),
        filtered(&[mail, "DATA\r\n"], &long, true),
    ];
    assert_told(&device_rows(1), heard.into_iter());
}

/// The rows of one of the tables about devices.
fn device_rows(nth: usize) -> Vec<[String; 1]> {
    let page = pages().into_iter().find(|page| page.name == "docs/errors.md").unwrap();
    let table = page.text.split("| what happened | SMTP |\n").nth(nth + 1).unwrap();
    // Of the spans of a row the last one is the reply.
    let rows = table.lines().skip(1).take_while(|line| line.starts_with("| "));
    rows.map(|row| [row.rsplit('`').nth(1).unwrap().to_owned()]).collect()
}
