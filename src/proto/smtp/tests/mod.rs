//! Both machines, as transcripts, at their limits, and against random bytes.

mod auth;
mod downstream;
mod odd;
mod properties;
mod starttls;
mod upstream;
mod upstream_ehlo;
