//! Desk: the shared state of one consumer's tasks: held leases, free capacity, and pending
//! decisions.
//!
//! | task | file | purpose |
//! |---|---|---|
//! | reader | `reading` | carries out the plan, delivers entries |
//! | keeper | `keeper` | heartbeats, expired leases |
//! | clerk | `clerk` | sends acknowledgements, many at once, and other decisions |
//! | janitor | `janitor` | deleted pending entries, abandoned consumers, trimming |

use crate::client::Client;
use crate::entry::Entry;
use crate::id::EntryId;
use crate::queue::consumer::in_flight::{Hold, Lease};
use crate::queue::consumer::report::{Ending, Tally};
use crate::queue::event::QueueEvent;
use crate::queue::policy::leases::{Held, Key};
use crate::queue::settings::Settings;
use crate::queue::shared::Core;
use std::collections::HashMap;
use std::fmt::Write;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

/// The limits of a consumer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Entries that are buffered: the caller has not received them yet.
    pub(crate) buffered: usize,
    /// The bytes of buffered entries.
    pub(crate) bytes: usize,
    /// Entries that are not decided yet, including buffered ones.
    pub(crate) undecided: usize,
}

/// The shared state of one consumer's tasks.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) client: Client,
    pub(crate) levels: Vec<Arc<Core>>,
    pub(crate) limits: Limits,
    pub(crate) tally: Tally,
    name: Mutex<Arc<[u8]>>,
    held: Mutex<Held<CancellationToken>>,
    /// Jobs that were run here and may be pending for us without being held, with the time. Their
    /// lease was lost, or the outcome of the decision is unknown.
    run: Mutex<HashMap<Key, Instant>>,
    /// Jobs that are done but could not be acknowledged, with the time.
    done: Mutex<HashMap<Key, Instant>>,
    pub(crate) buffered: AtomicUsize,
    pub(crate) bytes: AtomicUsize,
    pub(crate) undecided: AtomicUsize,
    /// Notified when an entry is delivered to the caller or decided.
    pub(crate) room: Notify,
    /// Notified when an entry is held.
    pub(crate) taken: Notify,
    orders: Mutex<Orders>,
    pub(crate) ordered: Notify,
    /// Cancelled when no new entries are fetched.
    pub(crate) closing: CancellationToken,
    /// Cancelled when everything is done.
    pub(crate) ended: CancellationToken,
}

/// Decisions that are not carried out yet.
#[derive(Default)]
pub(crate) struct Orders {
    pub(crate) acks: Vec<AckOrder>,
    pub(crate) others: Vec<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl std::fmt::Debug for Orders {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} acks, {} others", self.acks.len(), self.others.len())
    }
}

/// A job to acknowledge.
#[derive(Debug)]
pub(crate) struct AckOrder {
    pub(crate) key: Key,
    pub(crate) ticket: u64,
    pub(crate) ending: Ending,
    pub(crate) reply: Option<oneshot::Sender<crate::queue::consumer::settle::AckResult>>,
}

impl Desk {
    pub(crate) fn new(levels: Vec<Arc<Core>>, client: Client, limits: Limits) -> Self {
        let lease = levels.first().map(|core| core.settings.lease).unwrap_or_default();
        let names = levels.iter().map(|core| (&*core.settings.stream, &*core.settings.group));
        Self {
            tally: Tally::new(names),
            client,
            levels,
            limits,
            name: Mutex::new(fresh_name()),
            held: Mutex::new(Held::new(lease)),
            run: Mutex::default(),
            done: Mutex::default(),
            buffered: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            undecided: AtomicUsize::new(0),
            room: Notify::new(),
            taken: Notify::new(),
            orders: Mutex::default(),
            ordered: Notify::new(),
            closing: CancellationToken::new(),
            ended: CancellationToken::new(),
        }
    }

    /// Returns the consumer's name.
    pub(crate) fn name(&self) -> Arc<[u8]> {
        Arc::clone(&lock(&self.name))
    }

    /// Changes the name: another consumer may have removed the old one as abandoned.
    pub(crate) fn rename(&self) {
        *lock(&self.name) = fresh_name();
    }

