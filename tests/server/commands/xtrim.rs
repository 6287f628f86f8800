//! XTRIM: the removed entries, the remaining ones, and the effect on pending ones.

use super::{SYNTAX, WRONG_TYPE, set_text};
use crate::both::{add, id, in_both, ms, refusal, run, too_old};
use bourn::{Feature, GroupFrom, Refs, Trim, XAck, XPendingRange, XRange, XReadGroup, XTrim};

const REFS: [Feature; 3] = [Feature::KeepRef, Feature::DelRef, Feature::Acked];

#[test]
fn trim_counts_the_removed_entries() {
    in_both(async |_, client| {
        // Nodes hold 100 entries, and an approximate trim removes whole nodes.
        let rows = [
            (Trim::max_len(3), 247),
            (Trim::max_len(0), 250),
            (Trim::max_len(250), 0),
            (Trim::min_id(id(240)), 239),
            (Trim::min_id(id(1)), 0),
            (Trim::min_id(id(251)), 250),
            (Trim::max_len(10).approximate(), 200),
            (Trim::min_id(id(190)).approximate(), 100),
            (Trim::max_len(10).limit(100), 100),
            (Trim::max_len(10).limit(99), 0),
            (Trim::min_id(id(240)).limit(0), 200),
        ];
        for (trim, expected) in rows {
            add(client, "s", 1..=250).await;
            assert_eq!(client.send(XTrim::new("s", trim)).await.unwrap(), expected, "{trim:?}");
            let left = ms(&client.send(XRange::new("s", ..)).await.unwrap());
            assert_eq!(left, (expected + 1..=250).collect::<Vec<_>>(), "{trim:?}");
            run(client, "DEL s").await;
        }
        assert_eq!(client.send(XTrim::new("none", Trim::max_len(0))).await.unwrap(), 0);
    });
}

#[test]
fn refs_set_the_effect_on_pending_entries() {
    in_both(async |server, client| {
        // Of four entries, three were delivered to a consumer, and the first of them is
        // acknowledged.
        let rows =
            [(Refs::Keep, 3, vec![2, 3]), (Refs::Delete, 3, vec![]), (Refs::Acked, 1, vec![2, 3])];
        for (refs, removed, pending) in rows {
            super::pending(client, 4, 3).await;
            client.send(XAck::new("s", "g", id(1))).await.unwrap();
            let result = client.send(XTrim::new("s", Trim::max_len(1)).refs(refs)).await;
            if server.redis_at_least(8, 2) {
                assert_eq!(result.unwrap(), removed, "{refs:?}");
                let left = client.send(XPendingRange::new("s", "g", .., 10)).await.unwrap();
                let left: Vec<_> = left.iter().map(|entry| entry.id.ms()).collect();
                assert_eq!(left, pending, "{refs:?}");
            } else {
                assert_eq!(too_old(result, &REFS), SYNTAX);
            }
            run(client, "DEL s").await;
        }
    });
}

#[test]
fn approximate_trim_with_refs_and_limit_is_one_command() {
    in_both(async |server, client| {
        super::pending(client, 250, 250).await;
        let trim = XTrim::new("s", Trim::max_len(10).limit(150)).refs(Refs::Delete);
        let result = client.send(trim).await;
        if server.redis_at_least(8, 2) {
            // Redis 8.2 trims nothing if the trim is approximate and checks references.
            let removed = if server.redis_at_least(8, 6) { 100 } else { 0 };
            assert_eq!(result.unwrap(), removed);
            let read = XReadGroup::new("g", "c").stream("s", GroupFrom::ALL_PENDING);
            assert_eq!(client.send(read).await.unwrap().len() as u64, 250 - removed);
        } else {
            assert_eq!(too_old(result, &REFS), SYNTAX);
        }
    });
}

#[test]
fn trim_of_a_key_of_another_type_is_refused() {
    in_both(async |_, client| {
        set_text(client).await;
        assert_eq!(refusal(client.send(XTrim::new("text", Trim::max_len(0))).await), WRONG_TYPE);
    });
}
