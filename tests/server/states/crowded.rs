//! A server with too many clients: it says so and hangs up, and some time there is room again.

use super::{LATE, LONG, a_read, a_write, listen, meanwhile, until_told};
use crate::both::{in_both_from, kill, run};
use crate::support::Server;
use bourn::{
    Client, Code, Config, ConnectError, ConnectReason, Error, Event, Outcome, Retry, Unsent,
};
use std::pin::pin;
use std::time::{Duration, Instant};

/// Too many clients: a matter of time, and of nobody's credentials.
#[track_caller]
fn is_crowded(error: &ConnectError) {
    assert!(!error.is_permanent() && !error.is_credentials(), "{error:?}");
    let ConnectReason::Refused(refused) = error.reason() else { panic!("{error:?}") };
    assert_eq!(refused.code(), &Code::Err);
    assert_eq!(refused.message(), b"max number of clients reached");
}

#[test]
fn a_first_connection_too_many_is_told() {
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
fn a_client_that_was_crowded_out_is_back_when_there_is_room() {
    in_both_from(&Server::builder(), async |server, config| {
        let admin = Client::connect(Config::unix(server.socket_path())).await.unwrap();
        let short = Duration::from_millis(200);
        for retry in [Retry::Safe, Retry::Never] {
            let config = config.clone().retry(retry);
            let hurried = Client::connect(config.clone().command_timeout(short)).await.unwrap();
            let patient = Client::connect(config.command_timeout(LONG)).await.unwrap();
            let mut events = listen(&hurried).await;
            run(&admin, "CONFIG SET maxclients 1").await;
            assert_eq!(hurried.send(a_read()).await.unwrap(), 0, "who is in stays in");
            for client in [&hurried, &patient] {
                kill(&admin, client.connection_id().unwrap()).await;
            }
            let is_failed = |event: &Event| matches!(event, Event::ConnectFailed { .. });
            let told = until_told(&mut events, "the refusal", is_failed).await;
            let Event::ConnectFailed { error, .. } = told else { panic!("{told:?}") };
            is_crowded(&error);

            let start = Instant::now();
            let error = hurried.send(a_write()).await.unwrap_err();
            let took = start.elapsed();
            assert_eq!(error.outcome(), Outcome::NotSent);
            let Error::Unsent { reason: Unsent::TimedOut { source: Some(source), .. }, .. } = error
            else {
                panic!("{error:?}");
            };
            is_crowded(&source);
            assert!(took >= short && took < short + LATE, "{retry:?}: told after {took:?}");

            let mut waiting = pin!(patient.send(a_read()));
            meanwhile(waiting.as_mut(), async {
                run(&admin, "CONFIG SET maxclients 100").await;
            })
            .await;
            assert_eq!(waiting.await.unwrap(), 0, "what was not sent never ran");
            let is_up = |event: &Event| matches!(event, Event::Connected { .. });
            until_told(&mut events, "a connection", is_up).await;
            assert_eq!(hurried.send(a_read()).await.unwrap(), 0);
        }
    });
}
