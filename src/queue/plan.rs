//! Plan: what a consumer does next. Pure.
//!
//! It is asked again and again, told what came of each step, and never waits itself. Time and chance are arguments.
//!
//! | in this order | when |
//! |---|---|
//! | [`Step::Rest`] | something went wrong a moment ago |
//! | [`Step::Create`] | the group was not there: made again, from the stream's beginning |
//! | [`Step::Full`] | there is no room for another entry |
//! | [`Step::Recover`] | a read ended without its reply: what it may have brought is pending for us |
//! | [`Step::Sweep`] | about once a second, where reads do not bring what others let lie |
//! | [`Step::Census`], [`Step::Look`] | about once a second, where entries are parked: each owner has a time of its own |
//! | [`Step::Read`] | otherwise |
//!
//! # Two ways to wait for a retry
//!
//! Where every wait is shorter than the lease, an entry waits *in place*: it is made to look as idle as it takes to be
//! claimed in due time, by the same claim that takes over what a dead worker left. Where a wait may be longer, entries are
//! *parked* under names that say how long (`~park:10m`), and each owner's entries are looked at on their own, for a claim that
//! ignores owners would take parked ones after the lease already.

use super::abilities::Abilities;
use super::park;
use crate::command::PendingEntry;
use crate::id::EntryId;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The longest that a read blocks.
const BLOCK: Duration = Duration::from_secs(5);

/// About how often is looked for what others let lie, where reads do not bring it.
const SWEEP: Duration = Duration::from_secs(1);

/// So many calls of one sweep at most: each looks at a thousand pending entries, and the cursor is kept for the next sweep.
const CALLS: u32 = 10;

/// The most entries that one command claims or reads.
pub(crate) const PAGE: usize = 100;

/// The most pending entries that one command lists.
pub(crate) const LOOK: u64 = 1_000;

/// The pause after something went wrong: at least, and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// What the plan does not change by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) lease: Duration,
    /// Whether waits may be longer than the lease.
    pub(crate) parks: bool,
    /// Whether entries are forgotten as they are read.
    pub(crate) at_most_once: bool,
    /// How many streams, the first being the most urgent.
    pub(crate) levels: usize,
    /// One pass in so many begins at a less urgent stream; never if 0.
    pub(crate) ageing: u32,
}

/// What to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Wait this long.
    Rest(Duration),
    /// Wait until there is room.
    Full,
    /// Make the groups that are not there.
    Create,
    /// Take what is pending for us and not in our hands.
    Recover(usize),
    /// XAUTOCLAIM from the cursor on.
    Sweep { level: usize, cursor: EntryId, count: usize },
    /// XPENDING: who has entries pending.
    Census(usize),
    /// XPENDING for one owner, from behind the cursor on.
    Look { level: usize, owner: Vec<u8>, after: Option<EntryId> },
    /// XREADGROUP.
    Read(Read),
}

/// How to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Read {
    /// The streams, the first being served first.
    pub(crate) levels: Vec<usize>,
    /// How many entries, of each stream.
    pub(crate) count: usize,
    /// How many of all streams together.
    pub(crate) max_count: Option<usize>,
    pub(crate) block: Option<Duration>,
    /// Brings what was idle for this long as well.
    pub(crate) claim: Option<Duration>,
}

/// What came of a step, if nothing did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The stream or the group is not there.
    NoGroup,
    /// The reply did not come: the server may have done it.
    Unknown,
    /// It was not done.
    Refused,
}

/// An owner whose entries are to be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Owner {
    level: usize,
    name: Vec<u8>,
    after: Option<EntryId>,
}

#[derive(Debug)]
pub(crate) struct Plan {
    terms: Terms,
    /// Nothing is done before.
    quiet: Option<Instant>,
    /// How often something went wrong in a row.
    troubles: u32,
    create: bool,
    /// For each stream, whether a reply was lost.
    recover: Vec<bool>,
    sweep_at: Option<Instant>,
    /// For each stream, where the sweep goes on, and how many calls it has left this time.
    cursors: Vec<(EntryId, u32)>,
    /// For each stream, whether its owners are still to be asked for.
    census: Vec<bool>,
    owners: VecDeque<Owner>,
    /// When each kind of park is looked at again.
    parks: Vec<(usize, Vec<u8>, Instant)>,
    passes: u32,
    /// How many streams of this pass were read without waiting, where one read cannot serve them in order.
    asked: usize,
    /// How many entries the last read asked for.
    count: usize,
    /// Whether this pass has brought anything.
    brought: bool,
}

