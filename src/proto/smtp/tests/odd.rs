//! Clients that strayed from the RFCs, each as a public thread shows it, in transcripts.
//!
//! Threads are named as project and number. What is common to many devices (`AUTH=LOGIN`, missing
//! padding, blanks around base64, a NUL at its end) stands with AUTH and with SASL.

use super::{Smtp, play};
use crate::proto::promises::server::reply;
use crate::proto::smtp::*;
use crate::proto::{Privacy, transcript};

#[test]
fn net_smtp_client_signs_in_with_its_name_inline_and_login_in_lower_case() {
    // System.Net.Mail.SmtpClient since .NET 2.0: smtp4dev 3, SmtpServer 31, OpenSMTPD 819.
    play(
        "C: EHLO SERVER2008
         S: 250-mailbearer
         S: 250 AUTH PLAIN LOGIN
         C: AUTH login YWxpY2U=
         S: 334 UGFzc3dvcmQ6
         C: cHc=
         ?: alice pw",
    );
}

#[test]
fn windows_mail_signs_in_with_two_blanks_before_its_response() {
    // modern-email defects 10; mox takes them since 2023.
    play("C: AUTH PLAIN  AGFsaWNlAHB3\n?: alice pw");
}

#[test]
fn a_camera_signs_in_that_says_helo_behind_ehlo() {
    // smtp2mqtt 1: EHLO, HELO, AUTH LOGIN, and QUIT unless that is served.
    play(
        "C: EHLO localhost
         S: 250-mailbearer
         S: 250 AUTH PLAIN LOGIN
         C: HELO localhost
         S: 250 mailbearer
         C: AUTH LOGIN
         S: 334 VXNlcm5hbWU6
         C: YWxpY2U=
         S: 334 UGFzc3dvcmQ6
         C: cHc=
         ?: alice pw",
    );
}

#[test]
fn a_client_signs_in_that_never_says_ehlo() {
    // Modoboa before its pull request 3620; printers that say HELO alone: email-oauth2-proxy 232.
    play("C: AUTH PLAIN AGFsaWNlAHB3\n?: alice pw");
    play("C: HELO printer\nS: 250 mailbearer\nC: AUTH LOGIN\nS: 334 VXNlcm5hbWU6");
}

#[test]
fn a_client_signs_in_that_says_no_second_ehlo_under_tls() {
    // check_smtp, as Exim refuses it: monitoring-plugins 602.
    let welcome = Welcome { reply: Vec::new(), extensions: Extensions::default() };
    transcript::play(
        || SmtpDownstream::new(Extensions::default(), Privacy::Required),
        &welcome,
        "S: 220 mailbearer ESMTP ready
         C: EHLO nagios
         S: 250-mailbearer
         S: 250 STARTTLS
         C: STARTTLS
         S: 220 2.0.0 ready for the TLS handshake
         TLS
         C: AUTH LOGIN
         S: 334 VXNlcm5hbWU6",
    );
}

#[test]
fn login_prompts_are_the_two_words_that_clients_compare() {
    // Xerox XC printers say QUIT to `User Name` and a NUL (smtp-oauth-relay 57); Outlook 2016 wants
    // the colon (secure-smtpd 29); so do Vaultwarden (stalwart smtp-server 21) and go-mail (mox 223).
    assert_eq!(
        reply::<Smtp>("AUTH LOGIN\r\nYWxpY2U=\r\n"),
        "334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n"
    );
}

#[test]
fn the_empty_challenge_of_plain_keeps_its_blank() {
    // RFC 4954 section 4; aiosmtpd 10, smtp4dev 1548.
    assert_eq!(reply::<Smtp>("AUTH PLAIN\r\n"), "334 \r\n");
}

#[test]
fn an_early_talker_is_answered_in_order() {
    // Xymon's probe writes both before it reads the greeting (xymon 450).
    play(
        "C| ehlo xymonnet\\r\\nquit\\r\\n
         S: 250-mailbearer
         S: 250 AUTH PLAIN LOGIN
         S: 221 2.0.0 goodbye
         X: Quit",
    );
}

#[test]
fn a_script_signs_in_that_writes_its_whole_session_blindly() {
    // XSIBackup (33hops xsibackup 12) and ghettoVCB (lamw ghettoVCB 338) feed netcat from a file.
    play(
        "C| ehlo esx\\r\\nAUTH LOGIN\\r\\nYWxpY2U=\\r\\ncHc=\\r\\nMAIL FROM:<a@b>\\r\\nRCPT TO:<c@d>\\r\\nDATA\\r\\nSUBJECT: x\\r\\n\\n.\\n\\r\\n.\\r\\nQUIT\\r\\n
         S: 250-mailbearer
         S: 250 AUTH PLAIN LOGIN
         S: 334 VXNlcm5hbWU6
         S: 334 UGFzc3dvcmQ6
         ?: alice pw
         !: accept
         S: 235-2.7.0 signed in,
         S: 235 2.7.0 \\xc3\\xa0 bient\\xc3\\xb4t
         L| MAIL FROM:<a@b>\\r\\nRCPT TO:<c@d>\\r\\nDATA\\r\\nSUBJECT: x\\r\\n\\n.\\n\\r\\n.\\r\\nQUIT\\r\\n",
    );
}

