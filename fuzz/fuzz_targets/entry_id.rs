//! Any bytes as an entry id. The properties are in `src/entry_id.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bourn_fuzz::entry_id::holds(data));
