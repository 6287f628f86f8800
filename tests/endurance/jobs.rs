//! The kinds of jobs, their handler, and the account of each job.

use bourn::queue::{Fail, Job};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::sleep;

/// The payload: the number of the job in one field.
pub(crate) type Fields = Vec<(String, String)>;

/// The lease of the queue.
pub(crate) const LEASE: Duration = Duration::from_secs(3);

/// The limit for a handler.
pub(crate) const JOB_TIMEOUT: Duration = Duration::from_secs(7);

/// The attempts before a job is dead-lettered.
pub(crate) const ATTEMPTS: u32 = 5;

/// The behaviour of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It is done after a moment.
    Plain,
    /// It fails twice.
    Fails,
    /// It panics at its first attempt.
    Panics,
    /// It exceeds its time at its first attempt.
    Hangs,
    /// It takes longer than a lease.
    Long,
    /// It fails until it is dead-lettered and redriven.
    Poison,
    /// It is dead-lettered at once, and discarded when it is redriven.
    Refused,
}

impl Kind {
    pub(crate) fn of(n: u64) -> Self {
        match n % 1_000 {
            0..=79 => Self::Fails,
            100..=129 => Self::Panics,
            200 => Self::Hangs,
            300..=304 => Self::Long,
            400..=419 => Self::Poison,
            500..=504 => Self::Refused,
            _ => Self::Plain,
        }
    }
}

/// The states of each job. Its size does not change.
#[derive(Debug)]
pub(crate) struct Account {
    jobs: Vec<AtomicU8>,
    /// Jobs that were confirmed when they were added.
    pub(crate) confirmed: AtomicU64,
    /// Jobs whose outcome was unknown when they were added.
    pub(crate) unknown: AtomicU64,
    /// Jobs that were not added.
    pub(crate) refused: AtomicU64,
    /// Times that a job was done or discarded after it had been done or discarded.
    pub(crate) again: AtomicU64,
}

/// The job was confirmed when it was added.
const CONFIRMED: u8 = 1;
/// The outcome was unknown when it was added.
const UNKNOWN: u8 = 2;
/// The job was done or discarded.
const ENDED: u8 = 4;

impl Account {
    pub(crate) fn new(jobs: usize) -> Self {
        Self {
            // Each is written once, so that the memory is the process's own from the start.
            jobs: (0..jobs).map(|_| AtomicU8::new(0)).collect(),
            confirmed: AtomicU64::new(0),
            unknown: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            again: AtomicU64::new(0),
        }
    }

    fn job(&self, n: u64) -> &AtomicU8 {
        usize::try_from(n).ok().and_then(|n| self.jobs.get(n)).expect("a number of ours")
    }

    pub(crate) fn added(&self, n: u64) {
        self.job(n).fetch_or(CONFIRMED, Ordering::AcqRel);
        self.confirmed.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn maybe_added(&self, n: u64) {
        self.job(n).fetch_or(UNKNOWN, Ordering::AcqRel);
        self.unknown.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn not_added(&self) {
        self.refused.fetch_add(1, Ordering::AcqRel);
    }

    fn ended(&self, n: u64) {
        if self.job(n).fetch_or(ENDED, Ordering::AcqRel) & ENDED != 0 {
            self.again.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Returns the jobs that were confirmed and have not ended, and those that have ended and were
    /// never added.
    pub(crate) fn wrong(&self) -> (Vec<usize>, Vec<usize>) {
        let states = || self.jobs.iter().map(|job| job.load(Ordering::Acquire)).enumerate();
        let lost = states().filter(|(_, state)| state & (CONFIRMED | ENDED) == CONFIRMED);
        let foreign = states().filter(|(_, state)| *state == ENDED);
        (lost.map(|(n, _)| n).collect(), foreign.map(|(n, _)| n).collect())
    }
}

/// The message of intended panics.
const PANIC: &str = "an intended panic";

/// Keeps intended panics out of the output.
pub(crate) fn silence_intended_panics() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if info.payload().downcast_ref::<&str>() != Some(&PANIC) {
            hook(info);
        }
    }));
}

/// Returns the number of a job.
pub(crate) fn number(fields: &Fields) -> u64 {
    fields.first().and_then(|(_, n)| n.parse().ok()).expect("a number")
}

/// Handles a job of a worker.
pub(crate) async fn handle(account: &Account, job: &Job<Fields>) -> Result<(), Fail> {
    let n = number(job);
    let is_redriven = job.id() != job.original_id();
    match Kind::of(n) {
        Kind::Plain => sleep(Duration::from_millis(n % 20)).await,
        Kind::Fails if job.attempt() < 3 => return Err(Fail::retry("not yet")),
        Kind::Panics if job.attempt() == 1 => std::panic::panic_any(PANIC),
        Kind::Hangs if job.attempt() == 1 => sleep(2 * JOB_TIMEOUT).await,
        Kind::Long => sleep(2 * LEASE).await,
        Kind::Poison if !is_redriven => return Err(Fail::retry("poison")),
        Kind::Refused if !is_redriven => return Err(Fail::dead("refused")),
        Kind::Refused => {
            account.ended(n);
            return Err(Fail::discard("refused again"));
        }
        Kind::Fails | Kind::Panics | Kind::Hangs | Kind::Poison => {}
    }
    account.ended(n);
    Ok(())
}

/// Handles a job of a consumer: whether it is done.
pub(crate) fn is_done(account: &Account, fields: &Fields, attempt: u32, is_redriven: bool) -> bool {
    let n = number(fields);
    let is_done = match Kind::of(n) {
        Kind::Fails | Kind::Panics | Kind::Hangs => attempt > 1,
        Kind::Poison | Kind::Refused => is_redriven,
        Kind::Plain | Kind::Long => true,
    };
    if is_done {
        account.ended(n);
    }
    is_done
}
