//! SASL messages, of clients and ours.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| mailbearer_fuzz::check("sasl", input));
