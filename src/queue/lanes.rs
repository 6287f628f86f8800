//! Lanes: producer ids of IDMP, and the numbers of the jobs sent with them. An operation.
//!
//! A server remembers the last hundred numbers of each lane for 100 s, which takes memory. So all
//! producers of a queue share its lanes, and another lane is opened only when none has room.
//!
//! | rule | reason |
//! |---|---|
//! | the numbers from the oldest job in flight to the newest one are at most [`LANE`] | the oldest one may have to be sent again, and must not be forgotten before |
//! | a lane is used on one connection | its jobs reach the server in their order |
//! | a lane with an unknown outcome gets no new jobs | a first attempt may still arrive late |

use crate::random;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The maximum number of jobs of one lane in flight.
pub(crate) const LANE: usize = 64;

/// The maximum number of lanes that one batch takes at once.
pub(crate) const LANES: usize = 160;

/// The lanes of a queue.
#[derive(Debug, Default)]
pub(crate) struct Lanes(Mutex<Vec<Lane>>);

/// A producer id of IDMP, and the numbers used with it.
#[derive(Debug)]
struct Lane {
    name: Arc<str>,
    /// The last number.
    last: u64,
    /// The first number of each batch in flight.
    in_flight: BTreeSet<u64>,
    /// Whether the lane gets no new jobs, because the outcome of one is unknown.
    is_closed: bool,
}

impl Lane {
    fn new() -> Self {
        let name = format!("{:016x}{:016x}", random::bits(), random::bits());
        Self { name: name.into(), last: 0, in_flight: BTreeSet::new(), is_closed: false }
    }

    fn has_room(&self, count: u64) -> bool {
        let oldest = self.in_flight.first().copied().unwrap_or(self.last + 1);
        !self.is_closed && self.last + count < oldest + LANE as u64
    }
}

/// The lane of a job, and its number in the lane.
#[derive(Debug)]
pub(crate) struct Number {
    pub(crate) lane: Arc<str>,
    pub(crate) iid: u64,
}

/// The numbers of jobs in flight. Dropping it makes room in their lanes.
pub(crate) struct Numbers {
    lanes: Arc<Lanes>,
    pub(crate) all: Vec<Number>,
}

impl Numbers {
    /// Takes the next numbers for this many jobs, up to [`LANE`] of each lane.
    pub(crate) fn take(lanes: &Arc<Lanes>, count: usize) -> Self {
        let mut all = Vec::with_capacity(count);
        let mut open = lanes.lock();
        while all.len() < count {
            let part = (count - all.len()).min(LANE) as u64;
            if !open.iter().any(|lane| lane.has_room(part)) {
                open.push(Lane::new());
            }
            let Some(lane) = open.iter_mut().find(|lane| lane.has_room(part)) else { break };
            lane.in_flight.insert(lane.last + 1);
            for _ in 0..part {
                lane.last += 1;
                all.push(Number { lane: Arc::clone(&lane.name), iid: lane.last });
            }
        }
        drop(open);
        Self { lanes: Arc::clone(lanes), all }
    }

    /// Closes the lane of this number for new jobs.
    pub(crate) fn close(&self, place: usize) {
        let Some(number) = self.all.get(place) else { return };
        for lane in self.lanes.lock().iter_mut().filter(|lane| lane.name == number.lane) {
            lane.is_closed = true;
        }
    }
}

impl Drop for Numbers {
    fn drop(&mut self) {
        let mut lanes = self.lanes.lock();
        for part in self.all.chunk_by(|one, next| Arc::ptr_eq(&one.lane, &next.lane)) {
            let Some(first) = part.first() else { continue };
            for lane in lanes.iter_mut().filter(|lane| Arc::ptr_eq(&lane.name, &first.lane)) {
                lane.in_flight.remove(&first.iid);
            }
        }
        lanes.retain(|lane| !lane.is_closed || !lane.in_flight.is_empty());
    }
}

impl Lanes {
    fn lock(&self) -> MutexGuard<'_, Vec<Lane>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lanes_of(numbers: &Numbers) -> Vec<(Arc<str>, Vec<u64>)> {
        let parts = numbers.all.chunk_by(|one, next| one.lane == next.lane);
        let lane = |part: &[Number]| Arc::clone(&part[0].lane);
        parts.map(|part| (lane(part), part.iter().map(|number| number.iid).collect())).collect()
    }

    #[test]
    fn numbers_of_a_lane_are_used_again_only_within_its_window() {
        let lanes = Arc::default();
        let first = Numbers::take(&lanes, 1);
        let (lane, numbers) = lanes_of(&first).remove(0);
        assert_eq!(numbers, [1]);
        for n in 2..=64 {
            assert_eq!(lanes_of(&Numbers::take(&lanes, 1)), [(lane.clone(), vec![n])]);
        }
        let other = Numbers::take(&lanes, 1);
        assert_ne!(other.all[0].lane, lane, "the first number is still in flight");
        drop(first);
        assert_eq!(lanes_of(&Numbers::take(&lanes, 1)), [(lane, vec![65])]);
    }

    #[test]
    fn large_batch_takes_several_lanes_which_later_ones_take_again() {
        let lanes = Arc::default();
        let names = |numbers: &Numbers| -> BTreeSet<Arc<str>> {
            numbers.all.iter().map(|number| Arc::clone(&number.lane)).collect()
        };
        let batch = Numbers::take(&lanes, 150);
        let sizes: Vec<usize> = lanes_of(&batch).iter().map(|(_, part)| part.len()).collect();
        assert_eq!(sizes, [64, 64, 22]);
        let before = names(&batch);
        drop(batch);
        assert_eq!(names(&Numbers::take(&lanes, 150)), before);
        assert_eq!(lanes.lock().len(), 3);
    }

    #[test]
    fn closed_lane_is_removed_when_its_last_job_has_ended() {
        let lanes = Arc::default();
        let (one, batch) = (Numbers::take(&lanes, 10), Numbers::take(&lanes, 100));
        batch.close(70);
        assert_eq!(lanes.lock().iter().filter(|lane| lane.is_closed).count(), 1);
        let (count, closed) = (lanes.lock().len(), Arc::clone(&batch.all[70].lane));
        drop(batch);
        let names: Vec<_> = lanes.lock().iter().map(|lane| Arc::clone(&lane.name)).collect();
        let is_shared = one.all[0].lane == closed;
        assert_eq!(names.contains(&closed), is_shared);
        drop(one);
        assert!(lanes.lock().iter().all(|lane| lane.name != closed), "{count} before");
    }
}
