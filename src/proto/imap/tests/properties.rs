//! Random bytes, valid commands with random damage, and imap-codec as a second opinion.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use imap_codec::CommandCodec;
use imap_codec::decode::Decoder as _;
use imap_codec::imap_types::auth::AuthMechanism;
use imap_codec::imap_types::command::CommandBody;
use imap_codec::imap_types::core::{AString, AtomExt};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::hear;
use crate::names::Username;
use crate::proto::imap::{ImapDownstream, ImapUpstream, NonSyncLiterals};
use crate::proto::sasl::Credentials;
use crate::proto::{
    AwaitClientTls as _, AwaitTls as _, AwaitToken as _, CloseReason, Downstream as _, Input,
    Output, Privacy, Step, Upstream as _, UpstreamStep,
};
use crate::provider::{MailHost, Mechanism, UpstreamTls};
use crate::secret::AccessToken;

/// What a client might send, or what is close to it.
fn client_bytes() -> impl Strategy<Value = Vec<u8>> {
    let command = select(vec![
        &b"a1 LOGIN alice secret\r\n"[..],
        b"a1 LOGIN \"DOMAIN\\user\" \"p\\\"w\" \r\n",
        b"a1 LOGIN {5}\r\nalice {6}\r\nsecret\r\n",
        b"a1 LOGIN {5+}\r\nalice {6-}\r\ns\xffc\r\nt\r\n",
        b"a1 LOGIN {5000+}\r\nalice\r\n",
        b"a1 SELECT {3+}\r\nabc {2+}\r\nxy\r\n",
        b"a1 AUTHENTICATE PLAIN AGFsaWNlAHNlY3JldA==\r\n",
        b"a1 AUTHENTICATE LOGIN\r\nYWxpY2U=\r\nc2VjcmV0\r\n",
        b"a1 AUTHENTICATE PLAIN\r\n*\r\n",
        b"a1 ID (\"name\" {4+}\r\nabcd NIL)\r\n",
        b"a1 CAPABILITY\r\na2 NOOP\r\n",
        b"a1 LOGOUT\r\n",
        b"a1 STARTTLS\r\n",
        b"GET / HTTP/1.1\r\n",
    ]);
    let damage = prop_oneof![any::<u8>(), select(b"{}+-\"\\\r\n *()=019\0".to_vec()),];
    let damaged = (command, vec((any::<Index>(), damage), 0..4)).prop_map(|(command, damage)| {
        let mut command = command.to_vec();
        for (at, byte) in damage {
            let at = at.index(command.len());
            command[at] = byte;
        }
        command
    });
    let pieces = vec(prop_oneof![4 => damaged, 1 => vec(any::<u8>(), 0..60)], 0..6);
    pieces.prop_map(|pieces| pieces.concat())
}

/// What a provider might send, or what is close to it.
fn provider_bytes() -> impl Strategy<Value = Vec<u8>> {
    let response = select(vec![
        &b"* OK hi\r\n"[..],
        b"* OK [CAPABILITY SASL-IR STARTTLS AUTH=XOAUTH2] hi\r\n",
        b"* CAPABILITY IMAP4rev1 AUTH=XOAUTH2\r\n",
        b"* BYE no\r\n",
        b"* PREAUTH hi\r\n",
        b"+ eyJzdGF0dXMiOiI0MDAifQ==\r\n",
        b"+\r\n",
        b"m1 OK done\r\n",
        b"m2 OK [CAPABILITY IMAP4rev1] in\r\n",
        b"m3 NO [UNAVAILABLE] later\r\n",
        b"* ID {3}\r\nabc\r\n",
    ]);
    let damaged =
        (response, vec((any::<Index>(), any::<u8>()), 0..2)).prop_map(|(response, damage)| {
            let mut response = response.to_vec();
            for (at, byte) in damage {
                let at = at.index(response.len());
                response[at] = byte;
            }
            response
        });
    let pieces = vec(prop_oneof![6 => damaged, 1 => vec(any::<u8>(), 0..60)], 0..8);
    pieces.prop_map(|pieces| pieces.concat())
}

