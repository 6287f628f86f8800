//! Properties that hold for every input, as plain functions over bytes that panic otherwise.
//!
//! The targets under `fuzz_targets/` call them with the inputs of libFuzzer. `tests/corpus.rs` of
//! the crate itself, which includes this file as a module, calls them with the corpora and its own
//! inputs.

pub mod entry_id;
pub mod replies;
pub mod scanner;
pub mod shapes;
pub mod slow;
pub mod url;
