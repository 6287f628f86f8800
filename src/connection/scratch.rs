//! The buffer that a request is encoded into, before it is appended to the shared one.

use std::cell::Cell;

/// The largest buffer that is kept for the next request.
const KEPT_BYTES: usize = 4 << 10;

thread_local! {
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Returns an empty buffer for this many bytes. A thread has one buffer: a request that is created
/// while another one is encoded gets a new one.
#[inline]
pub(super) fn scratch(bytes: usize) -> Vec<u8> {
    if bytes > KEPT_BYTES {
        return Vec::with_capacity(bytes);
    }
    // The thread-local is gone while a thread ends.
    let mut buffer = BUFFER.try_with(Cell::take).unwrap_or_default();
    buffer.clear();
    buffer.reserve(bytes);
    buffer
}

/// Keeps a buffer for the next request. Inlined always, because every command calls it.
#[inline(always)]
pub(super) fn keep(buffer: Vec<u8>) {
    if buffer.capacity() <= KEPT_BYTES {
        let _ = BUFFER.try_with(|kept| kept.set(buffer));
    }
}
