//! Streams of entries with replies that are too large, too slow or cut off: every entry arrives
//! once and in order.

use super::peer::{Peer, Server, config, ends, hello_reply, ms, poll_once, settle};
use bourn::{Client, EntryId, Error, ReadFrom};
use futures_util::{Stream, StreamExt};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A stream of entries `1-0`, `2-0` and so on, with the given sizes in bytes, and a log of the
/// requests.
#[derive(Clone, Default)]
struct Store(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    sizes: Vec<usize>,
    requests: Vec<String>,
}

impl Store {
    fn new(sizes: impl IntoIterator<Item = usize>) -> Self {
        let sizes = sizes.into_iter().collect();
        Self(Arc::new(Mutex::new(Inner { sizes, requests: Vec::new() })))
    }

    fn set(&self, ms: usize, size: usize) {
        self.0.lock().unwrap().sizes[ms - 1] = size;
    }

    /// Returns the requests since the last call.
    fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().requests)
    }

    /// Returns the reply to XREAD, XRANGE or XREVRANGE.
    fn reply(&self, request: &str) -> String {
        let mut inner = self.0.lock().unwrap();
        inner.requests.push(request.to_owned());
        let words: Vec<_> = request.split(' ').collect();
        let option = |name| words.iter().position(|word| *word == name).map(|at| words[at + 1]);
        let count: usize = option("COUNT").unwrap().parse().unwrap();
        let id = |word: &str| match word {
            "-" => EntryId::MIN,
            "+" => EntryId::MAX,
            word => word.parse().unwrap(),
        };
        let (low, high) = match words[0] {
            "XREAD" => (id(words.last().unwrap()).next().unwrap(), EntryId::MAX),
            "XRANGE" => (id(words[2]), id(words[3])),
            "XREVRANGE" => (id(words[3]), id(words[2])),
            other => panic!("{other}"),
        };
        let mut entries: Vec<_> = (1..)
            .zip(inner.sizes.iter().copied())
            .map(|(ms, size)| (EntryId::new(ms, 0), size))
            .filter(|(id, size)| *size > 0 && (low..=high).contains(id))
            .collect();
        if words[0] == "XREVRANGE" {
            entries.reverse();
        }
        let max_size = option("MAXSIZE").map_or(usize::MAX, |bytes| bytes.parse().unwrap());
        let mut texts: Vec<String> = Vec::new();
        for (id, size) in entries.into_iter().take(count) {
            if !texts.is_empty() && texts.iter().map(String::len).sum::<usize>() >= max_size {
                break;
            }
            let (id, value) = (id.to_string(), "x".repeat(size));
            let fields = format!("*2\r\n$1\r\nv\r\n${size}\r\n{value}");
            texts.push(format!("*2\r\n${}\r\n{id}\r\n{fields}\r\n", id.len()));
        }
        let (n, texts) = (texts.len(), texts.concat());
        match words[0] {
            "XREAD" if n == 0 => "_\r\n".to_owned(),
            "XREAD" => format!("%1\r\n$1\r\ns\r\n*{n}\r\n{texts}"),
            _ => format!("*{n}\r\n{texts}"),
        }
    }

    /// Answers on every further connection of the server.
    fn serve(&self, server: &Server, version: &'static str) {
        let (server, store) = (server.clone(), self.clone());
        tokio::spawn(async move {
            loop {
                let mut peer = server.next().await;
                let store = store.clone();
                tokio::spawn(async move {
                    greet(&mut peer, version).await;
                    while let Some(request) = peer.next_request().await {
                        peer.send(store.reply(&request)).await;
                    }
                });
            }
        });
    }
}

async fn greet(peer: &mut Peer, version: &str) {
    peer.requests(3).await;
    let (was, len) = ("$5\r\n7.4.0", version.len());
    peer.send(hello_reply(peer.number).replace(was, &format!("${len}\r\n{version}"))).await;
    peer.send("+OK\r\n+OK\r\n").await;
}

/// The server, and the peer of the client's own connection.
struct Scripted {
    server: Server,
    _peer: Peer,
}

async fn client(store: &Store, reply_bytes: usize, version: &'static str) -> (Client, Scripted) {
    let server = Server::new();
    let (client, peer) = server.connect(config().reply_bytes(reply_bytes)).await;
    store.serve(&server, version);
    (client, Scripted { server, _peer: peer })
}

