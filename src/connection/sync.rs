//! The lock that tasks share. With `--cfg bourn_loom`, tests use loom's lock instead, to explore
//! every interleaving.

#[cfg(not(all(test, bourn_loom)))]
pub(super) use std::sync::{Mutex, MutexGuard};

#[cfg(all(test, bourn_loom))]
pub(super) use loom::sync::{Mutex, MutexGuard};
