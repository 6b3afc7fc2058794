//! SMTP as a mail client speaks it (RFC 6409), from the greeting to the sign-in, on both sides.
//!
//! Sources: RFC 5321, RFC 4954 (AUTH), RFC 3207 (STARTTLS), RFC 2034 and RFC 3463 (enhanced codes).
//! What is said after the sign-in is streamed and never seen here, but for two parts: `replies` reads
//! the upstream's replies as they pass, and `filter` is for accounts and devices with rules.

mod command;
mod downstream;
mod extensions;
mod filter;
mod header;
mod replies;
mod reply;
mod submission;
#[cfg(test)]
mod tests;
mod upstream;
mod upstream_reply;

pub use downstream::{DeviceMail, SmtpAwaitClientTls, SmtpAwaitVerdict, SmtpDownstream};
pub use extensions::Extensions;
pub use filter::{Filter, Passed, Rewrite, Rules, Stamp, Surroundings};
pub use replies::{PassedReply, Replies};
pub use submission::{Heard, Meaning, Submission, SubmissionStep};
pub use upstream::{SmtpAwaitTls, SmtpAwaitToken, SmtpUpstream, Welcome};
