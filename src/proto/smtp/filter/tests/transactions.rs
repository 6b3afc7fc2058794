//! Commands and their replies: what passes, what is refused in its place, what is counted.

use super::*;

fn envelope() -> Rules {
    rules(Rewrite::Envelope(mailbox()), None)
}

fn of_contoso() -> Rules {
    rules(Rewrite::Keep, Some("*@contoso.com"))
}

#[test]
fn a_session_passes_as_it_is_where_no_rule_asks() {
    let counts = play(
        &blind(),
        "C: mail  from: a@b SIZE=3
         U: mail  from: a@b SIZE=3
         S: 250 2.1.0 ok
         D: 250 2.1.0 ok
         C: RCPT TO:<c@d> NOTIFY=NEVER
         C: DATA
         U: RCPT TO:<c@d> NOTIFY=NEVER
         U: DATA
         S: 250-2.1.5 ok
         S: 250 2.1.5 ok
         S: 354 go on
         D: 250-2.1.5 ok
         D: 250 2.1.5 ok
         D: 354 go on
         C: Subject: s
         C:
         C: ..a␊b␍c
         C: .
         C: QUIT
         U: Subject: s
         U:
         U: ..a␊b␍c
         U: .
         U: QUIT
         S: 250 2.0.0 queued
         S: 221 bye
         D: 250 2.0.0 queued
         D: 221 bye",
    );
    assert_eq!(counts, [(1, 0), (1, 0)]);
}

#[test]
fn the_sender_becomes_the_mailbox() {
    play(
        &envelope(),
        "C: mail from: x@y BODY=8BITMIME SMTPUTF8 SIZE=300 AUTH=<>
         U: MAIL FROM:<scan@contoso.com> BODY=8BITMIME SMTPUTF8 SIZE=300 AUTH=<>
         C: MAIL FROM:<>
         U: MAIL FROM:<scan@contoso.com>",
    );
}

#[test]
fn a_sender_with_blanks_is_taken_where_it_is_replaced_and_nobody_asks_for_it() {
    let mail = "C: MAIL FROM:<Office Scanner> SIZE=3";
    let taken = "U: MAIL FROM:<scan@contoso.com> SIZE=3\nS: 250 ok\nD: 250 ok";
    play(&envelope(), &format!("{mail}\n{taken}"));
    let refused = "U: NOOP\nS: 250 ok\nD: 501 5.5.4 write MAIL FROM:<address>";
    play(&of_contoso(), &format!("{mail}\n{refused}"));
    let judged = rules(Rewrite::Envelope(mailbox()), Some("*@contoso.com"));
    play(&judged, &format!("{mail}\n{refused}"));
}

#[test]
fn the_size_grows_where_the_header_will() {
    play(
        &rules(Rewrite::EnvelopeAndHeader(mailbox()), None),
        "C: MAIL FROM:<x@y> SIZE=300
         U: MAIL FROM:<scan@contoso.com> SIZE=2348",
    );
}

#[test]
fn a_foreign_sender_is_refused_in_the_order_of_the_commands() {
    let counts = play(
        &of_contoso(),
        "C: NOOP
         C: MAIL FROM:<x@fabrikam.com>
         C: RCPT TO:<c@d>
         C: MAIL FROM:<>
         C: MAIL FROM:<x@contoso.com> RET=FULL
         U: NOOP
         U: NOOP
         U: RCPT TO:<c@d>
         U: NOOP
         U: MAIL FROM:<x@contoso.com> RET=FULL
         S: 250 first
         S: 250-second
         S: 250 second
         S: 503 third
         S: 250 fourth
         S: 250 fifth
         D: 250 first
         D: 553 5.7.1 this sender is not allowed here, set the device's sender address or `senders`
         D: 503 third
         D: 553 5.7.1 this sender is not allowed here, set the device's sender address or `senders`
         D: 250 fifth",
    );
    assert_eq!(counts, [(1, 0), (1, 1)]);
}

#[test]
fn what_was_judged_of_a_sender_is_what_is_sent() {
    play(
        &of_contoso(),
        "C: MAILFROM: x@contoso.com
         U: MAIL FROM:<x@contoso.com>
         C: MAIL FROM:<@a:x@contoso.com>
         U: MAIL FROM:<x@contoso.com>
         C: MAIL FROM:x@contoso.com <y@b>
         U: NOOP
         S: 250 ok
         S: 503 nested
         S: 250 ok
         D: 250 ok
         D: 503 nested
         D: 501 5.5.4 write MAIL FROM:<address>",
    );
}

