//! CLUSTER: a single node with the slots that it was given. No I/O.

use super::super::state::{Key, State};
use super::super::store::{Release, Reply};
use super::answer::Answer;
use super::arguments::{Arguments, syntax};
use std::collections::BTreeSet;

const NODE: &str = "0123456789abcdef0123456789abcdef01234567";
/// A node learns its address from another one; before that it is empty.
const ADDRESS: &str = "";
const PORT: i64 = 6379;
const SLOTS: i64 = 16_384;

/// `CLUSTER SLOTS`, SHARDS, ADDSLOTS, DELSLOTS, MYID
pub(super) fn cluster(state: &mut State, _: Key, args: Arguments<'_>) -> Answer {
    if !state.settings.is_on("cluster-enabled") {
        return Err(Reply::error("ERR This instance has cluster support disabled"));
    }
    match args.text(1).to_ascii_uppercase().as_str() {
        "SLOTS" => Ok(slots(state)),
        "SHARDS" => Ok(shards(&state.slots)),
        "MYID" => Ok(Reply::text(NODE)),
        command @ ("ADDSLOTS" | "DELSLOTS") => {
            let slots = (2..args.len()).map(|index| {
                args.integer_or(index, "ERR Invalid or out of range slot").and_then(|slot| {
                    let known = (0..SLOTS).contains(&slot);
                    known
                        .then_some(slot)
                        .ok_or_else(|| Reply::error("ERR Invalid or out of range slot"))
                })
            });
            for slot in slots.collect::<Result<Vec<_>, _>>()? {
                if command == "ADDSLOTS" {
                    state.slots.insert(slot);
                } else {
                    state.slots.remove(&slot);
                }
            }
            Ok(Reply::Simple("OK"))
        }
        _ => Err(syntax()),
    }
}

/// Returns the first and last slot of each range.
fn ranges(slots: &BTreeSet<i64>) -> Vec<(i64, i64)> {
    let mut ranges: Vec<(i64, i64)> = Vec::new();
    for slot in slots {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *slot => *last = *slot,
            _ => ranges.push((*slot, *slot)),
        }
    }
    ranges
}

fn slots(state: &State) -> Reply {
    let metadata = state.release().has(Release::Redis7_0).then(Reply::empty);
    let range = |(first, last)| {
        let node = [Reply::text(ADDRESS), Reply::Integer(PORT), Reply::text(NODE)];
        let node = Reply::Array(node.into_iter().chain(metadata.clone()).collect());
        Reply::Array(vec![Reply::Integer(first), Reply::Integer(last), node])
    };
    Reply::Array(ranges(&state.slots).into_iter().map(range).collect())
}

fn shards(slots: &BTreeSet<i64>) -> Reply {
    let ends = ranges(slots).into_iter().flat_map(|(first, last)| [first, last]);
    let node = [
        ("id", Reply::text(NODE)),
        ("port", Reply::Integer(PORT)),
        ("ip", Reply::text(ADDRESS)),
        ("endpoint", Reply::text(ADDRESS)),
        ("role", Reply::text("master")),
        ("replication-offset", Reply::Integer(0)),
        ("health", Reply::text("online")),
    ];
    let node = Reply::Map(node.map(|(name, value)| (Reply::text(name), value)).into());
    Reply::Array(vec![Reply::Map(vec![
        (Reply::text("slots"), Reply::Array(ends.map(Reply::Integer).collect())),
        (Reply::text("nodes"), Reply::Array(vec![node])),
    ])])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_slots_are_one_range() {
        assert_eq!(ranges(&[0, 1, 2, 5, 7, 8].into()), [(0, 2), (5, 5), (7, 8)]);
        assert_eq!(ranges(&BTreeSet::new()), []);
    }
}
