//! The server of a row: a real one, or the in-memory one of the same version.

use crate::support;
use bourn::{Client, Config, Error, testing};
use std::rc::Rc;

/// A running server. Clones are the same server.
#[derive(Debug, Clone)]
pub(crate) enum Host {
    Real(Rc<support::Server>),
    Memory(testing::Server),
}

impl Host {
    /// Starts a server with these settings, such as `("cluster-enabled", "yes")`.
    pub(crate) fn start(label: &str, memory: bool, settings: &[(&str, &str)]) -> Self {
        if memory {
            let builder = testing::Server::builder().version(label);
            let set = |builder: testing::ServerBuilder, (name, value): &(&str, &str)| {
                builder.setting(name, value)
            };
            return Self::Memory(settings.iter().fold(builder, set).build());
        }
        let builder = support::Server::builder().label(label);
        let set = |builder: support::Builder, (name, value): &(&str, &str)| {
            value.split(' ').fold(builder.arg(&format!("--{name}")), support::Builder::arg)
        };
        Self::Real(Rc::new(settings.iter().fold(builder, set).start()))
    }

    /// Returns the settings of a client.
    pub(crate) fn config(&self) -> Config {
        match self {
            Self::Real(server) => Config::tcp("127.0.0.1", server.port()),
            Self::Memory(server) => server.config(),
        }
    }

    /// Connects a client with these settings.
    pub(crate) async fn connect(&self, config: Config) -> Result<Client, Error> {
        match self {
            Self::Real(_) => Client::connect(config).await,
            Self::Memory(server) => server.connect(config).await,
        }
    }

    /// Whether it is in memory.
    pub(crate) fn is_memory(&self) -> bool {
        matches!(self, Self::Memory(_))
    }
}
