//! Any frames as any command's reply. The properties are in `src/replies.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bourn_fuzz::replies::holds(data));
