//! Users, their passwords and the commands that they may run. No I/O.
//!
//! Patterns of keys and channels are accepted and not checked.

use bytes::Bytes;
use std::collections::BTreeMap;

/// The user of a new connection.
pub(super) const DEFAULT: &[u8] = b"default";

/// The users of a server.
#[derive(Debug, Clone)]
pub(super) struct Users(BTreeMap<Bytes, User>);

#[derive(Debug, Clone, Default)]
struct User {
    enabled: bool,
    no_password: bool,
    passwords: Vec<Bytes>,
    /// The commands that each rule allows or denies. The last rule that fits a command applies.
    rules: Vec<(bool, Commands)>,
}

/// The commands of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Commands {
    All,
    /// `@stream`
    Streams,
    /// `xadd`, or `client|id`.
    Named(String),
}

impl Users {
    /// Creates the default user, who needs no password and may run everything.
    pub(super) fn new() -> Self {
        let rules = vec![(true, Commands::All)];
        let user = User { enabled: true, no_password: true, rules, ..User::default() };
        Self([(Bytes::from_static(DEFAULT), user)].into())
    }

    /// Whether the default user needs no password.
    pub(super) fn is_open(&self) -> bool {
        self.0.get(DEFAULT).is_some_and(|user| user.enabled && user.no_password)
    }

    /// Whether the default user has no password.
    pub(super) fn default_has_no_password(&self) -> bool {
        self.0.get(DEFAULT).is_some_and(|user| user.no_password)
    }

    /// Sets the password of the default user. An empty one is none.
    pub(super) fn require(&mut self, password: &Bytes) {
        let user = self.0.entry(Bytes::from_static(DEFAULT)).or_default();
        user.no_password = password.is_empty();
        user.passwords = if password.is_empty() { Vec::new() } else { vec![password.clone()] };
    }

    /// Whether the user may log in with this password.
    pub(super) fn accept(&self, user: &[u8], password: &[u8]) -> bool {
        self.0.get(user).is_some_and(|user| {
            user.enabled && (user.no_password || user.passwords.iter().any(|own| own == password))
        })
    }

    /// Whether the user may run a command: `xadd`, `client|id`.
    pub(super) fn permit(&self, user: &[u8], command: &str) -> bool {
        let Some(user) = self.0.get(user) else { return false };
        let rule = user.rules.iter().rfind(|(_, commands)| commands.include(command));
        rule.is_some_and(|(allowed, _)| *allowed)
    }

    /// Carries out the rules of ACL SETUSER. Returns the first one that is unknown.
    pub(super) fn set(&mut self, name: &Bytes, rules: &[Bytes]) -> Result<(), Bytes> {
        let mut user = self.0.get(name).cloned().unwrap_or_default();
        for rule in rules {
            user.apply(rule).ok_or_else(|| rule.clone())?;
        }
        self.0.insert(name.clone(), user);
        Ok(())
    }

    /// Returns the names of the users.
    pub(super) fn names(&self) -> impl Iterator<Item = Bytes> {
        self.0.keys().cloned()
    }

    /// Removes a user. The default user stays.
    pub(super) fn remove(&mut self, name: &[u8]) -> bool {
        name != DEFAULT && self.0.remove(name).is_some()
    }
}

impl User {
    fn apply(&mut self, rule: &Bytes) -> Option<()> {
        let text = std::str::from_utf8(rule).ok()?.to_ascii_lowercase();
        match text.as_str() {
            "on" => self.enabled = true,
            "off" => self.enabled = false,
            "nopass" => {
                self.no_password = true;
                self.passwords.clear();
            }
            "resetpass" => {
                self.no_password = false;
                self.passwords.clear();
            }
            "reset" => *self = Self::default(),
            "allcommands" => self.rules = vec![(true, Commands::All)],
            "nocommands" => self.rules.clear(),
            "allkeys"
            | "resetkeys"
            | "allchannels"
            | "resetchannels"
            | "sanitize-payload"
            | "skip-sanitize-payload" => {}
            _ => match rule.split_first()? {
                (b'>', password) => {
                    self.no_password = false;
                    self.passwords.push(rule.slice_ref(password));
                }
                (b'<', password) => self.passwords.retain(|own| own != password),
                (b'~' | b'%' | b'&', _) => {}
                (b'+', _) => self.rules.push((true, Commands::parse(text.get(1..)?)?)),
                (b'-', _) => self.rules.push((false, Commands::parse(text.get(1..)?)?)),
                _ => return None,
            },
        }
        Some(())
    }
}

impl Commands {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "@all" => Some(Self::All),
            "@stream" => Some(Self::Streams),
            "" => None,
            name if name.starts_with('@') => None,
            name => Some(Self::Named(name.to_owned())),
        }
    }

    fn include(&self, command: &str) -> bool {
        match self {
            Self::All => true,
            Self::Streams => command.starts_with('x'),
            Self::Named(name) => {
                command == name
                    || command.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('|'))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_rule_that_fits_applies() {
        let mut users = Users::new();
        let name = Bytes::from_static(b"worker");
        let rules = ["on", ">secret", "~*", "+@stream", "-xadd", "+client|id", "+multi"];
        users.set(&name, &rules.map(|rule| Bytes::from_static(rule.as_bytes()))).expect("known");
        for (command, may) in [
            ("xread", true),
            ("xgroup|create", true),
            ("xadd", false),
            ("client|id", true),
            ("client|kill", false),
            ("multi", true),
            ("del", false),
        ] {
            assert_eq!(users.permit(b"worker", command), may, "{command}");
        }
        assert!(users.accept(b"worker", b"secret"));
        assert!(!users.accept(b"worker", b"wrong"));
        assert!(!users.accept(b"nobody", b"secret"));
    }

    #[test]
    fn unknown_rule_changes_nothing() {
        let mut users = Users::new();
        let rules = ["on", "nopass", "+@nonsense"].map(|rule| Bytes::from_static(rule.as_bytes()));
        assert_eq!(users.set(&Bytes::from_static(b"a"), &rules), Err(Bytes::from("+@nonsense")));
        assert!(!users.accept(b"a", b""));
    }
}
