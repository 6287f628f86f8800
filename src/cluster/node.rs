//! One server of a cluster: its address and its connection, which is made when it is first needed.

use super::topology::Host;
use crate::config::{Address, Config};
use crate::connection::{Connection, Dialler, Hook, Patience, Sends, Shared};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering::Relaxed};
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
    /// Creates a node. Its connection is not made yet.
    pub(super) fn node(&self, host: Host, hook: Hook) -> Node {
        let address = Address::Tcp { host: host.name.clone(), port: host.port };
        let config = Config { address, cluster: None, ..Config::clone(&self.config) };
        let connection = Connection::parked(
            Arc::new(config),
            self.dialler.for_node(),
            self.patience,
            &self.runtime,
            (self.sends.clone(), hook),
        );
        Node {
            name: host.to_string().into(),
            host,
            connection,
            is_down: AtomicBool::new(false),
            slots: AtomicU16::new(0),
            is_replica: AtomicBool::new(false),
            is_listed: AtomicBool::new(false),
            is_idle: AtomicBool::new(false),
        }
    }
}

impl Node {
    #[inline]
    pub(super) fn shared(&self) -> &Arc<Shared> {
        self.connection.shared()
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