#[test]
fn the_senders_are_those_that_the_client_names() {
    play(
        &rules(Rewrite::Envelope(mailbox()), Some("*@old.example")),
        "C: MAIL FROM:<x@old.example>
         U: MAIL FROM:<scan@contoso.com>
         C: MAIL FROM:<scan@contoso.com>
         U: NOOP",
    );
}

#[test]
fn the_upstream_s_own_reply_is_told_beside_what_the_client_heard() {
    let mut session = Session::new(of_contoso(), 1);
    session.client(b"MAIL FROM:<a@b>\r\n");
    let mut down = Output::default();
    let passed = session.filter.take_from_upstream(b"250 2.0.0 OK\r\n250", &mut down);
    assert_eq!((passed.taken, passed.instead), (14, Some(refusals::FOREIGN_SENDER)));
    assert_eq!(passed.reply.unwrap().text, "250 2.0.0 OK");
}

#[test]
fn a_message_beyond_the_quota_is_refused_until_there_is_room() {
    let counts = play_with_room(
        &blind(),
        1,
        "C: MAIL FROM:<a@b>
         C: MAIL FROM:<c@d>
         U: MAIL FROM:<a@b>
         U: NOOP
         S: 550 no
         S: 250 ok
         D: 550 no
         D: 451 4.7.1 messages_per_hour is used up for this device, try again later
         C: MAIL FROM:<e@f>
         U: MAIL FROM:<e@f>",
    );
    assert_eq!(counts, [(2, 1), (2, 2)], "the last one never began");
}

#[test]
fn a_transaction_that_comes_to_nothing_is_given_back() {
    let begin = "C: MAIL FROM:<a@b>
         U: MAIL FROM:<a@b>
         S: 250 ok
         D: 250 ok";
    for end in ["RSET", "EHLO x", "HELO x"] {
        let script = format!("{begin}\nC: {end}\nU: {end}\nS: 250 ok\nD: 250 ok");
        assert_eq!(play(&blind(), &script), [(1, 1), (1, 1)], "{end}");
    }
    for end in ["RSET", "QUIT"] {
        let script = format!("{begin}\nC: {end}\nU: {end}\nS: 501 no\nD: 501 no");
        assert_eq!(play(&blind(), &script), [(1, 0), (1, 1)], "{end}");
    }
    // A server that takes a second MAIL has one transaction all the same.
    let nested = format!("{begin}\n{begin}");
    assert_eq!(play(&blind(), &nested), [(2, 1), (2, 2)]);
    let data = format!("{begin}\nC: DATA\nU: DATA\nS: 354 go\nD: 354 go\nC: x\nC: .\nU: x\nU: .");
    assert_eq!(play(&blind(), &data), [(1, 0), (1, 0)], "nobody knows");
    let refused = format!("{data}\nS: 554 no\nD: 554 no");
    assert_eq!(play(&blind(), &refused), [(1, 1), (1, 1)]);
    let broken_off = format!("{begin}\nC: DATA\nU: DATA\nS: 354 go\nD: 354 go\nC: x\nU: x");
    assert_eq!(play(&blind(), &broken_off), [(1, 0), (1, 1)]);
}

#[test]
fn chunks_are_not_served_and_their_bytes_not_read() {
    play(
        &blind(),
        "C: BDAT 9
         C: MAIL x␊␊␊¬
         C: BDAT 0 LAST
         C: BURL imap://x LAST
         C: MAIL FROM:<a@b> BODY=BINARYMIME
         C: NOOP
         U: NOOP
         U: NOOP
         U: NOOP
         U: NOOP
         U: NOOP
         S: 250 1
         S: 250 2
         S: 250 3
         S: 250 4
         S: 250 5
         D: 502 5.5.1 not served here, send the message with DATA
         D: 502 5.5.1 not served here, send the message with DATA
         D: 502 5.5.1 not served here, send the message with DATA
         D: 555 5.5.4 BODY=BINARYMIME is not served here
         D: 250 5",
    );
}

