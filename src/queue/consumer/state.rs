//! The state that the tasks of one consumer share: leases, free capacity, finished jobs. Part of
//! the tasks.
//!
//! | task | file | purpose |
//! |---|---|---|
//! | fetch | `fetch` | carries out the plan, delivers entries |
//! | heartbeat | `heartbeat` | renews leases, reports expired ones |
//! | settle | `settle` | sends acknowledgements, many at once, and other decisions |
//! | | `delayed` | retries after a delay: here, or in the wheel |
//! | maintenance | `maintenance/` | deleted pending entries, abandoned consumers, trimming |

use crate::client::Client;
use crate::error::Error;
use crate::id::EntryId;
use crate::queue::consumer::report::{JobOutcome, OutcomeCounts};
use crate::queue::error::QueueError;
use crate::queue::event::QueueEvent;
use crate::queue::operation::claim::{Names, Owner};
use crate::queue::operation::clock;
use crate::queue::policy::leases::{Key, Leases};
use crate::queue::settings::{CONSUMER_PREFIX, Settings};
use crate::queue::shared::Shared;
use crate::random;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// The limits of a consumer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Entries that are buffered: the caller has not received them yet.
    pub(crate) buffered: usize,
    /// The bytes of entries that are buffered, or in flight.
    pub(crate) bytes: usize,
    /// Whether the bytes of an entry count until it is settled, and not only while it is buffered.
    pub(crate) until_settled: bool,
    /// Entries that are not decided yet, including buffered ones.
    pub(crate) undecided: usize,
    /// The time for which others wait for a job that is to run alone, and it for others; `None`: as
    /// long as it takes.
    pub(crate) alone_within: Option<Duration>,
}

/// The shared state of one consumer's tasks.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) client: Client,
    pub(crate) levels: Vec<Arc<Shared>>,
    pub(crate) limits: Limits,
    pub(crate) outcomes: OutcomeCounts,
    names: Mutex<Names>,
    leases: Mutex<Leases<CancellationToken>>,
    /// Jobs that were run here and may be pending for us without a lease, with the time. Their
    /// lease was lost, or the outcome of the decision is unknown.
    run: Mutex<BTreeMap<Key, Instant>>,
    /// Jobs that were found to be no longer pending, with the time: they are counted.
    gone: Mutex<BTreeMap<Key, Instant>>,
    /// Jobs that are done but could not be acknowledged, with the time.
    done: Mutex<BTreeMap<Key, Instant>>,
    /// The delivery counts of jobs that were run alone here, and when.
    pub(crate) ran_alone: Mutex<BTreeMap<Key, (u32, Instant)>>,
    /// The time until which jobs with a valid lease may no longer be pending: another client has
    /// settled some.
    others_settle: Mutex<Option<Instant>>,
    /// The ticket of the last delivery before a group was missing.
    before_missing: AtomicU64,
    /// Locked while heartbeats are on their way.
    heartbeat: tokio::sync::Mutex<()>,
    pub(crate) buffered: AtomicUsize,
    pub(crate) bytes: AtomicUsize,
    pub(crate) undecided: AtomicUsize,
    /// Decisions that are being carried out and occupy a place: all but the first attempt of an
    /// acknowledgement.
    settling: AtomicUsize,
    /// Whether a command was not answered that may make an entry pending for our name. The server
    /// may carry it out at any later time.
    unanswered: Mutex<Option<Instant>>,
    /// Jobs that wait here for a retry.
    pub(crate) waiting: AtomicUsize,
    /// Jobs that are to run alone: nothing is fetched.
    pub(crate) pauses: AtomicUsize,
    /// Notified when a job that waited here has taken room.
    taken: Notify,
    /// The permanent error that ended the consumer, until it is returned.
    failure: Mutex<Option<QueueError>>,
    /// Cancelled by a permanent error.
    pub(crate) failed: CancellationToken,
    /// Notified when an entry is delivered to the caller or decided.
    pub(crate) room: Notify,
    /// Notified when an entry is added to the leases.
    pub(crate) leased: Notify,
    /// Cancelled when no new entries are fetched.
    pub(crate) closing: CancellationToken,
    /// Cancelled when no decision is tried again.
    pub(crate) no_retry: CancellationToken,
    /// Cancelled when everything is done.
    pub(crate) ended: CancellationToken,
}

/// The memory of a reply.
#[derive(Debug)]
pub(crate) struct Memory {
    state: Arc<State>,
    bytes: usize,
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.state.bytes.fetch_sub(self.bytes, Ordering::AcqRel);
        self.state.room.notify_waiters();
    }
}

