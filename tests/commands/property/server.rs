//! Commands about the server, without a key.

use super::{Case, Words, keyless};
use crate::any::given;
use bourn::{ClusterShards, ClusterSlots, Echo, Ping, PingText, Role};
use proptest::prelude::*;

pub(super) fn server() -> BoxedStrategy<Case> {
    let text = (given(), any::<bool>()).prop_map(|(text, echo)| {
        if echo {
            keyless(&Echo::new(text.arg()), Words::new("ECHO").given(&text))
        } else {
            let ping = Ping::new().text(text.arg());
            keyless::<PingText<'_>>(&ping, Words::new("PING").given(&text))
        }
    });
    let bare = (0..4).prop_map(|which| match which {
        0 => keyless(&Ping::new(), Words::new("PING")),
        1 => keyless(&Role::new(), Words::new("ROLE")),
        2 => keyless(&ClusterSlots::new(), Words::new("CLUSTER SLOTS")),
        _ => keyless(&ClusterShards::new(), Words::new("CLUSTER SHARDS")),
    });
    prop_oneof![text, bare].boxed()
}
