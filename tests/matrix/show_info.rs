//! Longer replies as short texts: servers, streams and groups.

use crate::show::{Show, list};
use bourn::{
    Active, ConsumerInfo, ConsumerInfoFull, ConsumerPending, GroupInfo, GroupInfoFull,
    GroupPending, HelloReply, IdmpInfo, KeyType, RoleReply, Shard, SlotRange, StreamInfo,
    StreamInfoFull, WaitAofReply,
};
use std::ops::RangeInclusive;

// Fields that only some servers send are not shown here: they have their own rows.

impl Show for StreamInfo {
    fn show(&self) -> String {
        let (first, last) = (self.first_entry.as_ref(), self.last_entry.as_ref());
        let ends = [first, last].map(|entry| entry.map(|entry| entry.by_ref()).show());
        let (len, last, groups) = (self.length, self.last_generated_id, self.groups);
        format!("{len} up to {last}, {groups} group, {} to {}", ends[0], ends[1])
    }
}

impl Show for StreamInfoFull {
    fn show(&self) -> String {
        let (len, last, groups) = (self.length, self.last_generated_id, list(&self.groups, ", "));
        format!("{len} up to {last}, {}, {groups}", self.entries.show())
    }
}

impl Show for IdmpInfo {
    fn show(&self) -> String {
        let Self { max_size, pids_tracked, iids_tracked, iids_added, iids_duplicates, .. } = self;
        let rest = format!("{pids_tracked} {iids_tracked} {iids_added} {iids_duplicates}");
        format!("{:?} {max_size} {rest}", self.duration)
    }
}

impl Show for GroupInfo {
    fn show(&self) -> String {
        let (read, lag) = (self.entries_read.show(), self.lag.show());
        let Self { consumers, pending, last_delivered_id, .. } = self;
        let name = self.name.show();
        format!("{name} {consumers} {pending} up to {last_delivered_id}, read {read}, lag {lag}")
    }
}

impl Show for GroupInfoFull {
    fn show(&self) -> String {
        let (name, last, pending) = (self.name.show(), self.last_delivered_id, self.pel_count);
        let lists = format!("{}, {}", self.pending.show(), self.consumers.show());
        format!("{name} up to {last}, pending {pending} {lists}")
    }
}

impl Show for GroupPending {
    fn show(&self) -> String {
        let (consumer, delivered) = (self.consumer.show(), self.delivered.show());
        format!("{} {consumer} {delivered} {}", self.id, self.deliveries)
    }
}

impl Show for ConsumerInfo {
    fn show(&self) -> String {
        format!("{} {} idle {}", self.name.show(), self.pending, self.idle.show())
    }
}

impl Show for ConsumerInfoFull {
    fn show(&self) -> String {
        let (name, seen, pending) = (self.name.show(), self.seen_time.show(), self.pending.show());
        format!("{name} seen {seen}, pending {} {pending}", self.pel_count)
    }
}

impl Show for ConsumerPending {
    fn show(&self) -> String {
        format!("{} {} {}", self.id, self.delivered.show(), self.deliveries)
    }
}

impl<T: Show + Copy> Show for Active<T> {
    fn show(&self) -> String {
        self.last().map_or_else(|| "never".to_owned(), |last| last.show())
    }
}

impl Show for HelloReply {
    fn show(&self) -> String {
        self.proto.to_string()
    }
}

impl Show for RoleReply {
    fn show(&self) -> String {
        match self {
            Self::Master { replicas, .. } => format!("master, replicas {}", replicas.len()),
            Self::Replica { host, port, .. } => format!("replica of {}:{port}", host.show()),
            other => format!("{other:?}"),
        }
    }
}

impl Show for WaitAofReply {
    fn show(&self) -> String {
        format!("{} {}", self.local.show(), self.replicas)
    }
}

impl Show for KeyType {
    fn show(&self) -> String {
        match self {
            Self::None => "none".to_owned(),
            Self::Stream => "stream".to_owned(),
            Self::Other(name) => name.show(),
            other => format!("{other:?}"),
        }
    }
}

impl Show for RangeInclusive<u16> {
    fn show(&self) -> String {
        format!("{}-{}", self.start(), self.end())
    }
}

impl Show for SlotRange {
    fn show(&self) -> String {
        format!("{} of {}", self.slots.show(), 1 + self.replicas.len())
    }
}

impl Show for Shard {
    fn show(&self) -> String {
        let nodes: Vec<_> =
            self.nodes.iter().map(|node| format!("{:?} {:?}", node.role, node.health)).collect();
        format!("{} {}", self.slots.show(), nodes.join(" "))
    }
}
