//! Replies that come in sessions which are signed in.
//!
//! Source: threads of those who met them, Microsoft's pages on SMTP client submission and on
//! non-delivery reports, Google's on SMTP errors.

use super::{Diagnosis, Remedy, Row, Stage};
use crate::provider::Protocol;

/// The first that fits counts.
pub(super) static ROWS: [Row; 22] = [
    Row {
        begins: "530 5.7.57 ",
        sample: "530 5.7.57 Client not authenticated to send mail.",
        ..smtp(Diagnosis::new(
            "the provider does not hold the sender for signed in",
            "switch authentication on in the device, with mailbearer as its server; where it is on, \
             sign in anew",
        ))
    },
    Row {
        begins: "554 5.2.252 ",
        sample: "554 5.2.252 SendAsDenied; scanner@contoso.com not allowed to send as \
                 boss@contoso.com",
        ..smtp(SEND_AS)
    },
    Row {
        begins: "554 5.2.0 ",
        holds: &["sendasdenied"],
        sample: "554 5.2.0 STOREDRV.Submission.Exception:SendAsDeniedException.\
                 MapiExceptionSendAsDenied; Failed to process message due to a permanent exception",
        ..smtp(SEND_AS)
    },
    Row {
        begins: "550 5.7.60 ",
        sample: "550 5.7.60 SMTP; Client does not have permissions to send as this sender",
        ..smtp(SEND_AS)
    },
    // Before the one of a full mailbox, whose name is a part of this one's.
    Row {
        begins: "554 5.2.",
        holds: &["submissionquotaexceeded"],
        sample: "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed \
                 to process message due to a permanent exception",
        ..smtp(RECIPIENTS)
    },
    Row {
        begins: "550 5.1.90 ",
        sample: "550 5.1.90 Your message can't be sent because you've reached your daily limit for \
                 message recipients",
        ..smtp(RECIPIENTS)
    },
    Row {
        begins: "554 5.2.2 ",
        sample: "554 5.2.2 mailbox full; STOREDRV.Submission.Exception:QuotaExceededException",
        ..smtp(FULL)
    },
    Row {
        begins: "554 5.2.",
        holds: &["quotaexceeded"],
        sample: "554 5.2.0 STOREDRV.Submission.Exception:QuotaExceededException; Failed to process \
                 message due to a permanent exception",
        ..smtp(FULL)
    },
    Row {
        begins: "550 5.1.8 ",
        sample: "550 5.1.8 Access denied, bad outbound sender",
        ..smtp(Diagnosis::new(
            "Exchange has blocked the mailbox from sending, for mail that looked like spam",
            "find out who sent it, then unblock the mailbox under Restricted entities in Defender",
        ))
    },
    Row {
        begins: "550 5.7.708 ",
        sample: "550 5.7.708 Service unavailable. Access denied, traffic not accepted from this IP",
        ..smtp(Diagnosis::new(
            "Exchange does not trust what this tenant sends, as with a new or a trial one",
            "ask Microsoft's support to let the tenant send",
        ))
    },
    Row {
        begins: "421 4.4.",
        sample: "421 4.4.2 Connection dropped due to TimeOut",
        ..smtp(
            Diagnosis::new(
                "the provider gave the session up: it was idle for too long, or broke off there",
                "nothing: the client connects again; where it is often, look at the network",
            )
            .mended_by(Remedy::Time),
        )
    },
    Row {
        begins: "552 5.3.4 ",
        sample: "552 5.3.4 Message size exceeds fixed maximum message size",
        ..smtp(TOO_LARGE)
    },
    Row {
        begins: "552 5.2.3 ",
        sample: "552 5.2.3 Your message exceeded Google's message size limits.",
        ..smtp(TOO_LARGE)
    },
    Row {
        begins: "550 5.4.5 ",
        sample: "550 5.4.5 Daily user sending limit exceeded.",
        ..smtp(
            Diagnosis::new(
                "the mailbox has sent as many messages in a day as Gmail allows",
                "wait up to a day; spread what is sent over more mailboxes",
            )
            .mended_by(Remedy::Time),
        )
    },
    Row {
        begins: "452 4.5.3 ",
        sample: "452 4.5.3 Your message has too many recipients.",
        ..smtp(Diagnosis::new(
            "the message has more recipients than the provider takes at once",
            "write to fewer recipients in one message",
        ))
    },
    Row {
        holds: &["user is authenticated but not connected"],
        sample: "BAD User is authenticated but not connected.",
        ..imap(NOT_CONNECTED)
    },
    Row {
        holds: &["bye connection ", "closed. 14 "],
        sample: "* BYE Connection closed. 14",
        ..imap(NOT_CONNECTED)
    },
    Row {
        holds: &["bye session invalidated", "accesstokenexpired"],
        sample: "* BYE Session invalidated - AccessTokenExpired",
        ..imap(TOKEN_ENDED)
    },
    Row {
        holds: &["bye session expired"],
        sample: "* BYE Session expired, please login again.",
        ..imap(TOKEN_ENDED)
    },
    Row {
        holds: &["bye ", "temporary system error"],
        sample: "* BYE Temporary System Error",
        ..imap(
            Diagnosis::new(
                "the provider has a fault",
                "nothing: the client connects again; where it lasts, look at the provider's status \
                 page",
            )
            .mended_by(Remedy::Time),
        )
    },
    Row {
        stage: Stage::Either,
        begins: "-err [in-use]",
        sample: "-ERR [IN-USE] Unable to lock maildrop: Mailbox is locked by POP server",
        ..pop3(BUSY)
    },
    Row {
        stage: Stage::Either,
        begins: "-err [sys/temp]",
        sample: "-ERR [SYS/TEMP] Temporary system problem. Please try again later.",
        ..pop3(BUSY)
    },
];

