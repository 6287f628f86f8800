//! XCLAIM: which entries change their owner, and their state afterwards.

use super::{NO_GROUP, WRONG_TYPE, group, pending, set_text};
use crate::both::{add, id, in_both, ms, refusal};
use bourn::{Client, GroupFrom, PendingEntry, XClaim, XDel, XPending, XPendingRange, XReadGroup};
use std::time::{Duration, SystemTime};

const MINUTE: Duration = Duration::from_secs(60);

fn claim(consumer: &str, ms: u64) -> XClaim<'_> {
    XClaim::new("s", "g", consumer, Duration::ZERO, id(ms))
}

/// Returns XPENDING's data about one entry, or `None` if it is not pending.
async fn look(client: &Client, ms: u64) -> Option<PendingEntry> {
    let range = XPendingRange::new("s", "g", id(ms)..=id(ms), 1);
    client.send(range).await.unwrap().pop()
}

#[test]
fn claimed_entry_changes_its_owner_and_counts_as_delivered_again() {
    in_both(async |_, client| {
        pending(client, 4, 3).await;
        // 4 is not pending, 9 does not exist.
        let ids = [id(1), id(3), id(4), id(9)];
        let entries = client.send(XClaim::new("s", "g", "d", Duration::ZERO, &ids)).await.unwrap();
        assert_eq!((ms(&entries), entries.nulls()), (vec![1, 3], 0));
        assert_eq!(entries.last().unwrap().get_str("n"), Ok(Some("3")));
        let summary = client.send(XPending::new("s", "g")).await.unwrap();
        assert_eq!(summary.consumers, [("c".into(), 1), ("d".into(), 2)]);
        assert_eq!(look(client, 1).await.unwrap().deliveries, 2);
        assert!(client.send(claim("d", 4)).await.unwrap().is_empty());
    });
}

#[test]
fn only_entries_idle_for_min_idle_are_claimed() {
    in_both(async |_, client| {
        pending(client, 2, 2).await;
        client.send(claim("c", 1).idle(MINUTE)).await.unwrap();
        let ids = [id(1), id(2)];
        let minute = XClaim::new("s", "g", "d", MINUTE, &ids);
        assert_eq!(ms(&client.send(minute.clone()).await.unwrap()), [1]);
        assert!(client.send(minute).await.unwrap().is_empty(), "claiming resets the idle time");
    });
}

#[test]
fn idle_and_time_set_the_last_delivery() {
    in_both(async |_, client| {
        pending(client, 1, 1).await;
        let now = SystemTime::now();
        let rows = [
            ("a minute", claim("c", 1).idle(MINUTE), MINUTE..2 * MINUTE),
            ("now", claim("c", 1), Duration::ZERO..MINUTE),
            ("at a time", claim("c", 1).time(now - 2 * MINUTE), 2 * MINUTE..3 * MINUTE),
            ("in the future", claim("c", 1).time(now + 60 * MINUTE), Duration::ZERO..MINUTE),
            (
                "the last of the two options",
                claim("c", 1).idle(MINUTE).time(now),
                Duration::ZERO..MINUTE,
            ),
        ];
        for (name, claim, expected) in rows {
            assert_eq!(client.send(claim).await.unwrap().len(), 1, "{name}");
            let idle = look(client, 1).await.unwrap().idle.unwrap();
            assert!(expected.contains(&idle), "{name}: {idle:?}");
        }
    });
}

#[test]
fn deliveries_are_counted_except_with_retry_count_or_just_id() {
    in_both(async |_, client| {
        pending(client, 1, 1).await;
        client.send(claim("d", 1)).await.unwrap();
        assert_eq!(look(client, 1).await.unwrap().deliveries, 2);
        client.send(claim("d", 1).retry_count(40)).await.unwrap();
        assert_eq!(look(client, 1).await.unwrap().deliveries, 40);
        let ids = client.send(claim("e", 1).just_id()).await.unwrap();
        assert_eq!(ids, [id(1)]);
        let entry = look(client, 1).await.unwrap();
        assert_eq!((&entry.consumer[..], entry.deliveries), (&b"e"[..], 40));
        client.send(claim("d", 1).retry_count(0).just_id()).await.unwrap();
        assert_eq!(look(client, 1).await.unwrap().deliveries, 0);
    });
}

#[test]
fn force_claims_entries_that_are_not_pending() {
    in_both(async |_, client| {
        group(client, 2).await;
        assert!(client.send(claim("d", 1)).await.unwrap().is_empty());
        assert_eq!(ms(&client.send(claim("d", 1).force()).await.unwrap()), [1]);
        assert_eq!(client.send(claim("d", 2).force().just_id()).await.unwrap(), [id(2)]);
        // An entry that is not in the stream cannot be forced.
        assert_eq!(client.send(claim("d", 9).force()).await.unwrap().len(), 0);
        assert_eq!(client.send(XPending::new("s", "g")).await.unwrap().count, 2);
    });
}

#[test]
fn last_id_advances_the_group() {
    in_both(async |_, client| {
        pending(client, 3, 1).await;
        client.send(claim("d", 1).last_id(id(2))).await.unwrap();
        let new = XReadGroup::new("g", "c").stream("s", GroupFrom::New);
        let entries = client.send(new).await.unwrap();
        assert_eq!(entries.iter().map(|entry| entry.id()).collect::<Vec<_>>(), [id(3)]);
    });
}

#[test]
fn all_options_can_be_combined() {
    in_both(async |_, client| {
        group(client, 1).await;
        let claim = claim("d", 1).idle(MINUTE).retry_count(3).force().last_id(id(1));
        assert_eq!(client.send(claim.just_id()).await.unwrap(), [id(1)]);
        let entry = look(client, 1).await.unwrap();
        assert!(entry.idle.unwrap() >= MINUTE);
        assert_eq!(entry.deliveries, 3);
    });
}

#[test]
fn deleted_entry_is_a_null_on_6_2_and_not_pending_since_7_0() {
    in_both(async |server, client| {
        pending(client, 4, 4).await;
        client.send(XDel::new("s", &[id(1), id(2)])).await.unwrap();
        let ids = [id(1), id(3)];
        let entries = client.send(XClaim::new("s", "g", "d", Duration::ZERO, &ids)).await.unwrap();
        let ids = [id(2), id(4)];
        let just =
            client.send(XClaim::new("s", "g", "d", Duration::ZERO, &ids).just_id()).await.unwrap();
        let left = client.send(XPending::new("s", "g")).await.unwrap().count;
        if server.redis_at_least(7, 0) {
            assert_eq!((ms(&entries), entries.nulls(), left), (vec![3], 0, 2));
            assert_eq!(just, [id(4)]);
        } else {
            assert_eq!((ms(&entries), entries.nulls(), left), (vec![3], 1, 4));
            assert_eq!(just, [id(2), id(4)]);
        }
    });
}

#[test]
fn claim_without_a_group_is_refused() {
    in_both(async |_, client| {
        set_text(client).await;
        assert_eq!(refusal(client.send(claim("d", 1)).await), NO_GROUP);
        add(client, "s", 1..=1).await;
        assert_eq!(refusal(client.send(claim("d", 1).just_id()).await), NO_GROUP);
        let text = XClaim::new("text", "g", "c", Duration::ZERO, id(1));
        assert_eq!(refusal(client.send(text).await), WRONG_TYPE);
        let none = XClaim::new("s", "g", "c", Duration::ZERO, &[]);
        assert_eq!(
            refusal(client.send(none).await),
            "ERR wrong number of arguments for 'xclaim' command"
        );
    });
}
