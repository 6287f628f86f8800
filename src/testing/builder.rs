//! The settings of a new server.

use super::Server;
use super::settings::Settings;
use super::state::State;
use super::store::Release;
use super::wire::Shared;
use bytes::Bytes;
use std::time::SystemTime;
use tokio::time::Instant;

/// Configures an in-memory [`Server`]. Created by [`Server::builder`].
///
/// ```
/// # use bourn::{Error, Protocol, testing::Server};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// let server = Server::builder().version("redis-7.0").setting("requirepass", "secret").build();
/// let client = server.connect(server.config().password("secret")).await?;
/// assert_eq!(client.server().expect("HELLO reports it").to_string(), "redis 7.0.15");
/// assert!(server.client().await.is_err());
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a `ServerBuilder` does nothing until `build` is called"]
pub struct ServerBuilder {
    settings: Settings,
    time: Option<SystemTime>,
}

impl ServerBuilder {
    pub(super) fn new() -> Self {
        Self { settings: Settings::new(Release::Redis8_10), time: None }
    }

    /// Sets the version whose behaviour the server has: one of [`Server::VERSIONS`]. The default is
    /// `redis-8.10`.
    ///
    /// # Panics
    ///
    /// If the version is none of them.
    pub fn version(mut self, label: &str) -> Self {
        let release = Release::ALL.into_iter().find(|release| release.label() == label);
        self.settings.release = release.unwrap_or_else(|| {
            panic!("no version {label:?}; there are {}", Server::VERSIONS.join(", "))
        });
        self
    }

    /// Changes a setting, as in the server's configuration file.
    ///
    /// | name | value |
    /// |---|---|
    /// | `requirepass` | the password of the default user |
    /// | `appendonly`, `appendfsync` | `yes` and `always`: [`Server::crash`] loses nothing |
    /// | `stream-node-max-entries` | 100; how many entries `~` trims at once |
    /// | `cluster-enabled` | `yes`: CLUSTER and HELLO reply as a node of a cluster; keys are not checked |
    /// | `rename-command` | a command and its new name, `HELLO NOHELLO`; no new name removes it |
    ///
    /// # Panics
    ///
    /// If there is no such setting.
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        if name == "rename-command" {
            let (command, to) = value.split_once(' ').unwrap_or((value, ""));
            self.settings.rename(command, to);
        } else {
            let value = Bytes::copy_from_slice(value.as_bytes());
            self.settings.set(name, value).unwrap_or_else(|| panic!("no setting {name:?}"));
        }
        self
    }

    /// Sets what the server's clock shows at first. The default is the current time.
    pub fn time(mut self, time: SystemTime) -> Self {
        self.time = Some(time);
        self
    }

    /// Creates the server. It is empty, and runs as long as it has handles or connections.
    #[must_use]
    pub fn build(self) -> Server {
        let time = self.time.unwrap_or_else(SystemTime::now);
        let state = State::new(self.settings, Instant::now().into_std(), time);
        Server::of(Shared::new(state))
    }
}