impl State {
    pub(crate) fn new(levels: Vec<Arc<Shared>>, client: Client, limits: Limits) -> Self {
        let lease = levels.first().map(|shared| shared.settings.lease).unwrap_or_default();
        let names = levels.iter().map(|shared| (&*shared.settings.stream, &*shared.settings.group));
        Self {
            outcomes: OutcomeCounts::new(names),
            client,
            levels,
            limits,
            names: Mutex::new(Names::new(fresh_name())),
            leases: Mutex::new(Leases::new(lease)),
            run: Mutex::default(),
            gone: Mutex::default(),
            done: Mutex::default(),
            ran_alone: Mutex::default(),
            others_settle: Mutex::default(),
            before_missing: AtomicU64::new(0),
            heartbeat: tokio::sync::Mutex::default(),
            buffered: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            undecided: AtomicUsize::new(0),
            settling: AtomicUsize::new(0),
            unanswered: Mutex::default(),
            waiting: AtomicUsize::new(0),
            pauses: AtomicUsize::new(0),
            taken: Notify::new(),
            failure: Mutex::default(),
            failed: CancellationToken::new(),
            room: Notify::new(),
            leased: Notify::new(),
            closing: CancellationToken::new(),
            no_retry: CancellationToken::new(),
            ended: CancellationToken::new(),
        }
    }

    /// Records that a command was not answered which may make an entry pending for our name.
    pub(crate) fn set_unanswered(&self) {
        *lock(&self.unanswered) = Some(clock::now());
    }

    /// Whether all commands were answered that may make an entry pending for our name.
    pub(crate) fn all_answered(&self) -> bool {
        lock(&self.unanswered).is_none()
    }

    /// Whether none of them may be on its way: those without an answer are a lease old.
    pub(crate) fn none_on_its_way(&self) -> bool {
        let old = |at: &Instant| clock::now() >= *at + self.lease();
        lock(&self.unanswered).as_ref().is_none_or(old)
    }

    /// Returns the consumer's name.
    pub(crate) fn name(&self) -> Arc<[u8]> {
        Arc::clone(&lock(&self.names).current)
    }

    /// Returns the consumer's name, and the one before.
    pub(crate) fn names(&self) -> Names {
        lock(&self.names).clone()
    }

    /// Changes the name: another consumer may have removed the old one as abandoned.
    pub(crate) fn rename(&self) {
        lock(&self.names).change(fresh_name());
    }

