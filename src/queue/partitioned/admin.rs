//! Statistics, health and dead letters of all lanes. An operation.

use super::handle::Partitioned;
use crate::queue::admin::health::Health;
use crate::queue::admin::redrive::Redrive;
use crate::queue::admin::stats::QueueStats;
use crate::queue::error::QueueError;
use crate::queue::first::all;
use std::time::Duration;

/// Statistics of a [`Partitioned`] queue: those of its lanes, and sums of those that were read.
///
/// ```no_run
/// # async fn f(
/// #     orders: bourn::queue::Partitioned<String>,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// let stats = orders.stats().await;
/// println!("{:?} ready, {} in flight, {} dead", stats.ready(), stats.in_flight(), stats.dead());
/// for error in stats.lanes.iter().filter_map(|lane| lane.as_ref().err()) {
///     println!("a lane cannot be read: {error}");
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PartitionedStats {
    /// Those of each lane, in order.
    pub lanes: Vec<Result<QueueStats, QueueError>>,
}

impl PartitionedStats {
    /// Whether all lanes were read. Otherwise the sums are too low.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.lanes.iter().all(Result::is_ok)
    }

    /// Returns the sum of [`QueueStats::ready`]; `None` if a server does not know it.
    #[must_use]
    pub fn ready(&self) -> Option<u64> {
        self.read().map(|lane| lane.ready).sum()
    }

    /// Returns the sum of [`QueueStats::in_flight`].
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.read().map(|lane| lane.in_flight).sum()
    }

    /// Returns the sum of [`QueueStats::waiting_retry`].
    #[must_use]
    pub fn waiting_retry(&self) -> u64 {
        self.read().map(|lane| lane.waiting_retry).sum()
    }

    /// Returns the sum of [`QueueStats::dead`].
    #[must_use]
    pub fn dead(&self) -> u64 {
        self.read().map(|lane| lane.dead).sum()
    }

    /// Returns the sum of [`QueueStats::length`].
    #[must_use]
    pub fn length(&self) -> u64 {
        self.read().map(|lane| lane.length).sum()
    }

    /// Returns the longest [`QueueStats::oldest_ready_age`] of a lane.
    #[must_use]
    pub fn oldest_ready_age(&self) -> Option<Duration> {
        self.read().filter_map(QueueStats::oldest_ready_age).max()
    }

    fn read(&self) -> impl Iterator<Item = &QueueStats> {
        self.lanes.iter().flatten()
    }
}

impl<T: 'static> Partitioned<T> {
    /// Returns the statistics of all lanes, which are read at the same time.
    ///
    /// # Cancel safety
    ///
    /// Read-only.
    pub async fn stats(&self) -> PartitionedStats {
        PartitionedStats { lanes: all(self.lanes().iter().map(|lane| lane.stats())).await }
    }

    /// Checks all lanes for problems, as [`Queue::health`](crate::queue::Queue::health) does. A lane
    /// that cannot be read is one.
    ///
    /// # Cancel safety
    ///
    /// Read-only.
    pub async fn health(&self) -> Health {
        let mut problems = Vec::new();
        let all = all(self.lanes().iter().map(|lane| lane.health())).await;
        for (lane, health) in all.into_iter().enumerate() {
            match health {
                Ok(Health::Ok) => {}
                Ok(Health::Degraded(found)) => {
                    problems
                        .extend(found.into_iter().map(|problem| format!("lane {lane}: {problem}")));
                }
                Err(error) => problems.push(format!("lane {lane}: {error}")),
            }
        }
        if problems.is_empty() { Health::Ok } else { Health::Degraded(problems) }
    }

    /// Moves dead letters of all lanes back to them, lane by lane, as
    /// [`DeadLetters::redrive`](crate::queue::DeadLetters::redrive) does. Returns the number moved. A
    /// rate and a limit apply to each lane.
    ///
    /// # Cancel safety
    ///
    /// Jobs that were moved stay moved.
    ///
    /// # Errors
    ///
    /// The first error of a lane. The others were redriven nevertheless.
    pub async fn redrive(&self, which: Redrive) -> Result<u64, QueueError> {
        let (mut moved, mut failed) = (0, None);
        for lane in self.lanes() {
            match lane.dead_letters().redrive(which.clone()).await {
                Ok(count) => moved += count,
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(moved), Err)
    }
}