    pub(crate) fn held(&self) -> MutexGuard<'_, Held<CancellationToken>> {
        lock(&self.held)
    }

    pub(crate) fn core(&self, level: usize) -> Option<&Arc<Core>> {
        self.levels.get(level)
    }

    pub(crate) fn settings(&self) -> Option<&Settings> {
        self.levels.first().map(|core| &core.settings)
    }

    /// Returns how many more entries may be fetched.
    pub(crate) fn room(&self) -> usize {
        let Limits { buffered, bytes, undecided } = self.limits;
        let held = self.buffered.load(Ordering::Acquire);
        let held_bytes = self.bytes.load(Ordering::Acquire);
        let left = buffered
            .saturating_sub(held)
            .min(undecided.saturating_sub(self.undecided.load(Ordering::Acquire)));
        if held_bytes == 0 {
            return left;
        }
        // As many as fit, assuming the average size of the buffered ones.
        let one = (held_bytes / held.max(1)).max(1);
        left.min(bytes.saturating_sub(held_bytes) / one)
    }

    /// Returns the bytes that may still be buffered.
    pub(crate) fn room_bytes(&self) -> usize {
        self.limits.bytes.saturating_sub(self.bytes.load(Ordering::Acquire))
    }

    /// Holds an entry that was delivered by a command sent at `since`. `None` if it is held
    /// already, or if it arrived so late that another consumer may have it. Expired leases must
    /// have been reported before.
    pub(crate) fn take(
        self: &Arc<Self>,
        key: Key,
        since: Instant,
        now: Instant,
        attempt: u32,
        entry: Entry,
    ) -> Option<Hold> {
        let at_most_once = self.settings().is_some_and(|settings| settings.at_most_once);
        let token = CancellationToken::new();
        let ticket = if at_most_once {
            0
        } else {
            let mut held = self.held();
            if now >= held.deadline(since) {
                return None;
            }
            let ticket = held.take(key, since, now, token.clone())?;
            drop(held);
            self.taken.notify_one();
            ticket
        };
        let lease = Lease::new(Arc::downgrade(self), key, ticket, token);
        Some(Hold::new(Arc::clone(self), key, ticket, attempt, entry, lease))
    }

    /// Cancels the jobs whose lease has expired.
    pub(crate) fn lapse(&self, now: Instant) {
        let lost = self.held().lapsed(now);
        self.lose(lost, now);
    }

    /// Marks these leases as lost.
    pub(crate) fn lose(&self, lost: Vec<(Key, CancellationToken)>, now: Instant) {
        for (key, token) in lost {
            self.note_run(key, now);
            token.cancel();
            self.tally.add(key.0, Ending::LeaseLost, 1);
            if let Some(core) = self.core(key.0) {
                core.emit(QueueEvent::LeaseLost { id: key.1 });
            }
        }
    }

    /// Records that the job was run, and may be pending for us without being held.
    pub(crate) fn note_run(&self, key: Key, now: Instant) {
        lock(&self.run).insert(key, now);
    }

    /// Whether the job was run here recently: it is then not recovered, but counts as another
    /// delivery when it is claimed.
    pub(crate) fn was_run(&self, key: Key) -> bool {
        lock(&self.run).contains_key(&key)
    }

    /// Records that the job is done, and could not be acknowledged.
    pub(crate) fn note_done(&self, key: Key, now: Instant) {
        lock(&self.done).insert(key, now);
    }

    /// Whether the job is done: it is then acknowledged, not run again.
    pub(crate) fn is_done(&self, key: Key) -> bool {
        lock(&self.done).contains_key(&key)
    }

    /// Forgets jobs that were run before, and jobs that were done much longer ago.
    pub(crate) fn forget_run(&self, now: Instant, lease: Duration) {
        let since = |leases| now.checked_sub(lease * leases).unwrap_or(now);
        lock(&self.run).retain(|_, at| *at >= since(4));
        lock(&self.done).retain(|_, at| *at >= since(100));
    }

    pub(crate) fn order_ack(&self, ack: AckOrder) {
        lock(&self.orders).acks.push(ack);
        self.ordered.notify_one();
    }

    pub(crate) fn order(&self, other: impl Future<Output = ()> + Send + 'static) {
        lock(&self.orders).others.push(Box::pin(other));
        self.ordered.notify_one();
    }

    pub(crate) fn take_orders(&self) -> Orders {
        std::mem::take(&mut *lock(&self.orders))
    }

    /// Whether all entries are decided.
    pub(crate) fn is_idle(&self) -> bool {
        self.undecided.load(Ordering::Acquire) == 0
    }

    /// Waits until an entry is delivered or decided. Create this, then check the condition, then
    /// await it.
    pub(crate) fn news(&self) -> impl Future<Output = ()> + '_ {
        let mut notified = Box::pin(self.room.notified());
        notified.as_mut().enable();
        notified
    }

    /// Records pending entries that were missing from the stream.
    pub(crate) fn vanished(&self, level: usize, ids: &[EntryId]) {
        let Some(core) = self.core(level).filter(|_| !ids.is_empty()) else { return };
        // With delete on ack these are left by an interrupted acknowledgement.
        if core.settings.retention.deletes() {
            return;
        }
        self.count_lost(level, u64::try_from(ids.len()).unwrap_or(u64::MAX));
    }

    /// Counts lost entries.
    pub(crate) fn count_lost(&self, level: usize, entries: u64) {
        let Some(core) = self.core(level).filter(|_| entries > 0) else { return };
        self.tally.add(level, Ending::Lost, entries);
        core.emit(QueueEvent::Lost { entries });
    }
}

/// The prefix of our consumer names.
pub(crate) const OURS: &[u8] = b"bourn-";

/// Returns a unique name, from the host, the process id and a random number.
fn fresh_name() -> Arc<[u8]> {
    let host = std::env::var("HOSTNAME")
        .or_else(|_| std::fs::read_to_string("/proc/sys/kernel/hostname"))
        .unwrap_or_default();
    let mut name = String::from_utf8_lossy(OURS).into_owned();
    name.extend(host.trim().chars().filter(|c| c.is_ascii_alphanumeric() || "-.".contains(*c)));
    // Writing to a string cannot fail.
    let _ = write!(name, "-{}-{:016x}", std::process::id(), fastrand::u64(..));
    name.into_bytes().into()
}

/// Locks a mutex. No code that runs under these locks can leave the data inconsistent by a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
