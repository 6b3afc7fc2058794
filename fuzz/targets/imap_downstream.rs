//! The IMAP machine towards clients, with imap-codec as a second opinion.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| mailbearer_fuzz::check("imap_downstream", input));