    pub(crate) fn leases(&self) -> MutexGuard<'_, Leases<CancellationToken>> {
        lock(&self.leases)
    }

    /// Marks heartbeats as on their way, until the guard is dropped.
    pub(crate) async fn heartbeat(&self) -> impl Drop + Send + '_ {
        self.heartbeat.lock().await
    }

    /// Waits until no heartbeat is on its way that was sent before.
    pub(crate) async fn heartbeat_ended(&self) {
        drop(self.heartbeat.lock().await);
    }

    pub(crate) fn shared(&self, level: usize) -> Option<&Arc<Shared>> {
        self.levels.get(level)
    }

    pub(crate) fn settings(&self) -> Option<&Settings> {
        self.levels.first().map(|shared| &shared.settings)
    }

    /// Returns the duration of a lease, which all streams share.
    pub(crate) fn lease(&self) -> Duration {
        self.settings().map(|settings| settings.lease).unwrap_or_default()
    }

    /// Returns how many more entries may be fetched.
    pub(crate) fn room(&self) -> usize {
        if self.room_bytes() == 0 || self.pauses.load(Ordering::Acquire) > 0 {
            return 0;
        }
        let Limits { buffered, undecided, .. } = self.limits;
        let buffered = buffered.saturating_sub(self.buffered.load(Ordering::Acquire));
        let undecided = undecided.saturating_sub(self.undecided.load(Ordering::Acquire));
        buffered.min(undecided).saturating_sub(self.settling.load(Ordering::Acquire))
    }

    /// Counts the bytes of the entries of one reply, until the last of them is dropped: they share
    /// the memory of the reply.
    pub(crate) fn hold(self: &Arc<Self>, bytes: usize) -> Arc<Memory> {
        self.bytes.fetch_add(bytes, Ordering::AcqRel);
        Arc::new(Memory { state: Arc::clone(self), bytes })
    }

    /// Returns the bytes that may still be fetched.
    pub(crate) fn room_bytes(&self) -> usize {
        self.limits.bytes.saturating_sub(self.bytes.load(Ordering::Acquire))
    }

    /// Cancels the jobs whose lease has expired.
    pub(crate) fn expire(&self, now: Instant) {
        // Each is cancelled before it is removed: a lease that is neither valid nor cancelled would
        // not be seen as lost by a job that runs on another thread.
        let expired = |(key, token): (Key, &CancellationToken)| (key, token.clone());
        let expired: Vec<_> = self.leases().expired(now).into_iter().map(expired).collect();
        for (key, token) in expired {
            self.note_run(key, now);
            token.cancel();
        }
        let lost = self.leases().take_expired(now);
        self.lease_lost(lost, now);
    }

    /// Marks these leases as lost.
    pub(crate) fn lease_lost(&self, lost: Vec<(Key, CancellationToken)>, now: Instant) {
        for (key, token) in lost {
            self.note_run(key, now);
            token.cancel();
            self.outcomes.add(key.0, JobOutcome::LeaseLost, 1);
            if let Some(shared) = self.shared(key.0) {
                shared.emit(QueueEvent::LeaseLost { id: key.1 });
            }
        }
    }

    /// Ends the leases of entries that are no longer pending. The jobs are cancelled.
    pub(crate) fn no_longer_pending(&self, gone: Vec<(Key, CancellationToken)>, now: Instant) {
        for (key, token) in gone {
            // A group that was created again may deliver it again.
            self.note_run(key, now);
            lock(&self.gone).insert(key, now);
            token.cancel();
            self.outcomes.add(key.0, JobOutcome::AlreadyGone, 1);
            if let Some(shared) = self.shared(key.0) {
                shared.emit(QueueEvent::NoLongerPending { id: key.1 });
            }
        }
    }

    /// Ends the lease of an entry that is not pending for us, as a request sent at `asked` showed.
    pub(crate) fn taken(&self, owner: Owner, asked: Instant, key: Key) {
        let (is_pending, now) = (owner != Owner::None, clock::now());
        let ended = self.leases().taken((asked, now), key, is_pending).into_iter();
        let ended = ended.map(|token| (key, token)).collect();
        if is_pending {
            self.lease_lost(ended, now);
        } else {
            self.no_longer_pending(ended, now);
        }
    }

    /// Whether the job was counted as no longer pending. Forgets it.
    pub(crate) fn take_gone(&self, key: Key) -> bool {
        lock(&self.gone).remove(&key).is_some()
    }

    /// Records that a group was missing. It may have been created again by another client, behind
    /// entries that were pending.
    pub(crate) fn group_missing(&self) {
        self.before_missing.store(self.leases().last_ticket(), Ordering::Release);
    }

    /// Whether a group was missing since this delivery.
    pub(crate) fn was_group_missing(&self, ticket: u64) -> bool {
        ticket <= self.before_missing.load(Ordering::Acquire)
    }

    /// Records that the job was run, and may be pending for us without a lease.
    pub(crate) fn note_run(&self, key: Key, now: Instant) {
        lock(&self.run).insert(key, now);
    }

    /// Whether the job was run here recently: it is then not recovered, but counts as another
    /// delivery when it is claimed.
    pub(crate) fn was_run(&self, key: Key) -> bool {
        lock(&self.run).contains_key(&key)
    }

    /// Whether the entry of each of these deliveries is pending for us for certain.
    pub(crate) fn are_held(
        &self,
        deliveries: impl Iterator<Item = (Key, u64)>,
        now: Instant,
    ) -> Vec<bool> {
        let others_settle = lock(&self.others_settle).is_some_and(|until| now < until);
        let leases = self.leases();
        let is_held = |(key, ticket)| {
            !others_settle && !self.was_group_missing(ticket) && leases.is_valid(key, ticket, now)
        };
        deliveries.map(is_held).collect()
    }

    /// Records that jobs with a valid lease were not pending.
    pub(crate) fn others_settle(&self, now: Instant) {
        *lock(&self.others_settle) = Some(now + self.lease() * 10);
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
        lock(&self.gone).retain(|_, at| *at >= since(100));
        lock(&self.done).retain(|_, at| *at >= since(100));
        lock(&self.ran_alone).retain(|_, (_, at)| *at >= since(100));
    }

    /// Occupies places until the result is dropped, so that fewer entries are fetched.
    pub(crate) fn occupy(self: &Arc<Self>, places: usize) -> Occupied {
        self.settling.fetch_add(places, Ordering::AcqRel);
        Occupied { state: Arc::clone(self), places }
    }

    /// Records that a job that waited here has taken room.
    pub(crate) fn take_room(&self) {
        self.taken.notify_waiters();
    }

    /// Waits until a job that waited here has taken room. It counts from now, not from the first
    /// poll.
    pub(crate) fn room_taken(&self) -> impl Future<Output = ()> + '_ {
        let mut notified = Box::pin(self.taken.notified());
        notified.as_mut().enable();
        notified
    }

    /// Records a decision that could not be carried out.
    pub(crate) fn settlement_failed(&self, key: Key, outcome: JobOutcome, error: &Arc<Error>) {
        self.outcomes.add(key.0, outcome, 1);
        if let Some(shared) = self.shared(key.0) {
            shared.emit(QueueEvent::SettlementFailed { id: key.1, error: Arc::clone(error) });
        }
    }

    /// Ends the consumer with a permanent error, which it returns.
    pub(crate) fn fail(&self, error: QueueError) {
        if !self.failed.is_cancelled() {
            lock(&self.failure).get_or_insert(error);
            self.failed.cancel();
            self.closing.cancel();
        }
    }

    /// Returns the permanent error that ended the consumer, once.
    pub(crate) fn take_failure(&self) -> Option<QueueError> {
        lock(&self.failure).take()
    }

    /// Records that one entry was decided.
    pub(crate) fn decided(&self) {
        self.undecided.fetch_sub(1, Ordering::AcqRel);
        self.room.notify_waiters();
    }

    /// Removes the lease of an entry whose decision was carried out, or failed.
    pub(crate) fn settled(&self, key: Key, ticket: u64) {
        self.all_settled([(key, ticket)]);
    }

    /// Removes the leases of several such entries.
    pub(crate) fn all_settled(&self, deliveries: impl IntoIterator<Item = (Key, u64)>) {
        let mut leases = self.leases();
        for (key, ticket) in deliveries {
            leases.remove(key, ticket);
        }
        drop(leases);
        self.room.notify_waiters();
    }

    /// Whether jobs are delivered at most once.
    pub(crate) fn at_most_once(&self) -> bool {
        self.settings().is_some_and(|settings| settings.at_most_once)
    }

    /// Whether all entries are decided.
    pub(crate) fn is_idle(&self) -> bool {
        self.undecided.load(Ordering::Acquire) == 0
    }

    /// Whether all jobs but one are settled, or wait here for a retry.
    pub(crate) fn is_only_one_left(&self) -> bool {
        let waiting = self.waiting.load(Ordering::Acquire);
        self.undecided.load(Ordering::Acquire) <= 1 && self.leases().len() <= 1 + waiting
    }

    /// Waits until an entry is delivered or decided. Create this, then check the condition, then
    /// await it.
    pub(crate) fn changed(&self) -> impl Future<Output = ()> + '_ {
        let mut notified = Box::pin(self.room.notified());
        notified.as_mut().enable();
        notified
    }

    /// Records pending entries that were missing from the stream.
    pub(crate) fn count_missing(&self, level: usize, ids: &[EntryId]) {
        let Some(shared) = self.shared(level).filter(|_| !ids.is_empty()) else { return };
        // With delete on ack these are left by an interrupted acknowledgement.
        if shared.settings.retention.deletes() {
            return;
        }
        self.count_lost(level, u64::try_from(ids.len()).unwrap_or(u64::MAX));
    }

    /// Counts lost entries.
    pub(crate) fn count_lost(&self, level: usize, entries: u64) {
        let Some(shared) = self.shared(level).filter(|_| entries > 0) else { return };
        self.outcomes.add(level, JobOutcome::Lost, entries);
        shared.emit(QueueEvent::Lost { entries });
    }
}

/// Places that are occupied by decisions that are being carried out.
#[derive(Debug)]
pub(crate) struct Occupied {
    state: Arc<State>,
    places: usize,
}

impl Occupied {
    /// Frees all but this many places.
    pub(crate) fn shrink(&mut self, places: usize) {
        let freed = self.places.saturating_sub(places);
        self.places -= freed;
        self.state.settling.fetch_sub(freed, Ordering::AcqRel);
        self.state.room.notify_waiters();
    }
}

impl Drop for Occupied {
    fn drop(&mut self) {
        self.shrink(0);
    }
}

/// Returns a name that no other consumer has.
fn fresh_name() -> Arc<[u8]> {
    [CONSUMER_PREFIX, random::name().as_bytes()].concat().into()
}

/// Locks a mutex. No code that runs under these locks can leave the data inconsistent by a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
