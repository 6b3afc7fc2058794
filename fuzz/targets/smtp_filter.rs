//! The filter between a client and a provider after the sign-in.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| mailbearer_fuzz::check("smtp_filter", input));
