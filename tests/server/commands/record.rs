//! Structs as the fields of an entry, and serialized replies.

use crate::both::{id, in_both};
use bourn::queue::{Health, Queue, RawBytes};
use bourn::{
    EntryId, GroupFrom, StartAt, XAdd, XGroupCreate, XInfoConsumers, XInfoGroups, XInfoStream,
    XPending, XRange, XReadGroup,
};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

fn json(value: impl Serialize) -> serde_json::Value {
    serde_json::to_value(value).expect("it is JSON")
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Order<'a> {
    #[serde(borrow)]
    sku: Cow<'a, str>,
    count: u32,
    price: f64,
    paid: bool,
    note: Option<String>,
    tags: Vec<String>,
    after: EntryId,
    _seen: i64,
}

fn order() -> Order<'static> {
    let tags = vec!["a".to_owned(), "b".to_owned()];
    let after = EntryId::new(7, 8);
    let sku = "A-7".into();
    Order { sku, count: 3, price: 0.1, paid: true, note: None, tags, after, _seen: -1 }
}

#[test]
fn record_is_read_as_it_was_added() {
    in_both(async |_, client| {
        let by_record = XAdd::new("s").id(id(1)).record(&order()).unwrap();
        client.send(by_record).await.unwrap();
        // The same fields added one by one: fields and records have the same encoding.
        let by_hand =
            XAdd::new("s").id(id(2)).field("sku", "A-7").field("count", 3).field("price", 0.1);
        let by_hand = by_hand.field("paid", true).field("tags", r#"["a","b"]"#);
        let by_hand = by_hand.field("after", EntryId::new(7, 8)).field("_seen", -1);
        client.send(by_hand).await.unwrap();
        let entries = client.send(XRange::new("s", ..)).await.unwrap();
        let fields = |nth| entries.get(nth).unwrap().fields().collect::<Vec<_>>();
        assert_eq!(fields(0), fields(1));
        for entry in &entries {
            assert_eq!(entry.record::<Order<'_>>().unwrap(), order());
            let kept = entry.to_entry();
            assert_eq!(kept.record::<Order<'_>>().unwrap(), order());
        }
        client.send(XAdd::new("s").id(id(3)).field("sku", "B")).await.unwrap();
        let last = client.send(XRange::new("s", id(3)..)).await.unwrap();
        let error = last.first().unwrap().record::<Order<'_>>().unwrap_err();
        assert_eq!(error.to_string(), "field count: missing");
        assert!(XAdd::new("s").record(&7).is_err());
    });
}

#[test]
fn replies_serialize_with_ids_as_text_and_times_in_milliseconds() {
    in_both(async |server, client| {
        client.send(XGroupCreate::new("s", "g", StartAt::START).mk_stream()).await.unwrap();
        client.send(XAdd::new("s").id(id(1)).field("f", "v")).await.unwrap();
        let read = XReadGroup::new("g", "c").stream("s", GroupFrom::New);
        client.send(read).await.unwrap();
        let pending = client.send(XPending::new("s", "g")).await.unwrap();
        let pending = json(pending);
        let expected = r#"{"count":1,"min":"1-0","max":"1-0","consumers":[["c",1]]}"#;
        assert_eq!(pending, serde_json::from_str::<serde_json::Value>(expected).unwrap());
        let entries = client.send(XPending::new("s", "g").range(.., 10)).await.unwrap();
        let entries = json(entries);
        assert_eq!(entries[0]["id"], "1-0");
        assert!(entries[0]["idle_ms"].is_u64(), "{entries}");
        let groups = client.send(XInfoGroups::new("s")).await.unwrap();
        let groups = json(groups);
        assert_eq!((&groups[0]["name"], &groups[0]["pending"]), (&"g".into(), &1.into()));
        let consumers = client.send(XInfoConsumers::new("s", "g")).await.unwrap();
        let consumers = json(consumers);
        assert!(consumers[0]["idle_ms"].is_u64(), "{consumers}");
        let stream = client.send(XInfoStream::new("s")).await.unwrap();
        let stream = json(stream);
        let first = r#"{"id":"1-0","fields":[["f","v"]]}"#;
        let first: serde_json::Value = serde_json::from_str(first).unwrap();
        assert_eq!(stream["first_entry"], first);
        assert_eq!(stream["idmp"].is_object(), server.redis_at_least(8, 6));

        let queue: Queue<String> = Queue::builder(client, "q").open(RawBytes).await.unwrap();
        let stats = json(queue.stats().await.unwrap());
        assert_eq!((&stats["length"], &stats["ready"]), (&0.into(), &0.into()));
        let health = json(Health::Degraded(vec!["lag".into()]));
        assert_eq!(health.to_string(), r#"{"problems":["lag"],"status":"degraded"}"#);
    });
}

#[test]
fn id_serializes_as_text_in_any_format() {
    let id = EntryId::new(1, u64::MAX);
    let json = serde_json::to_string(&id).unwrap();
    assert_eq!(json, r#""1-18446744073709551615""#);
    assert_eq!(serde_json::from_str::<EntryId>(&json).unwrap(), id);
    assert_eq!(serde_json::from_str::<EntryId>(r#""5""#).unwrap(), EntryId::new(5, 0));
    let error = serde_json::from_str::<EntryId>(r#""5-x""#).unwrap_err();
    assert!(error.to_string().starts_with("not an entry id"), "{error}");
    assert!(serde_json::from_str::<EntryId>("5").is_err());
}
