//! Transient states: the server loads its data, runs a long script, or has lost its master.

use super::{Callers, a_read, a_write, is_refused};
use crate::both::{add, id, in_both_from, poll_once, run, until};
use crate::support::{Builder, Server, free_port};
use bourn::{Client, Code, Config, ConnectReason, Error, Outcome, Raw, Retry};
use std::pin::pin;

/// A server that takes 5 ms to load a key, and handles events after every few keys.
fn slow_to_load() -> Builder {
    let events = ["--loading-process-events-interval-bytes", "1024", "--rdbcompression", "no"];
    Server::builder().args(["--key-load-delay", "5000"]).args(events)
}

#[test]
fn commands_wait_while_the_server_loads() {
    if !Server::start().redis_at_least(7, 0) {
        // It handles events every 2 MiB only, and this cannot be configured.
        return;
    }
    in_both_from(&slow_to_load(), async |mut server, config| {
        let before = Client::connect(config.clone().command_timeout(super::LONG)).await.unwrap();
        add(&before, "s", 1..=3).await;
        let value = "x".repeat(500);
        let sets = (0..2500).map(|n| Raw::new("SET").arg(n).arg(&value));
        for set in before.send_all(sets).await {
            set.unwrap();
        }
        server.command(&["SAVE"]);
        let admin = Config::unix(server.socket_path());
        server.kill9();
        let started = tokio::task::spawn_blocking(move || {
            server.restart();
            server
        });
        // A client connected before waits too.
        let mut early = pin!(before.send(a_read()));
        assert!(poll_once(early.as_mut()).await.is_pending());
        let never = config.clone().retry(Retry::Never);
        until("the server loads", async || {
            let Ok(client) = Client::connect(&never).await else { return false };
            client.send(a_read()).await.is_err_and(|error| error.code() == Some(&Code::Loading))
        })
        .await;
        assert!(poll_once(early.as_mut()).await.is_pending());
        let callers = Callers::connect(&config).await;
        let connection = callers.long_timeout.connection_id();
        let late = callers.wait_out(Code::Loading, a_write, async || {
            let admin = Client::connect(admin).await.unwrap();
            run(&admin, "CONFIG SET key-load-delay 0").await;
        });
        let (early, late) = tokio::join!(early, late);
        assert!(late > id(3) && (3..=4).contains(&early.unwrap()));
        assert_eq!(
            callers.long_timeout.send(a_read()).await.unwrap(),
            4,
            "refused commands never ran"
        );
        assert_eq!(callers.long_timeout.connection_id(), connection);
        drop(started.await.unwrap());
    });
}

#[test]
fn commands_wait_while_a_script_runs() {
    in_both_from(&Server::builder().args(["--lua-time-limit", "5"]), async |server, config| {
        let callers = Callers::connect(&config).await;
        let scripts = Client::connect(&config.clone().command_timeout(super::LONG)).await.unwrap();
        let connection = callers.long_timeout.connection_id();
        let script = Raw::new("EVAL").arg("while true do end").arg(0);
        let mut script = pin!(scripts.send(script));
        assert!(poll_once(script.as_mut()).await.is_pending());
        super::meanwhile(script.as_mut(), async {
            until("the server is busy", async || {
                let result = callers.no_retry.send(a_read()).await;
                result.is_err_and(|error| error.code() == Some(&Code::Busy))
            })
            .await;
            // A connection can be made, because a busy server accepts HELLO. Few accept SELECT.
            let client = Client::connect(config.clone().retry(Retry::Never)).await.unwrap();
            is_refused(client.send(a_write()).await, &Code::Busy);
            let selected = Client::connect(config.clone().database(1)).await;
            if server.valkey_at_least(9, 1) {
                selected.unwrap();
            } else {
                is_refused_for_now(selected.unwrap_err());
            }
        })
        .await;
        let end = async || {
            server.command(&["SCRIPT", "KILL"]);
        };
        callers.wait_out(Code::Busy, a_write, end).await;
        // The script failed. Nothing else is known of its result.
        let error = script.await.unwrap_err();
        assert_eq!(error.outcome(), Outcome::Unknown, "{error:?}");
        assert_eq!(
            callers.long_timeout.send(a_read()).await.unwrap(),
            1,
            "refused commands never ran"
        );
        assert_eq!(callers.long_timeout.connection_id(), connection);
    });
}

#[test]
fn commands_wait_while_a_replica_has_lost_its_master() {
    in_both_from(&Server::builder(), async |server, config| {
        let callers = Callers::connect(&config).await;
        let connection = callers.long_timeout.connection_id();
        add(&callers.long_timeout, "s", 1..=3).await;
        server.command(&["CONFIG", "SET", "replica-serve-stale-data", "no"]);
        server.command(&["REPLICAOF", "127.0.0.1", &free_port().to_string()]);
        let end = async || {
            server.command(&["REPLICAOF", "NO", "ONE"]);
        };
        let length = callers.wait_out(Code::MasterDown, a_read, end).await;
        assert_eq!(length, 3);
        assert_eq!(callers.long_timeout.connection_id(), connection);
    });
}

/// Checks that the connection failed because of a script.
#[track_caller]
fn is_refused_for_now(error: Error) {
    assert_eq!((error.code(), error.outcome()), (Some(&Code::Busy), Outcome::NotSent));
    let Error::Connect(refused) = &error else { panic!("{error:?}") };
    assert!(matches!(refused.reason(), ConnectReason::Refused(_)), "{error:?}");
    assert!(!refused.is_permanent() && !refused.is_credentials());
}
