//! What asks the server, and not about a key.

use super::check;
use bourn::command::encode;
use bourn::{ClusterShards, ClusterSlots, Echo, Ping, PingText, Role};

#[test]
fn a_server_is_asked_whether_it_is_there_and_what_it_is() {
    check([
        (encode(&Ping::new()), "PING"),
        (encode::<PingText<'_>>(&Ping::new().text("hello")), "PING hello"),
        (encode(&Echo::new("hello")), "ECHO hello"),
        (encode(&Role::new()), "ROLE"),
        (encode(&ClusterSlots::new()), "CLUSTER SLOTS"),
        (encode(&ClusterShards::new()), "CLUSTER SHARDS"),
    ]);
}
