//! Commands that list and claim pending entries.

use super::{Case, Words, bound, case, with};
use crate::any::{bytes, given, id, positive, time};
use bourn::{XAutoClaim, XAutoClaimJustId, XClaim, XClaimJustId, XPending, XPendingRange};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::ops::Bound::{Excluded, Included};
use std::time::SystemTime;

pub(super) fn pending() -> BoxedStrategy<Case> {
    let summary = (bytes(), given()).prop_map(|(key, group)| {
        let words = Words::new("XPENDING").add(&key).given(&group);
        case(&XPending::new(&key, group.arg()), &key, words)
    });
    let options = (option::of(time()), option::of(given()));
    let range = (bytes(), given(), (bound(), bound()), any::<u64>(), options).prop_map(
        |(key, group, (low, high), count, (idle, consumer))| {
            let words = Words::new("XPENDING").add(&key).given(&group);
            let words = words.option(idle, |words, (_, ms)| words.add("IDLE").number(ms));
            let words = words.bound(low, "-").bound(high, "+").number(count);
            let words = words.option(consumer.as_ref(), |words, consumer| words.given(consumer));
            let range = XPendingRange::new(&key, group.arg(), (low, high), count);
            let range = with(range, idle, |range, (time, _)| range.idle(time));
            let range =
                with(range, consumer.as_ref(), |range, consumer| range.consumer(consumer.arg()));
            case(&range, &key, words)
        },
    );
    let names = (bytes(), given(), given(), time());
    let options = (
        option::of((any::<bool>(), time())),
        option::of(any::<u64>()),
        any::<bool>(),
        option::of(id()),
        any::<bool>(),
    );
    let claim = (names, vec(id(), 0..200), options).prop_map(
        |(
            (key, group, consumer, (min_idle, ms)),
            ids,
            (delivered, retry, force, last_id, just_id),
        )| {
            let words =
                Words::new("XCLAIM").add(&key).given(&group).given(&consumer).number(ms).ids(&ids);
            let words = words.option(delivered, |words, (ago, (time, ms))| match ago {
                true => words.add("IDLE").number(ms),
                false => words.add("TIME").number(time.as_millis()),
            });
            let words = words
                .option(retry, |words, n| words.add("RETRYCOUNT").number(n))
                .flag(force, "FORCE")
                .flag(just_id, "JUSTID")
                .option(last_id, |words, id| words.add("LASTID").id(id));
            let claim = XClaim::new(&key, group.arg(), consumer.arg(), min_idle, &ids);
            let claim = with(claim, delivered, |claim, (ago, (time, _))| match ago {
                true => claim.idle(time),
                false => claim.time(SystemTime::UNIX_EPOCH + time),
            });
            let claim = with(claim, retry, XClaim::retry_count);
            let claim = with(claim, last_id, XClaim::last_id);
            let claim = if force { claim.force() } else { claim };
            if just_id {
                case::<XClaimJustId<'_>>(&claim.just_id(), &key, words)
            } else {
                case(&claim, &key, words)
            }
        },
    );
    let names = (bytes(), given(), given(), time());
    let options = (any::<bool>(), option::of(positive()), any::<bool>());
    let auto_claim = (names, id(), options).prop_map(
        |((key, group, consumer, (min_idle, ms)), start, (exclusive, count, just_id))| {
            let words =
                Words::new("XAUTOCLAIM").add(&key).given(&group).given(&consumer).number(ms);
            let bound = if exclusive { Excluded(start) } else { Included(start) };
            let words = words
                .bound(bound, "")
                .option(count, |words, n| words.add("COUNT").number(n))
                .flag(just_id, "JUSTID");
            let claim = XAutoClaim::new(&key, group.arg(), consumer.arg(), min_idle, start);
            let claim = with(claim, count, XAutoClaim::count);
            let claim = if exclusive { claim.exclusive() } else { claim };
            if just_id {
                case::<XAutoClaimJustId<'_>>(&claim.just_id(), &key, words)
            } else {
                case(&claim, &key, words)
            }
        },
    );
    prop_oneof![summary.boxed(), range.boxed(), claim.boxed(), auto_claim.boxed()].boxed()
}
