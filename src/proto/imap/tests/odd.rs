//! Clients that strayed from the RFCs, or are alone in some corner of them, each as a public thread
//! shows it, in transcripts.
//!
//! Threads are named as project and number.

use imap_codec::imap_types::core::Tag;

use super::{Imap, session};
use crate::proto::promises::server::reply;

#[test]
fn outlook_signs_in_with_two_literals_in_one_write_and_literals_in_its_id() {
    // New Outlook since August 2026: sora 77 and 78.
    session(
        r#"C| A1 ID ("name" {23+}\r\nMicrosoft.Exchange.Imap "version" {6+}\r\n16.0.0)\r\n
           S: * ID NIL
           S: A1 OK ID completed
           C| A2 LOGIN {16+}\r\nuser@example.com {9+}\r\nsecretpwd\r\n
           ?: user@example.com secretpwd"#,
    );
}

#[test]
fn fdm_and_nginx_sign_in_with_two_literals_that_they_wait_to_send() {
    // fdm 30; nginx as the mail proxy of Zimbra: metasploit-framework 16825.
    session(
        "C: 1 LOGIN {5}
         S: + go ahead
         C: alice {6}
         S: + go ahead
         C: secret
         ?: alice secret",
    );
}

#[test]
fn a_swift_client_signs_in_with_literals_that_end_in_a_minus() {
    // swift-nio-imap 675: LITERAL- taken for another form of literal, until 2022.
    session("C: A1 LOGIN {5-}\nC: alice {6-}\nC: secret\n?: alice secret");
}

#[test]
fn quoted_names_and_passwords_are_read_with_their_escapes() {
    // thunderbird-android 899, davmail 378: escaped as the grammar has it.
    session(
        r#"C: 2 LOGIN "alice@contoso.com\\\\shared" "foo\\\\bar"
               ?: alice@contoso.com\\shared foo\\bar"#,
    );
    // imapclient 120: with a single backslash, as Exchange takes it.
    session(
        r#"C: CIKO1 LOGIN "CONTOSO\\alice" "foo\\bar"
               ?: CONTOSO\\alice foo\\bar"#,
    );
}

#[test]
fn unquoted_names_and_passwords_are_read_up_to_the_blank() {
    // plan9port 169 quotes nothing; imapsync 86; enough_mail 158, where `{` is no literal.
    session("C: 2 LOGIN CONTOSO\\\\alice secret\n?: CONTOSO\\\\alice secret");
    session("C: 3 LOGIN user@domain.net *p(a)&ss\n?: user@domain.net *p(a)&ss");
    session("C: a0 LOGIN myname@example.com ({hKu8qM?BSx\n?: myname@example.com ({hKu8qM?BSx");
}

#[test]
fn an_empty_password_is_called_wrong_and_not_a_bad_command() {
    // Mew 220: it asks for another password at NO alone.
    session(
        r#"C: mkud2926 LOGIN "alice" ""
           ?: alice\x20
           !: refuse wrong-password
           S: mkud2926 NO [AUTHENTICATIONFAILED] user name or password is wrong
           C: nlnl3467 LOGIN "alice" "secret"
           ?: alice secret"#,
    );
}

#[test]
fn a_wrong_password_does_not_end_the_session() {
    // Claws Mail asks for no other password at a session that ended: email-oauth2-proxy 228.
    session(
        "C: 1 AUTHENTICATE PLAIN AGFsaWNlAHNlY3JldA==
         ?: alice secret
         !: refuse wrong-password
         S: 1 NO [AUTHENTICATIONFAILED] user name or password is wrong
         C: 2 NOOP
         S: 2 OK NOOP completed
         C: 3 AUTHENTICATE PLAIN AGFsaWNlAHNlY3JldA==
         ?: alice secret",
    );
}

#[test]
fn every_legal_tag_is_echoed_and_no_other() {
    let tags = ["TAG1", "RUBY0001", "A00000001", "a0", "1", "DJV1", "1.29", "]", "}", "~", "a}b]"];
    for tag in tags {
        session(&format!("C: {tag} NOOP\nS: {tag} OK NOOP completed"));
    }
    for byte in 0..=u8::MAX {
        if matches!(byte, b'\n' | b'\r' | b' ' | 0x16) {
            continue;
        }
        let said = reply::<Imap>([&[b'a', byte, b'b'][..], b" NOOP\r\n"].concat());
        let reply = said.as_bytes();
        let echoed = reply.starts_with(&[b'a', byte, b'b', b' ', b'O', b'K']);
        assert_eq!(echoed, Tag::validate([b'a', byte, b'b']).is_ok(), "{byte:#x}: {said}");
        assert!(echoed || reply.starts_with(b"* BAD "), "{byte:#x}: {said}");
    }
}

