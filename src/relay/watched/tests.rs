//! Watched sessions over in-memory pipes, under a paused clock.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{
    AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadHalf, WriteHalf, duplex, split,
};
use tokio::time::{Instant, advance};
use tracing::Instrument as _;

use super::*;
use crate::account::LocalPassword;
use crate::names::{AccountPattern, Address, Username};
use crate::net::props::Log;
use crate::proto::smtp::{Rewrite, Rules, Stamp, Surroundings};
use crate::provider::Protocol;
use crate::relay::Shutdown;
use crate::relay::diagnosis::Gravity;
use crate::relay::gate::Mailbox;
use crate::relay::listener::Listener;
use crate::relay::session::{listener_of, settings};
use crate::relay::splice::{End, Start, splice};

const TAKEN: &str = "250 2.0.0 OK <1@contoso.com> [Hostname=AM0PR01MB1234.example]\r\n";

fn listener(protocol: Protocol) -> Arc<Listener> {
    listener_of(settings(protocol), Shutdown::default(), LocalPassword::None)
}

fn alice() -> Username {
    Username::parse("alice@example.com").unwrap()
}

/// A session of alice's that is watched by `course`, and the provider's end of it.
async fn session(
    listener: &Arc<Listener>,
    protocol: Protocol,
    course: Course,
    per_minute: Option<u32>,
) -> (Watched<DuplexStream>, DuplexStream) {
    let (upstream, provider) = duplex(65_536);
    let mailbox = Mailbox::new("corp", &alice(), protocol);
    let relay = listener.relay();
    let permit = relay.gates().enter(mailbox, None, Instant::now()).await.unwrap();
    let per_minute = per_minute.and_then(NonZeroU32::new);
    let pace = per_minute.map(|per_minute| relay.paces().of(permit.mailbox(), per_minute));
    let observer = Observer::new(Arc::clone(listener), protocol, alice(), permit, pace);
    (Watched::new(upstream, Bytes::new(), course, observer), provider)
}

async fn submission(
    listener: &Arc<Listener>,
    per_minute: Option<u32>,
) -> (Watched<DuplexStream>, DuplexStream) {
    let course = Course::Replies(Replies::default());
    session(listener, Protocol::Submission, course, per_minute).await
}

