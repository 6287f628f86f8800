//! A master that becomes a replica, and a master again: a failover as seen by connected clients.

use super::{Callers, LONG, a_read, a_write, is_refused, listen, meanwhile, wait_for_event};
use crate::both::{add, in_both_from, ms, run, until, until_blocked};
use crate::support::{Server, free_port};
use bourn::{
    Client, Code, Config, Disconnect, Event, GroupFrom, Raw, Reader, Retry, StartAt, XGroupCreate,
    XPending, XReadGroup,
};
use std::pin::pin;

/// Makes the server a replica of a master that does not exist. Its data stays.
fn demote(server: &Server) {
    server.command(&["REPLICAOF", "127.0.0.1", &free_port().to_string()]);
}

fn promote(server: &Server) {
    server.command(&["REPLICAOF", "NO", "ONE"]);
}

#[test]
fn write_to_a_replica_waits_until_it_is_a_master() {
    in_both_from(&Server::builder(), async |server, config| {
        let callers = Callers::connect(&config).await;
        add(&callers.long_timeout, "s", 1..=3).await;
        demote(&server);
        assert_eq!(callers.long_timeout.send(a_read()).await.unwrap(), 3, "reads still work");
        callers.wait_out(Code::ReadOnly, a_write, async || promote(&server)).await;
        assert_eq!(
            callers.long_timeout.send(a_read()).await.unwrap(),
            4,
            "refused commands never ran"
        );
    });
}

#[test]
fn write_to_a_replica_reconnects_to_find_the_master() {
    in_both_from(&Server::builder(), async |server, config| {
        let client = Client::connect(config.clone().command_timeout(LONG)).await.unwrap();
        let never = Client::connect(config.retry(Retry::Never)).await.unwrap();
        let connections = (client.connection_id(), never.connection_id());
        let mut events = listen(&client).await;
        demote(&server);
        let mut write = pin!(client.send(a_write()));
        meanwhile(write.as_mut(), async {
            let is_gone = |event: &Event| matches!(event, Event::Disconnected { .. });
            let gone = wait_for_event(&mut events, "the end of a connection", is_gone).await;
            assert!(
                matches!(gone, Event::Disconnected { reason: Disconnect::Stale, .. }),
                "{gone:?}"
            );
            // By now the connection of `never` is old enough too.
            is_refused(never.send(a_write()).await, &Code::ReadOnly);
            let is_up = |event: &Event| matches!(event, Event::Connected { .. });
            wait_for_event(&mut events, "a connection", is_up).await;
            assert_eq!(never.send(a_read()).await.unwrap(), 0);
        })
        .await;
        promote(&server);
        write.await.unwrap();
        assert_eq!(never.send(a_read()).await.unwrap(), 1);
        assert_ne!(client.connection_id(), connections.0);
        // Nothing was sent again, but later commands need the master.
        assert_ne!(never.connection_id(), connections.1);
    });
}

/// Reads the entries of `s` that were never delivered to the group `g`.
fn new() -> XReadGroup<'static> {
    XReadGroup::new("g", "c").stream("s", GroupFrom::New)
}

/// A reader, and the client that created the empty stream `s` with the group `g`.
async fn reader(config: Config, retry: Retry) -> (Client, Reader) {
    let client = Client::connect(config.retry(retry)).await.unwrap();
    client.send(XGroupCreate::new("s", "g", StartAt::START).mk_stream()).await.unwrap();
    let reader = client.reader().await.unwrap();
    (client, reader)
}

#[test]
fn group_read_ended_by_a_role_change_is_retried_until_there_is_a_master() {
    in_both_from(&Server::builder(), async |server, config| {
        let (client, mut reader) = reader(config, Retry::Safe).await;
        let mut read = pin!(reader.read(new().block(LONG)));
        meanwhile(read.as_mut(), async {
            until_blocked(&client, 1).await;
            demote(&server);
            // The read that ended is retried, and the retry is refused as a write.
            until("it is read again", async || super::refusals(&server, &Code::ReadOnly) >= 2)
                .await;
            promote(&server);
            until_blocked(&client, 1).await;
        })
        .await;
        add(&client, "s", 1..=1).await;
        assert_eq!(ms(read.await.unwrap().get("s").unwrap()), [1]);
        assert_eq!(super::refusals(&server, &Code::Unblocked), 1);
        assert_eq!(client.send(XPending::new("s", "g")).await.unwrap().count, 1);
    });
}

#[test]
fn group_read_ended_by_a_role_change_fails_without_retries() {
    in_both_from(&Server::builder(), async |server, config| {
        let (client, mut reader) = reader(config, Retry::Never).await;
        let mut events = reader.events();
        {
            let mut read = pin!(reader.read(new().block(LONG)));
            meanwhile(read.as_mut(), until_blocked(&client, 1)).await;
            demote(&server);
            is_refused(read.await, &Code::Unblocked);
        }
        // The server closes the connection after that.
        let is_gone = |event: &Event| matches!(event, Event::Disconnected { .. });
        wait_for_event(&mut events, "the end of the connection", is_gone).await;
        is_refused(reader.read(new().block(LONG)).await, &Code::ReadOnly);
        promote(&server);
        add(&client, "s", 1..=1).await;
        assert_eq!(ms(reader.read(new().block(LONG)).await.unwrap().get("s").unwrap()), [1]);
    });
}

#[test]
fn group_read_ended_by_client_unblock_fails_and_the_next_one_reads() {
    in_both_from(&Server::builder(), async |server, config| {
        for retry in [Retry::Safe, Retry::Never] {
            server.command(&["FLUSHALL"]);
            let (client, mut reader) = reader(config.clone(), retry).await;
            let connection = reader.connection_id();
            let unblock =
                Raw::new("CLIENT UNBLOCK").arg(connection.expect("the id is known")).arg("ERROR");
            {
                let mut read = pin!(reader.read(new().block(LONG)));
                meanwhile(read.as_mut(), until_blocked(&client, 1)).await;
                assert_eq!(client.send(unblock).await.unwrap().as_integer(), Some(1));
                is_refused(read.await, &Code::Unblocked);
            }
            run(&client, "PING").await;
            add(&client, "s", 1..=1).await;
            assert_eq!(
                ms(reader.read(new().block(LONG)).await.unwrap().get("s").unwrap()),
                [1],
                "{retry:?}"
            );
            assert_eq!(reader.connection_id(), connection, "{retry:?}");
        }
    });
}
