//! XGROUP: groups and consumers are created, moved and deleted.

use super::{WRONG_TYPE, group, pending, set_text};
use crate::both::{add, id, in_both, ms, refusal, run, too_old};
use bourn::{
    Client, Feature, GroupFrom, ReadFrom, StartAt, XGroupCreate, XGroupCreateConsumer,
    XGroupDelConsumer, XGroupDestroy, XGroupSetId, XPending, XRead, XReadGroup,
};
use std::time::{Duration, UNIX_EPOCH};

const NO_KEY: &str = "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE \
                      you may want to use the MKSTREAM option to create an empty stream automatically.";

const NO_GROUP: &str = "NOGROUP No such consumer group 'g' for key name 's'";

/// Returns the next entries of `s` for the group `g`.
async fn next(client: &Client) -> Vec<u64> {
    let read = XReadGroup::new("g", "c").stream("s", GroupFrom::New).no_ack();
    client.send(read).await.unwrap().get("s").map(ms).unwrap_or_default()
}

/// Returns a field of XINFO GROUPS for the only group of `s`.
async fn info(client: &Client, name: &str) -> Option<i64> {
    let groups = run(client, "XINFO GROUPS s").await;
    let pairs = groups.as_list().and_then(|groups| groups.first()).and_then(|g| g.as_list());
    let mut pairs = pairs.expect("there is a group").pairs();
    pairs.find(|(key, _)| key.as_str() == Some(name)).and_then(|(_, value)| value.as_integer())
}

#[test]
fn group_starts_at_its_start_position() {
    in_both(async |_, client| {
        add(client, "s", 1..=3).await;
        let rows = [
            (StartAt::START, vec![1, 2, 3]),
            (StartAt::After(id(1)), vec![2, 3]),
            (StartAt::End, vec![]),
            (StartAt::After(id(9)), vec![]),
        ];
        for (start, expected) in rows {
            client.send(XGroupCreate::new("s", "g", start)).await.unwrap();
            assert_eq!(next(client).await, expected, "{start:?}");
            assert!(client.send(XGroupDestroy::new("s", "g")).await.unwrap());
        }
        client.send(XGroupCreate::new("s", "g", StartAt::End)).await.unwrap();
        add(client, "s", 4..=4).await;
        assert_eq!(next(client).await, [4]);
    });
}

#[test]
fn if_missing_returns_whether_the_group_was_created() {
    in_both(async |_, client| {
        let create = |group| XGroupCreate::new("s", group, StartAt::START).mk_stream().if_missing();
        assert!(client.send(create("g")).await.unwrap());
        assert!(!client.send(create("g")).await.unwrap());
        // In a batch, in a transaction, and on a reader's connection.
        let (old, new) = client.send_all((create("g"), create("a"))).await;
        assert_eq!((old.unwrap(), new.unwrap()), (false, true));
        let (old, new) = client.transact((create("g"), create("b"))).await.unwrap();
        assert_eq!((old.unwrap(), new.unwrap()), (false, true));
        let mut reader = client.reader().await.unwrap();
        assert!(!reader.send(create("g")).await.unwrap());
        assert!(reader.send(create("c")).await.unwrap());
        // Other errors are returned as errors.
        let missing = XGroupCreate::new("none", "g", StartAt::START).if_missing();
        assert_eq!(refusal(client.send(missing).await), NO_KEY);
        set_text(client).await;
        let text = XGroupCreate::new("text", "g", StartAt::START).if_missing();
        assert_eq!(refusal(client.send(text).await), WRONG_TYPE);
    });
}

#[test]
fn since_includes_the_entries_of_its_millisecond() {
    in_both(async |_, client| {
        add(client, "s", 1..=6).await;
        let since = |ms| UNIX_EPOCH + Duration::from_millis(ms);
        for (from, expected) in [(0, 1), (4, 4), (6, 6)] {
            let read = XRead::new().stream("s", ReadFrom::since(since(from))).count(1);
            let read = client.send(read).await.unwrap();
            assert_eq!(read.get("s").map(ms).unwrap(), [expected]);
            client.send(XGroupDestroy::new("s", "g")).await.unwrap();
            let start = StartAt::since(since(from));
            client.send(XGroupCreate::new("s", "g", start)).await.unwrap();
            assert_eq!(next(client).await.first(), Some(&expected));
        }
        let after = XRead::new().stream("s", ReadFrom::since(since(7)));
        assert!(client.send(after).await.unwrap().is_empty());
        let before = UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(ReadFrom::since(before), ReadFrom::START);
    });
}

#[test]
fn existing_group_is_not_changed() {
    in_both(async |_, client| {
        group(client, 3).await;
        let again = XGroupCreate::new("s", "g", StartAt::End).mk_stream();
        let busy = "BUSYGROUP Consumer Group name already exists";
        assert_eq!(refusal(client.send(again).await), busy);
        assert_eq!(next(client).await, [1, 2, 3]);
    });
}

