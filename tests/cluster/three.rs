//! A real cluster of three masters and three replicas on loopback.

use crate::support::Server;
use bourn::command::key_slot;
use bourn::{Client, Config};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The time limit of each step of the set-up. Two seconds are usual for all.
const SET_UP: Duration = Duration::from_secs(60);

/// The time between two looks at a server: another process has no event to await.
const LOOK: Duration = Duration::from_millis(20);

/// The first slot of each master, and the end.
const SLOTS: [u16; 4] = [0, 5461, 10_923, 16_384];

/// Three masters, and behind them the replica of each.
pub(crate) struct Three {
    pub(crate) servers: Vec<Server>,
    ids: Vec<String>,
}

impl Three {
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// Starts a cluster with these arguments for each server.
    pub(crate) fn with(arguments: &[&str]) -> Self {
        let start = |_| {
            let server = Server::builder().args(["--cluster-enabled", "yes"]);
            let server = server.args(["--cluster-node-timeout", "1500"]);
            let server = server.args(["--cluster-replica-validity-factor", "0"]);
            server.args(["--repl-diskless-sync-delay", "0"]).args(arguments.iter().copied()).start()
        };
        let servers: Vec<_> = (0..6).map(start).collect();
        let ids: Vec<_> =
            servers.iter().map(|server| server.command(&["CLUSTER", "MYID"])).collect();
        for (nth, server) in servers.iter().enumerate() {
            server.command(&["CLUSTER", "SET-CONFIG-EPOCH", &(nth + 1).to_string()]);
            let port = servers[0].port().to_string();
            server.command(&["CLUSTER", "MEET", "127.0.0.1", &port]);
            if nth < 3 {
                let slots: Vec<_> =
                    (SLOTS[nth]..SLOTS[nth + 1]).map(|slot| slot.to_string()).collect();
                let words = ["CLUSTER", "ADDSLOTS"].into_iter();
                let words: Vec<_> = words.chain(slots.iter().map(String::as_str)).collect();
                server.command(&words);
            }
        }
        let three = Self { servers, ids };
        three.until("the nodes know each other", |three| {
            three.servers.iter().all(|server| {
                let info = server.command(&["CLUSTER", "INFO"]);
                info.contains("cluster_known_nodes:6") && info.contains("cluster_state:ok")
            })
        });
        for nth in 3..6 {
            let replicate = ["CLUSTER", "REPLICATE", &three.ids[nth - 3]];
            three.until("the master is known", |three| {
                three.servers[nth].try_command(&replicate).is_ok()
            });
        }
        // A replica is listed when it has its master's data.
        three.until("every node lists all others", |three| {
            three.servers.iter().all(|server| {
                let slots = server.command(&["CLUSTER", "SLOTS"]);
                three.ids.iter().all(|id| slots.contains(id.as_str()))
            })
        });
        three
    }

    /// Waits until something is true of the cluster.
    pub(crate) fn until(&self, what: &str, is_true: impl Fn(&Self) -> bool) {
        let end = Instant::now() + SET_UP;
        while !is_true(self) {
            assert!(Instant::now() < end, "after {SET_UP:?} it is not so that {what}");
            sleep(LOOK);
        }
    }

