//! The POP3 machine towards clients.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| mailbearer_fuzz::check("pop3_downstream", input));
