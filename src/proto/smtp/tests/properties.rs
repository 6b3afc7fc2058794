//! Both machines on made-up bytes in made-up pieces: they never panic, and what they say and want
//! does not depend on the pieces.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::names::Username;
use crate::proto::sasl::Credentials;
use crate::proto::smtp::*;
use crate::proto::{
    AwaitClientTls as _, AwaitToken as _, AwaitVerdict as _, CloseReason, Downstream as _,
    FAILURES_MAX, Input, Output, Privacy, Step, Upstream as _, UpstreamStep,
};
use crate::provider::{MailHost, Mechanism, UpstreamTls};
use crate::refusal::Refusal;
use crate::secret::AccessToken;

/// What clients say, and what comes near it.
const CLIENT: [&[u8]; 20] = [
    b"EHLO x",
    b"HELO",
    b"AUTH PLAIN",
    b"AUTH PLAIN AGFsaWNlAHB3",
    b"AUTH LOGIN",
    b"AUTH=LOGIN YWxpY2U=",
    b"YWxpY2U=",
    b"*",
    b"=",
    b"NOOP",
    b"RSET",
    b"MAIL FROM:<a@b>",
    b"BDAT 3",
    b"STARTTLS",
    b"QUIT",
    b" HTTP/1.1",
    b" ",
    b"\n",
    b"\r\n",
    b"\r\n",
];

/// Line ends of clients: the right one, that of old devices, and none.
const LINE_ENDS: [&[u8]; 4] = [b"\r\n", b"\r\n", b"\n", b""];

/// What providers say, and what comes near it.
const PROVIDER: [&[u8]; 18] = [
    b"220 mx\r\n",
    b"220-mx\r\n",
    b"250-mx\r\n",
    b"250-SIZE 10\r\n",
    b"250-STARTTLS\r\n",
    b"250 AUTH XOAUTH2\r\n",
    b"250 STARTTLS\r\n",
    b"334 \r\n",
    b"334 eyJzdGF0dXMiOiI0MDAifQ==\r\n",
    b"235 2.7.0 ok\r\n",
    b"421 4.3.2 bye\r\n",
    b"454 4.7.0 later\r\n",
    b"535-5.7.8 no\r\n",
    b"535 5.7.8 no\r\n",
    b"250",
    b"-",
    b"\n",
    b"\r\n",
];

/// How far a provider plays along before it says what comes to its mind.
const PROLOGUES: [&[u8]; 4] = [
    b"",
    b"220 mx\r\n250-mx\r\n250 AUTH XOAUTH2\r\n",
    b"220 mx\r\n250-mx\r\n250 AUTH XOAUTH2\r\n334 \r\n",
    b"220 mx\r\n250-mx\r\n250 AUTH XOAUTH2\r\n334 \r\n334 e30=\r\n",
];

fn client() -> impl Strategy<Value = Vec<u8>> {
    let known =
        (select(&CLIENT[..]), select(&LINE_ENDS[..])).prop_map(|(line, end)| [line, end].concat());
    noisy(known)
}

fn provider() -> impl Strategy<Value = Vec<u8>> {
    let lines = noisy(select(&PROVIDER[..]).prop_map(<[u8]>::to_vec));
    (select(&PROLOGUES[..]), lines).prop_map(|(prologue, lines)| [prologue, &lines].concat())
}

/// Some of `known`, with other bytes and lines that are too long between them.
fn noisy(known: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        12 => known,
        1 => vec(any::<u8>(), 0..6),
        1 => (0_usize..14_000).prop_map(|len| vec![b'x'; len]),
    ];
    vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// `sent` cut at `cuts`.
fn pieces<'a>(sent: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(sent.len() + 1)).collect();
    ends.push(sent.len());
    ends.sort_unstable();
    let mut start = 0;
    ends.into_iter().map(|end| &sent[std::mem::replace(&mut start, end)..end]).collect()
}

/// What came of a conversation.
#[derive(Debug, Default, PartialEq)]
struct Heard {
    said: Vec<u8>,
    events: Vec<String>,
    leftover: Vec<u8>,
}

/// Plays a client against the downstream machine; claim number `accepted` is accepted, the others
/// are refused.
fn downstream(pieces: &[&[u8]], accepted: usize) -> Heard {
    let mut heard = Heard::default();
    let (mut input, mut output) = (Input::default(), Output::default());
    let mut running =
        Some(SmtpDownstream::new(Extensions::declared(&["SIZE 10", "DSN"]), Privacy::Clear));
    for piece in pieces {
        input.extend(piece);
        while let Some(machine) = running.take() {
            match machine.receive(&mut input, &mut output) {
                Step::Read(machine) => {
                    running = Some(machine);
                    break;
                }
                Step::Close(reason) => heard.events.push(format!("{reason:?}")),
                Step::StartTls(_) => panic!("no TLS is offered"),
                Step::Verify(claim, awaiting) => {
                    heard.events.push(claim.username.as_str().to_owned());
                    if heard.events.len() == accepted {
                        let reply = vec![Bytes::from_static(b"235 ok")];
                        let welcome = Welcome { reply, extensions: Extensions::default() };
                        awaiting.accept(&welcome, &mut output);
                        heard.events.push("accepted".to_owned());
                    } else {
                        match awaiting.refuse(&Refusal::WrongPassword, &mut output) {
                            Step::Read(machine) => running = Some(machine),
                            Step::Close(reason) => heard.events.push(format!("{reason:?}")),
                            Step::Verify(..) | Step::StartTls(_) => {
                                panic!("a refusal asks for nothing")
                            }
                        }
                    }
                }
            }
        }
    }
    heard.said = output.take().to_vec();
    if heard.events.last().is_some_and(|event| event == "accepted") {
        heard.leftover = input.into_leftover().to_vec();
    }
    heard
}

