//! The nodes of a cluster and their slots, from the reply to CLUSTER SLOTS. No I/O.

use crate::command::{ClusterNode, SLOTS, SlotRange};
use crate::config::MapAddress;
use std::collections::HashMap;
use std::fmt;

/// The host and the port of a node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Host {
    pub(super) name: String,
    pub(super) port: u16,
}

impl Host {
    /// Returns the host that is dialled for one that a server announces.
    pub(super) fn mapped(name: &str, port: u16, map: Option<&MapAddress>) -> Self {
        let (name, port) = match map {
            Some(MapAddress(map)) => map(name, port),
            None => (name.to_owned(), port),
        };
        Self { name, port }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name.contains(':') {
            true => write!(f, "[{}]:{}", self.name, self.port),
            false => write!(f, "{}:{}", self.name, self.port),
        }
    }
}

/// A view of the cluster, as one node has it.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Topology {
    /// The nodes, each once.
    pub(super) nodes: Vec<Host>,
    /// Whether each of the nodes is a master of slots.
    pub(super) is_master: Vec<bool>,
    /// The places of the replicas of each of the nodes.
    pub(super) replicas: Vec<Vec<u16>>,
    /// The place in `nodes` of the master of each slot; `NOBODY` for a slot without one.
    pub(super) owners: Vec<u16>,
}

/// A slot without a node.
pub(super) const NOBODY: u16 = u16::MAX;

impl Topology {
    /// Creates the view from the reply of the node at `asked`. Nodes that do not know their name
    /// are at its host. Of overlapping ranges the last one counts.
    pub(super) fn of(ranges: &[SlotRange], asked: &str, map: Option<&MapAddress>) -> Self {
        let mut view = Self { owners: vec![NOBODY; usize::from(SLOTS)], ..Self::default() };
        let mut places = HashMap::new();
        let mut place = |view: &mut Self, node: &ClusterNode, is_master: bool| {
            let name = node.host.as_ref().map(|host| String::from_utf8_lossy(host));
            let host = match name {
                Some(name) => Host::mapped(&name, node.port, map),
                // It was reached at this host, so this is not what it announces.
                None => Host { name: asked.to_owned(), port: node.port },
            };
            let place = *places.entry(host.clone()).or_insert_with(|| {
                view.nodes.push(host);
                view.is_master.push(false);
                view.replicas.push(Vec::new());
                view.nodes.len() - 1
            });
            if let Some(known) = view.is_master.get_mut(place) {
                *known |= is_master;
            }
            u16::try_from(place).unwrap_or(NOBODY)
        };
        for range in ranges {
            let master = place(&mut view, &range.master, true);
            for replica in &range.replicas {
                let replica = place(&mut view, replica, false);
                let known = view.replicas.get_mut(usize::from(master));
                if let Some(known) = known.filter(|known| !known.contains(&replica)) {
                    known.push(replica);
                }
            }
            let (first, last) =
                (usize::from(*range.slots.start()), usize::from(*range.slots.end()));
            if let Some(owners) = view.owners.get_mut(first..=last) {
                owners.fill(master);
            }
        }
        view
    }

    /// Returns the number of slots without a node.
    pub(super) fn unowned(&self) -> usize {
        self.owners.iter().filter(|owner| **owner == NOBODY).count()
    }

    /// Whether most slots are missing: the node may have left the cluster.
    pub(super) fn is_doubtful(&self) -> bool {
        self.unowned() > usize::from(SLOTS) / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{ClusterSlots, Command};
    use crate::resp::{Frame, Limits};
    use std::sync::Arc;

    fn view(reply: &str, asked: &str, map: Option<&MapAddress>) -> Topology {
        let frame = Frame::parse(reply.to_owned(), Limits::default()).unwrap();
        Topology::of(&ClusterSlots::reply(frame).unwrap(), asked, map)
    }

    fn hosts(view: &Topology) -> Vec<(String, bool)> {
        view.nodes.iter().map(Host::to_string).zip(view.is_master.iter().copied()).collect()
    }

    const TWO: &str = "*2\r\n*4\r\n:0\r\n:99\r\n*2\r\n+a\r\n:1\r\n*2\r\n+c\r\n:3\r\n\
                       *3\r\n:200\r\n:16383\r\n*2\r\n$-1\r\n:2\r\n";

    #[test]
    fn each_node_is_listed_once_and_each_slot_has_its_master() {
        let view = view(TWO, "::1", None);
        let expected = [("a:1", true), ("c:3", false), ("[::1]:2", true)];
        assert_eq!(hosts(&view), expected.map(|(host, master)| (host.to_owned(), master)));
        let owner = |slot: usize| view.owners[slot];
        assert_eq!([owner(0), owner(99), owner(100), owner(199)], [0, 0, NOBODY, NOBODY]);
        assert_eq!([owner(200), owner(16_383)], [2, 2]);
        assert_eq!((view.unowned(), view.is_doubtful()), (100, false));
        assert_eq!(view.replicas, [vec![1], vec![], vec![]]);
        assert!(Topology::of(&[], "a", None).is_doubtful());
    }

    /// Returns the captured replies whose names begin like this.
    fn captured(prefix: &str) -> Vec<(String, String)> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/cluster");
        let folders = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let files = folders
            .filter(|path| path.is_dir())
            .flat_map(|path| std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        let named = files.filter(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix))
        });
        named
            .map(|path| (path.display().to_string(), std::fs::read_to_string(path).unwrap()))
            .collect()
    }

    #[test]
    fn views_of_real_servers_have_every_slot_and_an_address_of_every_node() {
        let views = captured("cluster_slots");
        assert!(views.len() >= 40, "{}", views.len());
        for (file, reply) in views {
            let view = view(&reply, "asked", None);
            let masters = view.is_master.iter().filter(|is_master| **is_master).count();
            let alone = file.contains("alone");
            assert_eq!(masters, if alone { 1 } else { 3 }, "{file}");
            assert_eq!(view.unowned(), 0, "{file}");
            for node in &view.nodes {
                let name = node.name.as_str();
                let expected = if file.contains("_hostname_hostname") {
                    name.ends_with(".test")
                } else if file.contains("unknown") || alone {
                    name == "asked"
                } else {
                    name == "127.0.0.1" || file.contains("announced") && name == "203.0.113.7"
                };
                assert!(expected && node.port > 0, "{file}: {node}");
            }
        }
    }

    #[test]
    fn announced_hosts_are_mapped_and_unnamed_ones_are_not() {
        let map = MapAddress(Arc::new(|host: &str, port| (format!("nat-{host}"), port + 10)));
        let view = view(TWO, "gateway", Some(&map));
        let names: Vec<_> = view.nodes.iter().map(Host::to_string).collect();
        assert_eq!(names, ["nat-a:11", "nat-c:13", "gateway:2"]);
    }

    #[test]
    fn of_overlapping_ranges_the_last_counts_and_a_backward_one_has_no_slots() {
        let text = "*3\r\n*3\r\n:0\r\n:9\r\n*2\r\n+a\r\n:1\r\n*3\r\n:5\r\n:9\r\n*2\r\n+b\r\n:1\r\n\
                    *3\r\n:9\r\n:3\r\n*2\r\n+c\r\n:1\r\n";
        let view = view(text, "x", None);
        assert_eq!((view.owners[4], view.owners[5], view.owners[9]), (0, 1, 1));
        assert!(!view.owners.contains(&2));
    }
}
