//! Both machines, as transcripts, at their limits, and against random bytes.

mod downstream;
mod limits;
mod properties;
mod starttls;
mod upstream;

use super::{Pop3Downstream, Welcome};
use crate::proto::transcript::play;
use crate::proto::{
    AwaitClientTls as _, AwaitVerdict as _, CloseReason, Downstream as _, FAILURES_MAX, Input,
    Output, Privacy, Step,
};
use crate::refusal::Refusal;
use crate::secret::ExposeSecret as _;

const GREETING: &str = "+OK mailbearer ready";

/// What Exchange Online says to an accepted sign-in.
const WELCOME: &str = "+OK User successfully authenticated.";

fn welcome() -> Welcome {
    Welcome { reply: WELCOME.into() }
}

/// Plays a session in clear behind the greeting.
#[track_caller]
fn session(script: &str) {
    session_in(Privacy::Clear, script);
}

#[track_caller]
fn session_in(privacy: Privacy, script: &str) {
    play(|| Pop3Downstream::new(privacy), &welcome(), &format!("S: {GREETING}\n{script}"));
}

/// What came of a client's bytes when each sign-in is refused.
#[derive(Debug, Default, PartialEq, Eq)]
struct Heard {
    said: String,
    claims: Vec<(String, Vec<u8>)>,
    /// How many of the claims came in clear.
    claims_in_clear: usize,
    closed: Option<CloseReason>,
}

/// Feeds `pieces` to a server that refuses each sign-in. It never holds more than a line back, and
/// whatever it says is printable ASCII in whole lines. A handshake takes place where one is due.
fn hear<'a>(privacy: Privacy, pieces: impl IntoIterator<Item = &'a [u8]>) -> Heard {
    const HELD_BACK_MAX: usize = crate::proto::sasl::LINE_LEN_MAX + 1;
    let (mut input, mut output) = (Input::default(), Output::default());
    let mut machine = Pop3Downstream::new(privacy);
    let mut heard = Heard::default();
    let mut in_clear = privacy != Privacy::Tls;
    machine.greet(&mut output);
    'pieces: for piece in pieces {
        input.extend(piece);
        loop {
            let step = match machine.receive(&mut input, &mut output) {
                Step::Verify(claim, awaiting) => {
                    let password = claim.password.expose_secret().to_vec();
                    heard.claims.push((claim.username.as_str().to_owned(), password));
                    heard.claims_in_clear += usize::from(in_clear);
                    awaiting.refuse(&Refusal::WrongPassword, &mut output)
                }
                Step::Read(waiting) => {
                    assert!(input.len() <= HELD_BACK_MAX, "{} bytes are held back", input.len());
                    machine = waiting;
                    continue 'pieces;
                }
                Step::StartTls(awaiting) => match awaiting.started(&input) {
                    Ok(machine) => {
                        in_clear = false;
                        Step::Read(machine)
                    }
                    Err(reason) => Step::Close(reason),
                },
                close @ Step::Close(_) => close,
            };
            match step {
                Step::Read(waiting) => machine = waiting,
                Step::Close(reason) => {
                    heard.closed = Some(reason);
                    break 'pieces;
                }
                Step::Verify(..) | Step::StartTls(_) => panic!("a refusal asks for nothing"),
            }
        }
    }
    heard.said = String::from_utf8(output.take().to_vec()).unwrap();
    for line in heard.said.split_inclusive("\r\n") {
        let line = line.strip_suffix("\r\n").expect("a whole line");
        assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{line:?}");
        // RFC 2449 section 4: 512 with the line end.
        assert!(line.len() <= 510, "{line:?}");
    }
    assert!(heard.claims.len() <= usize::from(FAILURES_MAX));
    heard
}
