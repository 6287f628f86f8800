//! The settings of a server, as in its configuration file. No I/O.

use super::store::Release;
use bytes::Bytes;
use std::collections::BTreeMap;

/// The settings that the server has, with their defaults. Some of them have no effect.
const DEFAULTS: [(&str, &str); 10] = [
    ("appendfsync", "everysec"),
    ("appendonly", "no"),
    ("cluster-enabled", "no"),
    ("databases", "16"),
    ("maxmemory", "0"),
    ("maxmemory-policy", "noeviction"),
    ("requirepass", ""),
    ("save", ""),
    ("stream-node-max-entries", "100"),
    ("timeout", "0"),
];

/// The settings of a server.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) release: Release,
    values: BTreeMap<String, Bytes>,
    /// The commands with another name, and that name; empty for none.
    renamed: Vec<(String, String)>,
}

impl Settings {
    pub(super) fn new(release: Release) -> Self {
        let default = |(name, value): (&str, &str)| {
            (name.to_owned(), Bytes::copy_from_slice(value.as_bytes()))
        };
        Self { release, values: DEFAULTS.map(default).into(), renamed: Vec::new() }
    }

    /// Returns a value. `None`: there is no such setting.
    pub(super) fn get(&self, name: &str) -> Option<Bytes> {
        self.values.get(&name.to_ascii_lowercase()).cloned()
    }

    /// Whether a setting is `yes`.
    pub(super) fn is_on(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.eq_ignore_ascii_case(b"yes"))
    }

    /// Changes a value. `None`: there is no such setting.
    pub(super) fn set(&mut self, name: &str, value: Bytes) -> Option<()> {
        *self.values.get_mut(&name.to_ascii_lowercase())? = value;
        Some(())
    }

    /// Returns the settings whose names fit a pattern with `*` at its end, or everywhere.
    pub(super) fn matching(&self, pattern: &str) -> Vec<(&str, &Bytes)> {
        let pattern = pattern.to_ascii_lowercase();
        let fits = |name: &str| match pattern.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == pattern,
        };
        let all = self.values.iter().map(|(name, value)| (name.as_str(), value));
        all.filter(|(name, _)| fits(name)).collect()
    }

    /// Gives a command another name; an empty one removes it.
    pub(super) fn rename(&mut self, command: &str, to: &str) {
        self.renamed.push((command.to_ascii_lowercase(), to.to_ascii_lowercase()));
    }

    /// Returns the name under which a command is known. `None`: it has another one, or none.
    pub(super) fn resolve<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        if let Some((command, _)) = self.renamed.iter().find(|(_, to)| to == name) {
            return Some(command);
        }
        let renamed = self.renamed.iter().any(|(command, _)| command == name);
        (!renamed).then_some(name)
    }

    /// Whether every write is on disk before its reply.
    pub(super) fn syncs_always(&self) -> bool {
        self.is_on("appendonly")
            && self.get("appendfsync").is_some_and(|value| value.eq_ignore_ascii_case(b"always"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renamed_command_is_known_by_its_new_name_alone() {
        let mut settings = Settings::new(Release::Redis7_0);
        settings.rename("HELLO", "NOHELLO");
        settings.rename("FLUSHALL", "");
        for (name, command) in [
            ("hello", None),
            ("nohello", Some("hello")),
            ("flushall", None),
            ("ping", Some("ping")),
        ] {
            assert_eq!(settings.resolve(name), command, "{name}");
        }
    }

    #[test]
    fn settings_are_found_by_name_and_pattern() {
        let mut settings = Settings::new(Release::Redis7_0);
        assert_eq!(settings.set("AppendOnly", Bytes::from_static(b"yes")), Some(()));
        assert_eq!(settings.set("nonsense", Bytes::new()), None);
        assert!(settings.is_on("appendonly"));
        assert_eq!(settings.matching("append*").len(), 2);
        assert_eq!(settings.matching("maxmemory").len(), 1);
    }
}
