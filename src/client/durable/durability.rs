//! Durability: the replicas and disks that must have an entry, and those that have it. No I/O.

use crate::command::{Block, Wait, WaitAof, encode_dedicated};
use crate::error::{Error, Outcome};
use crate::id::EntryId;
use crate::server::{Feature, Features, Server};
use std::fmt;
use std::time::Duration;

/// The replicas and disks that must have an entry before it counts as kept, and the time limit for
/// that.
///
/// ```
/// use bourn::Durability;
/// use std::time::Duration;
///
/// let time = Duration::from_millis(500);
/// let in_memory_of_two_replicas = Durability::replicas(2, time);
/// let on_the_disk_of_the_master = Durability::disk(time);
/// let on_two_disks = Durability::disk(time).and_replicas(1);
/// # let _ = (in_memory_of_two_replicas, on_the_disk_of_the_master, on_two_disks);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[must_use]
pub struct Durability {
    replicas: u64,
    disk: bool,
    /// The time for which the server waits.
    pub(super) time: Duration,
}

impl Durability {
    /// This many replicas must have the entry in memory: `WAIT replicas time` (Redis 3.0).
    ///
    /// An entry that all replicas have survives any failover. One that fewer have may be lost if
    /// another replica becomes the master.
    pub fn replicas(count: u64, time: Duration) -> Self {
        Self { replicas: count, disk: false, time }
    }

    /// The master must have the entry on its disk: `WAITAOF 1 0 time` (Redis 7.2, every Valkey).
    /// It needs an append-only file.
    pub fn disk(time: Duration) -> Self {
        Self { replicas: 0, disk: true, time }
    }

    /// This many replicas must have the entry as well: on their disks, if the master's disk must have
    /// it.
    pub fn and_replicas(self, count: u64) -> Self {
        Self { replicas: count, ..self }
    }

    /// Returns the request that waits. It never waits without a limit.
    pub(super) fn wait(&self) -> Vec<u8> {
        let time = Block::For(self.time);
        if self.disk {
            encode_dedicated(&WaitAof::new(true, self.replicas, time))
        } else {
            encode_dedicated(&Wait::new(self.replicas, time))
        }
    }

    /// Returns the name of that request, and the features that it needs.
    pub(super) fn named(&self) -> (&'static str, Features) {
        if self.disk { ("WAITAOF", Feature::WaitAof.into()) } else { ("WAIT", Features::NONE) }
    }

    /// Returns the reason why this server cannot wait for it; `None` if it can, or if that is not
    /// known.
    pub(super) fn refused_by(&self, server: Option<&Server>) -> Option<&'static str> {
        let lacks = server.is_some_and(|server| server.supports(Feature::WaitAof) == Some(false));
        (self.disk && lacks).then_some("to wait for disks, the server needs WAITAOF (Redis 7.2)")
    }

    /// Returns the result of an entry that was added, from the result of the wait.
    pub(super) fn result(
        &self,
        id: EntryId,
        waited: Result<Counted, Error>,
    ) -> Result<Kept, DurableError> {
        match waited {
            Ok(Counted { disk, replicas }) if replicas >= self.replicas && disk >= self.disk => {
                Ok(Kept { id, replicas, disk })
            }
            Ok(Counted { disk, replicas }) => {
                let kept = Kept { id, replicas, disk };
                Err(DurableError::NotKept { id, kept: Some(kept), reason: None })
            }
            Err(error) => Err(DurableError::NotKept { id, kept: None, reason: Some(error) }),
        }
    }

    /// Whether the wait asks for disks.
    pub(super) fn is_disk(&self) -> bool {
        self.disk
    }
}

/// The reply to a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counted {
    /// Whether the master has the entries on its disk, as far as that was asked.
    pub(super) disk: bool,
    pub(super) replicas: u64,
}

/// An entry that was added, and the number of those that have it.
///
/// ```no_run
/// # async fn f(durable: &bourn::Durable) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::XAdd;
///
/// let kept = durable.add(XAdd::new("orders").field("sku", "A-7")).await?;
/// println!("{}: {} replicas, on the master's disk: {}", kept.id, kept.replicas, kept.disk);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Kept {
    /// The id of the entry.
    pub id: EntryId,
    /// The replicas that have it: in memory, or on their disks if that was asked.
    pub replicas: u64,
    /// Whether the master has it on its disk. False if that was not asked.
    pub disk: bool,
}

