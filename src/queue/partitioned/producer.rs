//! Adds jobs to the lanes of a partitioned queue. An operation.

use super::handle::Partitioned;
use super::spread::lane_of;
use crate::client::Durability;
use crate::error::Outcome;
use crate::id::EntryId;
use crate::queue::error::QueueError;
use crate::queue::first::all;
use crate::queue::operation::clock;
use crate::queue::producer::{Enqueue, Producer};
use std::fmt;

/// The number of lanes that a job without a key tries at most.
const TRIES: usize = 3;

/// Adds jobs to a [`Partitioned`] queue. Cheap to create and to clone.
///
/// ```no_run
/// # async fn f(
/// #     orders: bourn::queue::Partitioned<String>,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::queue::Enqueue;
///
/// let producer = orders.producer();
/// producer.enqueue(&"any lane".to_owned()).await?;
/// let key = Enqueue::new().key("customer:7");
/// producer.enqueue_with(&"always the same lane".to_owned(), key).await?;
/// # Ok(()) }
/// ```
pub struct PartitionedProducer<T> {
    queue: Partitioned<T>,
    durability: Option<Durability>,
}

impl<T: 'static> Partitioned<T> {
    /// Creates a producer, which adds jobs.
    #[must_use]
    pub fn producer(&self) -> PartitionedProducer<T> {
        PartitionedProducer { queue: self.clone(), durability: None }
    }
}

impl<T: 'static> PartitionedProducer<T> {
    /// Returns a producer that waits until replicas or disks have each job, as
    /// [`Producer::durable`] does.
    #[must_use]
    pub fn durable(self, durability: Durability) -> Self {
        Self { durability: Some(durability), ..self }
    }

    /// Adds a job to one of the lanes, each in turn.
    ///
    /// If a lane cannot be reached, the job goes to another one, unless it may have been added.
    ///
    /// # Cancel safety
    ///
    /// As [`Producer::enqueue`].
    ///
    /// # Errors
    ///
    /// As [`Producer::enqueue`]: the error of the last lane that was tried.
    pub async fn enqueue(&self, payload: &T) -> Result<EntryId, QueueError> {
        self.enqueue_with(payload, Enqueue::new()).await
    }

    /// Adds a job with options. One with an [`Enqueue::key`], or else with an [`Enqueue::unique`]
    /// key, goes to the lane of that key, and to no other.
    ///
    /// # Cancel safety
    ///
    /// As [`Producer::enqueue`].
    ///
    /// # Errors
    ///
    /// As [`Producer::enqueue_with`].
    pub async fn enqueue_with(&self, payload: &T, options: Enqueue) -> Result<EntryId, QueueError> {
        let lanes = self.queue.lanes();
        let order = match options.lane_key() {
            Some(key) => vec![lane_of(key, lanes.len())],
            None => self.order().0,
        };
        let mut result = Err(QueueError::Stopped);
        for lane in order.into_iter().take(TRIES) {
            let Some(producer) = self.lane(lane) else { continue };
            result = producer.enqueue_with(payload, options.clone()).await;
            if !result.as_ref().is_err_and(is_elsewhere) {
                break;
            }
            self.queue.spread().avoid(lane, clock::now());
        }
        result
    }

    /// Adds many jobs, spread over the lanes. Each has its own result, in order.
    ///
    /// Those of a lane that cannot be reached go to another one, unless they may have been added.
    ///
    /// # Cancel safety
    ///
    /// As [`Producer::enqueue_all`].
    pub async fn enqueue_all<'a>(
        &self,
        payloads: impl IntoIterator<Item = &'a T>,
    ) -> Vec<Result<EntryId, QueueError>>
    where
        T: 'a,
    {
        let payloads: Vec<&T> = payloads.into_iter().collect();
        let mut results: Vec<Result<EntryId, QueueError>> =
            payloads.iter().map(|_| Err(QueueError::Stopped)).collect();
        let mut left: Vec<usize> = (0..payloads.len()).collect();
        for _ in 0..TRIES {
            if left.is_empty() {
                break;
            }
            let (mut order, good) = self.order();
            if good > 0 {
                order.truncate(good);
            }
            let shares: Vec<(usize, Vec<usize>)> = order
                .iter()
                .enumerate()
                .map(|(nth, lane)| {
                    (*lane, left.iter().copied().skip(nth).step_by(order.len()).collect())
                })
                .collect();
            let add = async |(lane, share): &(usize, Vec<usize>)| {
                let jobs = share.iter().filter_map(|place| payloads.get(*place).copied());
                match self.lane(*lane) {
                    Some(producer) => producer.enqueue_all(jobs).await,
                    None => Vec::new(),
                }
            };
            let added = all(shares.iter().map(add)).await;
            left.clear();
            for ((lane, share), added) in shares.iter().zip(added) {
                for (place, result) in share.iter().zip(added) {
                    if result.as_ref().is_err_and(is_elsewhere) {
                        self.queue.spread().avoid(*lane, clock::now());
                        left.push(*place);
                    }
                    if let Some(slot) = results.get_mut(*place) {
                        *slot = result;
                    }
                }
            }
            left.sort_unstable();
        }
        results
    }

    fn lane(&self, lane: usize) -> Option<Producer<T>> {
        let producer = self.queue.lanes().get(lane)?.producer();
        Some(match self.durability {
            Some(durability) => producer.durable(durability),
            None => producer,
        })
    }

    /// Returns the lanes in the order in which a job tries them, and how many can be reached.
    fn order(&self) -> (Vec<usize>, usize) {
        let lanes = self.queue.lanes();
        let is_up =
            |lane: usize| lanes.get(lane).is_some_and(|queue| queue.client().is_connected());
        self.queue.spread().order(clock::now(), is_up)
    }
}

/// Whether a job that had this error may be added to another lane: it was not added, and another
/// server may take it.
fn is_elsewhere(error: &QueueError) -> bool {
    let QueueError::Redis(error) = error else { return false };
    error.outcome() != Outcome::Unknown && error.is_transient()
}

impl<T> Clone for PartitionedProducer<T> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), durability: self.durability }
    }
}

impl<T: 'static> fmt::Debug for PartitionedProducer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartitionedProducer").field("queue", &self.queue).finish_non_exhaustive()
    }
}
