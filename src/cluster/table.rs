//! The node of each slot. No I/O.
//!
//! Looking up takes one load, without a lock. A redirect changes one slot; a new view changes the
//! others. A slot that was redirected lately keeps its node: a view may be older than the redirect,
//! and a wrong slot costs one more redirect, never an error.

use super::topology::NOBODY;
use crate::command::SLOTS;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// A view does not change a slot that was redirected within this time.
const LATELY: Duration = Duration::from_secs(5);

pub(super) struct Table(Box<[AtomicU16]>);

/// The slots that were redirected lately, and when.
#[derive(Debug, Default)]
pub(super) struct Redirects(HashMap<u16, Instant>);

impl Table {
    pub(super) fn new() -> Self {
        Self((0..SLOTS).map(|_| AtomicU16::new(NOBODY)).collect())
    }

    /// Returns a copy.
    pub(super) fn copy(&self) -> Self {
        Self(self.0.iter().map(|slot| AtomicU16::new(slot.load(Relaxed))).collect())
    }

    /// Returns the node of a slot.
    #[inline]
    pub(super) fn get(&self, slot: u16) -> Option<usize> {
        let node = self.0.get(usize::from(slot))?.load(Relaxed);
        (node != NOBODY).then_some(usize::from(node))
    }

    /// Sets the node of one slot. Returns whether it was another one.
    fn set(&self, slot: u16, node: u16) -> bool {
        self.0.get(usize::from(slot)).is_some_and(|known| known.swap(node, Relaxed) != node)
    }

    /// Records a redirect of a slot. Returns whether the table had another node.
    pub(super) fn redirect(
        &self,
        slot: u16,
        node: u16,
        redirects: &mut Redirects,
        now: Instant,
    ) -> bool {
        let changed = self.set(slot, node);
        if changed {
            redirects.0.insert(slot, now);
        }
        changed
    }

    /// Sets all slots but those that were redirected lately. Returns the number of changes.
    pub(super) fn apply(
        &self,
        owners: impl IntoIterator<Item = u16>,
        redirects: &mut Redirects,
        now: Instant,
    ) -> usize {
        redirects.0.retain(|_, at| now.saturating_duration_since(*at) < LATELY);
        let slots = (0..SLOTS).zip(owners);
        slots
            .filter(|(slot, owner)| !redirects.0.contains_key(slot) && self.set(*slot, *owner))
            .count()
    }

    /// Returns the number of slots of each node below `nodes`, and the number without a node.
    pub(super) fn counts(&self, nodes: usize) -> (Vec<u16>, usize) {
        let (mut counts, mut unowned) = (vec![0; nodes], 0);
        for slot in &self.0 {
            match counts.get_mut(usize::from(slot.load(Relaxed))) {
                Some(count) => *count += 1,
                None => unowned += 1,
            }
        }
        (counts, unowned)
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Table")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn view_does_not_undo_a_redirect_of_the_last_seconds() {
        let (table, mut redirects, start) = (Table::new(), Redirects::default(), Instant::now());
        let all = |node: u16| std::iter::repeat_n(node, usize::from(SLOTS));
        assert_eq!(table.get(7), None);
        assert_eq!(table.apply(all(0), &mut redirects, start), usize::from(SLOTS));
        assert!(table.redirect(7, 1, &mut redirects, start));
        assert!(!table.redirect(7, 1, &mut redirects, start), "it is known");
        let soon = start + LATELY - Duration::from_millis(1);
        assert_eq!(table.apply(all(0), &mut redirects, soon), 0);
        assert_eq!((table.get(7), table.get(8)), (Some(1), Some(0)));
        assert_eq!(table.counts(2), (vec![SLOTS - 1, 1], 0));
        assert_eq!(table.copy().get(7), Some(1));
        assert_eq!(table.apply(all(0), &mut redirects, start + LATELY), 1);
        assert_eq!(table.get(7), Some(0));
        assert_eq!(table.apply(all(NOBODY), &mut redirects, start + LATELY), usize::from(SLOTS));
        assert_eq!((table.get(7), table.counts(1)), (None, (vec![0], usize::from(SLOTS))));
        assert!(!table.redirect(SLOTS, 1, &mut redirects, start), "no such slot");
    }

    proptest! {
        #[test]
        fn every_slot_has_the_node_of_its_last_redirect_or_of_the_view(
            steps in prop::collection::vec((0..3_u16, 0..8_u16, 0..4_u16, 0..4_000_u64), 1..40),
        ) {
            let (table, mut redirects) = (Table::new(), Redirects::default());
            let mut now = Instant::now();
            let mut model: HashMap<u16, (u16, Option<Instant>)> = HashMap::new();
            for (kind, slot, node, ms) in steps {
                now += Duration::from_millis(ms);
                if kind == 0 {
                    table.apply((0..SLOTS).map(|slot| (slot + node) % 4), &mut redirects, now);
                    for slot in 0..8 {
                        let known = model.entry(slot).or_insert((NOBODY, None));
                        if known.1.is_none_or(|at| now - at >= LATELY) {
                            *known = ((slot + node) % 4, None);
                        }
                    }
                } else {
                    table.redirect(slot, node, &mut redirects, now);
                    let known = model.entry(slot).or_insert((NOBODY, None));
                    if known.0 != node {
                        *known = (node, Some(now));
                    }
                }
                for slot in 0..8 {
                    let known = model.get(&slot).map_or(NOBODY, |known| known.0);
                    let expected = (known != NOBODY).then_some(usize::from(known));
                    prop_assert_eq!(table.get(slot), expected);
                }
            }
        }
    }
}
