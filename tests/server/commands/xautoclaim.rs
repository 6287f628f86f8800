//! XAUTOCLAIM: its pages and deleted entries.

use super::{NO_GROUP, WRONG_TYPE, group, pending, set_text};
use crate::both::{id, in_both, ms, refusal};
use bourn::{EntryId, XAutoClaim, XClaim, XDel, XPending};
use std::time::Duration;

fn claim(start: u64) -> XAutoClaim<'static> {
    XAutoClaim::new("s", "g", "d", Duration::ZERO, id(start))
}

#[test]
fn pages_continue_at_their_cursor() {
    in_both(async |_, client| {
        pending(client, 6, 5).await;
        let mut next = Some(EntryId::MIN);
        let mut pages = Vec::new();
        while let Some(start) = next {
            let claim = XAutoClaim::new("s", "g", "d", Duration::ZERO, start).count(2);
            let page = client.send(claim).await.unwrap();
            pages.push(ms(&page.entries));
            next = page.cursor;
        }
        assert_eq!(pages, [vec![1, 2], vec![3, 4], vec![5]]);
        let summary = client.send(XPending::new("s", "g")).await.unwrap();
        assert_eq!(summary.consumers, [("d".into(), 5)]);
    });
}

#[test]
fn just_id_returns_the_same_pages() {
    in_both(async |_, client| {
        pending(client, 3, 3).await;
        let page = client.send(claim(1).count(2).just_id()).await.unwrap();
        assert_eq!((page.entries, page.cursor), (vec![id(1), id(2)], Some(id(3))));
        let page = client.send(claim(3).count(2).just_id()).await.unwrap();
        assert_eq!((page.entries, page.cursor), (vec![id(3)], None));
    });
}

#[test]
fn claim_starts_at_its_start_or_above_it() {
    in_both(async |_, client| {
        pending(client, 4, 4).await;
        let rows = [
            ("at", claim(2), vec![2, 3, 4]),
            ("above", claim(2).exclusive(), vec![3, 4]),
            (
                "between",
                XAutoClaim::new("s", "g", "d", Duration::ZERO, EntryId::new(2, 7)),
                vec![3, 4],
            ),
            ("above the last", claim(4).exclusive(), vec![]),
        ];
        for (name, claim, expected) in rows {
            let page = client.send(claim).await.unwrap();
            assert_eq!((ms(&page.entries), page.cursor), (expected, None), "{name}");
        }
        let beyond = XAutoClaim::new("s", "g", "d", Duration::ZERO, EntryId::MAX).exclusive();
        assert_eq!(refusal(client.send(beyond).await), "ERR invalid start ID for the interval");
    });
}

#[test]
fn only_entries_idle_for_min_idle_are_claimed() {
    in_both(async |_, client| {
        pending(client, 3, 3).await;
        let minute = Duration::from_secs(60);
        let idle = XClaim::new("s", "g", "c", Duration::ZERO, id(2)).idle(minute);
        client.send(idle).await.unwrap();
        let claim = XAutoClaim::new("s", "g", "d", minute, EntryId::MIN);
        let page = client.send(claim.clone()).await.unwrap();
        assert_eq!((ms(&page.entries), page.cursor), (vec![2], None));
        let page = client.send(claim).await.unwrap();
        assert!(page.entries.is_empty() && page.cursor.is_none());
    });
}

#[test]
fn server_scans_ten_times_the_count_and_returns_a_cursor() {
    in_both(async |_, client| {
        pending(client, 25, 25).await;
        let minute = Duration::from_secs(60);
        let claim = XAutoClaim::new("s", "g", "d", minute, EntryId::MIN).count(2);
        let page = client.send(claim).await.unwrap();
        assert!(page.entries.is_empty());
        assert_eq!(page.cursor, Some(id(21)));
    });
}

#[test]
fn deleted_entry_is_a_null_on_6_2_and_listed_since_7_0() {
    in_both(async |server, client| {
        pending(client, 4, 4).await;
        client.send(XDel::new("s", &[id(2), id(4)])).await.unwrap();
        let first = client.send(claim(0).count(3)).await.unwrap();
        let rest = client.send(claim(4).just_id()).await.unwrap();
        let left = client.send(XPending::new("s", "g")).await.unwrap().count;
        assert_eq!((ms(&first.entries), first.cursor), (vec![1, 3], Some(id(4))));
        assert_eq!(rest.cursor, None);
        if server.redis_at_least(7, 0) {
            assert_eq!((first.entries.nulls(), first.deleted), (0, Some(vec![id(2)])));
            assert_eq!((rest.entries, rest.deleted), (vec![], Some(vec![id(4)])));
            assert_eq!(left, 2);
        } else {
            assert_eq!((first.entries.nulls(), first.deleted), (1, None));
            assert_eq!((rest.entries, rest.deleted), (vec![id(4)], None));
            assert_eq!(left, 4);
        }
    });
}

#[test]
fn page_without_pending_entries_is_empty_and_the_last() {
    in_both(async |server, client| {
        group(client, 3).await;
        let page = client.send(claim(0)).await.unwrap();
        assert!(page.entries.is_empty() && page.cursor.is_none());
        assert_eq!(page.deleted, server.redis_at_least(7, 0).then(Vec::new));
    });
}

#[test]
fn claim_without_a_group_or_with_too_high_a_count_is_refused() {
    in_both(async |_, client| {
        set_text(client).await;
        assert_eq!(refusal(client.send(claim(0)).await), NO_GROUP);
        assert_eq!(refusal(client.send(claim(0).just_id()).await), NO_GROUP);
        let text = XAutoClaim::new("text", "g", "d", Duration::ZERO, EntryId::MIN);
        assert_eq!(refusal(client.send(text).await), WRONG_TYPE);
        group(client, 1).await;
        let most = client.send(claim(0).count(u64::MAX)).await;
        assert_eq!(refusal(most), "ERR COUNT must be > 0");
    });
}
