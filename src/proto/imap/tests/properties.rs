//! Names and passwords in every form, and imap-codec as a second opinion.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use imap_codec::CommandCodec;
use imap_codec::decode::Decoder as _;
use imap_codec::imap_types::auth::AuthMechanism;
use imap_codec::imap_types::command::CommandBody;
use imap_codec::imap_types::core::{AString, AtomExt};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::Imap;
use crate::names::Username;
use crate::proto::Privacy;
use crate::proto::promises::server;

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

/// Whom a client claims to be that says `sent`.
fn claims(sent: impl AsRef<[u8]>) -> Vec<(String, Vec<u8>)> {
    server::hear::<Imap>(Privacy::Clear, sent).claims
}

fn bytes(string: &AString<'_>) -> Vec<u8> {
    string.as_ref().to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

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
        let heard = server::hear::<Imap>(Privacy::Clear, &sent);
        match Username::from_wire(&bytes(&username)) {
            Ok(username) => {
                let claim = (username.as_str().to_owned(), bytes(password.declassify()));
                prop_assert_eq!(heard.claims, [claim]);
            }
            // A waiting literal behind the bad name is not asked for, and then read as commands.
            Err(_) => {
                prop_assert!(heard.text().contains("a1 BAD a user name is"), "{heard:?}");
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
        prop_assert_eq!(claims(sent), [(username, password)]);
    }
}
