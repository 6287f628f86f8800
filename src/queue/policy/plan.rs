//! Plan: decides the next step of a consumer. No I/O.
//!
//! The plan is called for each step, receives the result of each step, and never waits itself. Time
//! and randomness are arguments.
//!
//! | step, in this order | condition |
//! |---|---|
//! | [`Step::Wait`] | a step failed a moment ago |
//! | [`Step::Check`] | the connection is a new one |
//! | [`Step::CreateGroup`] | the group was missing: it is created from the stream's beginning |
//! | [`Step::Full`] | there is no capacity for another entry |
//! | [`Step::Recover`] | the reply of a read was lost: its entries are pending for us |
//! | [`Step::Sweep`] | about once a second, where reads do not return abandoned entries; every half lease while another consumer does the maintenance |
//! | [`Step::Read`] | otherwise |

use crate::id::EntryId;
use crate::queue::policy::capabilities::Capabilities;
use std::time::{Duration, Instant};

/// The longest time that a read blocks.
const BLOCK: Duration = Duration::from_secs(10);

/// The approximate interval of checks for abandoned entries, where reads do not return them.
const SWEEP: Duration = Duration::from_secs(1);

/// The maximum number of calls per sweep. Each scans a thousand pending entries; the cursor is kept
/// for the next sweep.
const CALLS: u32 = 10;

/// The maximum number of entries that one command claims or reads.
pub(crate) const PAGE: usize = 100;

/// The maximum number of pending entries that one command lists.
pub(crate) const LIST: u64 = 1_000;

/// The pause after a failure: minimum and maximum.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// The settings of a plan, which do not change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlanSettings {
    pub(crate) lease: Duration,
    /// Whether entries are removed as they are read.
    pub(crate) at_most_once: bool,
    /// The number of streams, the first being the most urgent.
    pub(crate) levels: usize,
    /// One pass in this many begins at a less urgent stream; never if 0.
    pub(crate) ageing: u32,
}

/// The next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Wait for this duration.
    Wait(Duration),
    /// Check the state of the server behind a new connection.
    Check,
    /// Wait until there is capacity.
    Full,
    /// Create the missing groups.
    CreateGroup,
    /// Claim entries that are pending for us and not held.
    Recover(usize),
    /// XAUTOCLAIM, continuing at the cursor.
    Sweep { level: usize, cursor: EntryId, count: usize },
    /// XREADGROUP.
    Read(Read),
}

/// The parameters of a read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Read {
    /// The streams, in the order in which they are served.
    pub(crate) levels: Vec<usize>,
    /// The number of entries per stream.
    pub(crate) count: usize,
    /// The number of entries of all streams together.
    pub(crate) max_count: Option<usize>,
    pub(crate) block: Option<Duration>,
    /// Also returns entries that were idle for this long.
    pub(crate) claim: Option<Duration>,
}

/// The reason why a step failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The stream or the group does not exist.
    NoGroup,
    /// The reply was lost: the server may have executed the command.
    Unknown,
    /// The command was not executed.
    Refused,
}

#[derive(Debug)]
pub(crate) struct Plan {
    settings: PlanSettings,
    /// No step is taken before this time.
    paused_until: Option<Instant>,
    /// The number of failures in a row.
    failures: u32,
    check: bool,
    create: bool,
    /// For each stream, whether a reply was lost.
    recover: Vec<bool>,
    /// The time at which the next sweep begins.
    sweep_at: Option<Instant>,
    sweeping: bool,
    /// For each stream, the cursor of the sweep, and the number of calls left in it.
    cursors: Vec<(EntryId, u32)>,
    passes: u32,
    /// The number of streams of this pass that were read without blocking, where one read cannot
    /// serve them in order.
    reads: usize,
    /// The number of entries that the last read requested.
    count: usize,
    /// Whether this pass has returned any entry.
    any_read: bool,
    /// Whether another consumer looks for abandoned entries each second.
    is_maintained: bool,
}

