//! What the filter says in place of an upstream. None holds anything that a peer sent.
//!
//! Sources: RFC 5321 section 4.2.3 and RFC 3463 (codes).

pub(super) const FOREIGN_SENDER: &str =
    "553 5.7.1 this sender is not allowed here, set the device's sender address or `senders`";
pub(super) const QUOTA_USED_UP: &str =
    "451 4.7.1 messages_per_hour is used up for this device, try again later";
pub(super) const BAD_MAIL: &str = "501 5.5.4 write MAIL FROM:<address>";
// RFC 5321 section 4.1.1.11: 555 for a parameter that the server does not implement.
pub(super) const NO_BINARYMIME: &str = "555 5.5.4 BODY=BINARYMIME is not served here";
// RFC 5321 section 4.2.4: 502 for a command that is recognized and not implemented.
pub(super) const NO_CHUNKS: &str = "502 5.5.1 not served here, send the message with DATA";
pub(super) const ONLY_MAIL: &str = "502 5.5.1 not served here, begin with MAIL";
pub(super) const NO_STARTTLS: &str = "503 5.5.1 it is too late for STARTTLS";
// RFC 4954 section 4: 503 to AUTH once a session is signed in.
pub(super) const NO_AUTH: &str = "503 5.5.1 this session needs no sign-in any more";
pub(super) const BAD_LINE_END: &str = "500 5.5.2 end each line with CR LF";
pub(super) const EMPTY_LINE: &str = "500 5.5.2 an empty line is no command";
pub(super) const BAD_BYTE: &str = "500 5.5.2 a command holds no control characters";

// Last words: the session ends behind them, and the message was not sent.
pub(super) const MESSAGE_LINE_ENDS: &str =
    "550 5.6.11 end each line of a message with CR LF, CR or LF alone are not taken";
pub(super) const HEADER_TOO_LONG: &str = "552 5.3.4 the header has more than 256 KiB";
pub(super) const UNREADABLE: &str = "421 4.3.0 the provider's reply cannot be read, closing";
pub(super) const OUT_OF_STEP: &str = "421 4.3.0 the provider's reply fits no command here, closing";