/// Returns the next `n` entries. None may be an error.
async fn take(
    stream: &mut (impl Stream<Item = Result<bourn::Entry, Error>> + Unpin),
    n: usize,
) -> Vec<u64> {
    let mut ids = Vec::new();
    while ids.len() < n {
        match ends(stream.next()).await {
            Some(entry) => ids.push(entry.expect("no error").id().ms()),
            None => break,
        }
    }
    ids
}

#[tokio::test(start_paused = true)]
async fn pages_above_the_reply_limit_are_read_again_with_half_the_entries() {
    // Small entries first, so that the page size has grown before the large ones.
    let sizes = [10; 300].into_iter().chain([900; 100]).chain([10; 300]);
    let store = Store::new(sizes);
    let (client, _server) = client(&store, 8 << 10, "7.4.0").await;
    let up: Vec<u64> = (1..=700).collect();
    let down: Vec<u64> = up.iter().rev().copied().collect();

    let mut tail = client.tail("s", ReadFrom::START).max_bytes(1 << 20);
    assert_eq!(take(&mut tail, 700).await, up);
    let counts = store.requests();
    assert!(counts.iter().any(|request| request.starts_with("XREAD COUNT 4 ")), "{counts:?}");

    let mut range = client.range("s", ..).max_bytes(1 << 20);
    assert_eq!(take(&mut range, usize::MAX).await, up);
    let mut range = client.rev_range("s", ..).max_bytes(1 << 20);
    assert_eq!(take(&mut range, usize::MAX).await, down);
}

#[tokio::test(start_paused = true)]
async fn tail_doubles_its_count_while_replies_are_small() {
    let store = Store::new([10; 200]);
    let (client, _server) = client(&store, 64 << 10, "7.4.0").await;
    assert_eq!(take(&mut client.tail("s", ReadFrom::START), 200).await.len(), 200);
    // The third reply exceeds a quarter of 8 KiB.
    let expected = ["32 BLOCK 5000 STREAMS s 0-0", "64 BLOCK 5000 STREAMS s 32-0"];
    let requests = store.requests();
    assert_eq!(requests[..2], expected.map(|rest| format!("XREAD COUNT {rest}")));

    let mut tail = client.tail("s", ReadFrom::START).count(5).block(ms(70));
    take(&mut tail, 10).await;
    let expected = ["5 BLOCK 70 STREAMS s 0-0", "5 BLOCK 70 STREAMS s 5-0"];
    assert_eq!(store.requests()[..2], expected.map(|rest| format!("XREAD COUNT {rest}")));
}

#[tokio::test(start_paused = true)]
async fn tail_sends_max_size_to_servers_that_support_it() {
    let store = Store::new([100; 64]);
    let (client, _server) = client(&store, 64 << 10, "8.10.0").await;
    let mut tail = client.tail("s", ReadFrom::START).max_bytes(500);
    assert_eq!(take(&mut tail, 64).await, (1..=64).collect::<Vec<_>>());
    assert_eq!(store.requests()[0], "XREAD COUNT 32 MAXSIZE 500 BLOCK 5000 STREAMS s 0-0");
}

#[tokio::test(start_paused = true)]
async fn entry_above_the_reply_limit_is_reported_each_time_and_never_skipped() {
    let store = Store::new([10, 10, 5000, 10]);
    let (client, _server) = client(&store, 2048, "7.4.0").await;
    let low = (Excluded(EntryId::new(1, 0)), Unbounded);
    let mut tail = client.tail("s", EntryId::new(1, 0));
    let mut up = client.range("s", low);
    let mut down = client.rev_range("s", ..);
    assert_eq!(take(&mut tail, 1).await, [2]);
    assert_eq!(take(&mut up, 1).await, [2]);
    assert_eq!(take(&mut down, 1).await, [4]);
    for _ in 0..3 {
        let error = ends(tail.next()).await.unwrap().unwrap_err();
        let text =
            "the reply to `XRANGE s 2-1 + COUNT 1` is larger than 2048 bytes (Config::reply_bytes)";
        assert_eq!(error.to_string(), text);
        let Error::EntryTooLarge(too_large) = error else { panic!("{error:?}") };
        assert_eq!((too_large.key(), too_large.limit()), (&b"s"[..], 2048));
        let error = ends(up.next()).await.unwrap().unwrap_err();
        assert_eq!(error.to_string(), text);
        let error = ends(down.next()).await.unwrap().unwrap_err();
        let command = "XREVRANGE s 3-18446744073709551615 - COUNT 1";
        assert!(error.to_string().contains(command), "{error}");
    }
    // The entry was deleted, or the limit was raised. All streams continue where they were.
    store.set(3, 0);
    assert_eq!(take(&mut tail, 1).await, [4]);
    assert_eq!(take(&mut up, usize::MAX).await, [4]);
    assert_eq!(take(&mut down, usize::MAX).await, [2, 1]);
}

