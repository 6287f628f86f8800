//! A server that does nothing for a while: CLIENT PAUSE, or a stopped process.

use super::{LATE, a_read, a_write, assert_no_event, listen, wait_for_event};
use crate::both::{id, in_both_from, poll_once, until};
use crate::support::Server;
use bourn::{Client, Config, Disconnect, Error, Event, Outcome, Retry, XAdd, XLen};
use std::time::{Duration, Instant};

const SHORT: Duration = Duration::from_millis(400);

/// Checks that all writes and reads are answered, in order, on the existing connection.
async fn check_unaffected(config: &Config, halt: impl AsyncFn(), go_on: impl AsyncFn()) {
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
        assert_no_event(&mut events);
    }
}

#[test]
fn pause_shorter_than_the_deadline_has_no_effect() {
    in_both_from(&Server::builder(), async |server, config| {
        let halt = async || {
            server.command(&["CLIENT", "PAUSE", "300"]);
        };
        check_unaffected(&config, halt, async || {}).await;
    });
}

#[test]
fn halt_shorter_than_the_deadline_has_no_effect() {
    in_both_from(&Server::builder(), async |server, config| {
        check_unaffected(&config, async || server.pause(), async || server.resume()).await;
    });
}

#[test]
fn pause_longer_than_the_deadline_times_out_and_keeps_the_connection() {
    in_both_from(&Server::builder(), async |server, config| {
        for retry in [Retry::Safe, Retry::Never] {
            server.command(&["DEL", "s"]);
            let config = config.clone().retry(retry).command_timeout(SHORT);
            let client = Client::connect(config).await.unwrap();
            let mut events = listen(&client).await;
            // As long as three command timeouts, and shorter than the silence limit of 4 s.
            server.command(&["CLIENT", "PAUSE", "1200"]);
            let start = Instant::now();
            let (write, read) = tokio::join!(client.send(a_write()), client.send(a_read()));
            let took = start.elapsed();
            assert!(took >= SHORT && took < SHORT + LATE, "{retry:?}: error after {took:?}");
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
            assert_eq!(length, 1, "{retry:?}: it ran once");
            assert_no_event(&mut events);
        }
    });
}

#[test]
fn halted_server_is_left_after_twice_the_command_timeout() {
    in_both_from(&Server::builder(), async |server, config| {
        // Twice the command timeout, which counts as at least 2 s.
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
        assert!(took >= silence && took < silence + silence / 10, "replaced after {took:?}");
        server.resume();
        let is_up = |event: &Event| matches!(event, Event::Connected { .. });
        wait_for_event(&mut events, "a connection", is_up).await;
        assert_ne!(client.connection_id(), connection);
        until("the write has run", async || {
            client.send(a_read()).await.is_ok_and(|length| length == 1)
        })
        .await;
    });
}
