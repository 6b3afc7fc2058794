//! SMTP smuggling (CVE-2023-51764, -51765, -51766): two servers that do not agree where a message
//! ends. mailbearer has no say in it, and the smuggled shapes must not gain or lose one by it.

use mailbearer::provider::Protocol;

use crate::passage::{Passage, Turn};

/// Everything that some server took for the end of a message, and its kin.
const ENDS: [&[u8]; 22] = [
    b"\r\n.\r\n",
    b"\n.\n",
    b"\r.\r",
    b"\r\n.\n",
    b"\n.\r\n",
    b"\r.\r\n",
    b"\r\n.\r",
    b"\r.\n",
    b"\n.\r",
    b"\r\r\n.\r\r\n",
    b"\r\n.\r\r\n",
    b"\r\r\n.\r\n",
    b"\n\n.\n\n",
    b"\r\n\0.\r\n",
    b"\r\n.\0\r\n",
    b"\r\0\n.\r\0\n",
    b"\r\n\0\r\n.\r\n",
    b"\r\n..\r\n",
    b"\r\n.\r\n.\r\n",
    b"\x85.\x85",
    b"\xe2\x80\xa8.\xe2\x80\xa8",
    b"\x0b.\x0c",
];

const SMUGGLED: &[u8] = b"MAIL FROM:<forged@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n";

/// A message with `end` in it, what is smuggled behind that, and the end in order.
fn message(end: &[u8]) -> Vec<u8> {
    [b"Subject: t\r\n\r\none", end, SMUGGLED, b"Subject: u\r\n\r\ntwo\r\n.\r\n"].concat()
}

#[tokio::test]
async fn every_end_of_a_message_reaches_the_provider_as_it_was_sent() {
    let mut passage = Passage::of(Protocol::Submission).await;
    for end in ENDS {
        let message = message(end);
        let case = end.escape_ascii().to_string();
        let turns = [
            Turn::Up(b"MAIL FROM:<alice@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n"),
            Turn::Down(b"250 OK\r\n250 OK\r\n354 go ahead\r\n"),
            Turn::Up(&message),
            Turn::Down(b"250 2.0.0 queued\r\n"),
        ];
        passage.passes(&case, &turns).await;
    }
}

#[tokio::test]
async fn every_end_of_a_message_that_is_pipelined_behind_the_sign_in_stays_what_it_is() {
    let mut passage = Passage::of(Protocol::Submission).await;
    for end in ENDS {
        let case = end.escape_ascii().to_string();
        passage.passes_behind_the_sign_in(&case, &message(end)).await;
        // Alone, so that it is the first byte that is streamed.
        passage.passes_behind_the_sign_in(&case, end).await;
    }
}

#[tokio::test]
async fn replies_of_the_provider_reach_the_client_with_their_own_line_ends() {
    let mut passage = Passage::of(Protocol::Submission).await;
    for end in ENDS {
        let reply = [b"250 one", end, b"550 two\r\n"].concat();
        passage.passes("down", &[Turn::Up(b"NOOP\r\n"), Turn::Down(&reply)]).await;
    }
}

#[tokio::test]
async fn commands_with_bare_line_ends_are_not_mended() {
    let mut passage = Passage::of(Protocol::Submission).await;
    let commands = b"NOOP\nNOOP\rNOOP\r\r\nno\0op\r\n\r\n\n\rRSET\n\r\nAUTH PLAIN AGEAYg==\r\n";
    passage.passes("commands", &[Turn::Up(commands), Turn::Down(b"250 OK\n500 what\r")]).await;
    passage.passes_behind_the_sign_in("commands", commands).await;
}