#[tokio::test(start_paused = true)]
async fn tail_from_the_end_reports_a_last_entry_above_the_reply_limit() {
    let store = Store::new([10, 5000]);
    let (client, _server) = client(&store, 2048, "7.4.0").await;
    let mut tail = client.tail("s", ReadFrom::End);
    for _ in 0..2 {
        let error = ends(tail.next()).await.unwrap().unwrap_err();
        assert!(error.to_string().contains("`XREVRANGE s + - COUNT 1`"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn range_ends_with_its_last_page_and_reads_no_entry_twice() {
    let store = Store::new([10; 100]);
    let (client, scripted) = client(&store, 64 << 10, "6.0.0").await;
    let id = |ms| EntryId::new(ms, 0);
    let mut range = client.range("s", (Excluded(id(10)), Excluded(id(90))));
    assert_eq!(take(&mut range, 32).await, (11..=42).collect::<Vec<_>>());
    // Entries deleted or added beyond the cursor are seen in their current state.
    store.set(43, 0);
    assert_eq!(take(&mut range, usize::MAX).await, (44..=89).collect::<Vec<_>>());
    settle().await;
    assert_eq!(scripted.server.open(), 1, "the client's own connection");
    assert!(ends(range.next()).await.is_none());
    let max = u64::MAX;
    let expected =
        [format!("XRANGE s 10-1 89-{max} COUNT 32"), format!("XRANGE s 42-1 89-{max} COUNT 64")];
    assert_eq!(store.requests(), expected);

    // A full page is the last one if its last id is the end of the range. Otherwise an empty page
    // follows.
    for (end, requests) in [(id(32), 1), (EntryId::new(32, 1), 2)] {
        let mut range = client.range("s", id(1)..=end);
        assert_eq!(take(&mut range, usize::MAX).await.len(), 32);
        assert_eq!(store.requests().len(), requests);
    }
    let mut range = client.rev_range("s", id(20)..id(30)).count(4);
    assert_eq!(take(&mut range, usize::MAX).await, (20..30).rev().collect::<Vec<_>>());
    assert_eq!(store.requests().len(), 3);
    for mut nothing in [client.range("s", id(30)..id(30)), client.range("s", id(200)..)] {
        assert!(ends(nothing.next()).await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn dropping_a_wait_for_the_next_entry_loses_no_entry() {
    let store = Store::new([10; 100]);
    let (client, _server) = client(&store, 64 << 10, "7.4.0").await;
    let mut range = client.range("s", ..);
    let mut ids = Vec::new();
    let mut dropped = 0;
    while ids.last() != Some(&100) {
        match poll_once(&mut range.next()).await {
            Some(entry) => ids.push(entry.unwrap().unwrap().id().ms()),
            None => {
                dropped += 1;
                tokio::task::yield_now().await;
            }
        }
    }
    assert_eq!(ids, (1..=100).collect::<Vec<_>>());
    assert!(dropped > 2, "{dropped} waits were dropped");
}

#[tokio::test(start_paused = true)]
async fn page_that_times_out_is_an_error_and_the_next_one_is_smaller() {
    let server = Server::new();
    let (client, _peer) = server.connect(config().command_timeout(Duration::from_secs(1))).await;
    let mut range = client.range("s", ..);
    let serve = async {
        let mut peer = server.greet().await;
        assert_eq!(peer.request().await, format!("XRANGE s 0-0 {0}-{0} COUNT 32", u64::MAX));
        assert_eq!(peer.request().await, format!("XRANGE s 0-0 {0}-{0} COUNT 16", u64::MAX));
        peer.send("*0\r\n*0\r\n").await;
        peer
    };
    let read = async {
        let error = range.next().await.unwrap().unwrap_err();
        assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
        assert!(range.next().await.is_none());
    };
    ends(async { tokio::join!(serve, read) }).await;
}
