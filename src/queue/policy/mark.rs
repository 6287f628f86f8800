//! Mark: what a delivery count says of a job besides its deliveries. No I/O.
//!
//! A job is copied first and removed after. Its delivery count says in between that it is not to be
//! run, should its worker die; or that it is run with care, because its next job may be there. It
//! also says that a job was run alone.
//!
//! | delivery count | meaning |
//! |---|---|
//! | below 250,000,000 | the deliveries of the job |
//! | + 250,000,000 | it is run alone, or was: its worker died during all its attempts |
//! | + 500,000,000 | its copy is being added to the stream of the next job, or was |
//! | + 1,000,000,000 | it is being moved to the dead-letter stream |
//! | + 2,000,000,000 | it is in the wheel, with its timer: only its entry is left |

const ALONE: u32 = 250_000_000;
const COPIED: u32 = 500_000_000;
const MOVING: u32 = 1_000_000_000;
const DELAYED: u32 = 2_000_000_000;
const END: u32 = 3_000_000_000;

/// The mark of a job in its delivery count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    None,
    Copied,
    Moving,
    Delayed,
}

/// Returns the delivery count of a job whose next job may be there.
pub(crate) fn copied(deliveries: u32) -> u32 {
    deliveries.min(ALONE - 1).saturating_add(COPIED)
}

/// Returns the delivery count of a job that is run alone, given its count without that mark.
pub(crate) fn alone(count: u32) -> u32 {
    count.saturating_add(ALONE)
}

/// Whether a job with this delivery count was run alone.
pub(crate) fn was_alone(count: u32) -> bool {
    count < MOVING && count % COPIED >= ALONE
}

/// Returns the delivery count of a job that is being moved to the dead-letter stream.
pub(crate) fn moving(deliveries: u32) -> u32 {
    deliveries.saturating_add(MOVING)
}

/// Returns the delivery count of a job that is in the wheel.
pub(crate) fn delayed(deliveries: u32) -> u32 {
    deliveries.min(MOVING).saturating_add(DELAYED)
}

/// Returns the number of deliveries, and the mark of a copy.
pub(crate) fn split_count(count: u32) -> (u32, Mark) {
    match count {
        ..COPIED => (count % ALONE, Mark::None),
        COPIED..MOVING => (count % ALONE, Mark::Copied),
        MOVING..DELAYED => (count - MOVING, Mark::Moving),
        DELAYED..END => (count - DELAYED, Mark::Delayed),
        // Another client has set it.
        END.. => (count, Mark::None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mark_is_kept_when_the_entry_is_claimed_again() {
        for deliveries in [0, 1, 25] {
            assert_eq!(split_count(deliveries), (deliveries, Mark::None));
            let again = deliveries + 1;
            assert_eq!(split_count(copied(deliveries) + 1), (again, Mark::Copied));
            assert_eq!(split_count(moving(deliveries) + 1), (again, Mark::Moving));
            assert_eq!(split_count(delayed(deliveries) + 1), (again, Mark::Delayed));
        }
        assert_eq!(split_count(u32::MAX), (u32::MAX, Mark::None));
    }

    #[test]
    fn job_that_was_run_alone_has_its_deliveries_and_its_other_mark() {
        for (count, mark) in [(26, Mark::None), (copied(26), Mark::Copied)] {
            assert!(!was_alone(count) && was_alone(alone(count)), "{count}");
            assert_eq!(split_count(alone(count) + 1), (27, mark));
        }
        for count in [moving(7), delayed(7), u32::MAX] {
            assert!(!was_alone(count), "{count}");
        }
    }
}