#[test]
fn group_needs_its_stream_unless_mk_stream_is_set() {
    in_both(async |_, client| {
        set_text(client).await;
        let create = |key| XGroupCreate::new(key, "g", StartAt::START);
        assert_eq!(refusal(client.send(create("s")).await), NO_KEY);
        client.send(create("s").mk_stream()).await.unwrap();
        assert_eq!(next(client).await, [] as [u64; 0]);
        assert_eq!(refusal(client.send(create("text").mk_stream()).await), WRONG_TYPE);
    });
}

#[test]
fn group_moves_forwards_and_backwards() {
    in_both(async |_, client| {
        group(client, 3).await;
        let rows = [
            (StartAt::After(id(2)), vec![3]),
            (StartAt::START, vec![1, 2, 3]),
            (StartAt::End, vec![]),
        ];
        for (start, expected) in rows {
            client.send(XGroupSetId::new("s", "g", start)).await.unwrap();
            assert_eq!(next(client).await, expected, "{start:?}");
        }
    });
}

#[test]
fn entries_read_determines_the_lag() {
    in_both(async |server, client| {
        add(client, "s", 1..=5).await;
        let create = XGroupCreate::new("s", "g", id(2)).mk_stream().entries_read(2);
        let created = client.send(create).await;
        if !server.redis_at_least(7, 0) {
            let unknown = |form: &str| {
                format!(
                    "ERR Unknown subcommand or wrong number of arguments for '{form}'. Try XGROUP HELP."
                )
            };
            assert_eq!(too_old(created, &[Feature::EntriesRead]), unknown("CREATE"));
            group(client, 0).await;
            let set_id = XGroupSetId::new("s", "g", id(2)).entries_read(2);
            assert_eq!(
                too_old(client.send(set_id).await, &[Feature::EntriesRead]),
                unknown("SETID")
            );
            return;
        }
        created.unwrap();
        assert_eq!(info(client, "entries-read").await, Some(2));
        assert_eq!(info(client, "lag").await, Some(3));
        let set_id = XGroupSetId::new("s", "g", id(4));
        client.send(set_id.clone().entries_read(4)).await.unwrap();
        assert_eq!(info(client, "entries-read").await, Some(4));
        assert_eq!(info(client, "lag").await, Some(1));
        client.send(set_id).await.unwrap();
        assert_eq!(info(client, "entries-read").await, None);
    });
}

#[test]
fn consumer_is_created_once() {
    in_both(async |_, client| {
        group(client, 3).await;
        for consumer in ["c", "", "a b\r\n"] {
            let create = XGroupCreateConsumer::new("s", "g", consumer);
            assert!(client.send(create.clone()).await.unwrap());
            assert!(!client.send(create).await.unwrap());
        }
        assert_eq!(info(client, "consumers").await, Some(3));
    });
}

#[test]
fn deleting_a_consumer_drops_its_pending_entries() {
    in_both(async |_, client| {
        pending(client, 3, 2).await;
        let del = XGroupDelConsumer::new("s", "g", "c");
        assert_eq!(client.send(del.clone()).await.unwrap(), 2);
        assert_eq!(client.send(del).await.unwrap(), 0, "the consumer no longer exists");
        assert_eq!(client.send(XPending::new("s", "g")).await.unwrap().count, 0);
        assert_eq!(next(client).await, [3]);
    });
}

#[test]
fn group_is_destroyed_once() {
    in_both(async |_, client| {
        group(client, 3).await;
        let destroy = XGroupDestroy::new("s", "g");
        assert!(client.send(destroy.clone()).await.unwrap());
        assert!(!client.send(destroy).await.unwrap());
    });
}

#[test]
fn names_may_be_empty() {
    in_both(async |_, client| {
        add(client, "s", 1..=1).await;
        client.send(XGroupCreate::new("s", "", StartAt::START)).await.unwrap();
        let read = XReadGroup::new("", "").stream("s", GroupFrom::New);
        assert_eq!(client.send(read).await.unwrap().len(), 1);
        let summary = client.send(XPending::new("s", "")).await.unwrap();
        assert_eq!(summary.consumers, [("".into(), 1)]);
    });
}

#[test]
fn every_form_needs_the_stream_and_most_need_the_group() {
    in_both(async |_, client| {
        set_text(client).await;
        let forms = |key| {
            (
                XGroupSetId::new(key, "g", StartAt::START),
                XGroupCreateConsumer::new(key, "g", "c"),
                XGroupDelConsumer::new(key, "g", "c"),
                XGroupDestroy::new(key, "g"),
            )
        };
        for (key, expected) in [("s", NO_KEY), ("text", WRONG_TYPE)] {
            let (set_id, create, del, destroy) = client.send_all(forms(key)).await;
            assert_eq!(refusal(set_id), expected);
            assert_eq!(refusal(create), expected);
            assert_eq!(refusal(del), expected);
            assert_eq!(refusal(destroy), expected);
        }
        add(client, "s", 1..=1).await;
        let (set_id, create, del, destroy) = client.send_all(forms("s")).await;
        assert_eq!(refusal(set_id), NO_GROUP);
        assert_eq!(refusal(create), NO_GROUP);
        assert_eq!(refusal(del), NO_GROUP);
        assert!(!destroy.unwrap());
    });
}
