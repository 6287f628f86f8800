//! Any frames for any command's reply. What holds is in `src/replies.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bourn_fuzz::replies::holds(data));
