//! The counts of outcomes in one consumer, and its final report. Part of the tasks.

use std::fmt;
use std::ops::AddAssign;
use std::sync::atomic::{AtomicU64, Ordering};

/// The outcome of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JobOutcome {
    Done,
    AlreadyGone,
    Retried,
    DeadLettered,
    Discarded,
    Released,
    Dropped,
    LeaseLost,
    Panicked,
    TimedOut,
    Lost,
    Unacknowledged,
    Unsettled,
}

/// Each outcome with its name, in the order of the enum.
const NAMES: [(JobOutcome, &str); 13] = [
    (JobOutcome::Done, "done"),
    (JobOutcome::AlreadyGone, "already_gone"),
    (JobOutcome::Retried, "retried"),
    (JobOutcome::DeadLettered, "dead"),
    (JobOutcome::Discarded, "discarded"),
    (JobOutcome::Released, "released"),
    (JobOutcome::Dropped, "dropped"),
    (JobOutcome::LeaseLost, "lease_lost"),
    (JobOutcome::Panicked, "panicked"),
    (JobOutcome::TimedOut, "timed_out"),
    (JobOutcome::Lost, "lost"),
    (JobOutcome::Unacknowledged, "unacknowledged"),
    (JobOutcome::Unsettled, "unsettled"),
];

/// The counts of one consumer.
#[derive(Debug)]
pub(crate) struct OutcomeCounts {
    counts: [AtomicU64; NAMES.len()],
    #[cfg(feature = "metrics")]
    counters: Vec<[metrics::Counter; NAMES.len()]>,
}

impl OutcomeCounts {
    /// Creates counts for these streams, each with its group.
    pub(crate) fn new<'a>(levels: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Self {
        #[cfg(not(feature = "metrics"))]
        levels.for_each(drop);
        Self {
            counts: Default::default(),
            #[cfg(feature = "metrics")]
            counters: levels
                .map(|(stream, group)| {
                    NAMES.map(|(_, name)| crate::queue::admin::metrics::jobs(stream, group, name))
                })
                .collect(),
        }
    }

    #[cfg_attr(not(feature = "metrics"), expect(unused_variables, reason = "metrics have labels"))]
    pub(crate) fn add(&self, level: usize, outcome: JobOutcome, times: u64) {
        let place = outcome as usize;
        if let Some(count) = self.counts.get(place) {
            count.fetch_add(times, Ordering::Relaxed);
        }
        #[cfg(feature = "metrics")]
        if let Some(counter) = self.counters.get(level).and_then(|all| all.get(place)) {
            counter.increment(times);
        }
    }

    /// Returns how many jobs have left the queue.
    pub(crate) fn settled(&self) -> u64 {
        let Report { done, already_gone, dead, discarded, .. } = self.report();
        done + already_gone + dead + discarded
    }

    pub(crate) fn report(&self) -> Report {
        let of = |outcome: JobOutcome| {
            self.counts.get(outcome as usize).map_or(0, |count| count.load(Ordering::Relaxed))
        };
        Report {
            done: of(JobOutcome::Done),
            already_gone: of(JobOutcome::AlreadyGone),
            retried: of(JobOutcome::Retried),
            dead: of(JobOutcome::DeadLettered),
            discarded: of(JobOutcome::Discarded),
            released: of(JobOutcome::Released),
            dropped: of(JobOutcome::Dropped),
            lease_lost: of(JobOutcome::LeaseLost),
            panicked: of(JobOutcome::Panicked),
            timed_out: of(JobOutcome::TimedOut),
            lost: of(JobOutcome::Lost),
            unacknowledged: of(JobOutcome::Unacknowledged),
            unsettled: of(JobOutcome::Unsettled),
        }
    }
}

