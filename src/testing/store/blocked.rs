//! A read that waits. No I/O.

use super::arguments::is;
use bytes::Bytes;

/// A read that waits for one of its keys.
#[derive(Debug, Clone)]
pub(crate) struct Blocked {
    /// The request, with ids in place of `$` and `+`.
    request: Vec<Bytes>,
    pub(super) keys: Vec<Bytes>,
    timeout_ms: Option<u64>,
    /// The group and the idle time of CLAIM.
    pub(super) claim: Option<(Bytes, i64)>,
}

impl Blocked {
    pub(super) const fn new(
        request: Vec<Bytes>,
        keys: Vec<Bytes>,
        timeout_ms: Option<u64>,
        claim: Option<(Bytes, i64)>,
    ) -> Self {
        Self { request, keys, timeout_ms, claim }
    }

    /// Returns the keys that it waits for, in the database of its context.
    pub(crate) fn keys(&self) -> &[Bytes] {
        &self.keys
    }

    /// Returns the time after which it ends with [`Reply::NullArray`]. `None` is no limit.
    pub(crate) const fn timeout_ms(&self) -> Option<u64> {
        self.timeout_ms
    }

    pub(super) fn request(&self) -> &[Bytes] {
        &self.request
    }

    pub(super) fn is_of_group(&self) -> bool {
        self.request.first().is_some_and(|name| is(name, "XREADGROUP"))
    }
}
