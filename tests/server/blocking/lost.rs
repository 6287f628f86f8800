//! Lost connections of readers: killed by the server, overdue, or closed.

use super::{LONG, after, group, history, new};
use crate::both::{add, in_both, in_both_from, kill, listed, ms, poll_once, until, until_blocked};
use crate::support::Server;
use bourn::{Client, Disconnect, Error, Outcome, Reader, XPending};
use std::pin::pin;
use std::time::Duration;

/// Waits until the server no longer lists the connection.
async fn until_gone(client: &Client, connection: i64) {
    until("the connection is gone", async || listed(client, connection).await.is_none()).await;
}

/// Polls a read with `BLOCK 0` once and drops it.
async fn drop_blocked_read(client: &Client, reader: &mut Reader) {
    let mut read = pin!(reader.read(new().block_forever()));
    assert!(poll_once(read.as_mut()).await.is_pending());
    until_blocked(client, 1).await;
}

#[test]
fn killed_connection_loses_its_read_and_the_next_read_reconnects() {
    in_both(async |_, client| {
        group(client, 0).await;
        let mut reader = client.reader().await.unwrap();
        for round in 1..=3 {
            let connection = reader.connection_id().unwrap();
            let error = {
                let mut read = pin!(reader.read(new().block_forever()));
                assert!(poll_once(read.as_mut()).await.is_pending());
                until_blocked(client, 1).await;
                kill(client, connection).await;
                read.await.unwrap_err()
            };
            assert_eq!(error.outcome(), Outcome::Unknown);
            let Error::Lost { command: "XREADGROUP", reason: Disconnect::Eof, .. } = error else {
                panic!("{error:?}");
            };
            add(client, "s", round..=round).await;
            let streams = reader.read(new().block_forever()).await.unwrap();
            assert_eq!(ms(streams.get("s").unwrap()), [round]);
            assert_ne!(reader.connection_id(), Some(connection));
        }
    });
}

#[test]
fn next_read_reports_the_killed_connection_of_a_dropped_read() {
    in_both(async |_, client| {
        group(client, 1).await;
        let mut reader = client.reader().await.unwrap();
        assert_eq!(reader.read(new()).await.unwrap().len(), 1);
        drop_blocked_read(client, &mut reader).await;
        kill(client, reader.connection_id().unwrap()).await;
        let error = reader.read(new()).await.unwrap_err();
        assert_eq!(error.outcome(), Outcome::Unknown, "{error:?}");
        assert_eq!(reader.read(history()).await.unwrap().len(), 1);
    });
}

#[test]
fn entry_delivered_in_a_lost_reply_is_pending() {
    in_both(async |_, client| {
        group(client, 0).await;
        let mut reader = client.reader().await.unwrap();
        drop_blocked_read(client, &mut reader).await;
        // The server delivers the entry to the read, and the connection ends before the reply is
        // read.
        add(client, "s", 1..=1).await;
        drop(reader);
        assert_eq!(client.send(XPending::new("s", "g")).await.unwrap().count, 1);
        let mut reader = client.reader().await.unwrap();
        assert_eq!(ms(reader.read(history()).await.unwrap().get("s").unwrap()), [1]);
    });
}

#[test]
fn dropped_reader_closes_its_connection_even_while_blocked() {
    in_both(async |_, client| {
        group(client, 0).await;
        for waits in [false, true] {
            let mut reader = client.reader().await.unwrap();
            let connection = reader.connection_id().unwrap();
            if waits {
                drop_blocked_read(client, &mut reader).await;
            }
            assert!(listed(client, connection).await.is_some());
            drop(reader);
            until_gone(client, connection).await;
            until_blocked(client, 0).await;
        }
        // No entry was delivered to the dropped reader.
        add(client, "s", 1..=1).await;
        assert_eq!(client.send(XPending::new("s", "g")).await.unwrap().count, 0);
    });
}

#[test]
fn reader_outlives_its_client() {
    in_both(async |_, client| {
        add(client, "s", 1..=1).await;
        let own = client.clone();
        let mut reader = own.reader().await.unwrap();
        own.close().await;
        assert_eq!(reader.read(after(0).block_forever()).await.unwrap().len(), 1);
    });
}

#[test]
fn read_times_out_after_block_and_grace_and_replaces_the_connection() {
    in_both_from(&Server::builder(), async |server, config| {
        let config = config.block_grace(Duration::from_millis(50));
        let client = Client::connect(&config).await.unwrap();
        group(&client, 1).await;
        let mut reader = client.reader().await.unwrap();
        let connection = reader.connection_id().unwrap();
        server.pause();
        let error = reader.read(new().block(Duration::from_millis(1))).await.unwrap_err();
        server.resume();
        assert_eq!(error.outcome(), Outcome::Unknown);
        let Error::TimedOut { command: "XREADGROUP", waited, .. } = error else {
            panic!("{error:?}");
        };
        assert_eq!(waited, Duration::from_millis(51));
        // The read was sent, so it runs now, and its entry becomes pending.
        until("the read has run", async || {
            client.send(XPending::new("s", "g")).await.unwrap().count == 1
        })
        .await;
        assert_eq!(reader.read(history().block(LONG)).await.unwrap().len(), 1);
        assert_ne!(reader.connection_id(), Some(connection));
    });
}

#[test]
fn reader_dropped_before_its_read_was_sent_takes_no_entries() {
    in_both(async |_, client| {
        group(client, 3).await;
        let mut reader = client.reader().await.unwrap();
        let connection = reader.connection_id().unwrap();
        {
            let mut read = pin!(reader.read(new().block_forever()));
            assert!(poll_once(read.as_mut()).await.is_pending());
        }
        drop(reader);
        until("it is gone", async || listed(client, connection).await.is_none()).await;
        assert_eq!(client.send(XPending::new("s", "g")).await.unwrap().count, 0);
    });
}

#[test]
fn read_after_a_timeout_is_sent_on_a_new_connection() {
    in_both_from(&Server::builder(), async |server, config| {
        let config = config.block_grace(Duration::from_millis(20));
        let client = Client::connect(&config).await.unwrap();
        group(&client, 1).await;
        let mut reader = client.reader().await.unwrap();
        assert_eq!(reader.read(new()).await.unwrap().len(), 1);
        server.pause();
        let error = reader.read(new().block(Duration::from_millis(1))).await.unwrap_err();
        assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
        let mut read = pin!(reader.read(history().block(Duration::from_secs(5))));
        assert!(poll_once(read.as_mut()).await.is_pending());
        server.resume();
        assert_eq!(read.await.unwrap().len(), 1);
    });
}
