//! The settings of a master that sentinels watch, as methods. No I/O.

#[cfg(feature = "tokio")]
use super::Address;
use super::sentinel::SentinelSettings;
use super::{Config, Secret};

impl Config {
    /// Creates the settings for the master of this name, whose address these sentinels know: `host`,
    /// `host:port`, or `[IPv6]:port`. The default port is 26379.
    ///
    /// One sentinel that is up is enough: it knows the others. User, password, database and the
    /// other settings are those of the master. TLS applies to the sentinels as well. See
    /// [`guide::sentinel`](crate::guide::sentinel).
    ///
    /// ```no_run
    /// # use bourn::{Client, Config, Error, XAdd};
    /// # async fn f() -> Result<(), Error> {
    /// let config = Config::sentinel("mymaster", ["s1", "s2", "s3"]).password("s3cret");
    /// let client = Client::connect(config).await?;
    /// client.send(XAdd::new("orders").field("sku", "A-7")).await?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn sentinel<S: AsRef<str>>(
        master: impl Into<String>,
        sentinels: impl IntoIterator<Item = S>,
    ) -> Self {
        let sentinel = SentinelSettings::new(master.into(), sentinels);
        // Without a sentinel, `check` reports the empty host.
        let (host, port) = sentinel.sentinels.first().cloned().unwrap_or_default();
        Self { sentinel: Some(Box::new(sentinel)), ..Self::tcp(host, port) }
    }

    /// Sets the user of the sentinels, which is not that of the master. No effect without sentinels.
    #[must_use]
    pub fn sentinel_user(mut self, user: impl Into<String>) -> Self {
        if let Some(sentinel) = &mut self.sentinel {
            sentinel.user = Some(user.into());
        }
        self
    }

    /// Sets the password of the sentinels, which is not that of the master. No effect without
    /// sentinels.
    #[must_use]
    pub fn sentinel_password(mut self, password: impl Into<String>) -> Self {
        if let Some(sentinel) = &mut self.sentinel {
            sentinel.password = Some(Secret::from(password.into()));
        }
        self
    }

    /// Sets whether commands are held while a planned failover is under way. Default true. No effect
    /// without sentinels.
    ///
    /// In a planned failover (`SENTINEL FAILOVER`) the old master acknowledges writes for up to 11 s
    /// that are lost when it becomes a replica. So commands are queued from the moment at which the
    /// sentinels have selected the new master until they name it, for at most 3 s, within their own
    /// timeout.
    #[must_use]
    pub fn hold_in_failover(mut self, hold: bool) -> Self {
        if let Some(sentinel) = &mut self.sentinel {
            sentinel.hold = hold;
        }
        self
    }

    /// Returns the settings of a connection to a sentinel.
    #[cfg(feature = "tokio")]
    pub(crate) fn of_sentinel(&self, settings: &SentinelSettings, host: &str, port: u16) -> Self {
        let mut config = self.clone().at_host(host, port);
        config.sentinel = None;
        config.database = 0;
        config.user.clone_from(&settings.user);
        config.password.clone_from(&settings.password);
        config.credentials = None;
        config
    }

    /// Returns the same settings for another address.
    #[cfg(feature = "tokio")]
    pub(crate) fn at_host(mut self, host: &str, port: u16) -> Self {
        self.address = Address::Tcp { host: host.to_owned(), port };
        self
    }
}
