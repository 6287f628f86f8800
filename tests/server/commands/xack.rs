//! XACK and XDEL: their counts.

use super::{WRONG_TYPE, pending, set_text};
use crate::both::{add, id, in_both, ms, refusal};
use bourn::{GroupFrom, XAck, XDel, XLen, XPending, XRange, XReadGroup};

#[test]
fn xack_counts_entries_pending_in_this_group() {
    in_both(async |_, client| {
        set_text(client).await;
        pending(client, 5, 4).await;
        let ids = [id(1), id(2), id(5), id(9)];
        let rows = [
            ("one", XAck::new("s", "g", id(3)), 1),
            ("the same again", XAck::new("s", "g", id(3)), 0),
            ("some that are pending and some that are not", XAck::new("s", "g", &ids), 2),
            ("no such group", XAck::new("s", "none", id(4)), 0),
            ("no such stream", XAck::new("none", "g", id(4)), 0),
        ];
        for (name, ack, expected) in rows {
            assert_eq!(client.send(ack).await.unwrap(), expected, "{name}");
        }
        let left = client.send(XPending::new("s", "g")).await.unwrap();
        assert_eq!((left.count, left.min, left.max), (1, Some(id(4)), Some(id(4))));
        assert_eq!(client.send(XLen::new("s")).await.unwrap(), 5, "acked entries stay");
        assert_eq!(refusal(client.send(XAck::new("text", "g", id(1))).await), WRONG_TYPE);
        let none = client.send(XAck::new("s", "g", &[])).await;
        assert_eq!(refusal(none), "ERR wrong number of arguments for 'xack' command");
    });
}

#[test]
fn a_thousand_entries_are_acked_at_once() {
    in_both(async |_, client| {
        pending(client, 1000, 1000).await;
        let ids: Vec<_> = (1..=1000).map(id).collect();
        assert_eq!(client.send(XAck::new("s", "g", &ids)).await.unwrap(), 1000);
    });
}

#[test]
fn xdel_counts_existing_entries_and_leaves_them_pending() {
    in_both(async |_, client| {
        set_text(client).await;
        pending(client, 3, 3).await;
        add(client, "t", 1..=3).await;
        let ids = [id(1), id(1), id(2), id(9)];
        let rows = [
            ("one", XDel::new("t", id(2)), 1),
            ("the same again", XDel::new("t", id(2)), 0),
            ("one twice, and one that never was", XDel::new("s", &ids), 2),
            ("no such stream", XDel::new("none", id(1)), 0),
        ];
        for (name, del, expected) in rows {
            assert_eq!(client.send(del).await.unwrap(), expected, "{name}");
        }
        assert_eq!(ms(&client.send(XRange::new("s", ..)).await.unwrap()), [3]);
        let history = XReadGroup::new("g", "c").stream("s", GroupFrom::ALL_PENDING);
        let deleted = client.send(history).await.unwrap();
        assert_eq!(deleted.iter().filter(|entry| entry.is_deleted()).count(), 2);
        assert_eq!(refusal(client.send(XDel::new("text", id(1))).await), WRONG_TYPE);
        let none = client.send(XDel::new("s", &[])).await;
        assert_eq!(refusal(none), "ERR wrong number of arguments for 'xdel' command");
    });
}
