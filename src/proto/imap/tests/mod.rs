//! Both machines, as transcripts, at their limits, and against random bytes.

mod downstream;
mod limits;
mod odd;
mod properties;
mod starttls;
mod upstream;
mod upstream_starttls;

use super::{ImapDownstream, NonSyncLiterals, Welcome};
use crate::proto::{
    AwaitVerdict as _, CloseReason, Downstream as _, FAILURES_MAX, Input, Output, Privacy, Step,
};
use crate::refusal::Refusal;
use crate::secret::ExposeSecret as _;

const GREETING: &str = "* OK [CAPABILITY IMAP4rev1 SASL-IR ID LITERAL+ AUTH=PLAIN AUTH=LOGIN] \
                        mailbearer ready";

/// What Gmail says to an accepted sign-in.
fn welcome() -> Welcome {
    Welcome {
        untagged: b"* CAPABILITY IMAP4rev1 UNSELECT IDLE\r\n".to_vec(),
        tagged: b"alice@example.com authenticated (Success)".to_vec(),
    }
}

/// What came of a client's bytes when each sign-in is refused.
#[derive(Debug, Default, PartialEq, Eq)]
struct Heard {
    said: String,
    claims: Vec<(String, Vec<u8>)>,
    closed: Option<CloseReason>,
}

/// Feeds `pieces` to a server that refuses each sign-in. It never holds more than a line or a
/// literal back, and whatever it says is printable ASCII in whole lines.
fn hear<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Heard {
    const HELD_BACK_MAX: usize = crate::proto::sasl::LINE_LEN_MAX + 1;
    let (mut input, mut output) = (Input::default(), Output::default());
    let mut machine = ImapDownstream::new(NonSyncLiterals::Offered, Privacy::Clear);
    let mut heard = Heard::default();
    machine.greet(&mut output);
    'pieces: for piece in pieces {
        input.extend(piece);
        loop {
            let step = match machine.receive(&mut input, &mut output) {
                Step::Verify(claim, awaiting) => {
                    let password = claim.password.expose_secret().to_vec();
                    heard.claims.push((claim.username.as_str().to_owned(), password));
                    awaiting.refuse(&Refusal::WrongPassword, &mut output)
                }
                Step::Read(waiting) => {
                    assert!(input.len() <= HELD_BACK_MAX, "{} bytes are held back", input.len());
                    machine = waiting;
                    continue 'pieces;
                }
                close @ Step::Close(_) => close,
                Step::StartTls(_) => panic!("no TLS is offered"),
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
    }
    assert!(heard.claims.len() <= usize::from(FAILURES_MAX));
    heard
}
