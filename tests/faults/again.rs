//! What is sent again: what reads, what may run twice, and what the server refused because it was not ready. Nothing else,
//! not for ever, and never beyond the deadline.

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

/// What came of a command whose connection ended when the server had read it, and whether it was sent again.
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
    // Whoever comes later is answered, whatever became of it.
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
async fn what_reads_or_may_run_twice_is_sent_again_after_a_cut() {
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
    // It may be this very command that made it, the first time.
    assert!(again);
    is_lost(created);
    let add = XAdd::new("s").idmp("p", "1").field("k", "v");
    let (added, again) = cut(safe(), add, ID).await;
    assert_eq!((added.unwrap().to_string().as_str(), again), ("1-1", true));
}

#[tokio::test(start_paused = true)]
async fn what_may_do_harm_twice_is_not() {
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
async fn nothing_is_if_the_settings_say_so() {
    let (len, again) = cut(safe().retry(Retry::Never), XLen::new("s"), ":3\r\n").await;
    assert!(!again);
    is_lost(len);
}

#[tokio::test(start_paused = true)]
async fn command_that_ends_every_connection_is_sent_less_and_less_often_until_its_deadline() {
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
async fn what_broke_the_protocol_would_do_so_again() {
    let server = Server::new();
    let (client, mut peer) = server.connect(safe()).await;
    let call = tokio::spawn(async move { client.send(XLen::new("s")).await });
    peer.request().await;
    peer.send("@\r\n").await;
    let error = ends(call).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Protocol { .. }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_sent_again_as_one_and_only_if_all_of_it_may_be() {
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
async fn what_came_of_a_batch_is_told_and_not_asked_again() {
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
async fn a_batch_of_one_is_a_batch() {
    let server = Server::new();
    let (client, mut peer) = server.connect(safe()).await;
    let call = tokio::spawn(async move { client.send_all([XLen::new("s")]).await });
    peer.answer("-LOADING data\r\n").await;
    let error = ends(call).await.unwrap().remove(0).unwrap_err();
    assert_eq!(error.code(), Some(&Code::Loading));
}

#[tokio::test(start_paused = true)]
async fn a_script_that_failed_is_not_run_again_whatever_it_says() {
    let server = Server::new();
    let (client, mut peer) = server.connect(safe()).await;
    let call = tokio::spawn(async move { client.send(Raw::new("EVAL script 0")).await });
    peer.answer("-TRYAGAIN later\r\n").await;
    assert!(ends(call).await.unwrap().is_err());
}

/// Refuses a command so often, and then takes it.
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
async fn a_server_that_is_not_ready_is_asked_again_less_and_less_often() {
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
        // It has not run, so that even a write is sent again.
        let call = tokio::spawn(async move { client.send(XAdd::new("s").field("k", "v")).await });
        let at = ends(refuse(&mut peer, refusal, 7, ID)).await;
        assert_eq!(ends(call).await.unwrap().unwrap().to_string(), "1-1", "{refusal}");
        let waits: Vec<Duration> = at.windows(2).map(|pair| pair[1] - pair[0]).collect();
        for (wait, bound) in waits.iter().zip([20, 40, 80, 160, 320, 500, 500]) {
            // Timers here are as coarse as a millisecond.
            assert!(*wait >= ms(bound / 2) && *wait <= ms(bound + 1), "{refusal}: {waits:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_stays_so_is_told_before_the_deadline() {
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
async fn a_replica_is_left_when_what_it_owes_has_come() {
    let server = Server::new();
    let (client, mut peer) = server.connect(safe()).await;
    tokio::time::sleep(ms(5000)).await;
    let (writer, reader) = (client.clone(), client);
    let write = tokio::spawn(async move { writer.send(XAdd::new("s").field("k", "v")).await });
    let read = tokio::spawn(async move { reader.send(XLen::new("s")).await });
    assert_eq!(peer.requests(2).await, ["XADD s * k v", "XLEN s"]);
    peer.send("-READONLY You can't write against a read only replica.\r\n").await;
    settle().await;
    // The neighbour is not harmed.
    peer.send(":5\r\n").await;
    assert_eq!(ends(read).await.unwrap().unwrap(), 5);
    let mut peer = server.greet().await;
    assert_eq!(peer.answer(ID).await, "XADD s * k v");
    assert!(ends(write).await.unwrap().is_ok());
    assert_eq!(server.dials().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_young_connection_to_a_replica_is_kept() {
    let server = Server::new();
    let (client, mut peer) = server.connect(safe()).await;
    let write = tokio::spawn(async move { client.send(XAdd::new("s").field("k", "v")).await });
    ends(refuse(&mut peer, "READONLY You can't write against a read only replica.", 3, ID)).await;
    assert!(ends(write).await.unwrap().is_ok());
    assert_eq!(server.dials().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn credentials_that_were_forgotten_are_given_once_more() {
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
async fn what_somebody_has_to_mend_is_told_at_once() {
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
async fn a_reader_goes_on_reading_what_may_be_read_twice() {
    let entries = "%1\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n2-1\r\n*2\r\n$1\r\nk\r\n$1\r\nv\r\n";
    for (from, again) in [
        (ReadFrom::After(bourn::EntryId::new(1, 1)), true),
        // What is added between the two reads would be missed.
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
async fn a_read_that_a_role_change_ended_goes_on_elsewhere_but_not_one_that_somebody_ended() {
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
async fn what_was_lost_once_is_not_said_to_be_unsent_or_refused() {
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
        // It may have acknowledged, the first time.
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
async fn a_read_that_was_lost_once_is_not_said_to_be_unsent_whatever_came_between() {
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
