//! A master with two replicas, and three sentinels, on loopback.

use crate::support::Server;
use bourn::{Client, Config};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The time limit of each step of the set-up. Ten seconds are usual for all.
const SET_UP: Duration = Duration::from_secs(60);

/// The time between two looks at a server: another process has no event to await.
const LOOK: Duration = Duration::from_millis(20);

/// The name of the master.
pub(crate) const NAME: &str = "mymaster";

pub(crate) struct Trio {
    pub(crate) servers: Vec<Server>,
    pub(crate) sentinels: Vec<Server>,
}

impl Trio {
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// Starts the sentinels with these arguments.
    pub(crate) fn with(arguments: &[&str]) -> Self {
        let server = |_| Server::builder().args(["--repl-diskless-sync-delay", "0"]).start();
        let servers: Vec<_> = (0..3).map(server).collect();
        let port = servers[0].port().to_string();
        for replica in &servers[1..] {
            replica.command(&["REPLICAOF", "127.0.0.1", &port]);
        }
        let sentinel = |_| {
            let server = Server::builder().arg("--sentinel");
            server.args(arguments.iter().copied()).start()
        };
        let sentinels: Vec<_> = (0..3).map(sentinel).collect();
        let trio = Self { servers, sentinels };
        trio.until("the replicas have the master's data", |trio| {
            let is_up = |replica: &Server| {
                replica.command(&["INFO", "replication"]).contains("master_link_status:up")
            };
            trio.servers[1..].iter().all(is_up)
        });
        for sentinel in &trio.sentinels {
            sentinel.command(&["SENTINEL", "MONITOR", NAME, "127.0.0.1", &port, "2"]);
            let set = ["SENTINEL", "SET", NAME, "down-after-milliseconds", "1000"];
            sentinel.command(&set);
            sentinel.command(&["SENTINEL", "SET", NAME, "failover-timeout", "10000"]);
        }
        trio.until("the sentinels know each other and the replicas", Self::is_whole);
        trio
    }

    fn is_whole(&self) -> bool {
        self.sentinels.iter().all(|sentinel| {
            let state = sentinel.command(&["SENTINEL", "MASTER", NAME]);
            let lines: Vec<_> = state.lines().collect();
            let has = |name, value| lines.windows(2).any(|pair| pair == [name, value]);
            has("num-other-sentinels", "2") && has("num-slaves", "2") && has("flags", "master")
        })
    }

    /// Waits until something is true.
    pub(crate) fn until(&self, what: &str, is_true: impl Fn(&Self) -> bool) {
        let end = Instant::now() + SET_UP;
        while !is_true(self) {
            assert!(Instant::now() < end, "after {SET_UP:?} it is not so that {what}");
            sleep(LOOK);
        }
    }

    /// Returns the URL of all sentinels.
    pub(crate) fn url(&self) -> String {
        let hosts: Vec<_> = self.sentinels.iter().map(address).collect();
        format!("redis+sentinel://{}/{NAME}", hosts.join(","))
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.url()).await.expect("there is a master")
    }

    /// Returns the settings with one sentinel only.
    pub(crate) fn seed(&self, nth: usize) -> Config {
        Config::sentinel(NAME, [address(&self.sentinels[nth])])
    }

    /// Returns the place of the master, as all sentinels see it.
    pub(crate) fn master(&self) -> Option<usize> {
        self.named_by(&self.sentinels)
    }

    /// Returns the place of the master, as these sentinels see it.
    pub(crate) fn named_by(&self, sentinels: &[Server]) -> Option<usize> {
        let named = |sentinel: &Server| {
            let reply = sentinel.command(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME]);
            let port = reply.lines().nth(1).expect("a port").parse::<u16>().expect("a number");
            self.servers.iter().position(|server| server.port() == port)
        };
        let first = named(&sentinels[0]);
        sentinels.iter().all(|sentinel| named(sentinel) == first).then_some(first).flatten()
    }
}

fn address(server: &Server) -> String {
    format!("127.0.0.1:{}", server.port())
}
