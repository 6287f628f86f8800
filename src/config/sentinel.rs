//! Settings of a master that sentinels watch. No I/O.

use super::cluster::host;
use super::secret::Secret;
use crate::error::ConfigError;

/// The port of a sentinel that has none in its text.
pub(super) const PORT: u16 = 26_379;

/// The settings of a master that sentinels watch.
#[derive(Debug, Clone)]
pub(crate) struct SentinelSettings {
    /// The name of the master.
    pub(crate) master: String,
    /// The sentinels that are asked first. At least one.
    pub(crate) sentinels: Vec<(String, u16)>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Secret>,
    /// Writes are held while a planned failover is under way.
    pub(crate) hold: bool,
}

impl SentinelSettings {
    /// Checks the settings.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let is_whole = |(host, port): &(String, u16)| !host.is_empty() && *port > 0;
        if self.sentinels.is_empty() || !self.sentinels.iter().all(is_whole) {
            return Err(ConfigError::Host);
        }
        let is_text = |c: char| !c.is_whitespace() && !c.is_control();
        if self.master.is_empty() || !self.master.chars().all(is_text) {
            return Err(ConfigError::MasterName);
        }
        Ok(())
    }
}

impl SentinelSettings {
    /// Creates the settings with the defaults.
    pub(super) fn new<S: AsRef<str>>(
        master: String,
        sentinels: impl IntoIterator<Item = S>,
    ) -> Self {
        let of = |sentinel: S| host(sentinel.as_ref(), PORT);
        let sentinels = sentinels.into_iter().map(of).collect();
        Self { master, sentinels, user: None, password: None, hold: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn sentinels_have_a_default_port_and_a_name_is_required() {
        let config = Config::sentinel("mymaster", ["s1", "s2:7000"]);
        assert_eq!(config.check(), Ok(()));
        let sentinel = config.sentinel.unwrap();
        assert_eq!(sentinel.sentinels, [("s1".to_owned(), 26_379), ("s2".to_owned(), 7000)]);
        assert!(sentinel.hold);
        assert_eq!(Config::sentinel("mymaster", [""; 0]).check(), Err(ConfigError::Host));
        for name in ["", "my master", "a\r\n"] {
            let config = Config::sentinel(name, ["s1"]);
            assert_eq!(config.check(), Err(ConfigError::MasterName), "{name:?}");
        }
    }

    #[test]
    fn settings_of_sentinels_do_not_show_the_password() {
        let config = Config::sentinel("m", ["s"]).sentinel_user("u").sentinel_password("s3cret");
        assert!(!format!("{config:?}").contains("s3cret"));
        assert!(!config.hold_in_failover(false).sentinel.unwrap().hold);
    }
}
