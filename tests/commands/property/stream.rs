//! Commands that set up a stream or describe it.

use super::{Case, Words, case, keyless, with};
use crate::any::{bytes, given, id, time};
use bourn::{
    XCfgSet, XIdmpRecord, XInfoConsumers, XInfoGroups, XInfoHelp, XInfoStream, XInfoStreamFull,
    XSetId,
};
use proptest::option;
use proptest::prelude::*;

pub(super) fn stream() -> BoxedStrategy<Case> {
    let cfg_set = (bytes(), option::of(time()), option::of(any::<u64>())).prop_map(
        |(key, duration, max_size)| {
            let seconds = |ms: u64| ms.div_ceil(1000);
            let words = Words::new("XCFGSET").add(&key);
            let words = words
                .option(duration, |words, (_, ms)| words.add("IDMP-DURATION").number(seconds(ms)))
                .option(max_size, |words, n| words.add("IDMP-MAXSIZE").number(n));
            let set = with(XCfgSet::new(&key), duration, |set, (time, _)| set.idmp_duration(time));
            case(&with(set, max_size, XCfgSet::idmp_max_size), &key, words)
        },
    );
    let set_id = (bytes(), id(), option::of(any::<u64>()), option::of(id())).prop_map(
        |(key, last, added, deleted)| {
            let words = Words::new("XSETID").add(&key).id(last);
            let words = words
                .option(added, |words, n| words.add("ENTRIESADDED").number(n))
                .option(deleted, |words, id| words.add("MAXDELETEDID").id(id));
            let set = with(XSetId::new(&key, last), added, XSetId::entries_added);
            case(&with(set, deleted, XSetId::max_deleted_id), &key, words)
        },
    );
    let record = (bytes(), given(), given(), id()).prop_map(|(key, producer, iid, id)| {
        let words = Words::new("XIDMPRECORD").add(&key).given(&producer).given(&iid).id(id);
        case(&XIdmpRecord::new(&key, producer.arg(), iid.arg(), id), &key, words)
    });
    prop_oneof![cfg_set.boxed(), set_id.boxed(), record.boxed(), info()].boxed()
}

fn info() -> BoxedStrategy<Case> {
    let full = (bytes(), option::of(any::<u64>())).prop_map(|(key, count)| {
        let words = Words::new("XINFO STREAM").add(&key).add("FULL");
        let words = words.option(count, |words, n| words.add("COUNT").number(n));
        let full = with(XInfoStream::new(&key).full(), count, XInfoStreamFull::count);
        case(&full, &key, words)
    });
    let rest = (bytes(), given(), 0..4).prop_map(|(key, group, which)| match which {
        0 => case(&XInfoStream::new(&key), &key, Words::new("XINFO STREAM").add(&key)),
        1 => case(&XInfoGroups::new(&key), &key, Words::new("XINFO GROUPS").add(&key)),
        2 => {
            let words = Words::new("XINFO CONSUMERS").add(&key).given(&group);
            case(&XInfoConsumers::new(&key, group.arg()), &key, words)
        }
        _ => keyless(&XInfoHelp::new(), Words::new("XINFO HELP")),
    });
    prop_oneof![1 => full, 2 => rest].boxed()
}
