//! Cluster slots: an unassigned one, and one that is being migrated to another node.

use super::{Callers, is_refused};
use crate::both::{id, in_both_from, until};
use crate::support::{Builder, Server};
use bourn::{Client, Code, EntryId, ReadFrom, XAdd, XLen, XRead};

/// A cluster node without slots.
fn node() -> Builder {
    Server::builder().args(["--cluster-enabled", "yes"])
}

/// Assigns all slots to a node. It serves them when it has been up for two seconds.
fn give_slots(server: &Server) {
    let slots: Vec<String> = (0..16384).map(|slot| slot.to_string()).collect();
    let words: Vec<&str> =
        ["CLUSTER", "ADDSLOTS"].into_iter().chain(slots.iter().map(String::as_str)).collect();
    server.command(&words);
}

#[test]
fn command_waits_while_its_slot_is_unassigned() {
    in_both_from(&node(), async |server, config| {
        let callers = Callers::connect(&config).await;
        let connection = callers.long_timeout.connection_id();
        callers.wait_out(Code::ClusterDown, super::a_write, async || give_slots(&server)).await;
        let length = callers.long_timeout.send(super::a_read()).await.unwrap();
        assert_eq!(length, 1, "refused commands never ran");
        assert_eq!(callers.long_timeout.connection_id(), connection);
    });
}

#[test]
fn command_waits_while_its_keys_are_on_two_nodes() {
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
        until("the nodes know each other", async || server.try_command(&moves).is_ok()).await;
        // A migrating slot: neither node can run a command with one key on each of them.
        let from_start = ReadFrom::After(EntryId::MIN);
        let read = || XRead::new().stream("{t}here", from_start).stream("{t}there", from_start);
        if !server.redis_at_least(7, 0) {
            // The node redirects a command with a missing key to the other node.
            is_refused(client.send(read()).await, &Code::Ask);
            return;
        }
        let callers = Callers::connect(&config).await;
        let connection = callers.long_timeout.connection_id();
        let end = async || {
            server.command(&["CLUSTER", "SETSLOT", &slot, "STABLE"]);
        };
        let streams = callers.wait_out(Code::TryAgain, read, end).await;
        assert_eq!(streams.len(), 1);
        assert_eq!(callers.long_timeout.send(XLen::new("{t}here")).await.unwrap(), 1);
        assert_eq!(callers.long_timeout.connection_id(), connection);
    });
}