impl Plan {
    pub(crate) fn new(settings: PlanSettings) -> Self {
        let levels = settings.levels;
        Self {
            settings,
            paused_until: None,
            failures: 0,
            check: false,
            create: false,
            recover: vec![false; levels],
            sweep_at: None,
            sweeping: false,
            cursors: vec![(EntryId::MIN, 0); levels],
            passes: 0,
            reads: 0,
            count: 0,
            any_read: false,
            is_maintained: false,
        }
    }

    /// Records whether another consumer does the maintenance of the group.
    pub(crate) fn set_maintained(&mut self, is_maintained: bool) {
        if is_maintained != self.is_maintained {
            (self.is_maintained, self.sweep_at) = (is_maintained, None);
        }
    }

    /// Returns the interval of checks for abandoned entries.
    fn sweep_interval(&self) -> Duration {
        if self.is_maintained { (self.settings.lease / 2).clamp(SWEEP, BLOCK * 6) } else { SWEEP }
    }

    /// Returns the next step, with capacity for `room` entries; `random` is between 0 and 1.
    pub(crate) fn next(
        &mut self,
        now: Instant,
        room: usize,
        capabilities: Capabilities,
        random: f64,
    ) -> Step {
        if let Some(paused_until) = self.paused_until.filter(|paused_until| *paused_until > now) {
            return Step::Wait(paused_until - now);
        }
        self.paused_until = None;
        if self.check {
            return Step::Check;
        }
        if self.create {
            return Step::CreateGroup;
        }
        if room == 0 {
            // When there is capacity again, the most urgent stream comes first again.
            if self.reads > 0 {
                self.end_pass();
            }
            return Step::Full;
        }
        if self.settings.at_most_once {
            return self.read(now, room, capabilities);
        }
        if let Some(level) = self.recover.iter().position(|lost| *lost) {
            return Step::Recover(level);
        }
        if !capabilities.claim {
            if let Some(step) = self.sweep_step(now, room, random) {
                return step;
            }
        }
        self.read(now, room, capabilities)
    }

    fn sweep_step(&mut self, now: Instant, room: usize, random: f64) -> Option<Step> {
        if !self.sweeping && self.sweep_at.is_none_or(|at| at <= now) {
            self.sweeping = true;
            self.cursors.iter_mut().for_each(|(_, calls)| *calls = CALLS);
        }
        let Some(level) = self.cursors.iter().position(|(_, calls)| *calls > 0) else {
            // From its end on: at a distant server a sweep takes longer than that, and reads would
            // never have their turn.
            if std::mem::take(&mut self.sweeping) {
                let interval = self.sweep_interval();
                let is_short = interval <= SWEEP;
                let interval = if is_short { with_jitter(interval, random) } else { interval };
                self.sweep_at = Some(now + interval);
            }
            return None;
        };
        let (cursor, _) = self.cursors.get(level)?;
        Some(Step::Sweep { level, cursor: *cursor, count: room.min(PAGE) })
    }

    /// Records a sweep and its cursor; `None` at the end. A sweep that was full does not count:
    /// there are more entries, and they should not wait for the next second.
    pub(crate) fn sweep_done(&mut self, level: usize, cursor: Option<EntryId>, is_full: bool) {
        self.succeeded();
        if let Some((at, calls)) = self.cursors.get_mut(level) {
            // A sweep that has ended starts from the beginning the next time.
            *calls = match cursor {
                Some(_) if is_full => *calls,
                Some(_) => calls.saturating_sub(1),
                None => 0,
            };
            *at = cursor.unwrap_or(EntryId::MIN);
        }
    }

    fn read(&mut self, now: Instant, room: usize, capabilities: Capabilities) -> Step {
        let wait = self.block(now, capabilities);
        let count = room.min(PAGE * 10);
        self.count = count;
        let claims = capabilities.claim && !self.settings.at_most_once;
        let claim = claims.then_some(self.settings.lease);
        let all = self.order();
        let read = |levels, block| Read { levels, count, max_count: None, block, claim };
        if all.len() < 2 {
            return Step::Read(read(all, Some(wait)));
        }
        if capabilities.max_count {
            return Step::Read(Read { max_count: Some(count), ..read(all, Some(wait)) });
        }
        // One stream after the other without blocking, then all of them at once, one entry of each.
        match all.get(self.reads) {
            Some(level) => Step::Read(read(vec![*level], None)),
            None => Step::Read(Read { count: 1, ..read(all, Some(wait)) }),
        }
    }

