//! The SMTP machine towards clients.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| mailbearer_fuzz::check("smtp_downstream", input));
