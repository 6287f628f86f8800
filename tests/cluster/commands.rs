//! Each kind of request on a cluster where nothing happens.

use crate::three::{Three, number};
use bourn::command::key_slot;
use bourn::{
    Client, Code, Config, Del, Error, Event, NodeRole, Outcome, Ping, Raw, ReadFrom, Unsent, XAck,
    XAdd, XLen, XRange, XRead,
};
use futures_util::StreamExt;
use std::collections::BTreeSet;
use std::time::Duration;

const KEYS: usize = 200;

fn keys() -> Vec<String> {
    (0..KEYS).map(|n| format!("stream{n}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_request_finds_the_node_of_its_keys() {
    let three = Three::start();
    // One node is enough to find the others.
    let client = Client::connect(three.seed(4)).await.unwrap();
    single_commands(&client).await;
    batches(&client).await;
    transactions(&client).await;
    keys_in_two_slots(&client).await;
    nodes(&client).await;
    streams_of_entries(&client).await;
    assert_eq!(client.requests_in_flight(), 0);
    client.close().await;
    let closed = client.send(Ping::new()).await.unwrap_err();
    assert!(matches!(closed, Error::Unsent { reason: Unsent::Closed, .. }), "{closed}");
}

async fn single_commands(client: &Client) {
    assert!(client.server().is_some() && client.is_connected());
    assert_eq!(client.connection_id(), None);
    client.ready(Duration::from_secs(1)).await.unwrap();
    client.send(Ping::new()).await.unwrap();
    for (n, key) in keys().iter().enumerate() {
        client.send(XAdd::new(key).field("n", n)).await.unwrap();
    }
    for key in keys() {
        assert_eq!(client.send(XLen::new(&key)).await.unwrap(), 1, "{key}");
        let text = client.send(Raw::new("XLEN").key(&key)).await.unwrap();
        assert_eq!(text.as_integer(), Some(1), "{key}");
    }
    // Without a named key, the redirect says where it goes.
    for key in keys().iter().take(20) {
        let len = client.send(Raw::new("XLEN").arg(key)).await.unwrap();
        assert_eq!(len.as_integer(), Some(1), "{key}");
    }
    client.send(XAdd::new(12_345).field("k", "v")).await.unwrap();
    assert_eq!(client.send(Del::new("12345")).await.unwrap(), 1);
}

async fn batches(client: &Client) {
    let adds: Vec<_> = keys().into_iter().flat_map(|key| vec![key; 5]).collect();
    let adds = adds.iter().enumerate().map(|(n, key)| XAdd::new(key).field("batch", n));
    let ids = client.send_all(adds).await;
    assert_eq!(ids.len(), 5 * KEYS);
    assert!(ids.iter().all(Result::is_ok), "{ids:?}");
    let ranges = client.send_all(keys().iter().map(|key| XRange::new(key, ..))).await;
    for (n, range) in (0..).zip(ranges) {
        let range = range.unwrap();
        let batch: Vec<_> = range
            .iter()
            .filter_map(|entry| entry.get("batch").map(|text| number(Some(text))))
            .collect();
        assert_eq!(batch, (5 * n..5 * n + 5).collect::<Vec<_>>(), "of one key in order");
    }
    let (len, pong, nothing) =
        client.send_all((XLen::new("stream1"), Ping::new(), XLen::new("nothing"))).await;
    assert_eq!((len.unwrap(), nothing.unwrap()), (6, 0));
    pong.unwrap();
    assert!(client.send_all(Vec::<XLen<'_>>::new()).await.is_empty());
    // More than a part of 64 KiB for each node.
    let text = "x".repeat(1000);
    let large = (0..1000).map(|n| XAdd::new(format!("large{}", n % 7)).field(&text, n));
    let large = client.send_all(large).await;
    assert!(large.iter().all(Result::is_ok));
    for n in 0..7 {
        let key = format!("large{n}");
        let all = client.send(XRange::new(&key, ..)).await.unwrap();
        let numbers: Vec<u64> = all.iter().map(|entry| number(entry.get(&text))).collect();
        assert_eq!(numbers, (n..1000).step_by(7).collect::<Vec<_>>());
    }
    // One error reply does not affect the others.
    let mixed = client
        .send_all((XAdd::new("stream1").id(bourn::EntryId::new(1, 1)).field("a", 1), Ping::new()))
        .await;
    assert_eq!(mixed.0.unwrap_err().code(), Some(&Code::Err));
    mixed.1.unwrap();
}

async fn transactions(client: &Client) {
    for key in keys().iter().take(20) {
        let both = (XAdd::new(key).field("t", 1), XLen::new(key));
        let (id, len) = client.transact(both).await.unwrap();
        assert_eq!((id.is_ok(), len.unwrap()), (true, 7));
    }
    let (added, acked) = client
        .transact((
            XAdd::new("{a}1").field("k", "v"),
            XAck::new("{a}2", "group", bourn::EntryId::new(1, 1)),
        ))
        .await
        .unwrap();
    assert_eq!((added.is_ok(), acked.unwrap()), (true, 0));
    let (pong,) = client.transact((Ping::new(),)).await.unwrap();
    pong.unwrap();
}

async fn keys_in_two_slots(client: &Client) {
    let two = |error: Error| match error {
        Error::Unsent { reason: Unsent::TwoSlots { first, other }, .. } => (first, other),
        error => panic!("{error}"),
    };
    let expected = (Box::from(*b"{a}1"), Box::from(*b"b"));
    let del = client.send(Del::new("{a}1").and("{a}2").and("b")).await.unwrap_err();
    assert_eq!(del.outcome(), Outcome::NotSent);
    assert_eq!(two(del), expected);
    let both = (XAdd::new("{a}1").field("k", "v"), XLen::new("b"));
    assert_eq!(two(client.transact(both).await.unwrap_err()), expected);
    let read = XRead::new().stream("{a}1", ReadFrom::START).stream("b", ReadFrom::START);
    assert_eq!(two(client.send(read.clone()).await.unwrap_err()), expected);
    let mut reader = client.reader().await.unwrap();
    let blocked = reader.read(read.block(Duration::from_millis(10))).await.unwrap_err();
    assert_eq!(two(blocked), expected);
    // One that cannot be sent keeps all from being sent.
    let before = client.send(XLen::new("{a}1")).await.unwrap();
    let batch = (XAdd::new("{a}1").field("k", "v"), Del::new("{a}1").and("b"));
    let (added, deleted) = client.send_all(batch).await;
    assert_eq!((two(added.unwrap_err()), two(deleted.unwrap_err())), (expected.clone(), expected));
    assert_eq!(client.send(XLen::new("{a}1")).await.unwrap(), before);
}

async fn nodes(client: &Client) {
    let nodes = client.nodes();
    let masters: Vec<_> = nodes.iter().filter(|node| *node.role() == NodeRole::Master).collect();
    assert_eq!((nodes.len(), masters.len()), (6, 3));
    assert_eq!(masters.iter().map(|node| node.slots()).sum::<u16>(), 16_384);
    assert!(masters.iter().all(|node| node.is_connected()));
    let mut ids = BTreeSet::new();
    for node in &nodes {
        ids.insert(client.at(node).send(Raw::new("CLUSTER MYID")).await.unwrap().to_string());
    }
    assert_eq!(ids.len(), 6, "each node was asked");
    // A redirect is not followed there.
    let mut moved = 0;
    for node in &masters {
        match client.at(node).send(XLen::new("stream1")).await {
            Ok(len) => assert_eq!(len, 7),
            Err(error) => {
                assert_eq!(error.code(), Some(&Code::Moved));
                moved += 1;
            }
        }
    }
    assert_eq!(moved, 2);
}

async fn streams_of_entries(client: &Client) {
    let range: Vec<_> = client.range("stream3", ..).collect().await;
    assert_eq!(range.iter().filter(|entry| entry.is_ok()).count(), 7);
    let mut tail = client.tail("stream3", ReadFrom::START);
    for _ in 0..7 {
        tail.next().await.unwrap().unwrap();
    }
    let added = client.send(XAdd::new("stream3").field("late", 1)).await.unwrap();
    assert_eq!(tail.next().await.unwrap().unwrap().id(), added);
    // One reader for streams of several nodes, one after the other.
    let mut reader = client.reader().await.unwrap();
    for key in keys().iter().take(30) {
        let read = XRead::new().stream(key, ReadFrom::START).block(Duration::from_millis(100));
        assert!(reader.read(read).await.unwrap().iter().count() >= 6, "{key}");
        reader.send(XLen::new(key)).await.unwrap();
    }
    let empty = XRead::new().stream("nothing", ReadFrom::End).block(Duration::from_millis(20));
    assert!(reader.read(empty).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn client_reports_the_map_and_a_server_that_is_not_in_a_cluster() {
    let three = Three::start();
    let client = Client::lazy(three.url()).unwrap();
    let mut events = client.events();
    client.ready(Duration::from_secs(20)).await.unwrap();
    let topology = async {
        loop {
            if let Some(Event::Topology { masters, replicas, unowned, .. }) = events.next().await {
                return (masters, replicas, unowned);
            }
        }
    };
    assert_eq!(topology.await, (3, 3, 0));
    let slot = key_slot("a");
    assert_eq!(client.nodes().len(), 6, "{slot}");

    let alone = crate::support::Server::start();
    let address = format!("127.0.0.1:{}", alone.port());
    let error = Client::connect(Config::cluster([address])).await.unwrap_err();
    assert!(error.to_string().contains("cluster support disabled"), "{error}");
    let gone = Config::cluster(["127.0.0.1:1"]);
    let error = Client::connect(gone).await.unwrap_err();
    assert!(matches!(error, Error::Connect(_)), "{error}");
}
