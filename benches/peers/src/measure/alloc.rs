//! Counts allocations while enabled.
//!
//! An allocator is an `unsafe` trait, so this file has the only `unsafe` here. It passes every call
//! on unchanged. While counting is disabled, an allocation costs one additional load, for every
//! client alike. Crates that do this without `unsafe` here always count, which would slow down the
//! clients that allocate most.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static ON: AtomicBool = AtomicBool::new(false);
static COUNT: AtomicU64 = AtomicU64::new(0);
static HELD: AtomicI64 = AtomicI64::new(0);
static PEAK: AtomicI64 = AtomicI64::new(0);

fn taken(bytes: usize) {
    COUNT.fetch_add(1, Relaxed);
    let held = HELD.fetch_add(bytes as i64, Relaxed) + bytes as i64;
    PEAK.fetch_max(held, Relaxed);
}

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if ON.load(Relaxed) {
            taken(layout.size());
        }
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if ON.load(Relaxed) {
            taken(layout.size());
        }
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if ON.load(Relaxed) {
            HELD.fetch_sub(layout.size() as i64, Relaxed);
        }
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if ON.load(Relaxed) {
            // Both blocks exist for a moment, but the system's allocator moves the pages of a large
            // one (mremap).
            if layout.size() >= MOVED {
                HELD.fetch_sub(layout.size() as i64, Relaxed);
                taken(size);
            } else {
                taken(size);
                HELD.fetch_sub(layout.size() as i64, Relaxed);
            }
        }
        unsafe { System.realloc(block, layout, size) }
    }
}

/// From this size on, glibc keeps a block in its own pages, at the highest threshold that it uses.
const MOVED: usize = 32 << 20;

/// The allocations while counting.
#[derive(Debug, Clone, Copy, Default)]
pub struct Allocations {
    /// The number of allocations and reallocations.
    pub count: u64,
    /// Bytes allocated and not yet freed.
    pub held_bytes: i64,
    /// The maximum of `held_bytes`.
    pub peak_bytes: i64,
}

/// Starts counting from zero, for all threads. Only one count can be active.
pub fn start() {
    COUNT.store(0, Relaxed);
    HELD.store(0, Relaxed);
    PEAK.store(0, Relaxed);
    ON.store(true, Relaxed);
}

/// Stops counting.
pub fn stop() -> Allocations {
    ON.store(false, Relaxed);
    so_far()
}

/// Returns the allocations since the start.
pub fn so_far() -> Allocations {
    Allocations {
        count: COUNT.load(Relaxed),
        held_bytes: HELD.load(Relaxed),
        peak_bytes: PEAK.load(Relaxed),
    }
}