fn cut<'a>(bytes: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|range| &bytes[range[0]..range[1]]).collect()
}

/// Feeds `pieces` to a client; gives what it said, how it ended and what it left.
///
/// A handshake that is due takes place once all pieces are there.
fn connect(tls: UpstreamTls, pieces: &[&[u8]]) -> (Vec<u8>, String) {
    let mailbox = Username::parse("alice@example.com").unwrap();
    let token = AccessToken::parse("secret-token").unwrap();
    let host = MailHost { host: "mail.example.com".to_owned(), port: 993, tls };
    let mechanism = Mechanism::Xoauth2;
    let credentials = Credentials { mailbox: &mailbox, token: &token, mechanism, host: &host };
    let (mut input, mut output) = (Input::default(), Output::default());
    let mut step = UpstreamStep::Read(ImapUpstream::new(tls, mechanism));
    for piece in pieces {
        input.extend(piece);
        while let UpstreamStep::Read(machine) = step {
            step = machine.receive(&mut input, &mut output);
            let UpstreamStep::Ready(awaiting) = step else { break };
            step = UpstreamStep::Read(awaiting.authenticate(&credentials, &mut output));
        }
    }
    if let UpstreamStep::StartTls(awaiting) = step {
        step = match awaiting.started(&input, &mut output) {
            Ok(machine) => UpstreamStep::Read(machine),
            Err(fault) => UpstreamStep::Close(fault),
        };
    }
    let end = format!("{step:?} {:?}", input.into_leftover());
    (output.take().to_vec(), end)
}