#[test]
fn a_client_signs_in_that_asks_and_waits_before() {
    // imapflow: CAPABILITY and ID first. K-9 and MailKit ask anew before each sign-in.
    session(
        r#"C: 1 CAPABILITY
           S: * CAPABILITY IMAP4rev1 SASL-IR ID LITERAL+ AUTH=PLAIN AUTH=LOGIN
           S: 1 OK CAPABILITY completed
           C: 2 ID ("name" "imapflow" "support-url" NIL)
           S: * ID NIL
           S: 2 OK ID completed
           C: 3 NOOP
           S: 3 OK NOOP completed
           C: 4 AUTHENTICATE PLAIN
           S: +\x20
           C: AGFsaWNlAHNlY3JldA==
           ?: alice secret"#,
    );
}

#[test]
fn a_session_that_is_written_blindly_reaches_the_upstream_from_behind_its_sign_in() {
    session(
        r#"C| 1 CAPABILITY\r\n2 LOGIN {5}\r\nalice {6}\r\nsecret\r\n3 APPEND x {5}\r\nab\n\0c\r\n4 IDLE\r\n5 UID FE
           S: * CAPABILITY IMAP4rev1 SASL-IR ID LITERAL+ AUTH=PLAIN AUTH=LOGIN
           S: 1 OK CAPABILITY completed
           S: + go ahead
           S: + go ahead
           ?: alice secret
           !: accept
           S: * CAPABILITY IMAP4rev1 UNSELECT IDLE
           S: 2 OK alice@example.com authenticated (Success)
           L| 3 APPEND x {5}\r\nab\n\0c\r\n4 IDLE\r\n5 UID FE"#,
    );
}

#[test]
fn plain_signs_in_with_an_authzid_that_is_the_user_name_and_no_other() {
    // libcurl (hmailserver 299) names the user twice.
    session("C: A002 AUTHENTICATE PLAIN YWxpY2UAYWxpY2UAcHc=\n?: alice pw");
    // `curl --sasl-authzid`, made for shared mailboxes (curl 3653): a mailbox has an account here.
    session(
        "C: A002 AUTHENTICATE PLAIN c2hhcmVkQGNvbnRvc28uY29tAGFsaWNlQGNvbnRvc28uY29tAHB3
         S: A002 BAD sign in as yourself: leave the authorization identity empty",
    );
}

#[test]
fn a_user_name_is_claimed_as_it_was_sent() {
    // MailKit 620 (Latin-1 for Exchange), javamail 257 (UTF-8), email-oauth2-proxy 83 (case).
    session("C: 1 AUTHENTICATE PLAIN AG38bGxlcgBw5HNz\n?: m\u{fc}ller p\u{fffd}ss");
    session("C: 1 AUTHENTICATE PLAIN AG3DvGxsZXIAcMOkc3M=\n?: m\u{fc}ller p\u{e4}ss");
    session("C: 1 AUTHENTICATE PLAIN AENPTlRPU09cYWxpY2UAcHc=\n?: CONTOSO\\\\alice pw");
    session("C: 1 LOGIN m\u{fc}ller p\u{e4}ss\n?: m\u{fc}ller p\u{e4}ss");
    session("C: 1 LOGIN ALICE@Contoso.COM pw\n?: ALICE@Contoso.COM pw");
}

#[test]
fn a_person_signs_in_by_netcat_or_telnet() {
    // docker-postfixrelay 57: PuTTY sends telnet options before the first command.
    session(
        "C| \\xff\\xfb\\x1f\\xff\\xfb\\x18a noop\\r\\n
         S: * BAD begin the line with a tag of at most 64 characters
         C| a login \"alice\" {6}\\n
         S: + go ahead
         C| secret\\n
         ?: alice secret",
    );
}

#[test]
fn base64_is_read_that_is_broken_by_blanks_or_padded_too_much() {
    // RFC 2045 section 6.8 has decoders of mail ignore blanks, so encoders made for it may set them.
    session("C: 1 AUTHENTICATE PLAIN AGFs aWNl\\x09AHB3\n?: alice pw");
    session("C: 1 AUTHENTICATE PLAIN AGFsaWNlAHB3====\n?: alice pw");
    session(
        "C: 1 AUTHENTICATE LOGIN YWxp Y2U==
         S: + UGFzc3dvcmQ6
         C: c Hc = =
         ?: alice pw",
    );
    session("C: 1 AUTHENTICATE PLAIN\nS: +\\x20\nC: AGFs aWNlAHB3\n?: alice pw");
    session("C: 1 AUTHENTICATE PLAIN AGFs=aWNlAHB3\nS: 1 BAD this is not base64");
}
