//! The end of a client: commands in flight complete, later ones are not sent.

use crate::both::{in_both, in_both_from, listed, poll_once, until};
use crate::support::Server;
use bourn::{Client, Disconnect, Error, Outcome, Unsent, XAdd, XLen};
use std::pin::pin;

#[test]
fn close_completes_commands_in_flight_and_rejects_new_ones() {
    in_both_from(&Server::builder(), async |_, config| {
        let other = Client::connect(&config).await.unwrap();
        let client = Client::connect(&config).await.unwrap();
        let clone = client.clone();
        let connection = client.connection_id().unwrap();
        let mut calls: Vec<_> =
            (0..500).map(|n| Box::pin(client.send(XAdd::new("s").field("n", n)))).collect();
        for call in &mut calls {
            assert!(poll_once(call.as_mut()).await.is_pending());
        }
        let unpolled = client.send(XLen::new("s"));
        clone.close().await;
        for call in calls {
            call.await.unwrap();
        }
        let late =
            [unpolled.await, client.send(XLen::new("s")).await, clone.send(XLen::new("s")).await];
        for result in late {
            let error = result.unwrap_err();
            assert_eq!(error.outcome(), Outcome::NotSent);
            assert!(matches!(error, Error::Unsent { reason: Unsent::Closed, .. }), "{error:?}");
        }
        until("it is gone", async || listed(&other, connection).await.is_none()).await;
        assert_eq!(other.send(XLen::new("s")).await.unwrap(), 500);
        client.close().await;
    });
}

#[test]
fn close_continues_if_its_future_is_dropped() {
    in_both_from(&Server::builder(), async |_, config| {
        let other = Client::connect(&config).await.unwrap();
        let client = Client::connect(&config).await.unwrap();
        let connection = client.connection_id().unwrap();
        {
            let mut close = pin!(client.close());
            assert!(poll_once(close.as_mut()).await.is_pending());
        }
        until("it is gone", async || listed(&other, connection).await.is_none()).await;
        assert!(client.send(XLen::new("s")).await.is_err());
    });
}

#[test]
fn queued_commands_complete_after_the_last_clone_is_dropped() {
    in_both_from(&Server::builder(), async |_, config| {
        let other = Client::connect(&config).await.unwrap();
        let client = Client::connect(&config).await.unwrap();
        let connection = client.connection_id().unwrap();
        let clone = client.clone();
        for n in 0..500 {
            // A command dropped after its first poll still runs.
            let mut call = pin!(clone.send(XAdd::new("s").field("n", n)));
            assert!(poll_once(call.as_mut()).await.is_pending());
        }
        drop(client);
        assert!(listed(&other, connection).await.is_some(), "a clone is left");
        drop(clone);
        until("it is gone", async || listed(&other, connection).await.is_none()).await;
        assert_eq!(other.send(XLen::new("s")).await.unwrap(), 500);
    });
}

#[test]
fn command_that_is_never_polled_is_not_sent() {
    in_both(async |_, client| {
        for n in 0..100 {
            drop(client.send(XAdd::new("s").field("n", n)));
            drop(client.send_all([XAdd::new("s").field("n", n)]));
        }
        assert_eq!(client.send(XLen::new("s")).await.unwrap(), 0);
    });
}

#[test]
fn runtime_shutdown_loses_commands_in_flight_and_rejects_new_ones() {
    let server = Server::start();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for parameter in ["?protocol=2", "?protocol=3"] {
        let first = runtime();
        let client = first.block_on(Client::connect(server.url() + parameter)).unwrap();
        assert_eq!(first.block_on(client.send(XLen::new("s"))).unwrap(), 0);
        server.pause();
        let mut call = Box::pin(client.send(XLen::new("s")));
        assert!(first.block_on(poll_once(call.as_mut())).is_pending());
        drop(first);
        server.resume();
        let error = runtime().block_on(call).unwrap_err();
        let lost = matches!(error, Error::Lost { command: "XLEN", reason: Disconnect::Closed, .. });
        assert!(lost, "{error:?}");
        let error = runtime().block_on(client.send(XLen::new("s"))).unwrap_err();
        assert!(matches!(error, Error::Unsent { reason: Unsent::Closed, .. }), "{error:?}");
    }
}

#[test]
fn client_of_an_ended_runtime_fails_its_first_command() {
    let server = Server::start();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first = runtime();
    let client = first.block_on(Client::connect(server.url())).unwrap();
    drop(first);
    let error = runtime().block_on(client.send(XLen::new("s"))).unwrap_err();
    assert!(matches!(error, Error::Unsent { reason: Unsent::Closed, .. }), "{error:?}");
    runtime().block_on(client.close());
}
