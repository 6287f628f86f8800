//! Any bytes in any pieces: frames, an error, or incomplete. The properties are in
//! `src/scanner.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bourn_fuzz::scanner::holds(data));
