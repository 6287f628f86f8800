//! Commands that count, range over, acknowledge, remove and trim entries.

use super::{Case, Words, bound, case, refs, trim, with};
use crate::any::{bytes, given, id};
use bourn::{FromReplica, ReadCommand, XAck, XDel, XLen, XRange, XRevRange, XTrim};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

pub(super) fn entries() -> BoxedStrategy<Case> {
    let xlen = bytes().prop_map(|key| case(&XLen::new(&key), &key, Words::new("XLEN").add(&key)));
    let from_replica = bytes().prop_map(|key| {
        let read: FromReplica<XLen<'_>> = XLen::new(&key).from_replica();
        case(&read, &key, Words::new("XLEN").add(&key))
    });
    let ranges = (bytes(), bound(), bound(), option::of(any::<u64>()), any::<bool>()).prop_map(
        |(key, low, high, count, up)| {
            let counted =
                |words: Words| words.option(count, |words, n| words.add("COUNT").number(n));
            if up {
                let words = Words::new("XRANGE").add(&key).bound(low, "-").bound(high, "+");
                let range = with(XRange::new(&key, (low, high)), count, XRange::count);
                case(&range, &key, counted(words))
            } else {
                let words = Words::new("XREVRANGE").add(&key).bound(high, "+").bound(low, "-");
                let range = with(XRevRange::new(&key, (low, high)), count, XRevRange::count);
                case(&range, &key, counted(words))
            }
        },
    );
    let xack = (bytes(), given(), vec(id(), 0..200)).prop_map(|(key, group, ids)| {
        let words = Words::new("XACK").add(&key).given(&group).ids(&ids);
        case(&XAck::new(&key, group.arg(), &ids), &key, words)
    });
    let xdel = (bytes(), vec(id(), 0..200)).prop_map(|(key, ids)| {
        case(&XDel::new(&key, &ids), &key, Words::new("XDEL").add(&key).ids(&ids))
    });
    let xtrim = (bytes(), trim(), option::of(refs())).prop_map(|(key, (trim, words), refs)| {
        let words = Words::new("XTRIM").add(&key).join(words);
        let command = with(XTrim::new(&key, trim), refs, |command, (refs, _)| command.refs(refs));
        case(&command, &key, words.option(refs, |words, (_, word)| words.add(word)))
    });
    prop_oneof![
        xlen.boxed(),
        from_replica.boxed(),
        ranges.boxed(),
        xack.boxed(),
        xdel.boxed(),
        xtrim.boxed()
    ]
    .boxed()
}
