//! Limits of a client: the time of a command, the size of the queue, the size of a reply.

use crate::both::{add, id, in_both_from, poll_once, until};
use crate::support::Server;
use bourn::{Client, Error, Outcome, Raw, Unsent, WhenFull, XAdd, XLen, XRange};
use std::time::Duration;

#[test]
fn late_reply_is_discarded() {
    in_both_from(&Server::builder(), async |server, config| {
        let client =
            Client::connect(config.command_timeout(Duration::from_millis(50))).await.unwrap();
        let connection = client.connection_id();
        server.pause();
        let calls = (1..=3).map(|n| client.send(XAdd::new("s").id(id(n)).field("f", "v")));
        for result in futures_util::future::join_all(calls).await {
            let error = result.unwrap_err();
            assert_eq!(error.outcome(), Outcome::Unknown);
            assert!(matches!(error, Error::TimedOut { command: "XADD", .. }), "{error:?}");
        }
        server.resume();
        // The replies of all three arrive before this one's, on the same connection.
        let mut length = None;
        until("the server answers in time", async || {
            length = client.send(XLen::new("s")).await.ok();
            length.is_some()
        })
        .await;
        assert_eq!(length, Some(3));
        assert_eq!(client.send(Raw::new("ECHO me")).await.unwrap().as_str(), Some("me"));
        assert_eq!(client.connection_id(), connection);
    });
}

#[test]
fn command_beyond_the_budget_waits_or_fails_as_configured() {
    in_both_from(&Server::builder(), async |server, config| {
        let config = config.budget_bytes(4096);
        let value = vec![b'x'; 1000];
        for when_full in [WhenFull::Fail, WhenFull::Wait] {
            let client = Client::connect(config.clone().when_full(when_full)).await.unwrap();
            client.send(Raw::new("DEL s")).await.unwrap();
            server.pause();
            let mut calls: Vec<_> =
                (0..10).map(|_| Box::pin(client.send(XAdd::new("s").field("f", &value)))).collect();
            let mut full = 0;
            let mut waiting = Vec::new();
            for mut call in calls.drain(..) {
                match poll_once(call.as_mut()).await {
                    std::task::Poll::Pending => waiting.push(call),
                    std::task::Poll::Ready(result) => {
                        let error = result.unwrap_err();
                        assert_eq!(error.outcome(), Outcome::NotSent);
                        let Error::Unsent { reason: Unsent::Full { limit: 4096, .. }, .. } = error
                        else {
                            panic!("{error:?}");
                        };
                        full += 1;
                    }
                }
            }
            server.resume();
            for result in futures_util::future::join_all(waiting).await {
                result.unwrap();
            }
            let expected = if when_full == WhenFull::Fail { 7 } else { 0 };
            assert_eq!(full, expected, "{when_full:?}");
            assert_eq!(client.send(XLen::new("s")).await.unwrap(), 10 - expected);
        }
    });
}

#[test]
fn request_larger_than_the_budget_is_sent_alone() {
    in_both_from(&Server::builder(), async |_, config| {
        let client = Client::connect(config.budget_bytes(1024)).await.unwrap();
        let value = vec![b'x'; 5_000_000];
        let adds = (1..=3).map(|n| client.send(XAdd::new("s").id(id(n)).field("f", &value)));
        for added in futures_util::future::join_all(adds).await {
            added.unwrap();
        }
        let entries = client.send(XRange::new("s", ..)).await.unwrap();
        assert!(entries.iter().all(|entry| entry.get("f") == Some(&value)));
        assert_eq!(entries.len(), 3);
    });
}

#[test]
fn too_large_reply_ends_the_connection_and_the_client_reconnects() {
    in_both_from(&Server::builder(), async |_, config| {
        let client = Client::connect(config.reply_bytes(10_000)).await.unwrap();
        add(&client, "s", 1..=1000).await;
        let connection = client.connection_id();
        let error = client.send(XRange::new("s", ..)).await.unwrap_err();
        assert_eq!(error.outcome(), Outcome::Unknown);
        assert!(matches!(error, Error::Protocol { command: "XRANGE", .. }), "{error:?}");
        assert_eq!(client.send(XRange::new("s", ..).count(10)).await.unwrap().len(), 10);
        assert_ne!(client.connection_id(), connection);
    });
}
