//! A master that becomes a replica, and a master again: as a failover looks to those who stay connected.

use super::{Callers, LONG, a_read, a_write, is_refused, listen, meanwhile, until_told};
use crate::both::{add, in_both_from, ms, run, until, until_blocked};
use crate::support::{Server, free_port};
use bourn::{
    Client, Code, Config, Disconnect, Event, GroupFrom, Raw, Reader, Retry, StartAt, XGroupCreate,
    XPending, XReadGroup,
};
use std::pin::pin;

/// Makes it a replica of nobody who answers; its data stays.
fn demote(server: &Server) {
    server.command(&["REPLICAOF", "127.0.0.1", &free_port().to_string()]);
}

fn promote(server: &Server) {
    server.command(&["REPLICAOF", "NO", "ONE"]);
}

#[test]
fn a_write_to_a_replica_waits_until_it_is_a_master() {
    in_both_from(&Server::builder(), async |server, config| {
        let callers = Callers::connect(&config).await;
        add(&callers.patient, "s", 1..=3).await;
        demote(&server);
        assert_eq!(callers.patient.send(a_read()).await.unwrap(), 3, "it still reads");
        callers.wait_out(Code::ReadOnly, a_write, async || promote(&server)).await;
        assert_eq!(callers.patient.send(a_read()).await.unwrap(), 4, "refused ones never ran");
    });
}

#[test]
fn a_write_to_a_replica_looks_for_the_master_on_another_connection() {
    in_both_from(&Server::builder(), async |server, config| {
        let client = Client::connect(config.clone().command_timeout(LONG)).await.unwrap();
        let never = Client::connect(config.retry(Retry::Never)).await.unwrap();
        let connections = (client.connection_id(), never.connection_id());
        let mut events = listen(&client).await;
        demote(&server);
        let mut write = pin!(client.send(a_write()));
        meanwhile(write.as_mut(), async {
            let is_gone = |event: &Event| matches!(event, Event::Disconnected { .. });
            let gone = until_told(&mut events, "the end of a connection", is_gone).await;
            assert!(
                matches!(gone, Event::Disconnected { reason: Disconnect::Stale, .. }),
                "{gone:?}"
            );
            // By now its connection would be old enough, too.
            is_refused(never.send(a_write()).await, &Code::ReadOnly);
            let is_up = |event: &Event| matches!(event, Event::Connected { .. });
            until_told(&mut events, "a connection", is_up).await;
            assert_eq!(never.send(a_read()).await.unwrap(), 0);
        })
        .await;
        promote(&server);
        write.await.unwrap();
        assert_eq!(never.send(a_read()).await.unwrap(), 1);
        assert_ne!(client.connection_id(), connections.0);
        assert_eq!(never.connection_id(), connections.1, "who is told keeps the connection");
    });
}

/// What the group `g` has not been given of `s`.
fn new() -> XReadGroup<'static> {
    XReadGroup::new("g", "c").stream("s", GroupFrom::New)
}

/// A reader, and the client that made the group `g` of `s`, which is empty.
async fn reader(config: Config, retry: Retry) -> (Client, Reader) {
    let client = Client::connect(config.retry(retry)).await.unwrap();
    client.send(XGroupCreate::new("s", "g", StartAt::START).mk_stream()).await.unwrap();
    let reader = client.reader().await.unwrap();
    (client, reader)
}

#[test]
fn a_group_read_that_a_role_change_ended_goes_on_when_there_is_a_master() {
    in_both_from(&Server::builder(), async |server, config| {
        let (client, mut reader) = reader(config, Retry::Safe).await;
        let mut read = pin!(reader.read(new().block(LONG)));
        meanwhile(read.as_mut(), async {
            until_blocked(&client, 1).await;
            demote(&server);
            // Refused once is read again, and that is refused as a write.
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
fn a_group_read_that_a_role_change_ended_is_told_if_nothing_is_sent_again() {
    in_both_from(&Server::builder(), async |server, config| {
        let (client, mut reader) = reader(config, Retry::Never).await;
        let mut events = reader.events();
        {
            let mut read = pin!(reader.read(new().block(LONG)));
            meanwhile(read.as_mut(), until_blocked(&client, 1)).await;
            demote(&server);
            is_refused(read.await, &Code::Unblocked);
        }
        // The server hangs up after that.
        let is_gone = |event: &Event| matches!(event, Event::Disconnected { .. });
        until_told(&mut events, "the end of the connection", is_gone).await;
        is_refused(reader.read(new().block(LONG)).await, &Code::ReadOnly);
        promote(&server);
        add(&client, "s", 1..=1).await;
        assert_eq!(ms(reader.read(new().block(LONG)).await.unwrap().get("s").unwrap()), [1]);
    });
}

#[test]
fn a_group_read_that_somebody_ended_is_told_and_the_next_one_reads() {
    in_both_from(&Server::builder(), async |server, config| {
        for retry in [Retry::Safe, Retry::Never] {
            server.command(&["FLUSHALL"]);
            let (client, mut reader) = reader(config.clone(), retry).await;
            let connection = reader.connection_id();
            let unblock =
                Raw::new("CLIENT UNBLOCK").arg(connection.expect("it is said")).arg("ERROR");
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
