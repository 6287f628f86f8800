//! Tracks the leases that this consumer holds: expiry, due heartbeats, and lost leases. No I/O.
//!
//! A lease starts at the moment before the command was sent that delivered the entry. Each
//! confirmed heartbeat restarts it, again at the moment before it was sent. So the server's idle
//! time is never longer than the age assumed here.
//!
//! | age of the last confirmation | action |
//! |---|---|
//! | 1/3 of the lease | a heartbeat: XCLAIM JUSTID. It does not check the owner, but another client that has claimed the entry meanwhile has reset its idle time, so the command has a min-idle. For entries missing from the reply the owner is asked |
//! | 3/4 | the lease is considered lost: the job is cancelled, and no heartbeat is sent again |
//!
//! The last quarter is a margin for delays. A heartbeat that is sent just before the lease counts
//! as lost reaches the server before another consumer may claim the entry, unless that takes a
//! quarter of the lease.

use crate::id::EntryId;
use crate::queue::policy::key_hash::KeyHash;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::{Duration, Instant};

/// An entry: the index of its stream in the list of streams, and its id.
pub(crate) type Key = (usize, EntryId);

/// All entries that one consumer holds. `M` is returned when a lease ends.
#[derive(Debug)]
pub(crate) struct Leases<M> {
    lease: Duration,
    entries: HashMap<Key, LeaseEntry<M>, KeyHash>,
    tickets: u64,
}

#[derive(Debug)]
struct LeaseEntry<M> {
    /// Distinguishes deliveries of the same entry: it may come back after its lease was lost.
    ticket: u64,
    /// The time before the last confirmed command was sent.
    since: Instant,
    /// The time of its reply: at the server, the entry has been idle since then at least.
    idle_since: Instant,
    decided: Decided,
    mark: M,
}

/// The decision about an entry that is being sent to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decided {
    /// No decision: heartbeats are sent.
    Not,
    /// The entry is being moved to another stream. Heartbeats are sent, because that may take long.
    /// An entry that is no longer pending is one that was moved.
    Moving,
    /// The job is done. If the entry is delivered again, it is not run again, however long that
    /// takes.
    Done,
    /// The job is given back. The entry may be delivered again before the confirmation arrives.
    GivenBack,
}

impl Decided {
    /// Whether heartbeats are sent.
    fn is_renewed(self) -> bool {
        matches!(self, Self::Not | Self::Moving)
    }
}

impl<M> Leases<M> {
    pub(crate) fn new(lease: Duration) -> Self {
        Self { lease, entries: HashMap::default(), tickets: 0 }
    }

    /// Returns when a lease is considered lost, if its last confirmed command was sent at `since`.
    pub(crate) fn deadline(&self, since: Instant) -> Instant {
        since + self.lease / 4 * 3
    }

    fn is_within(&self, since: Instant, now: Instant) -> bool {
        now < self.deadline(since)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn contains(&self, key: Key) -> bool {
        self.entries.contains_key(&key)
    }

    /// Returns the ticket of the last delivery.
    pub(crate) fn last_ticket(&self) -> u64 {
        self.tickets
    }

    /// Returns all entries that are held, in no order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = Key> {
        self.entries.keys().copied()
    }

    /// Holds an entry that was delivered by a command sent at `since`, and returns its ticket.
    /// `None` if it is held already: the server delivered it to this consumer again, and it must
    /// not run twice. Its lease is then renewed.
    ///
    /// An entry may arrive after its lease was over, because the process stalled. It is then held
    /// with an expired lease, and the next check finds it lost.
    pub(crate) fn insert(
        &mut self,
        key: Key,
        since: Instant,
        now: Instant,
        mark: M,
    ) -> Option<u64> {
        let most = self.lease / 4 * 3;
        let ticket = self.tickets + 1;
        let decided = Decided::Not;
        let delivered = LeaseEntry { ticket, since, idle_since: now, decided, mark };
        match self.entries.entry(key) {
            Entry::Vacant(vacant) => {
                vacant.insert(delivered);
            }
            Entry::Occupied(mut occupied) => {
                let entry = occupied.get_mut();
                let ours = match entry.decided {
                    Decided::Not | Decided::Moving => now < entry.since + most,
                    Decided::Done => true,
                    Decided::GivenBack => false,
                };
                if ours {
                    entry.since = entry.since.max(since);
                    entry.idle_since = entry.idle_since.max(now);
                    return None;
                }
                *entry = delivered;
            }
        }
        self.tickets = ticket;
        Some(ticket)
    }

    /// Whether this delivery has a valid lease.
    pub(crate) fn is_valid(&self, key: Key, ticket: u64, now: Instant) -> bool {
        let entry = self.entries.get(&key).filter(|entry| entry.ticket == ticket);
        entry.is_some_and(|entry| self.is_within(entry.since, now))
    }

