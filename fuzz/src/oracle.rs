//! imap-codec as a second opinion: a command that it takes is read here as it reads it.
//!
//! Only what it takes is compared. It refuses much that old clients send, and that is for the
//! transcripts to say.

use imap_codec::decode::Decoder as _;
use imap_codec::imap_types::auth::{AuthMechanism, AuthenticateData};
use imap_codec::imap_types::command::CommandBody;
use imap_codec::{AuthenticateDataCodec, CommandCodec};
use mailbearer::names::Username;

use super::downstream::play;
use super::plan::Plan;
use super::protocols::Imap;
use super::trace::Trace;

/// Longest command compared, in bytes: what is longer may exceed a limit on a line or a literal.
const COMMAND_LEN_MAX: usize = 4_096;

/// Longest tag that is taken, in bytes.
const TAG_LEN_MAX: usize = 64;

/// Compares the first command of the session that `input` describes.
pub fn check(input: &[u8]) {
    // In clear, and each claim refused for its password.
    let plain = b"000000";
    let Some(plan) = Plan::read(input) else { return };
    let Some(sent) = plan.flights.first() else { return };
    let Ok((behind, command)) = CommandCodec::default().decode(sent) else { return };
    let (read, _) = sent.split_at(sent.len() - behind.len());
    let (tag, len) = (command.tag.as_ref(), read.len());
    if len > COMMAND_LEN_MAX || tag.len() > TAG_LEN_MAX || is_http(read) {
        return;
    }
    let plan = Plan::read(plain).expect("six bytes choose");
    let hear = |sent: &[u8]| play::<Imap>(&plan.with(&[sent.to_vec()]), &|flight| vec![flight]);
    match command.body {
        CommandBody::Login { username, password } => {
            let is_name = Username::from_wire(username.as_ref()).is_ok();
            // The literal behind a bad name is not asked for, and what comes is read as commands.
            if is_name || !read.contains(&b'{') {
                let password = password.declassify().as_ref();
                expect_claim(&hear(read), len, username.as_ref(), password);
            }
        }
        CommandBody::Authenticate { mechanism, initial_response } => {
            let mut response = initial_response.map(|secret| secret.declassify().to_vec());
            let mut end = len;
            let mut next = || -> Option<Vec<u8>> {
                if let Some(response) = response.take() {
                    return Some(response);
                }
                let codec = AuthenticateDataCodec::default();
                let (behind, data) = codec.decode(sent.get(end..)?).ok()?;
                end = sent.len() - behind.len();
                match data {
                    AuthenticateData::Continue(secret) => Some(secret.declassify().to_vec()),
                    AuthenticateData::Cancel => None,
                }
            };
            let claim = match mechanism {
                AuthMechanism::Plain => next().and_then(|message| plain_fields(&message)),
                AuthMechanism::Login => next().and_then(|name| Some((name, next()?))),
                _ => None,
            };
            if let Some((name, password)) = claim
                && end - len <= COMMAND_LEN_MAX
                && !is_http(&sent[..end])
            {
                expect_claim(&hear(&sent[..end]), end, &name, &password);
            }
        }
        CommandBody::StartTLS => {}
        // One with a literal may be refused before that is sent.
        _ if read.contains(&b'{') => {}
        _ => {
            let trace = hear(read);
            let tagged = [tag.as_bytes(), b" "].concat();
            let last = trace.lines().last().expect("a greeting at least");
            assert!(last.starts_with(&tagged), "{:?}", String::from_utf8_lossy(last));
        }
    }
}

/// The claim is the one that imap-codec reads, made by the command's last byte. There is none where
/// a name or a password is none that we take.
fn expect_claim(trace: &Trace, len: usize, name: &[u8], password: &[u8]) {
    // One NUL at the end of a name or a password of LOGIN is dropped; others are refused.
    let has_nul = [name, password].iter().any(|text| text.contains(&0));
    if has_nul {
        return;
    }
    let events: Vec<_> = trace.events.iter().map(|(at, _, what)| (*at, what.as_str())).collect();
    match Username::from_wire(name) {
        Ok(name) => assert_eq!(events, [(len, format!("{name} {password:?}").as_str())]),
        Err(_) => assert!(events.is_empty(), "{events:?}"),
    }
}

/// Name and password of a message of PLAIN (RFC 4616) without an authorization identity.
fn plain_fields(message: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut fields = message.split(|&byte| byte == 0);
    let (Some(b""), Some(name), Some(password), None) =
        (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return None;
    };
    Some((name.to_vec(), password.to_vec()))
}

/// Whether a line in it looks like the request of a browser, which ends any session.
fn is_http(sent: &[u8]) -> bool {
    sent.windows(b" HTTP/".len()).any(|word| word == b" HTTP/")
}