/// The error of an entry that was to be kept.
///
/// ```no_run
/// # async fn f(durable: &bourn::Durable) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::{DurableError, XAdd};
///
/// match durable.add(XAdd::new("orders").field("sku", "A-7")).await {
///     Ok(kept) => println!("{} is kept", kept.id),
///     // It must not be added again.
///     Err(DurableError::NotKept { id, .. }) => println!("{id} was added and may be lost"),
///     Err(error) => println!("{error}"),
/// }
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub enum DurableError {
    /// The entry was added. Too few have it, or it is not known how many do.
    NotKept {
        /// The id of the entry.
        id: EntryId,
        /// The number of those that have it; `None` if that is not known.
        kept: Option<Kept>,
        /// The reason why it is not known.
        reason: Option<Error>,
    },
    /// The entry was not added, or that is not known: [`Error::outcome`].
    Redis(Error),
}

impl DurableError {
    /// Returns the outcome: whether the entry may have been added. It is `Unknown` for
    /// [`DurableError::NotKept`], although the entry was added.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::NotKept { .. } => Outcome::Unknown,
            Self::Redis(error) => error.outcome(),
        }
    }
}

impl From<Error> for DurableError {
    fn from(error: Error) -> Self {
        Self::Redis(error)
    }
}

impl fmt::Display for DurableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotKept { id, kept: Some(Kept { replicas, disk, .. }), .. } => {
                let disk = if *disk { ", and the master's disk" } else { "" };
                write!(
                    f,
                    "the entry {id} was added, and too few have it: {replicas} of the replicas{disk}"
                )
            }
            Self::NotKept { id, reason, .. } => {
                write!(f, "the entry {id} was added, and it is not known who has it")?;
                reason.as_ref().map_or(Ok(()), |reason| write!(f, ": {reason}"))
            }
            Self::Redis(error) => error.fmt(f),
        }
    }
}

debug_is_display!(DurableError);

/// The text contains the cause.
impl std::error::Error for DurableError {}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Duration = Duration::from_millis(20);

    #[test]
    fn wait_asks_for_what_is_needed_and_has_a_limit() {
        let rows = [
            (Durability::replicas(2, TIME), "WAIT", "2 20"),
            (Durability::replicas(2, Duration::ZERO), "WAIT", "2 1"),
            (Durability::disk(TIME), "WAITAOF", "1 0 20"),
            (Durability::disk(TIME).and_replicas(3), "WAITAOF", "1 3 20"),
        ];
        for (durability, name, rest) in rows {
            let raw = format!("{name} {rest}");
            assert_eq!(durability.wait(), crate::command::encode(&crate::command::Raw::new(&raw)));
            assert_eq!(durability.named().0, name);
        }
    }

    #[test]
    fn entry_is_kept_if_enough_have_it() {
        let id = EntryId::new(5, 1);
        let (memory, disk) = (Durability::replicas(2, TIME), Durability::disk(TIME));
        let both = disk.and_replicas(1);
        let rows = [
            (memory, (false, 2), true),
            (memory, (false, 3), true),
            (memory, (false, 1), false),
            (disk, (true, 0), true),
            (disk, (false, 5), false),
            (both, (true, 1), true),
            (both, (true, 0), false),
            (both, (false, 1), false),
        ];
        for (durability, (disk, replicas), is_kept) in rows {
            let result = durability.result(id, Ok(Counted { disk, replicas }));
            assert_eq!(result.is_ok(), is_kept, "{durability:?} {disk} {replicas}");
        }
    }

    #[test]
    fn text_says_that_the_entry_was_added() {
        let id = EntryId::new(5, 1);
        let few =
            Durability::replicas(2, TIME).result(id, Ok(Counted { disk: false, replicas: 1 }));
        let few = few.expect_err("too few");
        assert_eq!(
            few.to_string(),
            "the entry 5-1 was added, and too few have it: 1 of the replicas"
        );
        assert_eq!(few.outcome(), Outcome::Unknown);
        let unsent = Error::Unsent { command: "WAIT", reason: crate::error::Unsent::Closed };
        let unknown = DurableError::NotKept { id, kept: None, reason: Some(unsent.clone()) };
        let text = format!("the entry 5-1 was added, and it is not known who has it: {unsent}");
        assert_eq!(unknown.to_string(), text);
        assert_eq!(DurableError::from(unsent).outcome(), Outcome::NotSent);
    }
}
