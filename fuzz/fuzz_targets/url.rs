//! Any text for a URL. What holds is in `src/url.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bourn_fuzz::url::holds(data));