/// The number of deliveries by outcome, of a worker or a consumer.
///
/// ```no_run
/// # async fn f(
/// #     queue: &bourn::queue::Queue<String>,
/// #     stop: impl Future<Output = ()> + Send,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::queue::Job;
///
/// let handler = |job: Job<String>| async move { std::fs::write("latest", job.payload()) };
/// let report = queue.worker().run(stop, handler).await?;
/// println!("{report}");
/// assert_eq!(report.lease_lost, 0);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Report {
    /// Acknowledged by this consumer.
    pub done: u64,
    /// No longer pending when acknowledged, or while the job ran: another worker or client had
    /// acknowledged or deleted the entry, or this consumer had, and the reply was lost.
    pub already_gone: u64,
    /// Given back for another attempt.
    pub retried: u64,
    /// Moved to the dead-letter stream; dropped, if the queue has none.
    pub dead: u64,
    /// Acknowledged without being done, as the handler decided.
    pub discarded: u64,
    /// Released as if never delivered: when the consumer stopped, or as the handler decided.
    pub released: u64,
    /// Dropped without a decision, and given back at once. The attempt counts.
    pub dropped: u64,
    /// Cancelled because the lease was lost.
    pub lease_lost: u64,
    /// Retried or dead-lettered because the handler panicked; also counted there.
    pub panicked: u64,
    /// Retried or dead-lettered because the handler exceeded its time; also counted there.
    pub timed_out: u64,
    /// Entries missing from the stream while they were pending, or, with a lossy retention, before
    /// they were read.
    pub lost: u64,
    /// Done or discarded, but the acknowledgement was refused, or was not confirmed in time. The
    /// job may run again. If this consumer receives it again, it acknowledges it without running
    /// it, and counts it as done as well.
    pub unacknowledged: u64,
    /// Not done, and the decision on them could not be carried out, or was not confirmed. They are
    /// delivered again when their lease expires.
    pub unsettled: u64,
}

/// Adds the counts of another consumer.
impl AddAssign for Report {
    fn add_assign(&mut self, other: Self) {
        self.done += other.done;
        self.already_gone += other.already_gone;
        self.retried += other.retried;
        self.dead += other.dead;
        self.discarded += other.discarded;
        self.released += other.released;
        self.dropped += other.dropped;
        self.lease_lost += other.lease_lost;
        self.panicked += other.panicked;
        self.timed_out += other.timed_out;
        self.lost += other.lost;
        self.unacknowledged += other.unacknowledged;
        self.unsettled += other.unsettled;
    }
}

/// Prints as `12 done, 1 retried`. Zero counts are omitted.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [
            (self.done, "done"),
            (self.already_gone, "already gone"),
            (self.retried, "retried"),
            (self.dead, "dead"),
            (self.discarded, "discarded"),
            (self.released, "released"),
            (self.dropped, "dropped"),
            (self.lease_lost, "lease lost"),
            (self.panicked, "panicked"),
            (self.timed_out, "timed out"),
            (self.lost, "lost"),
            (self.unacknowledged, "not acknowledged"),
            (self.unsettled, "not settled"),
        ];
        let mut between = "";
        for (count, name) in counts.iter().filter(|(count, _)| *count > 0) {
            write!(f, "{between}{count} {name}")?;
            between = ", ";
        }
        if between.is_empty() { f.write_str("nothing to do") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_outcome_is_counted_in_its_own_field() {
        let outcomes = OutcomeCounts::new([(&b"s"[..], &b"g"[..])].into_iter());
        for (times, (outcome, _)) in (1..).zip(NAMES) {
            outcomes.add(0, outcome, times);
        }
        let report = outcomes.report();
        assert_eq!((report.done, report.lost, report.released), (1, 11, 6));
        let all = "1 done, 2 already gone, 3 retried, 4 dead, 5 discarded, 6 released, 7 dropped, \
                   8 lease lost, 9 panicked, 10 timed out, 11 lost, 12 not acknowledged, 13 not \
                   settled";
        assert_eq!(report.to_string(), all);
        assert_eq!(Report::default().to_string(), "nothing to do");
        assert!(NAMES.iter().enumerate().all(|(place, (outcome, _))| *outcome as usize == place));
    }
}
