//! Inspects, redrives and purges the jobs of the dead-letter stream. An operation.

use crate::command::{XDel, XRange, XRevRange};
use crate::id::EntryId;
use crate::queue::admin::letter::{DeadLetter, own};
use crate::queue::admin::letter_count;
use crate::queue::admin::oldest;
use crate::queue::admin::redrive::{Redrive, redrive};
use crate::queue::error::QueueError;
use crate::queue::operation::clock;
use crate::queue::policy::plan::PAGE;
use crate::queue::shared::{Queue, Shared};
use std::fmt;
use std::time::Duration;

/// The dead letters of a queue. Created by [`Queue::dead_letters`].
///
/// They are kept in their own stream, [`Queue::dead_letter_key`]. Each has the job's fields, the
/// queue that it comes from, and the reason of its failure. A queue without a dead-letter stream
/// has none.
///
/// Several queues can share a dead-letter stream: each sees, redrives and deletes only the letters
/// of its own stream and group. Entries of other producers are left as they are.
///
/// ```no_run
/// # async fn f(queue: &bourn::queue::Queue<String>) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::queue::Redrive;
/// use std::time::Duration;
///
/// let dead = queue.dead_letters();
/// println!("{} dead letters", dead.count().await?);
/// let redriven = dead.redrive(Redrive::reason("timeout").rate(100.0)).await?;
/// let purged = dead.purge(Duration::from_secs(14 * 86_400)).await?;
/// println!("{redriven} redriven, {purged} purged");
/// # Ok(()) }
/// ```
pub struct DeadLetters<T> {
    queue: Queue<T>,
}

impl<T: 'static> Queue<T> {
    /// Returns a handle to the dead letters, for inspection and redrive.
    #[must_use]
    pub fn dead_letters(&self) -> DeadLetters<T> {
        DeadLetters::new(self.clone())
    }
}

impl<T: 'static> DeadLetters<T> {
    fn new(queue: Queue<T>) -> Self {
        Self { queue }
    }

    fn shared(&self) -> &Shared {
        self.queue.shared()
    }

    fn key(&self) -> Option<&[u8]> {
        self.shared().settings.dead_letter.as_deref()
    }

    /// Returns the number of dead letters.
    ///
    /// They are read from the stream, which may be shared: the first time all of them, later those
    /// that were added since the last count, or all again if some were removed.
    ///
    /// # Cancel safety
    ///
    /// Read-only.
    ///
    /// # Errors
    ///
    /// [`QueueError::Redis`].
    pub async fn count(&self) -> Result<u64, QueueError> {
        Ok(letter_count::count(self.shared()).await?.own)
    }

    /// Returns up to `count` dead letters, oldest first, with ids after `after`: `XRANGE`.
    ///
    /// # Cancel safety
    ///
    /// Read-only.
    ///
    /// # Errors
    ///
    /// [`QueueError::Redis`].
    pub async fn list(
        &self,
        after: Option<EntryId>,
        count: u64,
    ) -> Result<Vec<DeadLetter<T>>, QueueError> {
        let Some(key) = self.key() else { return Ok(Vec::new()) };
        let shared = self.shared();
        let wanted = usize::try_from(count).unwrap_or(usize::MAX);
        let mut letters = Vec::new();
        let mut next = after.map_or(Some(EntryId::MIN), EntryId::next);
        // Where most letters are those of others, a page of the rest would be small.
        let mut least = 10;
        while let Some(first) = next.filter(|_| letters.len() < wanted) {
            let size = (wanted - letters.len()).max(least).min(10 * PAGE);
            least *= 2;
            let page = shared.client.send(XRange::new(key, first..).count(size as u64)).await?;
            next = page.last().and_then(|entry| entry.id().next()).filter(|_| page.len() >= size);
            let own = page.iter().filter_map(|entry| Some((entry, own(&shared.settings, entry)?)));
            for (entry, (letter, _)) in own.take(wanted - letters.len()) {
                let entry = entry.to_entry();
                let payload = self.queue.decoded(&entry);
                letters.push(DeadLetter::new(entry, letter, payload));
            }
        }
        Ok(letters)
    }

    /// Adds the selected jobs to the end of the queue, with all attempts again, and removes them
    /// from the dead-letter stream. Each job is moved atomically. Returns the number of jobs.
    ///
    /// Only this queue's group runs them. Other groups of the stream acknowledge them unseen. The
    /// idempotency key stays that of the job.
    ///
    /// Safe for several operators at once: each dead letter is first claimed for 30 s, in the group
    /// `bourn-redrive` of the dead-letter stream. Jobs that are dead-lettered during a redrive are
    /// not redriven by it.
    ///
    /// # Cancel safety
    ///
    /// Jobs that were moved stay moved. Up to 32 in progress may stay claimed for 30 s.
    ///
    /// # Errors
    ///
    /// [`QueueError::Redis`]: jobs that were moved before the error stay moved.
    pub async fn redrive(&self, which: Redrive) -> Result<u64, QueueError> {
        let Some(key) = self.key() else { return Ok(0) };
        Ok(redrive(self.shared(), key, &which).await?)
    }

    /// Deletes these dead letters, by their ids in the dead-letter stream: `XDEL`. Ids of letters of
    /// other queues are ignored. Returns the number deleted.
    ///
    /// # Cancel safety
    ///
    /// They may have been deleted when the future is dropped.
    ///
    /// # Errors
    ///
    /// [`QueueError::Redis`].
    pub async fn delete(
        &self,
        ids: impl IntoIterator<Item = EntryId> + Send,
    ) -> Result<u64, QueueError> {
        let Some(key) = self.key() else { return Ok(0) };
        let ids: Vec<EntryId> = ids.into_iter().collect();
        let shared = self.shared();
        let mut deleted = 0;
        for ids in ids.chunks(PAGE) {
            let found = ids.iter().map(|id| XRange::new(key, *id..=*id));
            let mut own_ids = Vec::new();
            for found in shared.client.send_all(found).await {
                let found = found?;
                let own = found.iter().filter(|entry| own(&shared.settings, *entry).is_some());
                own_ids.extend(own.map(|entry| entry.id()));
            }
            if !own_ids.is_empty() {
                deleted += shared.client.send(XDel::new(key, &own_ids)).await?;
            }
        }
        Ok(deleted)
    }

    /// Deletes the dead letters older than this duration, by the server's clock: `XDEL`. A duration
    /// of zero deletes all. Returns the number deleted.
    ///
    /// If TIME is refused, the server's time is known from the ids that it has assigned, and
    /// some that are a little older may stay.
    ///
    /// # Cancel safety
    ///
    /// Some may have been deleted when the future is dropped.
    ///
    /// # Errors
    ///
    /// [`QueueError::Redis`].
    pub async fn purge(&self, older_than: Duration) -> Result<u64, QueueError> {
        let Some(key) = self.key() else { return Ok(0) };
        let shared = self.shared();
        let end = if older_than.is_zero() {
            EntryId::MAX
        } else {
            let last = shared.client.send(XRevRange::new(key, ..).count(1)).await?;
            let Some(last) = last.first().map(|entry| entry.id()) else { return Ok(0) };
            clock::id_seen(shared, last);
            clock::ask(shared).await?;
            let least = clock::id_of_age_at_server(shared, older_than).and_then(EntryId::prev);
            let Some(end) = least else { return Ok(0) };
            end
        };
        Ok(oldest::delete(shared, key, end, u64::MAX).await?)
    }
}

impl<T: 'static> fmt::Debug for DeadLetters<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetters").field("queue", &self.queue).finish()
    }
}