    /// Returns when the lease of this delivery expires; `None` if it is lost.
    pub(crate) fn expiry(&self, key: Key, ticket: u64) -> Option<Instant> {
        let entry = self.entries.get(&key).filter(|entry| entry.ticket == ticket)?;
        Some(self.deadline(entry.since))
    }

    /// Records the decision about this delivery, and stops heartbeats that would undo it. False if
    /// the lease is lost.
    pub(crate) fn decide(&mut self, key: Key, ticket: u64, decided: Decided, now: Instant) -> bool {
        let most = self.lease / 4 * 3;
        let entry = self.entries.get_mut(&key).filter(|entry| entry.ticket == ticket);
        let Some(entry) = entry.filter(|entry| now < entry.since + most) else { return false };
        entry.decided = decided;
        true
    }

    /// Removes this delivery, whether its lease was lost or not.
    pub(crate) fn remove(&mut self, key: Key, ticket: u64) -> Option<M> {
        match self.entries.entry(key) {
            Entry::Occupied(entry) if entry.get().ticket == ticket => Some(entry.remove().mark),
            _ => None,
        }
    }

    /// Returns the entries whose lease is lost, sorted by stream and id. Those that are decided
    /// already are not among them.
    pub(crate) fn expired(&self, now: Instant) -> Vec<(Key, &M)> {
        let mut lost: Vec<_> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.decided.is_renewed() && !self.is_within(entry.since, now))
            .map(|(key, entry)| (*key, &entry.mark))
            .collect();
        lost.sort_unstable_by_key(|(key, _)| *key);
        lost
    }

    /// Removes and returns the same entries.
    pub(crate) fn take_expired(&mut self, now: Instant) -> Vec<(Key, M)> {
        let lost: Vec<Key> = self.expired(now).into_iter().map(|(key, _)| key).collect();
        lost.into_iter().filter_map(|key| Some((key, self.entries.remove(&key)?.mark))).collect()
    }

    /// Returns the entries for which a heartbeat is due, sorted by stream and id.
    pub(crate) fn due(&self, now: Instant) -> Vec<Key> {
        let is_due = |entry: &LeaseEntry<M>| {
            let age = now.saturating_duration_since(entry.since);
            entry.decided.is_renewed() && age >= self.lease / 3 && self.is_within(entry.since, now)
        };
        let due = self.entries.iter().filter(|(_, entry)| is_due(entry));
        let mut due: Vec<Key> = due.map(|(key, _)| *key).collect();
        due.sort_unstable();
        due
    }

    /// Returns those of the keys for which a heartbeat may still be sent, sorted by stream and by the
    /// time since which they are idle at least. Some may have been decided or expired since they were
    /// due.
    pub(crate) fn still_due(&self, keys: &[Key], now: Instant) -> Vec<(Key, Instant)> {
        let may =
            |entry: &&LeaseEntry<M>| entry.decided.is_renewed() && self.is_within(entry.since, now);
        let idle = |key: &Key| Some((*key, self.entries.get(key).filter(may)?.idle_since));
        let mut due: Vec<_> = keys.iter().filter_map(idle).collect();
        due.sort_unstable_by_key(|((level, id), idle)| (*level, *idle, *id));
        due
    }

    /// Returns when to check again for due heartbeats and expired leases. `None` while nothing is
    /// held.
    pub(crate) fn next_check(&self) -> Option<Instant> {
        let oldest = self
            .entries
            .values()
            .filter(|entry| entry.decided.is_renewed())
            .map(|entry| entry.since);
        Some(oldest.min()? + self.lease / 3)
    }

    /// Returns when the first lease expires if nothing is confirmed. `None` while nothing is held.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        Some(self.next_check()? - self.lease / 3 + self.lease / 4 * 3)
    }

    /// Records a heartbeat for these entries, sent at `sent` and confirmed `now`. A lease that is lost
    /// stays lost, also if that was not reported yet: the handler may have been cancelled already.
    pub(crate) fn renewed(&mut self, sent: Instant, now: Instant, keys: &[Key]) {
        let most = self.lease / 4 * 3;
        for key in keys {
            if let Some(entry) = self.entries.get_mut(key).filter(|entry| now < entry.since + most)
            {
                entry.since = entry.since.max(sent);
                entry.idle_since = entry.idle_since.max(now);
            }
        }
    }

    /// Records that an entry is not pending for this consumer, as a request sent at `asked` showed,
    /// and whether it is pending for another one. Returns its mark if its lease ends. An entry that
    /// this consumer moves itself, and that is no longer pending, stays; so does one whose lease has
    /// expired, until that is reported.
    pub(crate) fn taken(
        &mut self,
        (asked, now): (Instant, Instant),
        key: Key,
        is_pending: bool,
    ) -> Option<M> {
        let most = self.lease / 4 * 3;
        let entry = self.entries.get_mut(&key)?;
        match entry.decided {
            Decided::Not if entry.since <= asked && now < entry.since + most => {
                Some(self.entries.remove(&key)?.mark)
            }
            Decided::Moving if !is_pending => {
                // No other consumer can claim it.
                entry.since = entry.since.max(asked);
                None
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(12);

    fn key(ms: u64) -> Key {
        (0, EntryId::new(ms, 0))
    }

    fn at(start: Instant, s: u64) -> Instant {
        start + Duration::from_secs(s)
    }

    #[test]
    fn entry_that_is_moved_is_renewed_and_may_be_gone() {
        let now = Instant::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        let (mut leases, key) = (Leases::new(Duration::from_secs(30)), (0, EntryId::new(1, 0)));
        let ticket = leases.insert(key, now, now, ()).expect("it is not held");
        assert!(leases.decide(key, ticket, Decided::Moving, at(1)));
        assert_eq!(leases.due(at(10)), [key]);
        assert_eq!(leases.still_due(&[key], at(10)), [(key, now)]);
        assert_eq!(leases.taken((at(10), at(10)), key, false), None);
        assert!(leases.is_valid(key, ticket, at(25)));
        // Another client has claimed it.
        assert_eq!(leases.taken((at(20), at(20)), key, true), None);
        assert!(!leases.is_valid(key, ticket, at(33)));
        assert_eq!(leases.take_expired(at(40)), [(key, ())]);
    }

    #[test]
    fn heartbeats_are_due_after_a_third_and_never_after_three_quarters() {
        let start = Instant::now();
        let mut leases = Leases::new(LEASE);
        assert_eq!(leases.next_check(), None);
        leases.insert(key(1), start, start, ()).unwrap();
        for (s, is_due) in [(3, false), (4, true), (8, true), (9, false)] {
            assert_eq!(leases.due(at(start, s)).contains(&key(1)), is_due, "after {s} s");
        }
        assert_eq!(leases.next_check(), Some(at(start, 4)));
        assert_eq!(leases.next_expiry(), Some(at(start, 9)));
    }

    #[test]
    fn heartbeat_counts_from_when_it_was_sent() {
        let start = Instant::now();
        let mut leases = Leases::new(LEASE);
        let ticket = leases.insert(key(1), start, start, ()).unwrap();
        leases.renewed(at(start, 4), at(start, 5), &[key(1)]);
        assert_eq!(leases.expiry(key(1), ticket), Some(at(start, 13)));
        assert!(leases.is_valid(key(1), ticket, at(start, 12)));
        assert!(!leases.is_valid(key(1), ticket, at(start, 13)));
        // A heartbeat sent earlier and confirmed later does not shorten the lease.
        leases.renewed(at(start, 2), at(start, 5), &[key(1)]);
        assert_eq!(leases.expiry(key(1), ticket), Some(at(start, 13)));
        // The entry is idle since the reply.
        assert_eq!(leases.still_due(&[key(1)], at(start, 9)), [(key(1), at(start, 5))]);
    }

    #[test]
    fn heartbeat_confirmed_after_the_lease_was_lost_does_not_renew_it() {
        let start = Instant::now();
        let mut leases = Leases::new(LEASE);
        let ticket = leases.insert(key(1), start, start, ()).unwrap();
        leases.renewed(at(start, 8), at(start, 9), &[key(1)]);
        assert!(!leases.is_valid(key(1), ticket, at(start, 9)));
        assert_eq!(leases.take_expired(at(start, 9)), [(key(1), ())]);
    }

    #[test]
    fn entry_that_is_not_ours_is_reported_once() {
        let start = Instant::now();
        for is_pending in [true, false] {
            let mut leases = Leases::new(LEASE);
            leases.insert(key(1), start, start, "one").unwrap();
            let times = (at(start, 4), at(start, 5));
            // An expired lease is reported as such.
            assert_eq!(leases.taken((at(start, 4), at(start, 9)), key(1), is_pending), None);
            assert_eq!(leases.taken(times, key(1), is_pending), Some("one"));
            assert_eq!(leases.taken(times, key(1), is_pending), None);
            // An entry that arrived after the request was sent is not affected.
            leases.insert(key(1), at(start, 5), at(start, 5), "again").unwrap();
            assert_eq!(leases.taken(times, key(1), is_pending), None);
            assert!(leases.contains(key(1)));
        }
    }

    #[test]
    fn decided_entry_that_is_not_ours_is_not_lost() {
        let start = Instant::now();
        let mut leases = Leases::new(LEASE);
        for (ms, decided) in [(1, Decided::Done), (2, Decided::GivenBack)] {
            let ticket = leases.insert(key(ms), start, start, ()).unwrap();
            assert!(leases.decide(key(ms), ticket, decided, at(start, 4)));
            let times = (at(start, 4), at(start, 4));
            assert_eq!(leases.taken(times, key(ms), false), None, "{decided:?}");
            assert!(leases.contains(key(ms)), "{decided:?}");
        }
    }

    #[test]
    fn held_entry_is_not_inserted_twice_and_a_lost_one_is_inserted_again() {
        let start = Instant::now();
        let mut leases = Leases::new(LEASE);
        let first = leases.insert(key(1), start, start, "first").unwrap();
        assert_eq!(leases.insert(key(1), at(start, 8), at(start, 8), "second"), None);
        assert!(
            leases.is_valid(key(1), first, at(start, 16)),
            "it was confirmed by being given again"
        );
        let third = leases.insert(key(1), at(start, 20), at(start, 20), "third").unwrap();
        assert!(!leases.is_valid(key(1), first, at(start, 20)));
        assert_eq!(leases.remove(key(1), first), None, "the first is not the third");
        assert_eq!(leases.remove(key(1), third), Some("third"));
        assert!(leases.is_empty());
    }

    #[test]
    fn expired_leases_are_reported_once_and_decided_ones_never() {
        let start = Instant::now();
        let mut leases = Leases::new(LEASE);
        leases.insert(key(1), start, start, "one").unwrap();
        let two = leases.insert(key(2), start, start, "two").unwrap();
        assert!(leases.decide(key(2), two, Decided::Done, at(start, 8)));
        assert_eq!(leases.due(at(start, 8)), [key(1)]);
        assert_eq!(leases.take_expired(at(start, 8)), []);
        assert_eq!(leases.take_expired(at(start, 9)), [(key(1), "one")]);
        assert_eq!(leases.take_expired(at(start, 99)), []);
        assert!(!leases.decide(key(2), two, Decided::Done, at(start, 99)), "too late for another");
        assert_eq!(
            leases.insert(key(2), at(start, 99), at(start, 99), "again"),
            None,
            "it is done"
        );
        assert_eq!(leases.remove(key(2), two), Some("two"));
    }

    #[test]
    fn heartbeats_and_lost_entries_are_in_the_order_of_their_ids() {
        let start = Instant::now();
        let mut leases = Leases::new(LEASE);
        let keys: Vec<Key> = (0..50).map(key).collect();
        for key in keys.iter().rev() {
            leases.insert(*key, start, start, ()).unwrap();
        }
        assert_eq!(leases.due(at(start, 4)), keys);
        let lost: Vec<Key> =
            leases.take_expired(at(start, 9)).iter().map(|(key, ())| *key).collect();
        assert_eq!(lost, keys);
    }

    #[test]
    fn entry_that_arrives_too_late_is_lost_at_once() {
        let start = Instant::now();
        let mut leases = Leases::new(LEASE);
        let ticket = leases.insert(key(1), start, at(start, 30), ()).unwrap();
        assert!(!leases.is_valid(key(1), ticket, at(start, 30)));
        assert_eq!(leases.take_expired(at(start, 30)), [(key(1), ())]);
    }

    #[test]
    fn entry_given_back_may_come_again_before_that_is_confirmed() {
        let start = Instant::now();
        let mut leases = Leases::new(LEASE);
        let first = leases.insert(key(1), start, start, "first").unwrap();
        assert!(leases.decide(key(1), first, Decided::GivenBack, at(start, 1)));
        assert!(leases.contains(key(1)));
        let again = leases.insert(key(1), start, at(start, 1), "again").unwrap();
        assert_eq!(leases.remove(key(1), first), None, "the confirmation comes late");
        assert!(leases.is_valid(key(1), again, at(start, 1)));
    }

    #[test]
    fn no_heartbeat_is_sent_for_entries_decided_or_lost_since_it_was_due() {
        let start = Instant::now();
        let mut leases = Leases::new(LEASE);
        let one = leases.insert(key(1), start, start, ()).unwrap();
        leases.insert(key(2), start, start, ()).unwrap();
        let due = leases.due(at(start, 6));
        assert_eq!(
            leases.still_due(&due, at(start, 7)),
            due.iter().map(|key| (*key, start)).collect::<Vec<_>>()
        );
        assert!(leases.decide(key(1), one, Decided::GivenBack, at(start, 7)));
        assert_eq!(leases.still_due(&due, at(start, 8)), [(key(2), start)]);
        assert_eq!(leases.still_due(&due, at(start, 9)), []);
        assert_eq!(leases.still_due(&[key(3)], at(start, 1)), []);
    }
}