#[test]
fn such_a_script_is_closed_before_its_message_where_its_password_is_wrong() {
    play(
        "C| AUTH LOGIN\\nYWxpY2U=\\ncHc=\\nMAIL FROM:<a@b>\\nRCPT TO:<c@d>\\nDATA\\nSUBJECT: x\\n\\n.\\nQUIT\\n
         S: 334 VXNlcm5hbWU6
         S: 334 UGFzc3dvcmQ6
         ?: alice pw
         !: refuse wrong-password
         S: 535 5.7.8 the user name or the local password is wrong
         S: 530 5.7.0 Authentication required
         S: 503 5.5.1 sign in and send MAIL first
         S: 503 5.5.1 sign in and send MAIL first
         S: 421 4.7.0 too many failures, closing
         X: TooManyFailures",
    );
}

#[test]
fn a_person_signs_in_by_netcat_whose_lines_end_in_lf() {
    // MailHog-MTA 1, twisted 5305. What follows is the upstream's to judge, and left as it is.
    play(
        "C| ehlo me\\nauth plain AGFsaWNlAHB3\\nmail from:<a@b>\\n
         S: 250-mailbearer
         S: 250 AUTH PLAIN LOGIN
         ?: alice pw
         !: accept
         S: 235-2.7.0 signed in,
         S: 235 2.7.0 \\xc3\\xa0 bient\\xc3\\xb4t
         L| mail from:<a@b>\\n",
    );
}

#[test]
fn putty_is_served_after_its_telnet_negotiation() {
    // docker-postfixrelay 57: the options come before the first command, as part of its line.
    play(
        "C| \\xff\\xfb\\x1f\\xff\\xfb\\x20\\xff\\xfb\\x18\\xff\\xfd\\x01EHLO me\\r\\n
         S: 500 5.5.1 unknown command
         C: EHLO me
         S: 250-mailbearer
         S: 250 AUTH PLAIN LOGIN",
    );
}

#[test]
fn plain_signs_in_with_an_authzid_that_is_the_user_name() {
    // CakePHP (14639), libcurl (hmailserver 299), Postfix 2.4 with Cyrus SASL and others
    // (hmailserver 482) name the user twice; some in another case.
    play("C: AUTH PLAIN YWxpY2UAYWxpY2UAcHc=\n?: alice pw");
    play(
        "C: AUTH PLAIN QWxpY2VAQ29udG9zby5jb20AYWxpY2VAY29udG9zby5jb20AcHc=
         ?: alice@contoso.com pw",
    );
}

#[test]
fn plain_is_refused_with_the_authzid_of_somebody_else() {
    // `curl --sasl-authzid`, made for shared mailboxes (curl 3653): a mailbox has an account here.
    play(
        "C: AUTH PLAIN c2hhcmVkQGNvbnRvc28uY29tAGFsaWNlQGNvbnRvc28uY29tAHB3
         S: 501 5.7.0 sign in as yourself: leave the authorization identity empty
         C: AUTH PLAIN
         S: 334\\x20
         C: c2hhcmVkQGNvbnRvc28uY29tAGFsaWNlQGNvbnRvc28uY29tAHB3
         S: 501 5.7.0 sign in as yourself: leave the authorization identity empty",
    );
}

#[test]
fn a_user_name_is_read_as_latin_1_where_it_is_no_utf_8() {
    // MailKit 620: Exchange wanted ISO 8859-1, so clients that were set up for it send that.
    play("C: AUTH PLAIN AG38bGxlcgBw5HNz\n?: m\u{fc}ller p\u{fffd}ss");
    // javamail 257: RFC 4616 has UTF-8.
    play("C: AUTH PLAIN AG3DvGxsZXIAcMOkc3M=\n?: m\u{fc}ller p\u{e4}ss");
    play("C: AUTH LOGIN bfxsbGVy\nS: 334 UGFzc3dvcmQ6\nC: cHc=\n?: m\u{fc}ller pw");
}

#[test]
fn a_user_name_is_claimed_as_it_was_sent() {
    // Which account it means is found later, ignoring case (email-oauth2-proxy 83 and 347), and a
    // Windows name is no path (pure-sasl 46).
    play("C: AUTH PLAIN AEFMSUNFQENvbnRvc28uQ09NAHB3\n?: ALICE@Contoso.COM pw");
    play("C: AUTH PLAIN AENPTlRPU09cYWxpY2UAcHc=\n?: CONTOSO\\\\alice pw");
    play(
        "C: AUTH LOGIN Q09OVE9TT1xhbGljZQ==\nS: 334 UGFzc3dvcmQ6\nC: cHc=\n?: CONTOSO\\\\alice pw",
    );
}

#[test]
fn an_empty_password_is_claimed_and_so_called_wrong() {
    // Ruby's Net::SMTP sends one (metasploit-framework 13271). 501 would make it try no other.
    play(
        "C: AUTH PLAIN AGFsaWNlAA==
         ?: alice\\x20
         !: refuse wrong-password
         S: 535 5.7.8 the user name or the local password is wrong",
    );
}

#[test]
fn base64_is_read_that_is_broken_by_blanks_or_padded_too_much() {
    // RFC 2045 section 6.8 has decoders of mail ignore blanks, so encoders made for it may set them.
    play("C: AUTH PLAIN AGFs aWNl\\x09AHB3\n?: alice pw");
    play("C: AUTH PLAIN AGFsaWNlAHB3====\n?: alice pw");
    play(
        "C: AUTH LOGIN YWxp Y2U==
         S: 334 UGFzc3dvcmQ6
         C: c Hc = =
         ?: alice pw",
    );
    play("C: AUTH PLAIN\nS: 334\\x20\nC: AGFs aWNlAHB3\n?: alice pw");
    play("C: AUTH PLAIN AGFs=aWNlAHB3\nS: 501 5.5.2 this is not base64");
}