/// What a client hears when the provider says `said`, and after how many seconds.
async fn hear(
    watched: &mut Watched<DuplexStream>,
    provider: &mut DuplexStream,
    said: &str,
) -> (String, u64) {
    let started = Instant::now();
    provider.write_all(said.as_bytes()).await.unwrap();
    let mut heard = vec![0; said.len()];
    let len = watched.read_exact(&mut heard).await.unwrap();
    (String::from_utf8_lossy(&heard[..len]).into_owned(), started.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn a_provider_s_replies_pass_unchanged_in_any_pieces() {
    let said = format!(
        "250-one\r\n250 two\r\n354-ready\r\n354 go\r\n{TAKEN}garbage\n\r\n\r\n421-x\r\n421 x\r\n"
    );
    let listener = listener(Protocol::Submission);
    let lens = [1, 2, 3, 7, 64, 1_024];
    for (len, pace) in lens.into_iter().flat_map(|len| [(len, Some(10_000)), (len, None)]) {
        let (mut watched, mut provider) = submission(&listener, pace).await;
        let mut heard = Vec::new();
        for piece in said.as_bytes().chunks(len) {
            provider.write_all(piece).await.unwrap();
        }
        let endless = format!("3{}\r\n", "x".repeat(3_000));
        provider.write_all(endless.as_bytes()).await.unwrap();
        provider.write_all(b"3 never ends").await.unwrap();
        drop(provider);
        watched.read_to_end(&mut heard).await.unwrap();
        let said = format!("{said}{endless}3 never ends");
        assert_eq!(String::from_utf8(heard).unwrap(), said, "in pieces of {len}, {pace:?}");
        assert_eq!(watched.into_report().messages, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_waits_for_its_turn_and_nothing_else_does() {
    let listener = listener(Protocol::Submission);
    let (mut watched, mut provider) = submission(&listener, Some(2)).await;
    for waited in [0, 0, 60, 0, 60] {
        for (said, expected) in [("250 2.1.0 Sender OK\r\n", 0), ("354 go\r\n", waited), (TAKEN, 0)]
        {
            let heard = hear(&mut watched, &mut provider, said).await;
            assert_eq!(heard, (said.to_owned(), expected), "{said}");
        }
    }
    let bye = "221 2.0.0 closing\r\n";
    assert_eq!(hear(&mut watched, &mut provider, bye).await, (bye.to_owned(), 0));
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_turn_is_more_than_a_minute_away_is_put_off_and_closes() {
    let listener = listener(Protocol::Submission);
    let mut sessions = Vec::new();
    for _ in 0..3 {
        sessions.push(submission(&listener, Some(1)).await);
    }
    let [first, second, third] = &mut sessions[..] else { panic!("three") };
    assert_eq!(hear(&mut first.0, &mut first.1, "354 go\r\n").await.1, 0);
    let late = async {
        let started = Instant::now();
        third.1.write_all(b"354 go\r\n").await.unwrap();
        let mut heard = String::new();
        third.0.read_to_string(&mut heard).await.unwrap();
        (heard, started.elapsed())
    };
    let ((_, waited), (heard, at)) =
        tokio::join!(hear(&mut second.0, &mut second.1, "354 go\r\n"), async {
            tokio::task::yield_now().await;
            late.await
        });
    assert_eq!(waited, 60);
    assert!(heard.starts_with("421 4.3.2 ") && heard.lines().count() == 1, "{heard}");
    assert_eq!(at, Duration::ZERO, "it is told at once");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_ends_while_its_message_waits_gives_the_turn_back() {
    let listener = listener(Protocol::Submission);
    let (mut first, mut provider) = submission(&listener, Some(1)).await;
    hear(&mut first, &mut provider, "354 go\r\n").await;
    {
        let (mut gone, mut provider) = submission(&listener, Some(1)).await;
        let heard = hear(&mut gone, &mut provider, "354 go\r\n");
        assert!(tokio::time::timeout(Duration::from_secs(30), heard).await.is_err(), "it waits");
    }
    let (mut last, mut provider) = submission(&listener, Some(1)).await;
    assert_eq!(hear(&mut last, &mut provider, "354 go\r\n").await.1, 30);
}

/// The dialogue up to a 354 that has its turn in a minute; gives the client's two ends.
async fn waiting(
    listener: &Arc<Listener>,
    is_filtered: bool,
) -> (ReadHalf<Watched<DuplexStream>>, WriteHalf<Watched<DuplexStream>>, DuplexStream) {
    let (mut first, mut other) = submission(listener, Some(1)).await;
    hear(&mut first, &mut other, "354 go\r\n").await;
    let (watched, mut provider) = if is_filtered {
        filtered(listener, Some(1)).await
    } else {
        submission(listener, Some(1)).await
    };
    let (mut hear, mut say) = split(watched);
    say.write_all(b"MAIL FROM:<scan@contoso.com>\r\nDATA\r\n").await.unwrap();
    say.flush().await.unwrap();
    provider.read_exact(&mut [0; 36]).await.unwrap();
    provider.write_all(b"250 ok\r\n354 go\r\n").await.unwrap();
    hear.read_exact(&mut [0; 8]).await.unwrap();
    let early = tokio::time::timeout(Duration::from_secs(1), hear.read_u8());
    let early = early.await;
    assert!(early.is_err(), "the 354 waits: {early:?}");
    (hear, say, provider)
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_wait_for_its_354_begins_no_message_before_its_turn() {
    for is_filtered in [false, true] {
        let listener = listener(Protocol::Submission);
        let (mut hear, mut say, mut provider) = waiting(&listener, is_filtered).await;
        let message = "From: scan@contoso.com\r\nDate: Mon\r\nMessage-ID: <2@x>\r\n\r\nhi\r\n.\r\n";
        let client = tokio::spawn(async move {
            say.write_all(message.as_bytes()).await.unwrap();
            say.flush().await.unwrap();
            say
        });
        let listening = tokio::spawn(async move {
            hear.read_exact(&mut [0; 8]).await.unwrap();
            hear
        });
        let mut got = vec![0; message.len()];
        let early = tokio::time::timeout(Duration::from_secs(58), provider.read_exact(&mut got));
        assert!(early.await.is_err(), "filtered: {is_filtered}");
        provider.read_exact(&mut got).await.unwrap();
        let got = String::from_utf8(got).unwrap();
        assert!(got.starts_with("From: ") && got.ends_with("\r\nhi\r\n.\r\n"), "{got}");
        drop((client.await.unwrap(), listening.await.unwrap()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_put_off_sends_nothing_more_whatever_it_says() {
    for is_filtered in [false, true] {
        let listener = listener(Protocol::Submission);
        let (_hear, _say, _provider) = waiting(&listener, false).await;
        let (watched, mut provider) = if is_filtered {
            filtered(&listener, Some(1)).await
        } else {
            submission(&listener, Some(1)).await
        };
        let (mut hear, mut say) = split(watched);
        say.write_all(b"MAIL FROM:<scan@contoso.com>\r\nDATA\r\n").await.unwrap();
        say.flush().await.unwrap();
        provider.read_exact(&mut [0; 36]).await.unwrap();
        let mut heard = String::new();
        let said = async {
            for byte in b"250 ok\r\n354 go\r\n" {
                provider.write_all(&[*byte]).await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        tokio::join!(async { hear.read_to_string(&mut heard).await.unwrap() }, said);
        assert!(heard.starts_with("250 ok\r\n421 4.3.2 "), "{heard}");
        assert_eq!(heard.lines().count(), 2, "{heard}");
        say.write_all(b"Subject: early\r\n\r\n.\r\n").await.unwrap();
        say.shutdown().await.unwrap();
        let mut got = String::new();
        provider.read_to_string(&mut got).await.unwrap();
        assert_eq!(got, "", "filtered: {is_filtered}");
        let watched = hear.unsplit(say);
        assert!(watched.into_report().is_ended_here, "neither side closed");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_closes_while_its_message_waits_gives_the_turn_back() {
    for is_filtered in [false, true] {
        let listener = listener(Protocol::Submission);
        let (mut hear, mut say, mut provider) = waiting(&listener, is_filtered).await;
        let started = Instant::now();
        let listening = tokio::spawn(async move {
            let mut heard = String::new();
            hear.read_to_string(&mut heard).await.unwrap();
            heard
        });
        tokio::task::yield_now().await;
        say.shutdown().await.unwrap();
        // Nothing of a message went up, and nothing can any more.
        let mut got = String::new();
        provider.read_to_string(&mut got).await.unwrap();
        assert_eq!(got, "");
        drop(provider);
        assert_eq!(listening.await.unwrap(), "354 go\r\n");
        assert_eq!(started.elapsed(), Duration::ZERO, "filtered: {is_filtered}");
        let (mut next, mut provider) = submission(&listener, Some(1)).await;
        let waited = hear_one(&mut next, &mut provider).await;
        assert!(waited < 60, "the turn is another's: {waited}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_waits_for_longer_than_a_session_may_be_idle_is_sent_and_then_idle_counts() {
    for is_filtered in [false, true] {
        let listener = listener(Protocol::Submission);
        let (mut first, mut first_provider) = submission(&listener, Some(1)).await;
        let (mut watched, mut provider) = if is_filtered {
            filtered(&listener, Some(1)).await
        } else {
            submission(&listener, Some(1)).await
        };
        let (mut client, mut near) = duplex(65_536);
        // The least that `limits.idle_timeout` may be, and as long as a message may have to wait.
        let idle_timeout = Duration::from_secs(60);
        let (up, down) = (Bytes::new(), Bytes::new());
        let start = Start { up, down, client_closed: false, idle_timeout };
        let started = Instant::now();
        let dialogue = async {
            for (sent, said) in
                [("MAIL FROM:<scan@contoso.com>\r\n", "250 ok\r\n"), ("DATA\r\n", "")]
            {
                client.write_all(sent.as_bytes()).await.unwrap();
                provider.read_exact(&mut vec![0; sent.len()]).await.unwrap();
                provider.write_all(said.as_bytes()).await.unwrap();
                client.read_exact(&mut vec![0; said.len()]).await.unwrap();
            }
            // The provider takes a second, in which another session has the turn.
            advance(Duration::from_secs(1)).await;
            hear_one(&mut first, &mut first_provider).await;
            provider.write_all(b"354 go\r\n").await.unwrap();
            let mut heard = [0; 8];
            client.read_exact(&mut heard).await.unwrap();
            (heard, started.elapsed().as_secs())
        };
        let session = splice(&mut near, &mut watched, start, std::future::pending());
        let both = async { tokio::join!(session, dialogue) };
        let (spliced, heard) = tokio::time::timeout(Duration::from_secs(600), both).await.unwrap();
        assert_eq!(heard, (*b"354 go\r\n", 61), "filtered: {is_filtered}");
        assert!(matches!(spliced.end, End::Idle), "{:?}", spliced.end);
        assert_eq!(started.elapsed().as_secs(), 121, "filtered: {is_filtered}");
    }
}

/// How long a 354 waits, in seconds.
async fn hear_one(watched: &mut Watched<DuplexStream>, provider: &mut DuplexStream) -> u64 {
    hear(watched, provider, "354 go\r\n").await.1
}

#[tokio::test(start_paused = true)]
async fn a_432_closes_the_mailbox_s_gate_for_ten_seconds() {
    let listener = listener(Protocol::Submission);
    let (mut watched, mut provider) = submission(&listener, None).await;
    let throttled = "432 4.3.2 Concurrent connections limit exceeded.\r\n";
    assert_eq!(hear(&mut watched, &mut provider, throttled).await.0, throttled);
    let started = Instant::now();
    let mailbox = Mailbox::new("corp", &alice(), Protocol::Submission);
    let until = started + Duration::from_secs(60);
    listener.relay().gates().enter(mailbox, None, until).await.unwrap();
    assert_eq!(started.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn each_message_leaves_a_line_with_the_provider_s_final_reply() {
    let (log, _collecting) = Log::collect();
    let listener = listener(Protocol::Submission);
    let span = tracing::error_span!("session", id = "7f3a");
    let (mut watched, mut provider) = submission(&listener, None).instrument(span).await;
    let denied =
        "554 5.2.252 SendAsDenied; alice@example.com not allowed to send as x@example.com\r\n";
    for said in
        ["250 OK\r\n", "354 go\r\n", TAKEN, "550 5.1.1 no such user\r\n", "354 go\r\n", denied]
    {
        hear(&mut watched, &mut provider, said).await;
    }
    let report = watched.into_report();
    assert_eq!((report.messages, report.last_reply.as_deref()), (1, Some(denied.trim_end())));
    assert!(report.trouble.is_some());
    let [accepted, refused] = log.take().try_into().unwrap();
    for part in [" INFO ", "message accepted", "Hostname=AM0PR01MB1234.example", "id=\"7f3a\""] {
        assert!(accepted.contains(part), "{part}: {accepted}");
    }
    for part in [" WARN ", "message refused", "SendAsDenied", "cause=", "fix=", "id=\"7f3a\""] {
        assert!(refused.contains(part), "{part}: {refused}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_of_imap_passes_unchanged_and_its_trouble_is_told() {
    let listener = listener(Protocol::Imap);
    let course = Course::Lines(FirstLines::new(Protocol::Imap));
    let (mut watched, mut provider) = session(&listener, Protocol::Imap, course, None).await;
    let said = "* OK\r\n1 BAD User is authenticated but not connected.\r\n\
                * BYE Connection closed. 14\r\n";
    assert_eq!(hear(&mut watched, &mut provider, said).await.0, said);
    end(&mut watched, provider).await;
    let report = watched.into_report();
    assert_eq!(report.last_reply.as_deref(), Some("* BYE Connection closed. 14"));
    assert!(report.trouble.is_some());
}

/// Has the provider close.
async fn end(watched: &mut Watched<DuplexStream>, provider: DuplexStream) {
    drop(provider);
    assert_eq!(watched.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_breaks_off_is_no_last_word_of_the_provider() {
    for (protocol, line) in [
        (Protocol::Imap, "* BYE Connection closed. 14\r\n"),
        (Protocol::Pop3, "-ERR [SYS/TEMP] busy\r\n"),
    ] {
        let listener = listener(protocol);
        let course = Course::Lines(FirstLines::new(protocol));
        let (mut watched, mut provider) = session(&listener, protocol, course, None).await;
        // The client leaves in the middle of what somebody wrote to it.
        let content = line.repeat(1_000);
        let said = match protocol {
            Protocol::Imap => format!("* 1 FETCH (BODY[] {{99999}}\r\n{content}"),
            Protocol::Submission | Protocol::Pop3 => {
                format!("+OK 99999 octets\r\nSubject: x\r\n\r\n{content}")
            }
        };
        assert_eq!(hear(&mut watched, &mut provider, &said).await.0, said);
        assert_eq!(watched.into_report(), Report::default(), "{protocol:?}");
        let alice = AccountPattern::Exact(alice());
        assert_eq!(listener.relay().troubles().of(&alice), None, "{protocol:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_session_ends_with_counts_for_more_than_how_it_began() {
    let listener = listener(Protocol::Imap);
    for (last, gravity) in [
        ("* BYE Session invalidated - AccessTokenExpired", Gravity::Normal),
        ("* BYE Connection closed. 14", Gravity::Trouble),
    ] {
        let course = Course::Lines(FirstLines::new(Protocol::Imap));
        let (mut watched, mut provider) = session(&listener, Protocol::Imap, course, None).await;
        let content = format!("* 1 FETCH (FLAGS ())\r\n{}\r\n", "x".repeat(10_000));
        let said =
            format!("1 NO [ALERT] Too many simultaneous connections.\r\n{content}{last}\r\n");
        assert_eq!(hear(&mut watched, &mut provider, &said).await.0, said);
        end(&mut watched, provider).await;
        let report = watched.into_report();
        assert_eq!(report.last_reply.as_deref(), Some(last));
        assert_eq!(report.trouble.unwrap().gravity, gravity, "{last}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_follows_a_known_refusal_does_not_hide_it_and_an_accepted_message_does() {
    let listener = listener(Protocol::Submission);
    let denied = "550 5.7.60 SMTP; Client does not have permissions to send as this sender";
    let (mut watched, mut provider) = submission(&listener, None).await;
    for said in [denied, "503 5.5.1 Bad sequence of commands", "250 2.0.0 Reset", "221 Bye"] {
        hear(&mut watched, &mut provider, &format!("{said}\r\n")).await;
    }
    let report = watched.into_report();
    assert_eq!(report.last_reply.as_deref(), Some(denied));
    assert!(report.trouble.is_some());

    let (mut watched, mut provider) = submission(&listener, None).await;
    for said in [&format!("{denied}\r\n"), "354 go\r\n", TAKEN, "221 Bye\r\n"] {
        hear(&mut watched, &mut provider, said).await;
    }
    let report = watched.into_report();
    assert_eq!((report.last_reply.as_deref(), report.trouble), (Some(TAKEN.trim_end()), None));

    let (mut watched, mut provider) = submission(&listener, None).await;
    for said in ["250 OK\r\n", "221 Bye\r\n"] {
        hear(&mut watched, &mut provider, said).await;
    }
    assert_eq!(watched.into_report().last_reply.as_deref(), Some("221 Bye"));
}

#[tokio::test(start_paused = true)]
async fn what_a_provider_said_behind_its_welcome_is_watched_as_well() {
    let listener = listener(Protocol::Submission);
    let (watched, provider) = submission(&listener, Some(1)).await;
    let Watched { upstream, course, observer, .. } = watched;
    let unread = Bytes::from_static(b"354 go\r\n354 go\r\n");
    let mut watched = Watched::new(upstream, unread, course, observer);
    let started = Instant::now();
    drop(provider);
    let mut heard = Vec::new();
    watched.read_to_end(&mut heard).await.unwrap();
    assert_eq!((&heard[..], started.elapsed().as_secs()), (&b"354 go\r\n354 go\r\n"[..], 60));
}

/// What the filter has from outside: nothing is counted.
struct Outside;

impl Surroundings for Outside {
    fn take_message(&mut self) -> bool {
        true
    }

    fn give_back_message(&mut self) {}

    fn stamp(&mut self) -> Stamp {
        let date = "Sun, 06 Nov 1994 08:49:37 +0000".to_owned();
        Stamp { date, message_id: "<1@contoso.com>".to_owned() }
    }
}

/// A session whose sender becomes `scan@contoso.com`.
async fn filtered(
    listener: &Arc<Listener>,
    per_minute: Option<u32>,
) -> (Watched<DuplexStream>, DuplexStream) {
    let rewrite = Rewrite::EnvelopeAndHeader(Address::parse("scan@contoso.com").unwrap());
    let filter = Filter::new(Rules { rewrite, senders: None }, Box::new(Outside));
    let course = Course::Filter(Box::new(filter));
    session(listener, Protocol::Submission, course, per_minute).await
}

/// Plays a dialogue: what the client sends, what the provider hears of it, says, and what the client
/// hears of that.
async fn play(
    watched: &mut Watched<DuplexStream>,
    provider: &mut DuplexStream,
    [sent, heard, said]: [&str; 3],
) {
    watched.write_all(sent.as_bytes()).await.unwrap();
    watched.flush().await.unwrap();
    let mut got = vec![0; heard.len()];
    let reading = tokio::time::timeout(Duration::from_secs(1), provider.read_exact(&mut got)).await;
    assert!(reading.is_ok(), "of {heard:?} came {:?}", String::from_utf8_lossy(&got));
    assert_eq!(String::from_utf8(got).unwrap(), heard);
    assert_eq!(hear(watched, provider, said).await.0, said);
}

#[tokio::test(start_paused = true)]
async fn a_filtered_message_waits_for_its_answer_to_data_and_arrives_with_its_sender_changed() {
    let listener = listener(Protocol::Submission);
    let (mut watched, mut provider) = filtered(&listener, Some(1)).await;
    let (client, upstream) = (&mut watched, &mut provider);
    let mail = "MAIL FROM:<x@scanner.local> BODY=8BITMIME\r\n";
    for waited in [0, 60] {
        let rewritten = "MAIL FROM:<scan@contoso.com> BODY=8BITMIME\r\n";
        play(client, upstream, [mail, rewritten, "250 ok\r\n"]).await;
        let recipient = "RCPT TO:<bob@contoso.com>\r\n";
        play(client, upstream, [recipient, recipient, "250 ok\r\n"]).await;
        client.write_all(b"DATA\r\n").await.unwrap();
        client.flush().await.unwrap();
        upstream.read_exact(&mut [0; 6]).await.unwrap();
        // Whatever comes next is the message or commands; it is not known which before the reply.
        let early = tokio::time::timeout(Duration::from_secs(1), client.write_all(b"From: x\r\n"));
        assert!(early.await.is_err(), "it is not taken");
        let go = "354 go\r\n";
        let (heard, after) = hear(client, upstream, go).await;
        assert_eq!((heard.as_str(), after + u64::from(waited > 0)), (go, waited));
        play(
            client,
            upstream,
            [
                "From: x@scanner.local\r\nDate: Mon\r\nMessage-ID: <2@x>\r\n\r\nhi\r\n.\r\n",
                "From: scan@contoso.com\r\nReply-To: x@scanner.local\r\nDate: Mon\r\n\
                 Message-ID: <2@x>\r\n\r\nhi\r\n.\r\n",
                TAKEN,
            ],
        )
        .await;
    }
    assert_eq!(watched.into_report().messages, 2);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_the_filter_refuses_ends_both_sides_and_has_no_end_upstream() {
    let (log, _collecting) = Log::collect();
    let listener = listener(Protocol::Submission);
    let (watched, mut provider) = filtered(&listener, None).await;
    let (mut hear, mut say) = split(watched);
    let client = async {
        say.write_all(b"MAIL FROM:<x@y>\r\nRCPT TO:<a@b>\r\nDATA\r\n").await.unwrap();
        say.flush().await.unwrap();
        let field = format!("X-Long: {}\r\n", "x".repeat(990));
        // More than a header may have; then its end.
        for _ in 0..300 {
            say.write_all(field.as_bytes()).await.unwrap();
        }
        say.write_all(b"\r\nhi\r\n.\r\n").await.unwrap();
        say.flush().await.unwrap();
    };
    let upstream = async {
        provider.write_all(b"250 ok\r\n250 ok\r\n354 go\r\n").await.unwrap();
    };
    let listen = async {
        let mut heard = String::new();
        hear.read_to_string(&mut heard).await.unwrap();
        heard
    };
    let ((), (), heard) = tokio::join!(client, upstream, listen);
    assert!(heard.starts_with("250 ok\r\n250 ok\r\n354 go\r\n552 5.3.4 "), "{heard}");
    assert_eq!(heard.lines().count(), 4, "{heard}");
    drop((hear, say));
    let mut got = String::new();
    provider.read_to_string(&mut got).await.unwrap();
    assert!(got.ends_with("DATA\r\n"), "nothing of the message went up: {got}");
    let [refused] = log.take().try_into().unwrap();
    assert!(refused.contains("552 5.3.4"), "{refused}");
}
