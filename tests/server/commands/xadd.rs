//! XADD: ids, missing streams, trimming, idempotent adding.

use super::{BAD_ID, WRONG_TYPE, set_text};
use crate::both::{add, id, in_both, ms, refusal, run, too_old};
use bourn::{
    AddId, EntryId, Feature, GroupFrom, Refs, StartAt, Trim, XAdd, XGroupCreate, XLen, XRange,
    XReadGroup,
};

const REFS: [Feature; 3] = [Feature::KeepRef, Feature::DelRef, Feature::Acked];

#[test]
fn reply_is_the_id_of_the_added_entry() {
    in_both(async |_, client| {
        let fields = [("a", "1"), ("b", ""), ("a", "2"), ("", "x"), ("a b\r\n", "\0")];
        let auto = client.send(XAdd::new("s").fields(fields)).await.unwrap();
        let chosen = auto.next().unwrap();
        let add = XAdd::new("s").id(chosen).field("n", -7).field("id", auto);
        assert_eq!(client.send(add).await.unwrap(), chosen);

        let entries = client.send(XRange::new("s", ..)).await.unwrap();
        assert_eq!(entries.ids().collect::<Vec<_>>(), [auto, chosen]);
        let first: Vec<_> = entries.first().unwrap().fields().collect();
        let expected: Vec<_> = fields.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
        assert_eq!(first, expected);
        let last = entries.last().unwrap();
        assert_eq!(last.get_str("n"), Ok(Some("-7")));
        assert_eq!(last.get_str("id"), Ok(Some(auto.to_string().as_str())));
    });
}

#[test]
fn time_without_sequence_takes_the_next_one_of_that_time() {
    in_both(async |server, client| {
        let add = |ms| XAdd::new("s").id(AddId::AutoSeq { ms }).field("f", "v");
        let all = client.send_all([add(5), add(5), add(6), add(6)]).await;
        if !server.redis_at_least(7, 0) {
            all.into_iter()
                .for_each(|result| assert_eq!(too_old(result, &[Feature::AutoSeq]), BAD_ID));
            return;
        }
        let ids: Vec<_> = all.into_iter().map(Result::unwrap).collect();
        let expected: Vec<EntryId> =
            [(5, 0), (5, 1), (6, 0), (6, 1)].into_iter().map(EntryId::from).collect();
        assert_eq!(ids, expected);
        assert_eq!(
            refusal(client.send(add(5)).await),
            "ERR The ID specified in XADD is equal or smaller than the target stream top item"
        );
    });
}

#[test]
fn invalid_entry_is_refused() {
    in_both(async |_, client| {
        set_text(client).await;
        let add = |key| XAdd::new(key).field("f", "v");
        client.send(add("s").id(id(5))).await.unwrap();
        client.send(add("full").id(EntryId::MAX)).await.unwrap();
        let low =
            "ERR The ID specified in XADD is equal or smaller than the target stream top item";
        let rows = [
            (add("text"), WRONG_TYPE),
            (add("s").id(id(5)), low),
            (add("s").id(id(4)), low),
            (add("none").id(EntryId::MIN), "ERR The ID specified in XADD must be greater than 0-0"),
            (
                add("full"),
                "ERR The stream has exhausted the last possible ID, unable to add more items",
            ),
            (XAdd::new("s"), "ERR wrong number of arguments for 'xadd' command"),
        ];
        for (add, expected) in rows {
            assert_eq!(refusal(client.send(add).await), expected);
        }
        let lengths = client.send_all(["s", "full", "none"].map(XLen::new)).await;
        assert_eq!(lengths.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [1, 1, 0]);
    });
}

#[test]
fn no_mk_stream_adds_nothing_without_a_stream() {
    in_both(async |_, client| {
        set_text(client).await;
        let add = |key, ms| XAdd::new(key).id(id(ms)).field("f", "v").no_mk_stream();
        assert_eq!(client.send(add("s", 1)).await.unwrap(), None);
        assert_eq!(run(client, "EXISTS s").await.as_integer(), Some(0));
        client.send(XAdd::new("s").id(id(2)).field("f", "v")).await.unwrap();
        assert_eq!(client.send(add("s", 3)).await.unwrap(), Some(id(3)));
        assert_eq!(refusal(client.send(add("text", 1)).await), WRONG_TYPE);
    });
}

