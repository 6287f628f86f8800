//! One server of a cluster: its address and its connection, which is made when it is first needed.

use super::topology::Host;
use crate::config::{Address, Config};
use crate::connection::{Connection, Dialler, Hook, Patience, Sends, Shared};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use tokio::runtime::Handle;

#[derive(Debug)]
pub(crate) struct Node {
    pub(super) host: Host,
    /// The host and port, for events.
    pub(super) name: Arc<str>,
    pub(super) connection: Connection,
    /// Its connection was lost, or could not be made.
    pub(super) is_down: AtomicBool,
    /// The number of slots that it is the master of.
    pub(super) slots: AtomicU16,
    /// It replicates a master, as far as is known.
    pub(super) is_replica: AtomicBool,
    /// It is in the last view.
    pub(super) is_listed: AtomicBool,
    /// It had no slots and no requests when idle nodes were looked for.
    pub(super) is_idle: AtomicBool,
    /// The connection for reads from a replica, made when it is first needed. Others must not use
    /// it: on it a replica answers what it would send to its master.
    pub(super) reading: OnceLock<Connection>,
    /// That connection was lost, or could not be made.
    pub(super) is_unreadable: AtomicBool,
    /// Nothing was read from it when idle nodes were looked for.
    pub(super) is_unread: AtomicBool,
    /// The average time of a read from it, in microseconds; 0 if none was made.
    pub(super) latency: AtomicU64,
}

/// The settings and state that the connections of all nodes share.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) config: Arc<Config>,
    pub(super) dialler: Dialler,
    pub(super) patience: Patience,
    pub(super) runtime: Handle,
    pub(super) sends: Sends,
}

impl Common {
    /// Returns a connection to a node, which is not made yet.
    pub(super) fn connection(&self, host: &Host, hook: Hook, for_reads: bool) -> Connection {
        let address = Address::Tcp { host: host.name.clone(), port: host.port };
        let mut config = Config { address, cluster: None, ..Config::clone(&self.config) };
        config.reads_from_replica = for_reads;
        Connection::parked(
            Arc::new(config),
            self.dialler.for_node(),
            self.patience,
            &self.runtime,
            (self.sends.clone(), hook),
        )
    }

    /// Creates a node. Its connection is not made yet.
    pub(super) fn node(&self, host: Host, hook: Hook) -> Node {
        let connection = self.connection(&host, hook, false);
        Node {
            name: host.to_string().into(),
            host,
            connection,
            is_down: AtomicBool::new(false),
            slots: AtomicU16::new(0),
            is_replica: AtomicBool::new(false),
            is_listed: AtomicBool::new(false),
            is_idle: AtomicBool::new(false),
            reading: OnceLock::new(),
            is_unreadable: AtomicBool::new(false),
            is_unread: AtomicBool::new(false),
            latency: AtomicU64::new(0),
        }
    }
}

impl Node {
    #[inline]
    pub(super) fn shared(&self) -> &Arc<Shared> {
        self.connection.shared()
    }

    /// Returns its connections that were needed.
    pub(super) fn connections(&self) -> impl Iterator<Item = &Connection> {
        std::iter::once(&self.connection).chain(self.reading.get())
    }

    /// Whether it has slots.
    pub(super) fn is_master(&self) -> bool {
        self.slots.load(Relaxed) > 0
    }

    /// Whether it has slots and no connection, although one was tried.
    pub(super) fn is_missing(&self) -> bool {
        self.is_master() && self.is_down.load(Relaxed)
    }
}
