//! The crate's one source of randomness: of delays and of names, of nothing secret.
//!
//! Each thread has a source of its own. A test that runs in one thread can seed it, and all choices
//! of that thread repeat, in whatever process and on whatever machine.

use fastrand::Rng;
use std::cell::{Cell, RefCell};

thread_local! {
    static SOURCE: RefCell<Rng> = RefCell::new(Rng::new());
    static IS_SEEDED: Cell<bool> = const { Cell::new(false) };
}

/// Returns a name that no other process has: of the host, the process and a random number.
pub(crate) fn name() -> String {
    let (host, process) = if IS_SEEDED.get() {
        ("host".to_owned(), 1)
    } else {
        let host = std::env::var("HOSTNAME")
            .or_else(|_| std::fs::read_to_string("/proc/sys/kernel/hostname"));
        (host.unwrap_or_default(), std::process::id())
    };
    let known = |c: &char| c.is_ascii_alphanumeric() || "-.".contains(*c);
    let host: String = host.trim().chars().filter(known).collect();
    format!("{host}-{process}-{:016x}", bits())
}

/// Returns a number from 0 to 1, for a delay.
pub(crate) fn fraction() -> f64 {
    SOURCE.with_borrow_mut(Rng::f64)
}

/// Returns a number of 64 bits, for a name.
pub(crate) fn bits() -> u64 {
    SOURCE.with_borrow_mut(|source| source.u64(..))
}

/// Returns a number below this one; 0 if there is none.
pub(crate) fn below(end: usize) -> usize {
    SOURCE.with_borrow_mut(|source| source.usize(..end.max(1)))
}

/// Seeds the randomness of bourn in this thread: jitter of delays, names, who does maintenance.
///
/// A test that runs in one thread, in paused time and on one [`Server`](crate::testing::Server),
/// then does the same each time.
#[cfg(any(test, feature = "testing"))]
#[cfg_attr(not(feature = "testing"), expect(unreachable_pub, reason = "public in `testing`"))]
pub fn seed(seed: u64) {
    IS_SEEDED.set(true);
    SOURCE.with_borrow_mut(|source| source.seed(seed));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choices() -> (Vec<u64>, f64, usize) {
        (vec![bits(), bits()], fraction(), below(1_000_000))
    }

    #[test]
    fn choices_repeat_after_the_same_seed() {
        seed(7);
        let first = choices();
        seed(8);
        assert_ne!(choices(), first);
        seed(7);
        assert_eq!(choices(), first);
        assert_eq!((below(0), below(1)), (0, 0));
        seed(7);
        assert_eq!(name(), format!("host-1-{:016x}", first.0[0]));
    }

    #[test]
    fn each_thread_has_its_own_source() {
        seed(7);
        let first = choices();
        seed(7);
        let other = std::thread::spawn(choices).join().expect("no panic");
        assert_eq!(choices(), first, "the other thread took none");
        assert_ne!(other, first, "the other thread is not seeded");
    }
}