    /// Returns the URL of all nodes.
    pub(crate) fn url(&self) -> String {
        let nodes: Vec<_> = self.servers.iter().map(address).collect();
        format!("redis+cluster://{}", nodes.join(","))
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.url()).await.expect("the cluster is up")
    }

    /// Returns the settings with one node only.
    pub(crate) fn seed(&self, nth: usize) -> Config {
        Config::cluster([address(&self.servers[nth])])
    }

    /// Returns the place of the master that serves a slot. While news of a move spreads, a node may
    /// give up a slot before another one says that it has it.
    pub(crate) fn owner(&self, slot: u16) -> usize {
        let end = Instant::now() + SET_UP;
        loop {
            if let Some(nth) = self.claimant(slot) {
                return nth;
            }
            assert!(Instant::now() < end, "slot {slot} has no master");
            sleep(LOOK);
        }
    }

    /// Returns the place of the master that says that it serves a slot: each node is asked about
    /// itself, because others learn of a move later. A master that returns after a failover has an
    /// older epoch.
    fn claimant(&self, slot: u16) -> Option<usize> {
        let claims = |nth: &usize| {
            let line = self.own_line(*nth)?;
            serves(&line, slot).then(|| epoch(&line))
        };
        let known = (0..6).filter_map(|nth| Some((claims(&nth)?, nth)));
        known.max().map(|(_, nth)| nth)
    }

    /// Returns what a node says of itself, if it is a master.
    fn own_line(&self, nth: usize) -> Option<String> {
        let nodes = self.servers[nth].try_command(&["CLUSTER", "NODES"]).ok()?;
        nodes.lines().find(|line| line.contains("myself,master")).map(str::to_owned)
    }

    /// Whether a node knows the epoch of each master, and no two masters have the same. One that
    /// takes a slot with an epoch that is not above all others may lose it to a message that the
    /// node that gives it has sent before, and then no node serves the slot.
    fn knows_epochs(&self, nth: usize) -> bool {
        let known = self.servers[nth].command(&["CLUSTER", "NODES"]);
        let masters: Vec<_> = (0..6).filter_map(|nth| self.own_line(nth)).collect();
        let mut epochs: Vec<_> = masters.iter().map(|line| epoch(line)).collect();
        epochs.sort_unstable();
        let is_known = |line: &String| {
            let id = line.split(' ').next().expect("an id");
            known.lines().any(|known| known.starts_with(id) && epoch(known) == epoch(line))
        };
        epochs.windows(2).all(|pair| pair[0] < pair[1]) && masters.iter().all(is_known)
    }

    /// Returns keys, one for each slot of `slots`.
    pub(crate) fn keys_of(&self, nth: usize, count: usize) -> Vec<String> {
        let here = |key: &String| self.owner(key_slot(key)) == nth;
        let keys = (0..).map(|n| format!("key{n}"));
        keys.filter(here).take(count).collect()
    }

    /// Marks a slot as moving from one node to another.
    pub(crate) fn begin_move(&self, slot: u16, from: usize, to: usize) {
        let (slot, ids) = (slot.to_string(), &self.ids);
        self.servers[to].command(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &ids[from]]);
        self.servers[from].command(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &ids[to]]);
    }

    /// Moves the keys that a moving slot has.
    pub(crate) fn move_keys(&self, slot: u16, from: usize, to: usize) {
        let port = self.servers[to].port().to_string();
        loop {
            let words = ["CLUSTER", "GETKEYSINSLOT", &slot.to_string(), "100"];
            let keys = self.servers[from].command(&words);
            if keys.is_empty() {
                return;
            }
            for key in keys.lines() {
                let words = ["MIGRATE", "127.0.0.1", &port, key, "0", "10000"];
                self.servers[from].command(&words);
            }
        }
    }

    /// Gives a moving slot to its new node.
    pub(crate) fn end_move(&self, slot: u16, from: usize, to: usize) {
        self.until("the new node knows all epochs", |three| three.knows_epochs(to));
        for nth in [to, from] {
            let words = ["CLUSTER", "SETSLOT", &slot.to_string(), "NODE", &self.ids[to]];
            self.servers[nth].command(&words);
        }
    }

    /// Moves a slot key by key. Keys that are added meanwhile are moved, too.
    pub(crate) fn move_slot(&self, slot: u16, to: usize) {
        let from = self.owner(slot);
        self.begin_move(slot, from, to);
        self.move_keys(slot, from, to);
        self.end_move(slot, from, to);
    }

    /// Moves a slot with the servers' own migration: Redis 8.4, Valkey 9.
    pub(crate) fn move_whole(&self, slot: u16, from: usize, to: usize) {
        let text = slot.to_string();
        if self.servers[0].is_valkey() {
            let words =
                ["CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", &text, &text, "NODE", &self.ids[to]];
            self.servers[from].command(&words);
        } else {
            self.servers[to].command(&["CLUSTER", "MIGRATION", "IMPORT", &text, &text]);
        }
        self.until("the slot has moved, and both know it", |three| {
            let serves = |nth: usize| {
                let nodes = three.servers[nth].command(&["CLUSTER", "NODES"]);
                let mine = nodes.lines().find(|line| line.starts_with(three.ids[to].as_str()));
                mine.is_some_and(|line| serves(line, slot))
            };
            serves(to) && serves(from)
        });
    }

    /// Makes the replica at this place the master, as planned.
    pub(crate) fn fail_over(&self, replica: usize) {
        self.until("the replica is connected to its master", |three| {
            let role = three.servers[replica].command(&["ROLE"]);
            role.starts_with("slave") && role.lines().any(|line| line == "connected")
        });
        self.servers[replica].command(&["CLUSTER", "FAILOVER"]);
        self.until("the replica is the master", |three| {
            three.servers[replica].command(&["ROLE"]).starts_with("master")
        });
    }

    /// Returns the entries of a stream, read from its master.
    pub(crate) fn entries(&self, key: &str) -> String {
        self.servers[self.owner(key_slot(key))].command(&["XRANGE", key, "-", "+"])
    }
}

/// Returns the epoch in a line of CLUSTER NODES.
fn epoch(line: &str) -> u64 {
    let epoch = line.split(' ').nth(6).expect("an epoch");
    epoch.parse().expect("a number")
}

/// Whether a line of CLUSTER NODES has the slot.
fn serves(line: &str, slot: u16) -> bool {
    let ranges = line.split(' ').skip(8).filter(|range| !range.starts_with('['));
    ranges.filter(|range| !range.is_empty()).any(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let number = |text: &str| text.parse::<u16>().expect("a slot");
        (number(first)..=number(last)).contains(&slot)
    })
}

/// Parses the value of a field.
pub(crate) fn number(text: Option<&[u8]>) -> u64 {
    let text = std::str::from_utf8(text.expect("the field")).expect("digits");
    text.parse().expect("a number")
}

fn address(server: &Server) -> String {
    format!("127.0.0.1:{}", server.port())
}