impl Plan {
    pub(crate) fn new(terms: Terms) -> Self {
        let levels = terms.levels;
        Self {
            terms,
            quiet: None,
            troubles: 0,
            create: false,
            recover: vec![false; levels],
            sweep_at: None,
            cursors: vec![(EntryId::MIN, 0); levels],
            census: vec![false; levels],
            owners: VecDeque::new(),
            parks: Vec::new(),
            passes: 0,
            asked: 0,
            count: 0,
            brought: false,
        }
    }

    /// What to do now, with room for so many entries; `random` is between 0 and 1.
    pub(crate) fn next(
        &mut self,
        now: Instant,
        room: usize,
        abilities: Abilities,
        random: f64,
    ) -> Step {
        if let Some(quiet) = self.quiet.filter(|quiet| *quiet > now) {
            return Step::Rest(quiet - now);
        }
        self.quiet = None;
        if self.create {
            return Step::Create;
        }
        if room == 0 {
            // When there is room again, the most urgent stream comes first again.
            if self.asked > 0 {
                self.pass();
            }
            return Step::Full;
        }
        if self.terms.at_most_once {
            return self.read(now, room, abilities);
        }
        if let Some(level) = self.recover.iter().position(|lost| *lost) {
            return Step::Recover(level);
        }
        if self.terms.parks {
            if let Some(step) = self.look(now, random) {
                return step;
            }
        } else if !abilities.claim {
            if let Some(step) = self.sweep(now, room, random) {
                return step;
            }
        }
        self.read(now, room, abilities)
    }

    fn sweep(&mut self, now: Instant, room: usize, random: f64) -> Option<Step> {
        if self.sweep_at.is_none_or(|at| at <= now) {
            self.sweep_at = Some(now + about(SWEEP, random));
            self.cursors.iter_mut().for_each(|(_, calls)| *calls = CALLS);
        }
        let level = self.cursors.iter().position(|(_, calls)| *calls > 0)?;
        let (cursor, _) = self.cursors.get(level)?;
        Some(Step::Sweep { level, cursor: *cursor, count: room.min(PAGE) })
    }

    /// A sweep was done, and goes on there; `None` for from the beginning. One that brought as much as it could does not count: there
    /// is more, and it is not to wait until the next second.
    pub(crate) fn swept(&mut self, level: usize, cursor: Option<EntryId>, is_full: bool) {
        self.well();
        if let Some((at, calls)) = self.cursors.get_mut(level) {
            // At the end it begins anew the next time.
            *calls = match cursor {
                Some(_) if is_full => *calls,
                Some(_) => calls.saturating_sub(1),
                None => 0,
            };
            *at = cursor.unwrap_or(EntryId::MIN);
        }
    }

    fn look(&mut self, now: Instant, random: f64) -> Option<Step> {
        if self.sweep_at.is_none_or(|at| at <= now) {
            self.sweep_at = Some(now + about(SWEEP, random));
            if self.owners.is_empty() {
                self.census.fill(true);
            }
        }
        if let Some(level) = self.census.iter().position(|due| *due) {
            return Some(Step::Census(level));
        }
        let Owner { level, name, after } = self.owners.front()?.clone();
        Some(Step::Look { level, owner: name, after })
    }

    /// These have entries pending in this stream.
    pub(crate) fn counted(&mut self, level: usize, owners: Vec<Vec<u8>>, now: Instant) {
        self.well();
        if let Some(due) = self.census.get_mut(level) {
            *due = false;
        }
        for name in owners {
            let poll = park::poll(&name);
            let known = self.parks.iter_mut().find(|(at, park, _)| *at == level && *park == name);
            match known {
                Some((.., at)) if *at > now => continue,
                Some((.., at)) => *at = now + poll,
                // There are only so many kinds of parks; other owners are looked at each time.
                None if poll > SWEEP => self.parks.push((level, name.clone(), now + poll)),
                None => {}
            }
            self.owners.push_back(Owner { level, name, after: None });
        }
    }

    /// What is pending for the owner that was looked at: which of it to claim now, and after how long it may be. At most `room`.
    pub(crate) fn looked(
        &mut self,
        page: &[PendingEntry],
        room: usize,
        held: impl Fn(usize, EntryId) -> bool,
    ) -> Option<(usize, Duration, Vec<EntryId>)> {
        self.well();
        let Owner { level, name, .. } = self.owners.front()?.clone();
        let least = park::bucket(&name).unwrap_or(self.terms.lease);
        let due = |entry: &&PendingEntry| entry.idle.is_none_or(|idle| idle >= least);
        let mine = |entry: &&PendingEntry| !held(level, entry.id);
        let most = room.min(PAGE);
        let ids: Vec<EntryId> =
            page.iter().filter(due).filter(mine).map(|entry| entry.id).take(most).collect();
        let after = match ids.last() {
            // The rest of the page is looked at again when there is room.
            Some(last) if ids.len() == most => Some(*last),
            _ if u64::try_from(page.len()).is_ok_and(|len| len >= LOOK) => {
                page.last().map(|entry| entry.id)
            }
            _ => None,
        };
        match (after, self.owners.front_mut()) {
            (Some(_), Some(owner)) => owner.after = after,
            _ => drop(self.owners.pop_front()),
        }
        Some((level, least, ids))
    }

