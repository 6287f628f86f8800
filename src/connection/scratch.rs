//! The buffer that a request is encoded into, before it is added to those of all callers.

use std::cell::Cell;

/// A larger buffer is not kept for the next request.
const KEPT_BYTES: usize = 4 << 10;

thread_local! {
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// An empty buffer for so many bytes. A thread has one at a time: a request that is made while another one is encoded gets a new one.
#[inline]
pub(super) fn scratch(bytes: usize) -> Vec<u8> {
    if bytes > KEPT_BYTES {
        return Vec::with_capacity(bytes);
    }
    // A thread that ends may have dropped it.
    let mut buffer = BUFFER.try_with(Cell::take).unwrap_or_default();
    buffer.clear();
    buffer.reserve(bytes);
    buffer
}

/// Keeps a buffer for the next request.
#[inline]
pub(super) fn keep(buffer: Vec<u8>) {
    if buffer.capacity() <= KEPT_BYTES {
        let _ = BUFFER.try_with(|kept| kept.set(buffer));
    }
}
