//! Credentials that are wrong from some time on: they are told, tried again, and right again one day.

use super::{LATE, LONG, a_read, a_write, listen, refusals, until_told};
use crate::both::{in_both_from, kill, run};
use crate::support::Server;
use bourn::{Client, Code, Config, ConnectReason, Error, Event, Outcome, Retry, Unsent};
use std::time::{Duration, Instant};

/// The error of a command that found no connection, for the server refuses who we are.
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

/// The server's password becomes `other`, and `mine` again; the client's connection is lost meanwhile.
async fn locked_out(server: &Server, config: &Config, mine: &str, code: Code) {
    // Who is in stays in.
    let admin = Client::connect(config.clone()).await.unwrap();
    let short = Duration::from_millis(200);
    for retry in [Retry::Safe, Retry::Never] {
        let config = config.clone().retry(retry);
        let hurried = Client::connect(config.clone().command_timeout(short)).await.unwrap();
        let patient = Client::connect(config.command_timeout(LONG)).await.unwrap();
        let mut events = listen(&hurried).await;
        run(&admin, "CONFIG SET requirepass other").await;
        assert_eq!(hurried.send(a_read()).await.unwrap(), 0, "who is in stays in");
        for client in [&hurried, &patient] {
            kill(&admin, client.connection_id().unwrap()).await;
        }
        let is_rejected = |event: &Event| matches!(event, Event::CredentialsRejected { .. });
        let told = until_told(&mut events, "the refusal", is_rejected).await;
        let Event::CredentialsRejected { error, .. } = told else { panic!("{told:?}") };
        assert!(error.is_credentials(), "{error:?}");

        let start = Instant::now();
        let error = hurried.send(a_write()).await.unwrap_err();
        let took = start.elapsed();
        is_unsent(&error, &code);
        assert!(took >= short && took < short + LATE, "{retry:?}: told after {took:?}");

        let mut waiting = std::pin::pin!(patient.send(a_read()));
        super::meanwhile(waiting.as_mut(), async {
            // It is tried again and again, and each time is told.
            for _ in 0..3 {
                until_told(&mut events, "another refusal", is_rejected).await;
            }
            admin.send(bourn::Raw::new("CONFIG SET requirepass").arg(mine)).await.unwrap();
        })
        .await;
        assert_eq!(waiting.await.unwrap(), 0, "what was not sent never ran");
        assert_eq!(hurried.send(a_read()).await.unwrap(), 0);
    }
    assert!(refusals(server, &code) >= 8);
}

#[test]
fn a_password_that_was_changed_is_told_and_the_old_one_tried_again() {
    in_both_from(&Server::builder().args(["--requirepass", "mine"]), async |server, config| {
        locked_out(&server, &config.password("mine"), "mine", Code::WrongPass).await;
    });
}

#[test]
fn a_password_that_was_asked_for_later_is_told_until_it_is_not() {
    in_both_from(&Server::builder(), async |server, config| {
        locked_out(&server, &config, "", Code::NoAuth).await;
    });
}

#[test]
fn a_user_who_was_deleted_is_told_until_there_is_one_again() {
    in_both_from(&Server::builder(), async |server, config| {
        let set = || server.command(&["ACL", "SETUSER", "worker", "on", ">p", "~*", "+@all"]);
        set();
        let config = config.user("worker").password("p").command_timeout(LONG);
        let client = Client::connect(config).await.unwrap();
        let mut events = listen(&client).await;
        // The server ends the user's connections.
        server.command(&["ACL", "DELUSER", "worker"]);
        let is_rejected = |event: &Event| matches!(event, Event::CredentialsRejected { .. });
        let told = until_told(&mut events, "the refusal", is_rejected).await;
        let Event::CredentialsRejected { error, .. } = told else { panic!("{told:?}") };
        let ConnectReason::Refused(refused) = error.reason() else { panic!("{error:?}") };
        assert_eq!(refused.code(), &Code::WrongPass);
        set();
        assert_eq!(client.send(a_read()).await.unwrap(), 0);
    });
}
