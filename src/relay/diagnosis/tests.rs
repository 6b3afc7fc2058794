//! What the table says of each reply.

use super::*;

/// The table as docs/replies.md shows it, below its headings.
fn shown() -> Vec<String> {
    let rows = Diagnosis::rows().map(|row| {
        let Diagnosis { cause, fix, .. } = row.diagnosis;
        let when = match row.stage {
            Stage::SignIn => "at the sign-in",
            Stage::Session => "after it",
            Stage::Either => "at any time",
        };
        format!("| `{}` | {when} | {cause} | {fix} |", row.sample)
    });
    rows.collect()
}

#[test]
fn row_explains_its_own_reply_and_no_row_before_it_does() {
    for row in Diagnosis::rows() {
        let Row { sample, protocol, stage, diagnosis, .. } = row;
        if stage.is_at_sign_in() {
            assert_eq!(Diagnosis::of(sample), diagnosis, "{sample}");
        }
        if stage.is_in_session() {
            let told = Diagnosis::in_session(*protocol, sample);
            assert_eq!(told, Some(diagnosis), "{sample}");
        }
        let first = Diagnosis::rows().find(|row| row.fits(&plain(sample))).unwrap();
        assert_eq!(first.sample, *sample, "a row before it takes its reply");
    }
}

#[test]
fn row_is_told_in_clauses_that_fit_into_a_reply() {
    for diagnosis in Diagnosis::rows().map(|row| &row.diagnosis).chain([&UNKNOWN]) {
        for clause in [diagnosis.cause, diagnosis.fix] {
            assert!(clause.is_ascii() && !clause.ends_with('.'), "{clause}");
            assert!(!clause.contains("  "), "{clause}");
        }
        assert!(diagnosis.cause.len() <= 100, "{}", diagnosis.cause);
    }
    for row in Diagnosis::rows() {
        for part in row.holds.iter().chain([&row.begins]) {
            assert_eq!(*part, part.to_ascii_lowercase());
        }
    }
}

#[test]
fn row_stands_in_the_page_of_replies() {
    let page = include_str!("../../../docs/replies.md");
    let (page, _) = page.split_once("\n## What is wrong with the token\n").unwrap();
    let of_table = |line: &&str| line.starts_with("| `");
    let page: Vec<&str> = page.lines().filter(of_table).collect();
    let rows = shown();
    assert_eq!(page, rows, "\n{}", rows.join("\n"));
}

#[test]
fn reply_that_a_token_may_mend_is_told_apart() {
    for reply in [
        "535 5.7.3 Authentication unsuccessful [AM0PR01CA0100.eurprd01.prod.exchangelabs.com]",
        "535-5.7.8 Username and Password not accepted. For more information, go to",
        "NO AUTHENTICATE failed.",
        "NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)",
        "-ERR Authentication failure: unknown user name or bad password.",
        "-ERR Logon failure",
        "-ERR [AUTH] Username and password not accepted.",
        "501 5.5.127 Token is about to expire",
    ] {
        let diagnosis = Diagnosis::of(reply);
        assert_eq!(diagnosis.remedy, Remedy::Token, "{reply}");
        assert_ne!(diagnosis, &UNKNOWN, "{reply}");
    }
    for reply in ["535 5.7.139 something new", "550 5.7.30 Basic authentication", "535 5.7.139"] {
        assert_eq!(Diagnosis::of(reply).remedy, Remedy::Nothing, "{reply}");
    }
    for reply in ["535 no", "535 5.7.39 no", "", "-ERR", "53", "535-"] {
        assert_eq!(Diagnosis::of(reply), &UNKNOWN, "{reply}");
        assert_eq!(Diagnosis::at_sign_in(reply), None, "{reply}");
    }
}

#[test]
fn limit_of_sessions_is_that_of_the_sender_alone() {
    let submission = |reply| Diagnosis::in_session(Protocol::Submission, reply).unwrap();
    for reply in [
        "432 4.3.2 Concurrent connections limit exceeded.",
        "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded",
        "432 4.3.2",
    ] {
        let diagnosis = submission(reply);
        assert!(diagnosis.is_throttle(), "{reply}");
        let told = (diagnosis.remedy, diagnosis.gravity);
        assert_eq!(told, (Remedy::Time, Gravity::Trouble), "{reply}");
        assert_eq!(Diagnosis::of(reply), diagnosis, "{reply}");
    }
    let of_recipient = submission("432 4.3.2 STOREDRV.Deliver; recipient thread limit exceeded");
    assert!(!of_recipient.is_throttle());
    assert_eq!(of_recipient.gravity, Gravity::Normal);
    for reply in ["421 4.3.2 Service not available", "451 4.7.0 later"] {
        assert!(!submission(reply).is_throttle(), "{reply}");
    }
}

#[test]
fn end_of_a_token_alarms_nobody() {
    for reply in [
        "* BYE Session invalidated - AccessTokenExpired",
        "* BYE Session expired, please login again. (Failure)",
    ] {
        let diagnosis = Diagnosis::in_session(Protocol::Imap, reply).unwrap();
        assert_eq!(diagnosis.gravity, Gravity::Normal, "{reply}");
    }
    let bad =
        Diagnosis::in_session(Protocol::Imap, "a1 BAD User is authenticated but not connected.");
    assert_eq!(bad.unwrap().gravity, Gravity::Trouble, "the tag may stand before it");
}

#[test]
fn full_mailbox_is_told_from_the_day_of_too_many_recipients() {
    let fix = |reply| Diagnosis::in_session(Protocol::Submission, reply).unwrap().fix;
    for full in [
        "554 5.2.2 mailbox full; STOREDRV.Submission.Exception:QuotaExceededException",
        "554 5.2.0 STOREDRV.Submission.Exception:QuotaExceededException; Failed",
    ] {
        assert!(fix(full).contains("Sent Items"), "{full}");
    }
    let many = "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed";
    assert!(fix(many).contains("wait a day"));
}

#[test]
fn reply_that_is_none_of_a_protocol_or_of_a_session_is_not_explained() {
    for reply in [
        "250 2.0.0 OK <554 5.2.2 mailbox full@example> Queued mail for delivery",
        "550 5.7.1 message refused",
        "535 5.7.3 Authentication unsuccessful",
        "* BYE Session invalidated - AccessTokenExpired",
        "554 5.2.25 something",
    ] {
        assert_eq!(Diagnosis::in_session(Protocol::Submission, reply), None, "{reply}");
    }
    assert_eq!(Diagnosis::in_session(Protocol::Imap, "* BYE Connection closed. 140"), None);
    assert_eq!(Diagnosis::in_session(Protocol::Pop3, "554 5.2.2 mailbox full"), None);
}
