//! Slots of a cluster: one that nobody serves, one that is on its way to another node.

use super::{Callers, is_refused};
use crate::both::{id, in_both_from, until};
use crate::support::{Builder, Server};
use bourn::{Client, Code, EntryId, ReadFrom, XAdd, XLen, XRead};

/// A node of a cluster, without slots.
fn node() -> Builder {
    Server::builder().args(["--cluster-enabled", "yes"])
}

/// Gives all slots to a node. It serves them when it has been up for two seconds.
fn give_slots(server: &Server) {
    let slots: Vec<String> = (0..16384).map(|slot| slot.to_string()).collect();
    let words: Vec<&str> =
        ["CLUSTER", "ADDSLOTS"].into_iter().chain(slots.iter().map(String::as_str)).collect();
    server.command(&words);
}

#[test]
fn while_nobody_serves_its_slot_a_command_waits_and_comes_through() {
    in_both_from(&node(), async |server, config| {
        let callers = Callers::connect(&config).await;
        let connection = callers.patient.connection_id();
        callers.wait_out(Code::ClusterDown, super::a_write, async || give_slots(&server)).await;
        let length = callers.patient.send(super::a_read()).await.unwrap();
        assert_eq!(length, 1, "refused ones never ran");
        assert_eq!(callers.patient.connection_id(), connection);
    });
}

#[test]
fn while_the_keys_of_a_command_are_on_two_nodes_it_waits_and_comes_through() {
    in_both_from(&node(), async |server, config| {
        let other = node().start();
        give_slots(&server);
        let client = Client::connect(config.clone().command_timeout(super::LONG)).await.unwrap();
        let here = XAdd::new("{t}here").id(id(1)).field("f", "v");
        client.send(here).await.unwrap();
        server.command(&["CLUSTER", "MEET", "127.0.0.1", &other.port().to_string()]);
        let slot = server.command(&["CLUSTER", "KEYSLOT", "{t}here"]);
        let there = other.command(&["CLUSTER", "MYID"]);
        let moves = ["CLUSTER", "SETSLOT", &slot, "MIGRATING", &there];
        until("they have met", async || server.try_command(&moves).is_ok()).await;
        // A slot on its way: of a command that has one of its keys here and one elsewhere neither node can say anything.
        let from_start = ReadFrom::After(EntryId::MIN);
        let read = || XRead::new().stream("{t}here", from_start).stream("{t}there", from_start);
        if !server.redis_at_least(7, 0) {
            // It sends whoever asks for a key that is not here to the other node.
            is_refused(client.send(read()).await, &Code::Ask);
            return;
        }
        let callers = Callers::connect(&config).await;
        let connection = callers.patient.connection_id();
        let end = async || {
            server.command(&["CLUSTER", "SETSLOT", &slot, "STABLE"]);
        };
        let streams = callers.wait_out(Code::TryAgain, read, end).await;
        assert_eq!(streams.len(), 1);
        assert_eq!(callers.patient.send(XLen::new("{t}here")).await.unwrap(), 1);
        assert_eq!(callers.patient.connection_id(), connection);
    });
}
