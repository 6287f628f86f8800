//! The replica that a read is sent to, and the connection for that.
//!
//! A replica answers reads on a connection that has sent READONLY. Other commands never use such a
//! connection: a node that was the master answers them there with old data, and not with MOVED.

use super::map::{Map, is_down};
use super::node::Node;
use crate::config::Replicas;
use crate::connection::{Event, Hook, Shared};
use crate::random;
use std::sync::Weak;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// With [`Replicas::Near`], one of this many reads goes to any replica.
const MEASURED: u64 = 64;

/// The weight of a read in the average is one divided by this.
const WEIGHT: u64 = 8;

impl Map {
    /// Returns the connection to a replica of a slot; `None` if there is none that can be read.
    pub(super) fn replica_of(&self, slot: Option<u16>) -> Option<&Shared> {
        let which = self.settings.replicas;
        if which == Replicas::Never || self.closing.load(Relaxed) {
            return None;
        }
        let owner = self.table.get(slot?)?;
        let state = self.state();
        let places = state.replicas.get(&owner)?.iter();
        let nodes = places.filter_map(|place| Some((*place, self.node(*place)?)));
        let readable: Vec<_> =
            nodes.filter(|(_, node)| !node.is_unreadable.load(Relaxed)).collect();
        drop(state);
        let latency = |(_, node): &&(usize, &Node)| node.latency.load(Relaxed);
        let nearest = match which {
            Replicas::Near if random::bits() % MEASURED != 0 => readable.iter().min_by_key(latency),
            _ => None,
        };
        let any = || readable.get(usize::try_from(random::bits()).ok()? % readable.len().max(1));
        let (place, node) = *nearest.or_else(any)?;
        let hook = || reading_hook(&self.me, place);
        let make = || self.common.connection(&node.host, hook(), true);
        node.is_unread.store(false, Relaxed);
        Some(node.reading.get_or_init(make).shared())
    }

    /// Records the time of a read from a replica.
    pub(super) fn measured(&self, by: &Shared, time: Duration) {
        if self.settings.replicas != Replicas::Near {
            return;
        }
        let Some((_, node)) = self.node_of(by) else { return };
        let time = u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1);
        // Of two reads that end at once, one is not counted.
        let before = node.latency.load(Relaxed);
        node.latency.store(average(before, time), Relaxed);
    }

    /// Handles an event of the connection for reads. Reads that wait for it go to the master.
    fn reading_happened(&self, place: usize, event: &Event) {
        let Some(node) = self.node(place) else { return };
        if let Some(down) = is_down(event) {
            node.is_unreadable.store(down, Relaxed);
            if let Some(reading) = node.reading.get().filter(|_| down) {
                reading.shared().evict();
            }
        }
        self.publish(node, event);
    }
}

/// Returns the average with one more time; 0 is no average.
fn average(before: u64, time: u64) -> u64 {
    match before {
        0 => time,
        _ => (before - before / WEIGHT).saturating_add(time / WEIGHT).max(1),
    }
}

impl Node {
    /// Closes the connection for reads if nothing was read on it for a while. Another read makes it
    /// again, also if it failed before.
    pub(super) fn sweep_reading(&self) {
        let Some(reading) = self.reading.get() else { return };
        if self.is_unread.swap(true, Relaxed) && reading.shared().requests() == 0 {
            reading.shared().park();
            self.is_unreadable.store(false, Relaxed);
        }
    }
}

/// Returns the function that is called with the events of a connection for reads.
fn reading_hook(map: &Weak<Map>, place: usize) -> Hook {
    let map = Weak::clone(map);
    Hook(Box::new(move |event| {
        if let Some(map) = map.upgrade() {
            map.reading_happened(place, event);
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn average_follows_the_time_of_reads() {
        assert_eq!(average(0, 700), 700);
        assert_eq!(average(800, 1_600), 900);
        assert_eq!(average(800, 0), 700);
        assert_eq!(average(1, 0), 1, "it stays known");
        let after_ten = (0..10).fold(100, |average_so_far, _| average(average_so_far, 10_000));
        assert!((6_000..10_000).contains(&after_ten), "{after_ten}");
    }
}
