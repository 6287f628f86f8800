//! Commands about the server, without a key.

use super::check;
use bourn::command::encode;
use bourn::{ClusterShards, ClusterSlots, Echo, Ping, PingText, Role};

#[test]
fn server_commands_encode_every_option() {
    check([
        (encode(&Ping::new()), "PING"),
        (encode::<PingText<'_>>(&Ping::new().text("hello")), "PING hello"),
        (encode(&Echo::new("hello")), "ECHO hello"),
        (encode(&Role::new()), "ROLE"),
        (encode(&ClusterSlots::new()), "CLUSTER SLOTS"),
        (encode(&ClusterShards::new()), "CLUSTER SHARDS"),
    ]);
}
