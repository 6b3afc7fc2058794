//! The README's table of replies against what the protocol machines say.

use mailbearer::names::Username;
use mailbearer::proto::imap::{ImapDownstream, NonSyncLiterals};
use mailbearer::proto::smtp::{Extensions, SmtpDownstream};
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

/// What the README shows for SMTP and IMAP in one row; … stands for anything.
fn rows() -> Vec<[String; 2]> {
    let page = pages().into_iter().find(|page| page.name == "README.md").unwrap();
    let (_, table) = page.text.split_once("| the client hears |").unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with("| "));
    rows.map(|row| {
        let spans: Vec<String> = row.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        spans.try_into().unwrap()
    })
    .collect()
}

fn shows(shown: &str, heard: &str) -> bool {
    let mut rest = heard.split_once("a1 ").map_or(heard, |(_, behind)| behind);
    shown.split('…').enumerate().all(|(nth, part)| {
        let found = rest.find(part.trim()).filter(|at| nth > 0 || *at == 0);
        found.inspect(|at| rest = rest.get(*at + part.trim().len()..).unwrap_or_default()).is_some()
    })
}

#[test]
fn every_reply_to_a_sign_in_has_one_row_in_the_readme_and_every_row_a_reply() {
    let account = Username::parse("alice@contoso.com").unwrap();
    let refusals = [
        Refusal::WrongPassword,
        Refusal::ConsentNeeded { account: account.clone() },
        Refusal::GrantRefused { account },
        Refusal::Unavailable(Unavailable::TokenEndpoint),
        Refusal::Unavailable(Unavailable::Upstream),
        Refusal::Unavailable(Unavailable::Overloaded),
        Refusal::Unavailable(Unavailable::LocalPassword),
        Refusal::UpstreamRefused {
            reply: "535 5.7.3 Authentication unsuccessful".to_owned(),
            cause: "the provider refuses this mailbox".to_owned(),
        },
    ];
    let farewells = [
        Farewell::Draining,
        Farewell::SignInTimeout,
        Farewell::TooManySessions,
        Farewell::TooManyFromPeer,
    ];
    let smtp = |refusal: &Refusal| {
        let machine = SmtpDownstream::new(Extensions::default(), Privacy::Clear);
        refused(machine, b"EHLO me\r\nAUTH PLAIN AGEAYg==\r\n", refusal)
    };
    let imap = |refusal: &Refusal| {
        let machine = ImapDownstream::new(NonSyncLiterals::NotOffered, Privacy::Clear);
        refused(machine, b"a1 LOGIN a b\r\n", refusal)
    };
    let heard = refusals.iter().map(|refusal| [smtp(refusal), imap(refusal)]);
    let left = farewells
        .into_iter()
        .map(|it| [farewell::<SmtpDownstream>(it), farewell::<ImapDownstream>(it)]);

    let rows = rows();
    let mut used = vec![0; rows.len()];
    for heard in heard.chain(left) {
        let fits = |row: &&[String; 2]| row.iter().zip(&heard).all(|(it, heard)| shows(it, heard));
        assert_eq!(rows.iter().filter(fits).count(), 1, "{heard:?}");
        let at = rows.iter().position(|row| fits(&row)).unwrap();
        used[at] += 1;
    }
    assert!(used.iter().all(|count| *count > 0), "{used:?}");
}
