//! Lanes: producer ids of IDMP, and the numbers of the jobs sent with them. An operation.

use crate::random;
use std::sync::{Arc, Mutex, PoisonError};

/// The maximum number of jobs of one lane in flight.
pub(crate) const LANE: usize = 64;

/// The lanes of a producer and its clones.
pub(crate) type Lanes = Arc<Mutex<Vec<Lane>>>;

/// A producer id of IDMP, and the numbers used with it.
#[derive(Debug)]
pub(crate) struct Lane {
    name: String,
    next: u64,
    in_flight: usize,
    /// Whether the lane gets no new jobs, because the outcome of one is unknown.
    is_closed: bool,
}

/// The lane of a job, and its number in the lane.
#[derive(Debug)]
pub(crate) struct Number {
    pub(crate) lane: String,
    pub(crate) iid: String,
}

/// The numbers of jobs in flight. Dropping it removes them from the lane's count.
pub(crate) struct Numbers {
    lanes: Lanes,
    pub(crate) all: Vec<Number>,
}

impl Numbers {
    /// Takes the next numbers of a lane, at most [`LANE`].
    pub(crate) fn take(lanes: &Lanes, count: usize) -> Self {
        let mut all = lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let open = |lane: &Lane| !lane.is_closed && lane.in_flight + count <= LANE;
        let fresh = || format!("{:016x}{:016x}", random::bits(), random::bits());
        if !all.iter().any(open) {
            all.push(Lane { name: fresh(), next: 0, in_flight: 0, is_closed: false });
        }
        let mut numbers = Vec::with_capacity(count);
        if let Some(lane) = all.iter_mut().find(|lane| open(lane)) {
            lane.in_flight += count;
            for _ in 0..count {
                lane.next += 1;
                numbers.push(Number { lane: lane.name.clone(), iid: lane.next.to_string() });
            }
        }
        drop(all);
        Self { lanes: Arc::clone(lanes), all: numbers }
    }

    fn with_lane(&self, change: impl FnOnce(&mut Vec<Lane>, usize)) {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let name = self.all.first().map(|number| &number.lane);
        if let Some(place) = lanes.iter().position(|lane| Some(&lane.name) == name) {
            change(&mut lanes, place);
        }
    }

    /// Closes the lane for new jobs.
    pub(crate) fn close(&self) {
        self.with_lane(|lanes, place| {
            if let Some(lane) = lanes.get_mut(place) {
                lane.is_closed = true;
            }
        });
    }
}

impl Drop for Numbers {
    fn drop(&mut self) {
        let count = self.all.len();
        self.with_lane(|lanes, place| {
            let Some(lane) = lanes.get_mut(place) else { return };
            lane.in_flight = lane.in_flight.saturating_sub(count);
            if lane.is_closed && lane.in_flight == 0 {
                lanes.swap_remove(place);
            }
        });
    }
}
