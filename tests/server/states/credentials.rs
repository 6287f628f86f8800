//! Credentials that become invalid: they are reported, retried, and valid again later.

use super::{LATE, LONG, a_read, a_write, listen, refusals, wait_for_event};
use crate::both::{in_both_from, kill, run};
use crate::support::Server;
use bourn::{Client, Code, Config, ConnectReason, Error, Event, Outcome, Retry, Unsent};
use std::time::{Duration, Instant};

/// Checks the error of a command without a connection, because the server rejects the credentials.
#[track_caller]
fn is_unsent(error: &Error, code: &Code) {
    assert_eq!(error.outcome(), Outcome::NotSent);
    let Error::Unsent { reason: Unsent::TimedOut { source: Some(source), .. }, .. } = error else {
        panic!("{error:?}");
    };
    assert!(source.is_credentials() && source.is_permanent(), "{source:?}");
    let ConnectReason::Refused(refused) = source.reason() else { panic!("{source:?}") };
    assert_eq!(refused.code(), code);
}

/// Sets the server's password to `other`, then back to `mine`. The client's connection is lost in
/// between.
async fn locked_out(server: &Server, config: &Config, mine: &str, code: Code) {
    // An existing connection stays authenticated.
    let admin = Client::connect(config.clone()).await.unwrap();
    let short = Duration::from_millis(200);
    for retry in [Retry::Safe, Retry::Never] {
        let config = config.clone().retry(retry);
        let short_timeout = Client::connect(config.clone().command_timeout(short)).await.unwrap();
        let long_timeout = Client::connect(config.command_timeout(LONG)).await.unwrap();
        let mut events = listen(&short_timeout).await;
        run(&admin, "CONFIG SET requirepass other").await;
        assert_eq!(short_timeout.send(a_read()).await.unwrap(), 0, "existing connections stay");
        for client in [&short_timeout, &long_timeout] {
            kill(&admin, client.connection_id().unwrap()).await;
        }
        let is_rejected = |event: &Event| matches!(event, Event::CredentialsRejected { .. });
        let event = wait_for_event(&mut events, "the refusal", is_rejected).await;
        let Event::CredentialsRejected { error, .. } = event else { panic!("{event:?}") };
        assert!(error.is_credentials(), "{error:?}");

        let start = Instant::now();
        let error = short_timeout.send(a_write()).await.unwrap_err();
        let took = start.elapsed();
        is_unsent(&error, &code);
        assert!(took >= short && took < short + LATE, "{retry:?}: error after {took:?}");

        let mut waiting = std::pin::pin!(long_timeout.send(a_read()));
        super::meanwhile(waiting.as_mut(), async {
            // It is retried repeatedly, and each failure is reported.
            for _ in 0..3 {
                wait_for_event(&mut events, "another refusal", is_rejected).await;
            }
            admin.send(bourn::Raw::new("CONFIG SET requirepass").arg(mine)).await.unwrap();
        })
        .await;
        assert_eq!(waiting.await.unwrap(), 0, "commands not sent never ran");
        assert_eq!(short_timeout.send(a_read()).await.unwrap(), 0);
    }
    assert!(refusals(server, &code) >= 8);
}

#[test]
fn changed_password_is_reported_and_the_old_one_retried() {
    in_both_from(&Server::builder().args(["--requirepass", "mine"]), async |server, config| {
        locked_out(&server, &config.password("mine"), "mine", Code::WrongPass).await;
    });
}

#[test]
fn password_required_later_is_reported_until_it_is_removed() {
    in_both_from(&Server::builder(), async |server, config| {
        locked_out(&server, &config, "", Code::NoAuth).await;
    });
}

#[test]
fn deleted_user_is_reported_until_it_exists_again() {
    in_both_from(&Server::builder(), async |server, config| {
        let set = || server.command(&["ACL", "SETUSER", "worker", "on", ">p", "~*", "+@all"]);
        set();
        let config = config.user("worker").password("p").command_timeout(LONG);
        let client = Client::connect(config).await.unwrap();
        let mut events = listen(&client).await;
        // The server closes the user's connections.
        server.command(&["ACL", "DELUSER", "worker"]);
        let is_rejected = |event: &Event| matches!(event, Event::CredentialsRejected { .. });
        let event = wait_for_event(&mut events, "the refusal", is_rejected).await;
        let Event::CredentialsRejected { error, .. } = event else { panic!("{event:?}") };
        let ConnectReason::Refused(refused) = error.reason() else { panic!("{error:?}") };
        assert_eq!(refused.code(), &Code::WrongPass);
        set();
        assert_eq!(client.send(a_read()).await.unwrap(), 0);
    });
}
