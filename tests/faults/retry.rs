//! Retries: read-only and idempotent commands, and commands refused because the server was not
//! ready. Nothing else is retried, retries are bounded, and none happens after the deadline.

use super::peer::{Peer, Server, config, ends, ms, settle};
use bourn::{
    Code, Command, Config, Disconnect, Error, GroupFrom, Outcome, Raw, ReadFrom, Retry, XAck, XAdd,
    XGroupCreate, XLen, XRange, XRead, XReadGroup,
};
use std::fmt::Debug;
use std::time::Duration;
use tokio::time::Instant;

fn safe() -> Config {
    config().retry(Retry::Safe)
}

const ID: &str = "$3\r\n1-1\r\n";

/// Returns the result of a command whose connection ended after the server had read it, and whether
/// it was sent again.
async fn cut<C>(config: Config, command: C, reply: &str) -> (Result<C::Reply, Error>, bool)
where
    C: Command + Send + 'static,
    C::Reply: Send,
{
    let server = Server::new();
    let (client, mut peer) = server.connect(config).await;
    let other = client.clone();
    let call = tokio::spawn(async move { other.send(command).await });
    let first = peer.request().await;
    drop(peer);
    let mut peer = server.greet().await;
    settle().await;
    // Later commands are answered, whatever its result.
    let later = tokio::spawn(async move { client.send(XLen::new("later")).await });
    let request = peer.request().await;
    let again = request == first;
    if again {
        peer.send(reply).await;
        assert_eq!(peer.request().await, "XLEN later");
    } else {
        assert_eq!(request, "XLEN later");
    }
    peer.send(":7\r\n").await;
    assert_eq!(ends(later).await.unwrap().unwrap(), 7);
    (ends(call).await.unwrap(), again)
}

#[track_caller]
fn is_lost<T: Debug>(result: Result<T, Error>) {
    let error = result.unwrap_err();
    assert!(matches!(error, Error::Lost { reason: Disconnect::Eof, .. }), "{error:?}");
    assert_eq!(error.outcome(), Outcome::Unknown);
}

#[tokio::test(start_paused = true)]
async fn read_only_and_idempotent_commands_are_retried_after_a_cut() {
    let (len, again) = cut(safe(), XLen::new("s"), ":3\r\n").await;
    assert_eq!((len.unwrap(), again), (3, true));
    let (range, again) = cut(safe(), XRange::new("s", ..), "*0\r\n").await;
    assert_eq!((range.unwrap().len(), again), (0, true));
    let (acked, again) =
        cut(safe(), XAck::new("s", "g", bourn::EntryId::new(1, 1)), ":0\r\n").await;
    assert_eq!((acked.unwrap(), again), (0, true));
    let create = XGroupCreate::new("s", "g", bourn::StartAt::End);
    let (created, again) =
        cut(safe(), create, "-BUSYGROUP Consumer Group name already exists\r\n").await;
    // The first attempt may have created the group.
    assert!(again);
    is_lost(created);
    let add = XAdd::new("s").idmp("p", "1").field("k", "v");
    let (added, again) = cut(safe(), add, ID).await;
    assert_eq!((added.unwrap().to_string().as_str(), again), ("1-1", true));
}

#[tokio::test(start_paused = true)]
async fn non_idempotent_commands_are_not_retried_after_a_cut() {
    let (added, again) = cut(safe(), XAdd::new("s").field("k", "v"), ID).await;
    assert!(!again);
    is_lost(added);
    let read = XReadGroup::new("g", "me").stream("s", GroupFrom::New);
    let (read, again) = cut(safe(), read, "_\r\n").await;
    assert!(!again);
    is_lost(read);
    let (raw, again) = cut(safe(), Raw::new("GET").arg("k"), "_\r\n").await;
    assert!(!again);
    is_lost(raw);
}

#[tokio::test(start_paused = true)]
async fn retry_never_sends_nothing_again() {
    let (len, again) = cut(safe().retry(Retry::Never), XLen::new("s"), ":3\r\n").await;
    assert!(!again);
    is_lost(len);
}

