//! The lock that tasks share. The tests with every interleaving (`--cfg bourn_loom`) take loom's in its place.

#[cfg(not(all(test, bourn_loom)))]
pub(super) use std::sync::{Mutex, MutexGuard};

#[cfg(all(test, bourn_loom))]
pub(super) use loom::sync::{Mutex, MutexGuard};