#[test]
fn trim_removes_the_oldest_after_adding() {
    in_both(async |_, client| {
        // Nodes hold 100 entries, and an approximate trim removes whole nodes.
        let rows = [
            (Trim::max_len(3), 249..=251),
            (Trim::max_len(1), 251..=251),
            (Trim::max_len(251), 1..=251),
            (Trim::min_id(id(240)), 240..=251),
            (Trim::min_id(id(1)), 1..=251),
            (Trim::max_len(10).approximate(), 201..=251),
            (Trim::min_id(id(190)).approximate(), 101..=251),
            (Trim::max_len(10).limit(100), 101..=251),
            (Trim::max_len(10).limit(99), 1..=251),
            (Trim::max_len(10).limit(0), 201..=251),
        ];
        for (trim, expected) in rows {
            add(client, "s", 1..=250).await;
            let trimmed = XAdd::new("s").id(id(251)).trim(trim).field("n", 251);
            assert_eq!(client.send(trimmed).await.unwrap(), id(251), "{trim:?}");
            let left = ms(&client.send(XRange::new("s", ..)).await.unwrap());
            assert_eq!(left, expected.collect::<Vec<_>>(), "{trim:?}");
            run(client, "DEL s").await;
        }
        let none = XAdd::new("s").trim(Trim::max_len(0)).field("f", "v");
        assert!(
            client.send(none).await.unwrap() > EntryId::MIN,
            "the id of an entry that is trimmed at once"
        );
        assert_eq!(client.send(XLen::new("s")).await.unwrap(), 0);
    });
}

#[test]
fn refs_set_the_effect_of_trimming_on_pending_entries() {
    in_both(async |server, client| {
        // The entries left, and those still pending. All three were delivered to a consumer before.
        let rows = [
            (Refs::Keep, vec![3, 4], vec![1, 2, 3]),
            (Refs::Delete, vec![3, 4], vec![3]),
            (Refs::Acked, vec![1, 2, 3, 4], vec![1, 2, 3]),
        ];
        for (refs, left, pending) in rows {
            super::pending(client, 3, 3).await;
            let trim = XAdd::new("s").id(id(4)).refs(refs).trim(Trim::max_len(2)).field("f", "v");
            let result = client.send(trim).await;
            if server.redis_at_least(8, 2) {
                assert_eq!(result.unwrap(), id(4));
                let entries = client.send(XRange::new("s", ..)).await.unwrap();
                assert_eq!(ms(&entries), left, "{refs:?}");
                let read = XReadGroup::new("g", "c").stream("s", GroupFrom::ALL_PENDING);
                let streams = client.send(read).await.unwrap();
                assert_eq!(ms(streams.get("s").unwrap()), pending, "{refs:?}");
            } else {
                assert_eq!(too_old(result, &REFS), BAD_ID);
            }
            run(client, "DEL s").await;
        }
    });
}

#[test]
fn refs_need_no_trim() {
    in_both(async |server, client| {
        let result = client.send(XAdd::new("s").refs(Refs::Acked).id(id(1)).field("f", "v")).await;
        if server.redis_at_least(8, 2) {
            assert_eq!(result.unwrap(), id(1));
        } else {
            assert_eq!(too_old(result, &REFS), BAD_ID);
        }
    });
}

#[test]
fn idempotent_add_is_applied_once_per_id() {
    in_both(async |server, client| {
        client.send(XGroupCreate::new("s", "g", StartAt::START).mk_stream()).await.unwrap();
        let add = || XAdd::new("s").field("f", "v");
        let rows = [
            ("new", add().idmp("p", "1"), 1),
            ("again", add().idmp("p", "1"), 1),
            ("again, with other fields", add().field("g", "w").idmp("p", "1"), 1),
            ("another iid", add().idmp("p", "2"), 2),
            ("another producer", add().idmp("q", "1"), 3),
            ("new, by its fields", add().idmp_auto("p"), 4),
            ("the same fields", add().idmp_auto("p"), 4),
            ("other fields", add().field("g", "w").idmp_auto("p"), 5),
            (
                "these in another order",
                XAdd::new("s").field("g", "w").field("f", "v").idmp_auto("p"),
                5,
            ),
        ];
        let mut ids = Vec::new();
        for (name, add, count) in rows {
            let result = client.send(add).await;
            if !server.redis_at_least(8, 6) {
                assert_eq!(too_old(result, &[Feature::Idmp, Feature::IdmpAuto]), BAD_ID, "{name}");
                continue;
            }
            let id = result.unwrap();
            assert_eq!(ids.get(count - 1).is_some_and(|known| *known == id), count <= ids.len());
            if count > ids.len() {
                ids.push(id);
            }
            assert_eq!(client.send(XLen::new("s")).await.unwrap(), count as u64, "{name}");
        }
        if server.redis_at_least(8, 6) {
            let again = add().idmp("p", "1").no_mk_stream();
            assert_eq!(client.send(again).await.unwrap(), ids.first().copied());
            let error = "ERR syntax error, IDMP/IDMPAUTO can be used only with auto-generated IDs";
            assert_eq!(refusal(client.send(add().id(id(1)).idmp("p", "3")).await), error);
            let error = "ERR syntax error, IDMP requires a non-empty idempotent ID";
            assert_eq!(refusal(client.send(add().idmp("p", "")).await), error);
        }
    });
}
