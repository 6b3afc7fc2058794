//! The configuration file.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| mailbearer_fuzz::check("configuration", input));
