//! What endless lines, headers, chunks and pipelines cost.

use super::*;

/// Most that one call may write, in bytes: the output's own bound, and a header behind it.
const UP_LEN_MAX: usize = 64 * 1024 + 256 * 1024 + 32 * 1024;

/// The client says `piece` over and over; how much of it was taken.
fn pour(filter: &mut Filter, piece: &[u8], times: usize) -> usize {
    let mut taken = 0;
    for _ in 0..times {
        let mut up = Output::default();
        taken += filter.take_from_client(piece, &mut up);
        assert!(up.take().len() <= UP_LEN_MAX);
        assert!(filter.awaited.len() <= AWAITED_MAX);
        assert!(filter.awaited.capacity() <= 2 * AWAITED_MAX);
    }
    taken
}

fn in_message(rewrite: Rewrite) -> Session {
    let mut session = Session::new(rules(rewrite, None), 1);
    session.client(b"MAIL FROM:<a@b>\r\nDATA\r\n");
    session.upstream(b"250 ok\r\n354 go\r\n");
    session.up.clear();
    session
}

#[test]
fn endless_pipelining_waits_for_replies() {
    let mut session = Session::new(blind(), 0);
    let taken = pour(&mut session.filter, &b"\n".repeat(1_000), 100);
    assert_eq!(taken, AWAITED_MAX);
    session.upstream(b"250 ok\r\n");
    assert_eq!(pour(&mut session.filter, b"\n\n", 1), 1, "one place is free");
}

#[test]
fn an_output_that_is_full_stops_the_client() {
    let mut session = in_message(Rewrite::Keep);
    let mut up = Output::default();
    let body = vec![b'x'; 1_000_000];
    let taken = session.filter.take_from_client(&body, &mut up);
    assert!(up.is_full() && taken < 128 * 1024, "{taken}");
    assert_eq!(session.filter.take_from_client(&body, &mut up), 0);
    assert_eq!(up.take().len(), taken);
    assert!(session.filter.take_from_client(&body, &mut up) > 0);
}

#[test]
fn an_endless_command_ends_the_session() {
    let mut session = Session::new(blind(), 0);
    assert_eq!(pour(&mut session.filter, &[b'x'; 1_000], 100), 100_000);
    assert_eq!(session.filter.last_words(), Some(reply::ENDLESS));
    assert!(session.up.is_empty());
}

#[test]
fn a_command_that_is_too_long_is_refused_and_the_next_one_read() {
    let long = format!("NOOP {}", "x".repeat(2_048));
    let script = format!(
        "C: {long}
         C: RSET
         U: NOOP
         U: RSET
         S: 250 1
         S: 250 2
         D: 500 5.5.6 line too long
         D: 250 2"
    );
    let steps = steps(&script);
    play_in(&blind(), 0, &steps, |bytes| vec![bytes]);
    play_in(&blind(), 0, &steps, |bytes| bytes.chunks(1).collect());
}

#[test]
fn an_endless_header_is_read_to_the_end_of_the_message() {
    let mut session = in_message(Rewrite::EnvelopeAndHeader(mailbox()));
    let line = [b"X: ", &[b'x'; 995][..], b"\r\n"].concat();
    assert_eq!(pour(&mut session.filter, &line, 5_000), 5_000_000);
    assert!(!session.filter.is_over());
    session.client(b".\r\n");
    assert_eq!(session.filter.last_words(), Some(refusals::HEADER_TOO_LONG));
    assert!(session.up.is_empty());
}

#[test]
fn an_endless_chunk_is_thrown_away() {
    let mut session = Session::new(blind(), 0);
    session.client(format!("BDAT {}\r\n", u64::MAX).as_bytes());
    assert_eq!(session.up, b"NOOP\r\n");
    assert_eq!(pour(&mut session.filter, &[b'\n'; 10_000], 100), 1_000_000);
    assert_eq!(session.filter.awaited.len(), 1);
}

#[test]
fn an_endless_reply_passes_piece_by_piece() {
    let mut session = Session::new(rules(Rewrite::Keep, Some("a@b")), 1);
    session.client(b"NOOP\r\nMAIL FROM:<c@d>\r\nEHLO x\r\n");
    let mut down = Output::default();
    for _ in 0..100 {
        let passed = session.filter.take_from_upstream(&b"250-x\r\n".repeat(1_000), &mut down);
        assert_eq!((passed.taken, down.take().len()), (7_000, 7_000));
    }
    session.upstream(b"250 end\r\n");
    for _ in 0..100 {
        session.filter.take_from_upstream(&b"250-x\r\n".repeat(1_000), &mut down);
        assert!(down.is_empty(), "it is replaced");
    }
    session.upstream(b"250 end\r\n");
    assert!(session.down.ends_with(b"`senders`\r\n"));
    for _ in 0..100 {
        session.filter.take_from_upstream(&[b'2'; 1_000], &mut down);
    }
    assert_eq!(session.filter.last_words(), Some(refusals::UNREADABLE));
}
