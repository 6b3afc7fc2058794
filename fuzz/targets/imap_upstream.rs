//! The IMAP machine towards providers.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| mailbearer_fuzz::check("imap_upstream", input));