    fn read(&mut self, now: Instant, room: usize, abilities: Abilities) -> Step {
        let wait = self.block(now, abilities);
        let count = room.min(PAGE * 10);
        self.count = count;
        let claims = abilities.claim && !self.terms.parks && !self.terms.at_most_once;
        let claim = claims.then_some(self.terms.lease);
        let all = self.order();
        let read = |levels, block| Read { levels, count, max_count: None, block, claim };
        if all.len() < 2 {
            return Step::Read(read(all, Some(wait)));
        }
        if abilities.max_count {
            return Step::Read(Read { max_count: Some(count), ..read(all, Some(wait)) });
        }
        // One stream after the other without waiting, then all of them at once, one entry of each.
        match all.get(self.asked) {
            Some(level) => Step::Read(read(vec![*level], None)),
            None => Step::Read(Read { count: 1, ..read(all, Some(wait)) }),
        }
    }

    /// The streams in the order in which this pass serves them.
    fn order(&self) -> Vec<usize> {
        let levels = self.terms.levels;
        let mut order: Vec<usize> = (0..levels).collect();
        let every = self.terms.ageing;
        if levels > 1 && every > 0 && self.passes % every == every - 1 {
            // The least urgent one first, the next time the one before it.
            let turn = usize::try_from(self.passes / every).unwrap_or_default() % (levels - 1);
            let first = order.remove(levels - 1 - turn);
            order.insert(0, first);
        }
        order
    }

    /// A read has brought so many entries.
    pub(crate) fn brought(&mut self, entries: usize, abilities: Abilities) {
        self.well();
        self.brought |= entries > 0;
        let whole = self.terms.levels < 2 || abilities.max_count;
        // As many as were asked for: there may be more, and they come before any that are less urgent.
        let more = entries >= self.count;
        self.asked += 1;
        // Only a pass that brought nothing waits for all of them at its end.
        let over = self.asked > self.terms.levels;
        let served = self.asked == self.terms.levels && self.brought;
        if whole || more || over || served {
            self.pass();
        }
    }

    fn pass(&mut self) {
        self.passes = self.passes.wrapping_add(1);
        self.asked = 0;
        self.brought = false;
    }

    /// What is pending for us was taken; whether that was all.
    pub(crate) fn recovered(&mut self, level: usize, all: bool) {
        self.well();
        if let Some(lost) = self.recover.get_mut(level) {
            *lost = !all;
        }
    }

    /// The groups are there again.
    pub(crate) fn created(&mut self) {
        self.create = false;
    }

    /// Another connection was made: what was on its way on the last one may be pending for us.
    pub(crate) fn reconnected(&mut self) {
        self.recover.fill(true);
    }

    /// A step came to nothing; the next one waits a little.
    pub(crate) fn failed(&mut self, trouble: Trouble, now: Instant, random: f64) {
        match trouble {
            Trouble::NoGroup => self.create = true,
            Trouble::Unknown => self.recover.fill(true),
            Trouble::Refused => {}
        }
        let (least, most) = PAUSE;
        let pause = (least * 2_u32.saturating_pow(self.troubles.min(16))).min(most);
        self.troubles = self.troubles.saturating_add(1);
        self.quiet = Some(now + about(pause, random));
    }

    /// A step came to something.
    fn well(&mut self) {
        self.troubles = 0;
    }

    /// How long a read may block: its entries are held from before it was sent, so a lease must have time left after it.
    fn block(&self, now: Instant, abilities: Abilities) -> Duration {
        let least = Duration::from_millis(1);
        // What becomes due is to wake a read with CLAIM, and once in a while it does not.
        let longest = if abilities.claim { SWEEP } else { BLOCK };
        let most = longest.min(self.terms.lease / 4);
        let swept = !self.terms.at_most_once && (self.terms.parks || !abilities.claim);
        let until = self.sweep_at.filter(|_| swept).map(|at| at.saturating_duration_since(now));
        until.unwrap_or(most).min(most).max(least)
    }
}

/// A quarter more or less.
pub(crate) fn about(time: Duration, random: f64) -> Duration {
    time.mul_f64(0.75 + random.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests;