/// Plays a client against a machine that takes no credentials before TLS, until it closes or TLS is
/// begun; gives what was said and the machine as it goes on under TLS.
fn before_tls(pieces: &[&[u8]]) -> (String, Option<SmtpDownstream>) {
    let (mut input, mut output) = (Input::default(), Output::default());
    let mut step = Step::Read(SmtpDownstream::new(Extensions::default(), Privacy::Required));
    for piece in pieces {
        input.extend(piece);
        if let Step::Read(machine) = step {
            step = machine.receive(&mut input, &mut output);
        }
    }
    let machine = match step {
        Step::Verify(claim, _) => panic!("{claim:?} before TLS"),
        Step::Read(_) | Step::Close(_) => None,
        Step::StartTls(awaiting) => match awaiting.started(&input) {
            Ok(machine) => Some(machine),
            Err(reason) => {
                assert_eq!(reason, CloseReason::CleartextBehindStartTls);
                assert!(!input.is_empty());
                None
            }
        },
    };
    (String::from_utf8(output.take().to_vec()).unwrap(), machine)
}

/// Plays a provider against the upstream machine, TLS being up.
fn upstream(pieces: &[&[u8]]) -> Heard {
    let mut heard = Heard::default();
    let (mut input, mut output) = (Input::default(), Output::default());
    let token = AccessToken::parse("secret-token").unwrap();
    let mailbox = Username::parse("alice@example.com").unwrap();
    let host = MailHost { host: "mx".to_owned(), port: 465, tls: UpstreamTls::Implicit };
    let mechanism = Mechanism::Xoauth2;
    let credentials = Credentials { mailbox: &mailbox, token: &token, mechanism, host: &host };
    let mut running = Some(SmtpUpstream::new(UpstreamTls::Implicit, mechanism));
    let mut authenticated = false;
    for piece in pieces {
        input.extend(piece);
        while let Some(machine) = running.take() {
            match machine.receive(&mut input, &mut output) {
                UpstreamStep::Read(machine) => {
                    running = Some(machine);
                    break;
                }
                UpstreamStep::Ready(awaiting) => {
                    running = Some(awaiting.authenticate(&credentials, &mut output));
                }
                UpstreamStep::Authenticated(welcome) => {
                    heard.events.push(format!("{welcome:?}"));
                    authenticated = true;
                }
                ended @ (UpstreamStep::StartTls(_)
                | UpstreamStep::Refused(_)
                | UpstreamStep::Close(_)) => heard.events.push(format!("{ended:?}")),
            }
        }
    }
    heard.said = output.take().to_vec();
    if authenticated {
        heard.leftover = input.into_leftover().to_vec();
    }
    heard
}

proptest! {
    #[test]
    fn downstream_says_and_wants_the_same_at_every_split(
        sent in client(),
        cuts in vec(any::<Index>(), 0..8),
        accepted in 1_usize..4,
    ) {
        let whole = downstream(&[&sent], accepted);
        prop_assert_eq!(&downstream(&pieces(&sent, &cuts), accepted), &whole);
        for line in whole.said.split_inclusive(|&byte| byte == b'\n') {
            let text = line.strip_suffix(b"\r\n").expect("a line ends in CRLF");
            prop_assert!(text.len() <= 510);
            prop_assert!(text.iter().all(|&byte| byte == b' ' || byte.is_ascii_graphic()));
            prop_assert!(text[..3].iter().all(u8::is_ascii_digit), "{:?}", text);
        }
    }

    #[test]
    fn downstream_ends_after_the_fifth_failure_whatever_it_hears(
        sent in client(),
    ) {
        let heard = downstream(&[&sent], usize::MAX);
        let said = String::from_utf8(heard.said).unwrap();
        let failures = said.lines().filter(|line| line.starts_with('5')).count();
        prop_assert!(failures < usize::from(FAILURES_MAX));
        let closed = said.lines().any(|line| line == "421 4.7.0 too many failures, closing");
        let reason = format!("{:?}", CloseReason::TooManyFailures);
        prop_assert_eq!(closed, heard.events.last() == Some(&reason));
        prop_assert!(!closed || failures + 1 == usize::from(FAILURES_MAX));
    }

    #[test]
    fn downstream_takes_nothing_before_tls_where_tls_is_required(
        sent in client(),
        cuts in vec(any::<Index>(), 0..8),
        starttls in any::<bool>(),
    ) {
        let sent = if starttls { [&sent[..], b"\nSTARTTLS\n"].concat() } else { sent };
        let (said, machine) = before_tls(&pieces(&sent, &cuts));
        // Nothing is asked for either.
        prop_assert!(!said.lines().any(|line| line.starts_with("334")), "{}", said);
        if let Some(machine) = machine {
            // Under TLS the next line is a command, whatever was begun before.
            let (mut input, mut output) = (Input::default(), Output::default());
            input.extend(b"AUTH PLAIN AGFsaWNlAHB3\r\n");
            let step = machine.receive(&mut input, &mut output);
            prop_assert!(matches!(step, Step::Verify(..)), "{:?}", step);
        }
    }

    #[test]
    fn upstream_says_and_wants_the_same_at_every_split(
        sent in provider(),
        cuts in vec(any::<Index>(), 0..8),
    ) {
        let whole = upstream(&[&sent]);
        prop_assert_eq!(&upstream(&pieces(&sent, &cuts)), &whole);
        prop_assert!(whole.events.iter().all(|event| !event.contains("secret-token")));
    }
}
