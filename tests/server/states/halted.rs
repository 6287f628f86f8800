//! A server that does nothing for a while: CLIENT PAUSE, a halted process.

use super::{LATE, a_read, a_write, listen, nothing_was_told, until_told};
use crate::both::{id, in_both_from, poll_once, until};
use crate::support::Server;
use bourn::{Client, Config, Disconnect, Error, Event, Outcome, Retry, XAdd, XLen};
use std::time::{Duration, Instant};

const SHORT: Duration = Duration::from_millis(400);

/// Writes and reads that are all answered, in order, on the connection that there is.
async fn nobody_notices(config: &Config, halt: impl AsyncFn(), go_on: impl AsyncFn()) {
    for retry in [Retry::Safe, Retry::Never] {
        let client = Client::connect(config.clone().retry(retry)).await.unwrap();
        client.send(bourn::Raw::new("DEL s")).await.unwrap();
        let mut events = listen(&client).await;
        halt().await;
        let mut calls: Vec<_> = (1..=10)
            .map(|n| Box::pin(client.send(XAdd::new("s").id(id(n)).field("f", "v"))))
            .collect();
        for call in &mut calls {
            assert!(poll_once(call.as_mut()).await.is_pending());
        }
        let length = client.send(XLen::new("s"));
        go_on().await;
        for (n, added) in (1..).zip(futures_util::future::join_all(calls).await) {
            assert_eq!(added.unwrap(), id(n), "{retry:?}");
        }
        assert_eq!(length.await.unwrap(), 10, "{retry:?}");
        nothing_was_told(&mut events);
    }
}

#[test]
fn a_pause_that_is_shorter_than_the_deadline_is_not_noticed() {
    in_both_from(&Server::builder(), async |server, config| {
        let halt = async || {
            server.command(&["CLIENT", "PAUSE", "300"]);
        };
        nobody_notices(&config, halt, async || {}).await;
    });
}

#[test]
fn a_halt_that_is_shorter_than_the_deadline_is_not_noticed() {
    in_both_from(&Server::builder(), async |server, config| {
        nobody_notices(&config, async || server.pause(), async || server.resume()).await;
    });
}

#[test]
fn in_a_pause_that_is_longer_the_deadline_holds_and_the_connection_stays() {
    in_both_from(&Server::builder(), async |server, config| {
        for retry in [Retry::Safe, Retry::Never] {
            server.command(&["DEL", "s"]);
            let config = config.clone().retry(retry).command_timeout(SHORT);
            let client = Client::connect(config).await.unwrap();
            let mut events = listen(&client).await;
            // As long as three commands may take, and shorter than what is taken for silence: 4 s.
            server.command(&["CLIENT", "PAUSE", "1200"]);
            let start = Instant::now();
            let (write, read) = tokio::join!(client.send(a_write()), client.send(a_read()));
            let took = start.elapsed();
            assert!(took >= SHORT && took < SHORT + LATE, "{retry:?}: told after {took:?}");
            for error in [write.unwrap_err(), read.unwrap_err()] {
                assert_eq!(error.outcome(), Outcome::Unknown, "{retry:?}");
                let Error::TimedOut { waited: SHORT, .. } = error else { panic!("{error:?}") };
            }
            let mut length = 0;
            until("the pause is over", async || {
                length = client.send(a_read()).await.unwrap_or(0);
                length > 0
            })
            .await;
            assert_eq!(length, 1, "{retry:?}: it ran after all, and once");
            nothing_was_told(&mut events);
        }
    });
}

#[test]
fn a_server_that_is_halted_for_long_is_left_after_twice_the_time() {
    in_both_from(&Server::builder(), async |server, config| {
        // Twice the command's time, of which no less than 2 s count.
        let silence = Duration::from_secs(4);
        let client = Client::connect(config.command_timeout(SHORT)).await.unwrap();
        let connection = client.connection_id();
        let mut events = listen(&client).await;
        server.pause();
        let start = Instant::now();
        let error = client.send(a_write()).await.unwrap_err();
        assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
        let gone = events.next().await;
        let took = start.elapsed();
        assert!(
            matches!(gone, Some(Event::Disconnected { reason: Disconnect::Silent, .. })),
            "{gone:?}"
        );
        assert!(took >= silence && took < silence + silence / 10, "left after {took:?}");
        server.resume();
        let is_up = |event: &Event| matches!(event, Event::Connected { .. });
        until_told(&mut events, "a connection", is_up).await;
        assert_ne!(client.connection_id(), connection);
        until("the write has run", async || {
            client.send(a_read()).await.is_ok_and(|length| length == 1)
        })
        .await;
    });
}