const fn smtp(diagnosis: Diagnosis) -> Row {
    Row::new(Stage::Session, Protocol::Submission, diagnosis)
}

const fn imap(diagnosis: Diagnosis) -> Row {
    Row::new(Stage::Session, Protocol::Imap, diagnosis)
}

const fn pop3(diagnosis: Diagnosis) -> Row {
    Row::new(Stage::Session, Protocol::Pop3, diagnosis)
}

const SEND_AS: Diagnosis = Diagnosis::new(
    "the mailbox may not send as the address in MAIL FROM or From",
    "write the mailbox's address into the device, or sender = \"envelope-and-header\", or run \
     Add-RecipientPermission ADDRESS -AccessRights SendAs -Trustee MAILBOX",
);

const RECIPIENTS: Diagnosis = Diagnosis::new(
    "the mailbox has written to as many recipients as Exchange allows, 10,000 in a day",
    "wait a day; spread what is sent over more mailboxes",
)
.mended_by(Remedy::Time);

const FULL: Diagnosis = Diagnosis::new(
    "the mailbox is full; each message sent is kept in Sent Items, which fills it",
    "empty Sent Items, and give the mailbox a retention policy that does so from now on",
);

const TOO_LARGE: Diagnosis = Diagnosis::new(
    "the message is larger than the provider takes",
    "let the device scan at a lower resolution or send in parts; at Exchange run Set-Mailbox \
     MAILBOX -MaxSendSize 150MB",
);

const NOT_CONNECTED: Diagnosis = Diagnosis::new(
    "the token gives no rights to this mailbox, or the mailbox has too many connections",
    "check who consented, `mailbox` and Add-MailboxPermission; where it worked before, open fewer \
     connections and wait",
)
.mended_by(Remedy::Time);

const TOKEN_ENDED: Diagnosis = Diagnosis::new(
    "the session lasted longer than its token",
    "nothing: the client connects again",
)
.mended_by(Remedy::Time)
.normal();

const BUSY: Diagnosis = Diagnosis::new(
    "the mailbox is busy or the provider has a fault",
    "nothing: the client tries again; where it lasts, let fewer programs fetch from the mailbox",
)
.mended_by(Remedy::Time);
