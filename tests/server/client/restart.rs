//! A server that is stopped and restarted, and a connection that is cut.

use crate::both::{id, in_both_from, kill, poll_once, until};
use crate::support::Server;
use bourn::{Client, Config, Error, Outcome, Unsent, XAdd, XLen, XRange};
use std::collections::HashSet;
use std::time::Duration;

#[test]
fn commands_in_flight_end_and_unsent_ones_wait_for_the_server() {
    in_both_from(&Server::builder().append_only(), async |mut server, config| {
        let client = Client::connect(config).await.unwrap();
        client.send(XAdd::new("s").id(id(1)).field("f", "v")).await.unwrap();
        for round in 1..=3 {
            // A halted server accepts requests and does not answer.
            server.pause();
            let mut flying: Vec<_> =
                (0..50).map(|_| Box::pin(client.send(XAdd::new("lost").field("f", "v")))).collect();
            for call in &mut flying {
                assert!(poll_once(call.as_mut()).await.is_pending());
            }
            // By now the driver has written them, because it is woken as often as this task.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            server.kill9();
            for result in futures_util::future::join_all(flying).await {
                let error = result.unwrap_err();
                assert_eq!(error.outcome(), Outcome::Unknown);
                assert!(matches!(error, Error::Lost { command: "XADD", .. }), "{error:?}");
            }
            let mut waiting: Vec<_> = (0..50)
                .map(|n| {
                    Box::pin(client.send(XAdd::new("s").id(id(100 * round + n)).field("n", n)))
                })
                .collect();
            for call in &mut waiting {
                assert!(poll_once(call.as_mut()).await.is_pending());
            }
            server.restart();
            for (n, result) in (0..).zip(futures_util::future::join_all(waiting).await) {
                assert_eq!(result.unwrap(), id(100 * round + n));
            }
        }
        // Every confirmed entry is there once. A lost one is there at most once.
        assert_eq!(client.send(XLen::new("s")).await.unwrap(), 1 + 3 * 50);
        assert!(client.send(XLen::new("lost")).await.unwrap() <= 3 * 50);
    });
}

#[test]
fn unsent_command_ends_at_its_deadline_while_the_server_is_down() {
    in_both_from(&Server::builder(), async |mut server, config| {
        let client =
            Client::connect(config.command_timeout(Duration::from_millis(100))).await.unwrap();
        server.kill9();
        // The first one may be written before the client detects the lost connection.
        let _ = client.send(XLen::new("s")).await;
        let calls = (0..10).map(|n| client.send(XAdd::new("s").field("n", n)));
        for result in futures_util::future::join_all(calls).await {
            let error = result.unwrap_err();
            assert_eq!(error.outcome(), Outcome::NotSent);
            let Error::Unsent { reason: Unsent::TimedOut { source, .. }, .. } = error else {
                panic!("{error:?}");
            };
            assert!(source.is_some(), "the error has the cause of the missing connection");
        }
        server.restart();
        until("the server answers", async || client.send(XLen::new("s")).await.is_ok()).await;
        assert_eq!(client.send(XLen::new("s")).await.unwrap(), 0, "commands not sent never run");
    });
}

#[test]
fn command_dropped_before_it_is_sent_never_runs() {
    in_both_from(&Server::builder(), async |mut server, config| {
        let client = Client::connect(config).await.unwrap();
        server.kill9();
        let _ = client.send(XLen::new("s")).await;
        for n in 0..10 {
            let mut call = Box::pin(client.send(XAdd::new("s").field("n", n)));
            assert!(poll_once(call.as_mut()).await.is_pending());
        }
        let mut kept = Box::pin(client.send(XAdd::new("s").field("n", 10)));
        assert!(poll_once(kept.as_mut()).await.is_pending());
        server.restart();
        kept.await.unwrap();
        let entries = client.send(XRange::new("s", ..)).await.unwrap();
        let fields: Vec<_> = entries.iter().map(|entry| entry.get("n").unwrap()).collect();
        assert_eq!(fields, [b"10"]);
    });
}

#[test]
fn budget_of_a_dropped_command_is_released_on_reconnect() {
    in_both_from(&Server::builder(), async |mut server, config| {
        let client = Client::connect(config.budget_bytes(1024)).await.unwrap();
        server.kill9();
        let _ = client.send(XLen::new("s")).await;
        let value = [b'x'; 1000];
        let mut large = Box::pin(client.send(XAdd::new("s").field("f", &value)));
        let mut waits = Box::pin(client.send(XLen::new("s")));
        assert!(poll_once(large.as_mut()).await.is_pending());
        assert!(poll_once(waits.as_mut()).await.is_pending());
        drop(large);
        server.restart();
        assert_eq!(waits.await.unwrap(), 0);
    });
}

#[test]
fn cut_connection_under_load_gives_correct_outcomes() {
    in_both_from(&Server::builder(), async |server, config| {
        async fn work(client: Client, worker: u64) -> Vec<(u64, Outcome)> {
            let mut ends = Vec::new();
            for n in 0..200 {
                let nonce = worker * 1000 + n;
                if let Err(error) = client.send(XAdd::new("s").field("nonce", nonce)).await {
                    ends.push((nonce, error.outcome()));
                }
            }
            ends
        }
        let client = Client::connect(config).await.unwrap();
        let killer = Client::connect(Config::unix(server.socket_path())).await.unwrap();
        let workers: Vec<_> = (0..16).map(|n| tokio::spawn(work(client.clone(), n))).collect();
        for round in 1..=5 {
            until("the stream has grown", async || {
                killer.send(XLen::new("s")).await.unwrap() >= round * 400
            })
            .await;
            let before = client.connection_id().unwrap();
            kill(&killer, before).await;
            until("there is another connection", async || client.connection_id() != Some(before))
                .await;
        }
        let mut ends = Vec::new();
        for worker in workers {
            ends.extend(worker.await.unwrap());
        }
        let entries = client.send(XRange::new("s", ..)).await.unwrap();
        let nonce = |entry: bourn::EntryRef<'_>| entry.get_str("nonce").unwrap().unwrap().parse();
        let there: Vec<u64> = entries.iter().map(|entry| nonce(entry).unwrap()).collect();
        let once: HashSet<_> = there.iter().copied().collect();
        assert_eq!(once.len(), there.len(), "nothing was sent twice");
        let failed: HashSet<_> = ends.iter().map(|(nonce, _)| *nonce).collect();
        for nonce in (0..16).flat_map(|worker| (0..200).map(move |n| worker * 1000 + n)) {
            assert!(once.contains(&nonce) || failed.contains(&nonce), "{nonce} was confirmed");
        }
        for (nonce, outcome) in &ends {
            assert_ne!(*outcome, Outcome::NotApplied, "{nonce}");
            assert!(*outcome == Outcome::Unknown || !once.contains(nonce), "{nonce} was not sent");
        }
    });
}
