//! Any text as a URL. The properties are in `src/url.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bourn_fuzz::url::holds(data));
