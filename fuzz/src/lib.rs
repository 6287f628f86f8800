//! What holds for every input, as plain functions over bytes that panic where it does not.
//!
//! The targets under `fuzz_targets/` call them with what libFuzzer makes up, and `tests/corpus.rs` of the crate itself,
//! which has this file as a module, with the corpora and inputs of its own.

pub mod entry_id;
pub mod replies;
pub mod scanner;
pub mod shapes;
pub mod slow;
pub mod url;
