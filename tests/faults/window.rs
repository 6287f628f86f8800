//! Repeats of an XADD with IDMP: only while the server recognizes them, judged when the repeat is
//! queued.

use super::peer::{Peer, Server, config, ends, ms, poll_once, settle};
use super::wire::Plan;
use bourn::{Client, Config, EntryId, Error, Outcome, Retry, XAck, XAdd, XLen};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinSet;

fn safe() -> Config {
    config().retry(Retry::Safe)
}

fn add(iid: &str) -> XAdd<'_> {
    XAdd::new("s").idmp("p", iid).field("k", "v")
}

/// Sends `count` other commands, each answered before the next is sent.
async fn others(client: &Client, peer: &mut Peer, count: usize) {
    for _ in 0..count {
        let (len, request) = tokio::join!(client.send(XLen::new("t")), peer.answer(":1\r\n"));
        assert_eq!((len.unwrap(), request.as_str()), (1, "XLEN t"));
    }
}

#[tokio::test(start_paused = true)]
async fn repeat_is_not_written_behind_more_than_64_others() {
    for (count, window, again) in [(64, None, true), (65, None, false), (65, Some(200), true)] {
        let server = Server::new();
        let config = match window {
            Some(iids) => safe().idmp_window(iids, Duration::from_secs(100)),
            None => safe(),
        };
        let (client, mut peer) = server.connect(config).await;
        let mut call = Box::pin(client.send(add("1")));
        assert!(poll_once(&mut call).await.is_none());
        let first = peer.request().await;
        drop(peer);
        let mut peer = server.greet().await;
        // The caller does something else; its command was lost long ago.
        others(&client, &mut peer, count).await;
        let call = async {
            let result = call.await;
            let _ = client.send(XLen::new("end")).await;
            result
        };
        let peer = async {
            let request = peer.answer("$3\r\n1-1\r\n").await;
            if request != "XLEN end" {
                assert_eq!(request, first);
                peer.answer(":1\r\n").await;
            }
            request != "XLEN end"
        };
        let (result, written) = ends(async { tokio::join!(call, peer) }).await;
        assert_eq!((result.is_ok(), written), (again, again), "{count} others: {result:?}");
        if let Err(error) = result {
            assert!(matches!(error, Error::Lost { .. }), "{error:?}");
            assert_eq!((error.outcome(), error.repeat_is_safe()), (Outcome::Unknown, false));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn repeat_is_not_written_after_80_seconds() {
    for (seconds, again) in [(75, true), (85, false)] {
        let server = Server::new();
        let config = safe().command_timeout(ms(200_000)).reconnect(ms(10), ms(10));
        let (client, mut peer) = server.connect(config).await;
        let other = client.clone();
        let call = tokio::spawn(async move { other.send(add("1")).await });
        let first = peer.request().await;
        server.plan(vec![Plan::Refuse; 100_000]);
        drop(peer);
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        server.unplan();
        let mut peer = server.greet().await;
        let later = tokio::spawn(async move { client.send(XLen::new("later")).await });
        let mut request = peer.answer("$3\r\n1-1\r\n").await;
        assert_eq!(request == first, again, "{seconds}: {request}");
        if again {
            request = peer.answer(":1\r\n").await;
        }
        assert_eq!(request, "XLEN later");
        let result = ends(call).await.unwrap();
        assert_eq!(result.is_ok(), again, "{seconds}: {result:?}");
        if let Err(error) = result {
            assert!(matches!(error, Error::Lost { .. }), "{error:?}");
            assert!(!error.repeat_is_safe());
        }
        drop(later);
    }
}

#[tokio::test(start_paused = true)]
async fn repeats_go_on_until_the_deadline() {
    let server = Server::new();
    let (client, peer) = server.connect(safe().reconnect(ms(10), ms(10))).await;
    let call = tokio::spawn(async move { client.send(add("1")).await });
    let mut peer = Some(peer);
    for _ in 0..8 {
        let mut now = match peer.take() {
            Some(peer) => peer,
            None => server.greet().await,
        };
        assert_eq!(now.request().await, "XADD s IDMP p 1 * k v");
    }
    let mut peer = server.greet().await;
    peer.answer("$3\r\n1-1\r\n").await;
    assert!(ends(call).await.unwrap().is_ok());
}

/// As much of a server as adds entries: of one producer it remembers the last 100 iids.
#[derive(Default)]
struct Adds {
    recent: VecDeque<String>,
    entries: Vec<String>,
}

impl Adds {
    fn run(&mut self, request: &str) {
        let iid = request.split(' ').nth(4).unwrap().to_owned();
        if self.recent.contains(&iid) {
            return;
        }
        self.entries.push(iid.clone());
        self.recent.push_back(iid);
        if self.recent.len() > 100 {
            self.recent.pop_front();
        }
    }
}

/// Runs what comes and answers it.
async fn serve(mut peer: Peer, adds: Arc<Mutex<Adds>>) {
    while let Some(request) = peer.next_request().await {
        adds.lock().unwrap().run(&request);
        peer.send("$3\r\n1-1\r\n").await;
    }
}

#[tokio::test(start_paused = true)]
async fn callers_who_repeat_only_what_is_safe_add_nothing_twice() {
    // The replies are lost with the connection, or never come.
    for silent in [false, true] {
        let server = Server::new();
        let (client, mut peer) = server.connect(safe().command_timeout(ms(3000))).await;
        let mut callers = JoinSet::new();
        for n in 0..200 {
            let client = client.clone();
            callers.spawn(async move {
                let iid = n.to_string();
                let mut unknown = 0;
                for _ in 0..5 {
                    match client.send(add(&iid)).await {
                        Ok(_) => return (false, unknown),
                        Err(error) if error.repeat_is_safe() => unknown += 1,
                        Err(_) => return (true, unknown),
                    }
                }
                (true, unknown)
            });
        }
        let adds = Arc::new(Mutex::new(Adds::default()));
        for request in peer.requests(200).await {
            adds.lock().unwrap().run(&request);
        }
        if silent {
            tokio::spawn(async move { while peer.next_request().await.is_some() {} });
        } else {
            drop(peer);
        }
        let (all, served) = (server.clone(), Arc::clone(&adds));
        tokio::spawn(async move {
            loop {
                let mut peer = all.next().await;
                if peer.greet_or_end().await.is_some() {
                    tokio::spawn(serve(peer, Arc::clone(&served)));
                }
            }
        });
        let results = ends(callers.join_all()).await;
        let mut entries = adds.lock().unwrap().entries.clone();
        let stored = entries.len();
        entries.sort();
        entries.dedup();
        assert_eq!((stored, entries.len()), (200, 200), "silent: {silent}");
        let unknown = results.iter().filter(|(unknown, _)| *unknown).count();
        assert!((1..200).contains(&unknown), "{unknown} were not repeated, silent: {silent}");
    }
}

#[tokio::test(start_paused = true)]
async fn commands_without_a_window_are_repeated_whatever_the_number_in_flight() {
    let server = Server::new();
    let (client, mut peer) = server.connect(safe()).await;
    let mut callers = JoinSet::new();
    for n in 0..200 {
        let client = client.clone();
        let ack = async move { client.send(XAck::new("s", "g", EntryId::new(n, 1))).await };
        callers.spawn(ack);
    }
    peer.requests(200).await;
    drop(peer);
    let mut peer = server.greet().await;
    for _ in 0..200 {
        assert!(peer.answer(":1\r\n").await.starts_with("XACK s g "));
    }
    for result in ends(callers.join_all()).await {
        assert_eq!(result.unwrap(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn repeat_is_safe_says_what_holds_when_it_is_asked() {
    let server = Server::new();
    let (client, mut peer) = server.connect(config().command_timeout(ms(1000))).await;
    let (late, request) = tokio::join!(client.send(add("1")), peer.request());
    assert_eq!(request, "XADD s IDMP p 1 * k v");
    let late = late.unwrap_err();
    assert!(matches!(late, Error::TimedOut { .. }), "{late:?}");
    assert!(late.repeat_is_safe());
    peer.send("$3\r\n1-1\r\n").await;
    settle().await;
    others(&client, &mut peer, 64).await;
    assert!(late.repeat_is_safe());
    others(&client, &mut peer, 1).await;
    assert!(!late.repeat_is_safe());

    let (late, _) = tokio::join!(client.send(add("2")), peer.request());
    let late = late.unwrap_err();
    tokio::time::sleep(Duration::from_secs(78)).await;
    assert!(late.repeat_is_safe());
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!late.repeat_is_safe());
}

#[tokio::test(start_paused = true)]
async fn each_command_of_a_lost_batch_has_its_own_place() {
    let server = Server::new();
    let (client, mut peer) = server.connect(config()).await;
    let iids: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    let batch = client.send_all(iids.iter().map(|iid| add(iid)));
    let (results, ()) = tokio::join!(batch, async {
        peer.requests(100).await;
        drop(peer);
    });
    for (n, result) in results.into_iter().enumerate() {
        assert_eq!(result.unwrap_err().repeat_is_safe(), n >= 35, "{n}");
    }
}

#[tokio::test(start_paused = true)]
async fn repeat_is_safe_of_every_other_outcome() {
    let server = Server::new();
    let (client, mut peer) = server.connect(config()).await;
    let (a, b) = (client.clone(), client.clone());
    let read = tokio::spawn(async move { a.send(XLen::new("s")).await });
    settle().await;
    let write = tokio::spawn(async move { b.send(XAdd::new("s").field("k", "v")).await });
    peer.requests(2).await;
    drop(peer);
    assert!(ends(read).await.unwrap().unwrap_err().repeat_is_safe());
    assert!(!ends(write).await.unwrap().unwrap_err().repeat_is_safe());
    let mut peer = server.greet().await;
    let (refused, _) =
        tokio::join!(client.send(XAdd::new("s").field("k", "v")), peer.answer("-OOM no\r\n"));
    assert!(refused.unwrap_err().repeat_is_safe());
    client.close().await;
    assert!(client.send(XLen::new("s")).await.unwrap_err().repeat_is_safe());
}