#[test]
fn what_the_filter_does_not_serve_is_not_shown_by_a_later_ehlo() {
    play(
        &blind(),
        "C: EHLO x
         C: NOOP
         U: EHLO x
         U: NOOP
         S: 250-mx hello
         S: 250-CHUNKING
         S: 250-SIZE 3
         S: 250 BINARYMIME
         S: 250-BINARYMIME
         S: 250 CHUNKING
         D: 250-mx hello
         D: 250 SIZE 3
         D: 250-BINARYMIME
         D: 250 CHUNKING",
    );
}

#[test]
fn lines_that_servers_read_in_different_ways_go_up_as_noop() {
    play(
        &blind(),
        "C: MAIL FROM:<a@b>␊¬
         C: NOOP␍RSET
         C: RS␀ET
         C: STARTTLS
         C: SEND FROM:<a@b>
         U: NOOP
         U: NOOP
         U: NOOP
         U: NOOP
         U: NOOP
         S: 250 1
         S: 250 2
         S: 250 3
         S: 250 4
         S: 250 5
         D: 500 5.5.2 end each line with CR LF
         D: 500 5.5.2 end each line with CR LF
         D: 500 5.5.2 a command holds no control characters
         D: 503 5.5.1 it is too late for STARTTLS
         D: 502 5.5.1 not served here, begin with MAIL",
    );
}

#[test]
fn an_empty_line_has_its_reply_from_any_server() {
    // Such as scanners send behind their message. One that ignores them would be a reply behind.
    play(
        &of_contoso(),
        "C:
         C: MAIL FROM:<x@fabrikam.com>
         C:  ¬
         C:
         U: NOOP
         U: NOOP
         U: NOOP
         S: 250 1
         S: 250 2
         S: 250 3
         D: 500 5.5.2 an empty line is no command
         D: 553 5.7.1 this sender is not allowed here, set the device's sender address or `senders`
         D: 500 5.5.2 an empty line is no command",
    );
}

#[test]
fn unknown_commands_pass() {
    play(
        &blind(),
        "C: XSTRANGE
         C: VRFY x
         U: XSTRANGE
         U: VRFY x
         S: 500 no
         S: 252 maybe
         D: 500 no
         D: 252 maybe",
    );
}

#[test]
fn a_second_sign_in_is_refused_and_its_password_goes_nowhere() {
    // RFC 4954 section 4: 503 to any AUTH behind a successful one.
    play(
        &of_contoso(),
        "C: AUTH PLAIN AGFsaWNlAHB3
         C: auth login YWxpY2U=
         C: AUTH=LOGIN
         C: AUTH
         C: MAIL FROM:<x@fabrikam.com>
         U: NOOP
         U: NOOP
         U: NOOP
         U: NOOP
         U: NOOP
         S: 250 1
         S: 250 2
         S: 250 3
         S: 250 4
         S: 250 5
         D: 503 5.5.1 this session needs no sign-in any more
         D: 503 5.5.1 this session needs no sign-in any more
         D: 503 5.5.1 this session needs no sign-in any more
         D: 503 5.5.1 this session needs no sign-in any more
         D: 553 5.7.1 this sender is not allowed here, set the device's sender address or `senders`",
    );
    // The parameter of MAIL is no sign-in (RFC 4954 section 5).
    play(&blind(), "C: MAIL FROM:<a@b> AUTH=<>\nU: MAIL FROM:<a@b> AUTH=<>\nS: 250 ok\nD: 250 ok");
}

#[test]
fn a_reply_that_nothing_asked_for_passes() {
    play(
        &of_contoso(),
        "S: 421 4.4.2 idle for too long
         D: 421 4.4.2 idle for too long",
    );
}

#[test]
fn a_reply_after_which_nobody_knows_what_is_said_ends_the_session() {
    // A command that the upstream takes for DATA, or DATA without a transaction that we know of.
    for (command, reply) in [("XEXCH50 2 2", "354 go"), ("DATA", "354 go"), ("XAUTH", "334 ")] {
        let last = "!: 421 4.3.0 the provider's reply fits no command here, closing";
        let script = format!("C: {command}\nU: {command}\nS: {reply}\nD: {reply}\nC: x\n{last}");
        play(&blind(), &script);
    }
    let counts = play(
        &blind(),
        "C: MAIL FROM:<a@b>
         U: MAIL FROM:<a@b>
         S: what?
         D: what?
         !: 421 4.3.0 the provider's reply cannot be read, closing",
    );
    assert_eq!(counts, [(1, 0), (1, 1)]);
}