/// Feeds `pieces` to a server that takes no credentials before TLS, until it closes or TLS is begun;
/// gives what was said and the server as it goes on under TLS.
fn before_tls(pieces: &[&[u8]]) -> (String, Option<ImapDownstream>) {
    let (mut input, mut output) = (Input::default(), Output::default());
    let machine = ImapDownstream::new(NonSyncLiterals::Offered, Privacy::Required);
    let mut step = Step::Read(machine);
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

/// An argument as a client with a grammar writes it.
#[derive(Debug, Clone, Copy)]
enum Form {
    Atom,
    Quoted,
    Literal,
    NonSyncLiteral,
}

/// An argument, and a form that the grammar allows it.
fn argument() -> impl Strategy<Value = (Vec<u8>, Form)> {
    let form = select(vec![Form::Atom, Form::Quoted, Form::Literal, Form::NonSyncLiteral]);
    let text = prop_oneof![
        "[!#$&'+,./0-9:;<=>?@A-Z\\[\\]^_`a-z|}~-]{1,20}",
        "[ -~]{0,20}",
        "[ -~äöüß€\u{1f600}]{0,12}",
    ];
    let bytes = prop_oneof![4 => text.prop_map(String::into_bytes), 1 => vec(1_u8.., 0..40)];
    (bytes, form).prop_map(|(bytes, form)| {
        let quotable = str::from_utf8(&bytes).is_ok_and(|text| !text.contains(['\r', '\n']));
        let form = match form {
            Form::Atom if AtomExt::validate(&bytes).is_err() => Form::Literal,
            Form::Quoted if !quotable => Form::NonSyncLiteral,
            form @ (Form::Atom | Form::Quoted | Form::Literal | Form::NonSyncLiteral) => form,
        };
        (bytes, form)
    })
}

fn write(argument: &[u8], form: Form) -> Vec<u8> {
    match form {
        Form::Atom => argument.to_vec(),
        Form::Quoted => {
            let escaped = argument.iter().flat_map(|&byte| match byte {
                b'"' | b'\\' => vec![b'\\', byte],
                byte => vec![byte],
            });
            [b"\"".to_vec(), escaped.collect(), b"\"".to_vec()].concat()
        }
        Form::Literal => [format!("{{{}}}\r\n", argument.len()).as_bytes(), argument].concat(),
        Form::NonSyncLiteral => {
            [format!("{{{}+}}\r\n", argument.len()).as_bytes(), argument].concat()
        }
    }
}

fn bytes(string: &AString<'_>) -> Vec<u8> {
    string.as_ref().to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_client_hears_the_same_at_every_split(
        sent in client_bytes(),
        cuts in vec(any::<Index>(), 0..6),
    ) {
        let whole = hear([&sent[..]]);
        prop_assert_eq!(&hear(cut(&sent, &cuts)), &whole);
        prop_assert_eq!(&hear(sent.chunks(1)), &whole);
    }

    #[test]
    fn a_provider_hears_the_same_at_every_split(
        sent in provider_bytes(),
        cuts in vec(any::<Index>(), 0..6),
        starttls in any::<bool>(),
    ) {
        let tls = if starttls { UpstreamTls::StartTls } else { UpstreamTls::Implicit };
        let whole = connect(tls, &[&sent]);
        prop_assert_eq!(&connect(tls, &cut(&sent, &cuts)), &whole);
        prop_assert_eq!(&connect(tls, &sent.chunks(1).collect::<Vec<_>>()), &whole);
    }

    #[test]
    fn a_server_takes_nothing_before_tls_where_tls_is_required(
        sent in client_bytes(),
        cuts in vec(any::<Index>(), 0..6),
        starttls in any::<bool>(),
    ) {
        let sent = if starttls { [&sent[..], b"\na1 STARTTLS\n"].concat() } else { sent };
        let (said, machine) = before_tls(&cut(&sent, &cuts));
        // No challenge is sent either.
        let asks = |line: &str| line.starts_with('+') && line != "+ go ahead";
        prop_assert!(!said.lines().any(asks), "{}", said);
        if let Some(machine) = machine {
            // Under TLS the next line is a command, whatever was begun before.
            let (mut input, mut output) = (Input::default(), Output::default());
            input.extend(b"a2 LOGIN alice secret\r\n");
            let step = machine.receive(&mut input, &mut output);
            prop_assert!(matches!(step, Step::Verify(..)), "{:?}", step);
        }
    }

    #[test]
    fn login_is_read_as_imap_codec_reads_it(
        (username, username_form) in argument(),
        (password, password_form) in argument(),
    ) {
        let (first, second) = (write(&username, username_form), write(&password, password_form));
        let sent = [b"a1 LOGIN ", &first[..], b" ", &second, b"\r\n"].concat();
        let Ok((b"", command)) = CommandCodec::default().decode(&sent) else {
            return Err(TestCaseError::reject("imap-codec does not take it"));
        };
        let CommandBody::Login { username, password } = command.body else {
            panic!("LOGIN is read as {command:?}");
        };
        let heard = hear([&sent[..]]);
        match Username::from_wire(&bytes(&username)) {
            Ok(username) => {
                let claim = (username.as_str().to_owned(), bytes(password.declassify()));
                prop_assert_eq!(heard.claims, [claim]);
            }
            // A waiting literal behind the bad name is not asked for, and then read as commands.
            Err(_) => {
                prop_assert!(heard.said.contains("a1 BAD a user name is"), "{}", heard.said);
                prop_assert!(heard.claims.is_empty());
            }
        }
    }

    #[test]
    fn authenticate_is_read_as_imap_codec_reads_it(
        username in "[ -~äöü]{1,40}",
        password in vec(1_u8.., 0..40),
    ) {
        let message = [b"\0", username.as_bytes(), b"\0", &password].concat();
        let sent = format!("a1 AUTHENTICATE PLAIN {}\r\n", STANDARD.encode(&message));
        let (left, command) = CommandCodec::default().decode(sent.as_bytes()).unwrap();
        let CommandBody::Authenticate { mechanism, initial_response } = command.body else {
            panic!("AUTHENTICATE is read as {command:?}");
        };
        prop_assert_eq!((left, mechanism), (&b""[..], AuthMechanism::Plain));
        let initial_response = initial_response.unwrap();
        prop_assert_eq!(&initial_response.declassify()[..], &message[..]);
        prop_assert_eq!(hear([sent.as_bytes()]).claims, [(username, password)]);
    }
}