#[tokio::test(start_paused = true)]
async fn command_that_ends_every_connection_is_retried_less_and_less_often_until_its_deadline() {
    let server = Server::new();
    let (client, peer) = server.connect(safe().command_timeout(ms(60_000))).await;
    let start = Instant::now();
    let call = tokio::spawn(async move { client.send(XLen::new("s")).await });
    let mut peer = Some(peer);
    let mut sent = 0;
    while !call.is_finished() {
        let mut now = match peer.take() {
            Some(peer) => peer,
            None => server.greet().await,
        };
        tokio::select! {
            request = now.next_request() => {
                assert_eq!(request.unwrap(), "XLEN s");
                sent += 1;
            }
            () = tokio::time::sleep(ms(5000)) => {}
        }
        drop(now);
        settle().await;
    }
    // Pauses of 1 to 2 s in the end.
    assert!((30..80).contains(&sent), "{sent} times");
    is_lost(call.await.unwrap());
    assert!(start.elapsed() <= ms(65_000), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn protocol_error_is_not_retried() {
    let server = Server::new();
    let (client, mut peer) = server.connect(safe()).await;
    let call = tokio::spawn(async move { client.send(XLen::new("s")).await });
    peer.request().await;
    peer.send("@\r\n").await;
    let error = ends(call).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Protocol { .. }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn batch_is_retried_as_a_whole_and_only_if_every_command_may_be() {
    for (write, again) in [(false, true), (true, false)] {
        let server = Server::new();
        let (client, mut peer) = server.connect(safe()).await;
        let call = tokio::spawn(async move {
            if write {
                let (len, added) =
                    client.send_all((XLen::new("s"), XAdd::new("s").field("k", "v"))).await;
                (len, added.map(|_| 0))
            } else {
                client.send_all((XLen::new("s"), XLen::new("t"))).await
            }
        });
        assert_eq!(peer.requests(2).await.len(), 2);
        drop(peer);
        if again {
            let mut peer = server.greet().await;
            assert_eq!(peer.requests(2).await, ["XLEN s", "XLEN t"]);
            peer.send(":2\r\n:3\r\n").await;
            let (s, t) = ends(call).await.unwrap();
            assert_eq!((s.unwrap(), t.unwrap()), (2, 3));
        } else {
            let (len, added) = ends(call).await.unwrap();
            is_lost(len);
            is_lost(added);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn partly_answered_batch_is_not_retried() {
    let server = Server::new();
    let (client, mut peer) = server.connect(safe()).await;
    let call = tokio::spawn(async move { client.send_all((XLen::new("s"), XLen::new("t"))).await });
    peer.answer(":1\r\n").await;
    peer.request().await;
    settle().await;
    drop(peer);
    let (s, t) = ends(call).await.unwrap();
    assert_eq!(s.unwrap(), 1);
    is_lost(t);
}

#[tokio::test(start_paused = true)]
async fn batch_of_one_is_not_retried_after_an_error_reply() {
    let server = Server::new();
    let (client, mut peer) = server.connect(safe()).await;
    let call = tokio::spawn(async move { client.send_all([XLen::new("s")]).await });
    peer.answer("-LOADING data\r\n").await;
    let error = ends(call).await.unwrap().remove(0).unwrap_err();
    assert_eq!(error.code(), Some(&Code::Loading));
}

#[tokio::test(start_paused = true)]
async fn failed_script_is_not_retried_whatever_its_error() {
    let server = Server::new();
    let (client, mut peer) = server.connect(safe()).await;
    let call = tokio::spawn(async move { client.send(Raw::new("EVAL script 0")).await });
    peer.answer("-TRYAGAIN later\r\n").await;
    assert!(ends(call).await.unwrap().is_err());
}

/// Refuses a command this many times, then accepts it.
async fn refuse(peer: &mut Peer, refusal: &str, times: usize, reply: &str) -> Vec<Instant> {
    let mut at = Vec::new();
    for _ in 0..times {
        peer.answer(format!("-{refusal}\r\n")).await;
        at.push(Instant::now());
    }
    peer.answer(reply).await;
    at.push(Instant::now());
    at
}

#[tokio::test(start_paused = true)]
async fn server_that_is_not_ready_is_retried_with_backoff() {
    let refusals = [
        "LOADING Redis is loading the dataset in memory",
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        "TRYAGAIN Multiple keys request during rehashing of slot",
        "CLUSTERDOWN The cluster is down",
        "BUSY Redis is busy running a script.",
    ];
    for refusal in refusals {
        let server = Server::new();
        let (client, mut peer) = server.connect(safe()).await;
        // The command has not run, so that even a write is sent again.
        let call = tokio::spawn(async move { client.send(XAdd::new("s").field("k", "v")).await });
        let at = ends(refuse(&mut peer, refusal, 7, ID)).await;
        assert_eq!(ends(call).await.unwrap().unwrap().to_string(), "1-1", "{refusal}");
        let waits: Vec<Duration> = at.windows(2).map(|pair| pair[1] - pair[0]).collect();
        for (wait, bound) in waits.iter().zip([20, 40, 80, 160, 320, 500, 500]) {
            // Timers have a resolution of one millisecond.
            assert!(*wait >= ms(bound / 2) && *wait <= ms(bound + 1), "{refusal}: {waits:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn server_that_stays_unready_is_reported_by_the_deadline() {
    let server = Server::new();
    let (client, mut peer) = server.connect(safe().command_timeout(ms(1000))).await;
    let start = Instant::now();
    let call = tokio::spawn(async move { client.send(XLen::new("s")).await });
    while !call.is_finished() {
        tokio::select! {
            request = peer.next_request() => {
                request.unwrap();
                peer.send("-LOADING Redis is loading the dataset in memory\r\n").await;
            }
            () = tokio::time::sleep(ms(2000)) => {}
        }
        settle().await;
    }
    let error = call.await.unwrap().unwrap_err();
    assert_eq!((error.code(), error.outcome()), (Some(&Code::Loading), Outcome::NotApplied));
    assert!(start.elapsed() <= ms(3000));
}

#[tokio::test(start_paused = true)]
async fn readonly_closes_the_connection_after_the_replies_in_flight() {
    let server = Server::new();
    let (client, mut peer) = server.connect(safe()).await;
    tokio::time::sleep(ms(5000)).await;
    let (writer, reader) = (client.clone(), client);
    let write = tokio::spawn(async move { writer.send(XAdd::new("s").field("k", "v")).await });
    let read = tokio::spawn(async move { reader.send(XLen::new("s")).await });
    assert_eq!(peer.requests(2).await, ["XADD s * k v", "XLEN s"]);
    peer.send("-READONLY You can't write against a read only replica.\r\n").await;
    settle().await;
    // The other command in flight is not affected.
    peer.send(":5\r\n").await;
    assert_eq!(ends(read).await.unwrap().unwrap(), 5);
    let mut peer = server.greet().await;
    assert_eq!(peer.answer(ID).await, "XADD s * k v");
    assert!(ends(write).await.unwrap().is_ok());
    assert_eq!(server.dials().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn readonly_on_a_young_connection_keeps_it() {
    let server = Server::new();
    let (client, mut peer) = server.connect(safe()).await;
    let write = tokio::spawn(async move { client.send(XAdd::new("s").field("k", "v")).await });
    ends(refuse(&mut peer, "READONLY You can't write against a read only replica.", 3, ID)).await;
    assert!(ends(write).await.unwrap().is_ok());
    assert_eq!(server.dials().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn noauth_reconnects_and_authenticates_once_more() {
    let server = Server::new();
    let (client, mut peer) = server.connect(safe()).await;
    tokio::time::sleep(ms(5000)).await;
    let call = tokio::spawn(async move { client.send(XLen::new("s")).await });
    peer.answer("-NOAUTH Authentication required.\r\n").await;
    let mut peer = server.greet().await;
    peer.answer("-NOAUTH Authentication required.\r\n").await;
    let error = ends(call).await.unwrap().unwrap_err();
    assert_eq!(error.code(), Some(&Code::NoAuth));
}

#[tokio::test(start_paused = true)]
async fn permanent_errors_are_returned_at_once() {
    for code in ["ERR", "OOM", "NOPERM", "NOREPLICAS", "MISCONF", "WRONGTYPE", "UNKNOWNCODE"] {
        let server = Server::new();
        let (client, mut peer) = server.connect(safe()).await;
        let call = tokio::spawn(async move { client.send(XLen::new("s")).await });
        peer.answer(format!("-{code} some text\r\n")).await;
        let error = ends(call).await.unwrap().unwrap_err();
        assert_eq!(error.code().unwrap().as_str(), code);
        assert_eq!(error.outcome(), Outcome::NotApplied);
    }
}

#[tokio::test(start_paused = true)]
async fn reader_retries_reads_after_an_id_but_not_from_the_end() {
    let entries = "%1\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n2-1\r\n*2\r\n$1\r\nk\r\n$1\r\nv\r\n";
    for (from, again) in [
        (ReadFrom::After(bourn::EntryId::new(1, 1)), true),
        // Entries added between the two reads would be missed.
        (ReadFrom::End, false),
    ] {
        let server = Server::new();
        let (client, _peer) = server.connect(safe()).await;
        let (reader, mut peer) = tokio::join!(client.reader(), server.greet());
        let mut reader = reader.unwrap();
        let read = tokio::spawn(async move {
            let read = XRead::new().stream("s", from).block(ms(5000));
            reader.read(read).await
        });
        peer.request().await;
        drop(peer);
        if again {
            let mut peer = server.greet().await;
            assert_eq!(peer.answer(entries).await, "XREAD BLOCK 5000 STREAMS s 1-1");
            assert_eq!(ends(read).await.unwrap().unwrap().iter().count(), 1);
        } else {
            is_lost(ends(read).await.unwrap());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn read_unblocked_by_a_role_change_is_retried_but_not_by_client_unblock() {
    let forced = "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)";
    for (text, again) in [(forced, true), ("UNBLOCKED client unblocked via CLIENT UNBLOCK", false)]
    {
        let server = Server::new();
        let (client, _peer) = server.connect(safe()).await;
        let (reader, mut peer) = tokio::join!(client.reader(), server.greet());
        let mut reader = reader.unwrap();
        tokio::time::sleep(ms(1000)).await;
        let read = tokio::spawn(async move {
            let read = XReadGroup::new("g", "me").stream("s", GroupFrom::New).block(ms(5000));
            reader.read(read).await
        });
        peer.answer(format!("-{text}\r\n")).await;
        if again {
            let mut peer = server.greet().await;
            assert!(peer.answer("_\r\n").await.starts_with("XREADGROUP GROUP g me BLOCK 5000"));
            assert!(ends(read).await.unwrap().unwrap().is_empty());
        } else {
            let error = ends(read).await.unwrap().unwrap_err();
            assert_eq!(
                (error.code(), error.outcome()),
                (Some(&Code::Unblocked), Outcome::NotApplied)
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn command_lost_once_stays_unknown_if_its_retry_is_unsent_or_refused() {
    for refused in [false, true] {
        let server = Server::new();
        let (client, mut peer) = server.connect(safe().command_timeout(ms(1000))).await;
        let ack = XAck::new("s", "g", bourn::EntryId::new(1, 1));
        let call = tokio::spawn(async move { client.send(ack).await });
        peer.request().await;
        if refused {
            drop(peer);
            let mut peer = server.greet().await;
            while !call.is_finished() {
                tokio::select! {
                    request = peer.next_request() => if request.is_some() {
                        peer.send("-LOADING Redis is loading the dataset in memory\r\n").await;
                    },
                    () = tokio::time::sleep(ms(2000)) => {}
                }
                settle().await;
            }
        } else {
            server.plan(vec![super::wire::Plan::Refuse; 100]);
            drop(peer);
        }
        // The first attempt may have acknowledged the entry.
        let error = ends(call).await.unwrap().unwrap_err();
        assert_eq!(error.outcome(), Outcome::Unknown, "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn lost_then_refused_ends_by_its_deadline() {
    for _ in 0..20 {
        let server = Server::new();
        let (client, mut peer) = server.connect(safe().command_timeout(ms(1000))).await;
        let start = Instant::now();
        let call = tokio::spawn(async move {
            let _ = client.send(XLen::new("s")).await;
            start.elapsed()
        });
        peer.request().await;
        drop(peer);
        let mut peer = server.greet().await;
        while !call.is_finished() {
            tokio::select! {
                Some(_) = peer.next_request() => peer.send("-LOADING x\r\n").await,
                () = tokio::time::sleep(ms(2000)) => {}
            }
            settle().await;
        }
        let took = ends(call).await.unwrap();
        assert!(took <= ms(1100), "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn ran_then_refused_is_unknown() {
    let server = Server::new();
    let (client, mut peer) = server.connect(safe()).await;
    let call =
        tokio::spawn(
            async move { client.send(XAdd::new("s").idmp("p", "1").field("f", "v")).await },
        );
    peer.request().await;
    drop(peer);
    let mut peer = server.greet().await;
    peer.answer("-OOM command not allowed\r\n").await;
    let error = ends(call).await.unwrap().unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown, "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn read_lost_once_stays_unknown_if_its_retry_is_unsent_or_refused() {
    for refused in [false, true] {
        let server = Server::new();
        let config = safe().command_timeout(ms(1000)).reconnect(ms(10), ms(10));
        let (client, _peer) = server.connect(config).await;
        let (reader, mut peer) = tokio::join!(client.reader(), server.greet());
        let mut reader = reader.unwrap();
        let read = tokio::spawn(async move {
            let read = XRead::new().stream("s", bourn::EntryId::new(1, 1));
            reader.read(read).await
        });
        peer.request().await;
        if refused {
            drop(peer);
            peer = server.greet().await;
            peer.request().await;
            server.plan(vec![super::wire::Plan::Refuse; 1000]);
            peer.send("-LOADING data\r\n").await;
        } else {
            server.plan(vec![super::wire::Plan::Refuse; 1000]);
        }
        drop(peer);
        let error = ends(read).await.unwrap().unwrap_err();
        assert_eq!(error.outcome(), Outcome::Unknown, "{refused}: {error:?}");
    }
}
