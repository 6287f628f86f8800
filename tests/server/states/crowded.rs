//! A server at `maxclients`: it reports an error and closes the connection, until there is capacity
//! again.

use super::{LATE, LONG, a_read, a_write, listen, meanwhile, wait_for_event};
use crate::both::{in_both_from, kill, run};
use crate::support::Server;
use bourn::{
    Client, Code, Config, ConnectError, ConnectReason, Error, Event, Outcome, Retry, Unsent,
};
use std::pin::pin;
use std::time::{Duration, Instant};

/// Checks that the error is transient and not one of credentials.
#[track_caller]
fn is_crowded(error: &ConnectError) {
    assert!(!error.is_permanent() && !error.is_credentials(), "{error:?}");
    let ConnectReason::Refused(refused) = error.reason() else { panic!("{error:?}") };
    assert_eq!(refused.code(), &Code::Err);
    assert_eq!(refused.message(), b"max number of clients reached");
}

#[test]
fn first_connection_beyond_maxclients_is_an_error() {
    in_both_from(&Server::builder(), async |server, config| {
        let admin = Client::connect(Config::unix(server.socket_path())).await.unwrap();
        run(&admin, "CONFIG SET maxclients 1").await;
        for retry in [Retry::Safe, Retry::Never] {
            let error = Client::connect(config.clone().retry(retry)).await.unwrap_err();
            assert_eq!(error.outcome(), Outcome::NotSent);
            let Error::Connect(error) = error else { panic!("{error:?}") };
            is_crowded(&error);
        }
        run(&admin, "CONFIG SET maxclients 100").await;
        let client = Client::connect(config).await.unwrap();
        assert_eq!(client.send(a_read()).await.unwrap(), 0);
    });
}

#[test]
fn client_reconnects_when_maxclients_allows_it() {
    in_both_from(&Server::builder(), async |server, config| {
        let admin = Client::connect(Config::unix(server.socket_path())).await.unwrap();
        let short = Duration::from_millis(200);
        for retry in [Retry::Safe, Retry::Never] {
            let config = config.clone().retry(retry);
            let short_timeout =
                Client::connect(config.clone().command_timeout(short)).await.unwrap();
            let long_timeout = Client::connect(config.command_timeout(LONG)).await.unwrap();
            let mut events = listen(&short_timeout).await;
            run(&admin, "CONFIG SET maxclients 1").await;
            assert_eq!(short_timeout.send(a_read()).await.unwrap(), 0, "existing connections stay");
            for client in [&short_timeout, &long_timeout] {
                kill(&admin, client.connection_id().unwrap()).await;
            }
            let is_failed = |event: &Event| matches!(event, Event::ConnectFailed { .. });
            let event = wait_for_event(&mut events, "the refusal", is_failed).await;
            let Event::ConnectFailed { error, .. } = event else { panic!("{event:?}") };
            is_crowded(&error);

            let start = Instant::now();
            let error = short_timeout.send(a_write()).await.unwrap_err();
            let took = start.elapsed();
            assert_eq!(error.outcome(), Outcome::NotSent);
            let Error::Unsent { reason: Unsent::TimedOut { source: Some(source), .. }, .. } = error
            else {
                panic!("{error:?}");
            };
            is_crowded(&source);
            assert!(took >= short && took < short + LATE, "{retry:?}: error after {took:?}");

            let mut waiting = pin!(long_timeout.send(a_read()));
            meanwhile(waiting.as_mut(), async {
                run(&admin, "CONFIG SET maxclients 100").await;
            })
            .await;
            assert_eq!(waiting.await.unwrap(), 0, "commands not sent never ran");
            let is_up = |event: &Event| matches!(event, Event::Connected { .. });
            wait_for_event(&mut events, "a connection", is_up).await;
            assert_eq!(short_timeout.send(a_read()).await.unwrap(), 0);
        }
    });
}
