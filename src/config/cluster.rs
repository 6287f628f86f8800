//! Settings of a cluster: the nodes to begin with, how often its map is read, other addresses. No
//! I/O.

use crate::error::ConfigError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The port of a node that has none in its text.
pub(super) const PORT: u16 = 6379;

/// The settings of a cluster.
#[derive(Debug, Clone)]
pub(crate) struct ClusterSettings {
    /// The nodes that are asked for the map first. At least one.
    pub(crate) seeds: Vec<(String, u16)>,
    pub(crate) refresh_every: Duration,
    pub(crate) map_address: Option<MapAddress>,
    pub(crate) replicas: Replicas,
}

/// The replica that a read with [`from_replica`](crate::ReadCommand::from_replica) is sent to.
///
/// ```
/// use bourn::{Config, Replicas};
///
/// let config = Config::cluster(["node1:7000"]).replicas(Replicas::Near);
/// # let _ = config;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Replicas {
    /// None: all reads go to the master, for tests or while replicas lag.
    Never,
    /// The replica of the slot that answers fastest. The time of each read is measured, as a moving
    /// average over some ten reads, so no command is sent for it. One of 64 reads goes to any
    /// replica, to measure that one again.
    Near,
    /// Any replica of the slot, at random: the load is shared evenly.
    #[default]
    Any,
}

/// A function from the address that a server announces to the one that is dialled.
#[derive(Clone)]
#[cfg_attr(not(feature = "tokio"), expect(dead_code, reason = "only read when connecting"))]
pub(crate) struct MapAddress(pub(crate) Arc<dyn Fn(&str, u16) -> (String, u16) + Send + Sync>);

impl fmt::Debug for MapAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MapAddress")
    }
}

impl ClusterSettings {
    /// Checks the settings.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let is_whole = |(host, port): &(String, u16)| !host.is_empty() && *port > 0;
        if self.seeds.is_empty() || !self.seeds.iter().all(is_whole) {
            return Err(ConfigError::Host);
        }
        if self.refresh_every.is_zero() {
            let (setting, range) = ("refresh_every", "greater than zero");
            return Err(ConfigError::Range { setting, range });
        }
        Ok(())
    }
}

/// Parses the host and the port of a node. If they are malformed, the host is empty or the port 0,
/// which `check` reports.
pub(super) fn host(node: &str, default: u16) -> (String, u16) {
    let (host, port) = match node.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, Some(default)),
        Some((host, port)) => (host, port.strip_prefix(':').and_then(|port| port.parse().ok())),
        None => match node.rsplit_once(':') {
            // An IPv6 address without brackets has no port.
            Some((host, _)) if host.contains(':') => (node, Some(default)),
            Some((host, port)) => (host, port.parse().ok()),
            None => (node, Some(default)),
        },
    };
    let host = if host.contains(|c: char| c.is_whitespace() || c.is_control()) { "" } else { host };
    (host.to_owned(), port.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Address, Config};

    #[test]
    fn nodes_are_hosts_with_an_optional_port() {
        let rows = [
            ("node1", Some(("node1", 6379))),
            ("node1:7000", Some(("node1", 7000))),
            ("[::1]:7000", Some(("::1", 7000))),
            ("[::1]", Some(("::1", 6379))),
            ("::1", Some(("::1", 6379))),
            ("", None),
            (":7000", None),
            ("node1:", None),
            ("node1:0", None),
            ("node1:x", None),
            ("[::1]7000", None),
            ("a b", None),
        ];
        for (text, expected) in rows {
            let config = Config::cluster([text]);
            let Some((host, port)) = expected else {
                assert_eq!(config.check(), Err(ConfigError::Host), "{text:?}");
                continue;
            };
            assert_eq!(config.check(), Ok(()), "{text:?}");
            assert_eq!(config.address, Address::Tcp { host: host.into(), port }, "{text:?}");
        }
    }

    #[test]
    fn cluster_without_nodes_or_with_an_empty_interval_is_invalid() {
        assert_eq!(Config::cluster([""; 0]).check(), Err(ConfigError::Host));
        let config = Config::cluster(["a"]).refresh_every(Duration::ZERO);
        assert!(matches!(config.check(), Err(ConfigError::Range { setting: "refresh_every", .. })));
        // A single server has no map.
        assert_eq!(Config::tcp("a", 1).refresh_every(Duration::ZERO).check(), Ok(()));
    }
}
