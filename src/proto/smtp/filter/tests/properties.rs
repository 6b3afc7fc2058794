//! What holds of any dialogue: without rules the filter is not there.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// What a client sends at once, and what a server answers to it in the end.
#[derive(Debug, Clone)]
enum Exchange {
    Command(String, String),
    /// Body, as sent, with its end.
    Message(Vec<u8>),
}

fn exchange() -> impl Strategy<Value = Exchange> {
    let commands = vec![
        "NOOP",
        "RSET",
        "VRFY x",
        "HELP",
        "XANY thing",
        "RCPT TO:<c@d> NOTIFY=NEVER",
        "EHLO x",
        "MAIL FROM:<a@b> SIZE=30 BODY=8BITMIME",
        "mail  from: a@b",
        "HELO",
        "VRFY x",
    ];
    let replies = vec![
        "250 ok\r\n",
        "250-a\r\n250-b c\r\n250 d\r\n",
        "550 5.7.1 no\r\n",
        "421 4.3.2 later\r\n",
        "451\r\n",
        "221 bye\r\n",
    ];
    let command = (select(commands), select(replies))
        .prop_map(|(command, reply)| Exchange::Command(format!("{command}\r\n"), reply.to_owned()));
    let line = prop_oneof!["[ -~]{0,40}".prop_map(String::into_bytes), vec(any::<u8>(), 0..40)];
    let message = vec(line, 0..8).prop_map(|lines| {
        let mut message = Vec::new();
        for line in lines {
            // A client stuffs dots, and no dot stands alone between bare line ends.
            let line: Vec<u8> = line.into_iter().filter(|byte| !b"\r\n".contains(byte)).collect();
            if line.starts_with(b".") {
                message.push(b'.');
            }
            message.extend(line);
            message.extend(b"\r\n");
        }
        message.extend(b".\r\n");
        Exchange::Message(message)
    });
    prop_oneof![3 => command, 1 => message]
}

fn pieces<'a>(bytes: &'a [u8], lens: &[usize]) -> Vec<&'a [u8]> {
    let (mut rest, mut pieces) = (bytes, Vec::new());
    for len in lens.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, behind) = rest.split_at((*len).min(rest.len()));
        pieces.push(piece);
        rest = behind;
    }
    pieces
}

proptest! {
    #[test]
    fn a_filter_without_rules_changes_nothing(
        dialogue in vec(exchange(), 1..12),
        lens in vec(1_usize..60, 1..6),
        ahead in any::<bool>(),
    ) {
        let mut session = Session::new(blind(), usize::MAX);
        let (mut said, mut answered) = (Vec::new(), Vec::new());
        // Where nothing waits for an answer, everything may be said ahead of all answers.
        let mut answers: Vec<u8> = Vec::new();
        for exchange in dialogue {
            match exchange {
                Exchange::Command(command, reply) => {
                    said.extend(command.as_bytes());
                    pieces(command.as_bytes(), &lens).into_iter().for_each(|piece| session.client(piece));
                    answers.extend(reply.as_bytes());
                }
                Exchange::Message(message) => {
                    let begin = b"MAIL FROM:<a@b>\r\nDATA\r\n";
                    said.extend(begin);
                    said.extend(&message);
                    session.client(begin);
                    session.client(&message);
                    answers.extend(b"250 ok\r\n354 go\r\n250 2.0.0 queued\r\n");
                }
            }
            if !ahead {
                answered.extend(&answers);
                pieces(&answers, &lens).into_iter().for_each(|piece| session.upstream(piece));
                answers.clear();
            }
        }
        answered.extend(&answers);
        pieces(&answers, &lens).into_iter().for_each(|piece| session.upstream(piece));
        prop_assert!(!session.filter.is_over());
        prop_assert_eq!(String::from_utf8_lossy(&session.up), String::from_utf8_lossy(&said));
        prop_assert_eq!(String::from_utf8_lossy(&session.down), String::from_utf8_lossy(&answered));
    }
}
