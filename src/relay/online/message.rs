//! The test message: what it is, and which mailbearer sent it.
//!
//! Sources: RFC 5322 (format), RFC 2045 (MIME), RFC 3834 section 5 (Auto-Submitted).
//! Out: US-ASCII, lines of at most 78 characters but for addresses, each with CRLF.

use crate::names::Address;
use crate::proto::smtp::Stamp;

/// The message from `sender` to `recipient`.
pub(super) fn message(sender: &Address, recipient: &Address, stamp: &Stamp) -> String {
    let lines = [
        &format!("From: <{sender}>"),
        &format!("To: <{recipient}>"),
        "Subject: Test message of mailbearer",
        &format!("Date: {}", stamp.date),
        &format!("Message-ID: {}", stamp.message_id),
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=us-ascii",
        "Content-Transfer-Encoding: 7bit",
        "Auto-Submitted: auto-generated",
        "",
        "This is a test message. Somebody ran `mailbearer send-test` for this account:",
        sender.as_str(),
        "",
        "That it is here shows that mailbearer can send for it. Nothing has to be done.",
        "",
        concat!("mailbearer ", env!("CARGO_PKG_VERSION")),
        "",
    ];
    lines.join("\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_has_the_fields_that_rfc_5322_wants_and_says_what_it_is() {
        let address = |text| Address::parse(text).unwrap();
        let (sender, recipient) = (address("alice@contoso.com"), address("bob@example.com"));
        let stamp = Stamp {
            date: "Sun, 06 Nov 1994 08:49:37 +0000".to_owned(),
            message_id: "<abababababababababababababababab@contoso.com>".to_owned(),
        };
        let message = message(&sender, &recipient, &stamp);
        let (header, body) = message.split_once("\r\n\r\n").unwrap();
        // RFC 5322 section 3.6: Date and From once at least, the others once at most.
        assert_eq!(
            header.split("\r\n").collect::<Vec<_>>(),
            [
                "From: <alice@contoso.com>",
                "To: <bob@example.com>",
                "Subject: Test message of mailbearer",
                "Date: Sun, 06 Nov 1994 08:49:37 +0000",
                "Message-ID: <abababababababababababababababab@contoso.com>",
                "MIME-Version: 1.0",
                "Content-Type: text/plain; charset=us-ascii",
                "Content-Transfer-Encoding: 7bit",
                "Auto-Submitted: auto-generated",
            ]
        );
        assert!(
            body.contains("test message") && body.contains(env!("CARGO_PKG_VERSION")),
            "{body}"
        );
        assert!(message.is_ascii() && message.ends_with("\r\n"));
        assert!(message.split("\r\n").all(|line| line.len() <= 78 && !line.contains(['\r', '\n'])));
    }
}
