//! Any bytes for an entry id. What holds is in `src/entry_id.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bourn_fuzz::entry_id::holds(data));