    /// Returns the streams in the order in which this pass serves them.
    fn order(&self) -> Vec<usize> {
        let levels = self.settings.levels;
        let mut order: Vec<usize> = (0..levels).collect();
        let every = self.settings.ageing;
        if levels > 1 && every > 0 && self.passes % every == every - 1 {
            // The least urgent stream first, the next time the one before it.
            let turn = usize::try_from(self.passes / every).unwrap_or_default() % (levels - 1);
            let first = order.remove(levels - 1 - turn);
            order.insert(0, first);
        }
        order
    }

    /// Records the number of entries that a read returned.
    pub(crate) fn read_done(&mut self, entries: usize, capabilities: Capabilities) {
        self.succeeded();
        self.any_read |= entries > 0;
        let whole = self.settings.levels < 2 || capabilities.max_count;
        // The read was full: there may be more entries, which come before less urgent ones.
        let more = entries >= self.count;
        self.reads += 1;
        // Only a pass that returned nothing blocks on all streams at its end.
        let over = self.reads > self.settings.levels;
        let served = self.reads == self.settings.levels && self.any_read;
        if whole || more || over || served {
            self.end_pass();
        }
    }

    fn end_pass(&mut self) {
        self.passes = self.passes.wrapping_add(1);
        self.reads = 0;
        self.any_read = false;
    }

    /// Records that entries pending for us were claimed, and whether those were all.
    pub(crate) fn recovered(&mut self, level: usize, all: bool) {
        self.succeeded();
        if let Some(lost) = self.recover.get_mut(level) {
            *lost = !all;
        }
    }

    /// Records that the groups were created.
    pub(crate) fn created(&mut self) {
        self.create = false;
    }

    /// Records a new connection: it is checked before anything else.
    pub(crate) fn connection_changed(&mut self) {
        self.check = true;
    }

    /// Records that the new connection was checked. Replies lost with the last one may have made
    /// entries pending for us.
    pub(crate) fn checked(&mut self) {
        self.check = false;
        self.reply_lost();
    }

    /// Records that a reply was lost: it may have made entries pending for us.
    pub(crate) fn reply_lost(&mut self) {
        self.recover.fill(true);
    }

    /// Records a failed step; the next one waits a little.
    pub(crate) fn failed(&mut self, failure: Failure, now: Instant, random: f64) {
        match failure {
            Failure::NoGroup => self.create = true,
            Failure::Unknown => self.reply_lost(),
            Failure::Refused => {}
        }
        let (least, most) = PAUSE;
        let pause = (least * 2_u32.saturating_pow(self.failures.min(16))).min(most);
        self.failures = self.failures.saturating_add(1);
        self.paused_until = Some(now + with_jitter(pause, random));
    }

    /// Records a successful step.
    fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// Returns how long a read may block. A lease starts before the read is sent, so some of it
    /// must be left afterwards.
    fn block(&self, now: Instant, capabilities: Capabilities) -> Duration {
        let least = Duration::from_millis(1);
        // An entry that becomes due should wake a read with CLAIM, but occasionally it does not.
        let longest = if capabilities.claim { self.sweep_interval() } else { BLOCK };
        let most = longest.min(BLOCK).min(self.settings.lease / 4);
        let swept = !self.settings.at_most_once && !capabilities.claim;
        let until = self.sweep_at.filter(|_| swept).map(|at| at.saturating_duration_since(now));
        until.unwrap_or(most).min(most).max(least)
    }
}

/// Returns the duration, varied by up to a quarter more or less.
pub(crate) fn with_jitter(time: Duration, random: f64) -> Duration {
    time.mul_f64(0.75 + random.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests;
