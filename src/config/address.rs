//! The address of a server. No I/O.

use std::fmt;
#[cfg(unix)]
use std::path::PathBuf;

/// The address of a server.
///
/// ```
/// use bourn::{Address, Config};
///
/// let config: Config = "redis://10.0.0.1:6380".parse()?;
/// assert_eq!(*config.address(), Address::Tcp { host: "10.0.0.1".into(), port: 6380 });
/// # Ok::<(), bourn::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Address {
    /// A host name or IP address, and a port. An IPv6 address may have a zone: `fe80::1%eth0`.
    Tcp {
        /// The host, resolved on each connect.
        host: String,
        /// The port.
        port: u16,
    },
    /// A Unix socket. This variant exists on Unix only.
    #[cfg(unix)]
    Unix {
        /// The socket's path.
        path: PathBuf,
    },
}

/// Formats the address as `host:port`, `[IPv6]:port` or the path.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            #[cfg(unix)]
            Self::Unix { path } => write!(f, "{}", path.display()),
        }
    }
}
