//! The answers of each version, and the versions that are too old.

use bourn::Feature;
use std::fmt;

/// The servers, in the order of the table's columns.
pub(crate) const LABELS: [&str; 9] = [
    "redis-6.2",
    "redis-7.0",
    "redis-7.2",
    "redis-7.4",
    "redis-8.2",
    "redis-8.6",
    "redis-8.10",
    "valkey-8.1",
    "valkey-9.1",
];

/// The server that the others are compared with.
pub(crate) const NEWEST: &str = "redis-8.10";

/// Redis or Valkey, and the first two numbers of its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub(crate) struct Label {
    pub(crate) valkey: bool,
    version: (u32, u32),
}

impl Label {
    /// Parses a label such as `redis-8.10`.
    pub(crate) fn read(label: &str) -> Self {
        let (name, number) = label.split_once('-').expect("a label is NAME-VERSION");
        Self { valkey: name == "valkey", version: version(number) }
    }
}

/// Formats a column's head: `8.10`, `valkey 9.1`.
impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.valkey { "valkey " } else { "" };
        write!(f, "{name}{}.{}", self.version.0, self.version.1)
    }
}

/// Parses the first two numbers of a version.
fn version(text: &str) -> (u32, u32) {
    let mut numbers = text.split('.').map(|part| part.parse().expect("a version is numbers"));
    (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default())
}

/// Answers by the version from which they hold: `8.2`, or `valkey` and `valkey 9.1`.
///
/// A Valkey without an entry answers as Redis 7.2 does, from which it was forked.
#[derive(Debug, Clone)]
pub(crate) struct Want {
    texts: Vec<(Label, &'static str)>,
    /// The answer is the same on every server that has the option.
    one: bool,
}

impl Want {
    /// Returns the answer of this server.
    pub(crate) fn of(&self, label: Label) -> &'static str {
        self.answer(label).unwrap_or_else(|| panic!("no answer is given for {label}"))
    }

    /// Returns the answer of this server if it is too old and refuses for another reason first.
    pub(crate) fn of_old(&self, label: Label) -> Option<&'static str> {
        if self.one { None } else { self.answer(label) }
    }

    fn answer(&self, label: Label) -> Option<&'static str> {
        let last = |label: Label| {
            let since = |(from, _): &&(Label, _)| {
                from.valkey == label.valkey && from.version <= label.version
            };
            self.texts.iter().rfind(since).map(|(_, text)| *text)
        };
        let made_of = || last(Label { valkey: false, version: (7, 2) }).filter(|_| label.valkey);
        last(label).or_else(made_of)
    }
}

impl From<&'static str> for Want {
    fn from(text: &'static str) -> Self {
        Self { one: true, ..[("6.2", text)].into() }
    }
}

impl<const N: usize> From<[(&'static str, &'static str); N]> for Want {
    fn from(texts: [(&'static str, &'static str); N]) -> Self {
        let read = |from: &str| match from.strip_prefix("valkey") {
            Some(number) => Label { valkey: true, version: version(or_0(number.trim())) },
            None => Label { valkey: false, version: version(from) },
        };
        Self { texts: texts.map(|(from, text)| (read(from), text)).to_vec(), one: false }
    }
}

fn or_0(number: &str) -> &str {
    if number.is_empty() { "0" } else { number }
}

/// The first versions with an option: `7.0` if every Valkey has it, `7.4, valkey 8.1`,
/// `8.2, valkey none`. Written by hand, because it tests the crate's own table.
#[derive(Debug, Clone)]
pub(crate) struct Since {
    pub(crate) feature: Feature,
    /// The missing name in the error: `XNACK`, `XADD IDMP`.
    pub(crate) name: String,
    redis: &'static str,
    valkey: Option<&'static str>,
}

impl Since {
    pub(crate) fn read(text: &'static str, feature: Feature, name: String) -> Self {
        let (redis, valkey) = match text.split_once(", valkey ") {
            Some((redis, "none")) => (redis, None),
            Some((redis, valkey)) => (redis, Some(valkey)),
            None => (text, Some("7.2")),
        };
        let apart = text.contains("valkey");
        assert!(apart || version(redis) <= (7, 2), "{text}: what of Valkey, made of Redis 7.2?");
        Self { feature, name, redis, valkey }
    }

    /// Whether this server is too old. The third number of a version is not known here: each label
    /// is the last of its minor version.
    pub(crate) fn is_after(&self, label: Label) -> bool {
        let since = if label.valkey { self.valkey } else { Some(self.redis) };
        since.is_none_or(|since| version(since) > label.version)
    }

    /// Returns the text of the error on this server.
    pub(crate) fn error(&self, server: &str) -> String {
        let Self { name, redis, .. } = self;
        let or = match self.valkey {
            None | Some("7.2") => String::new(),
            Some(valkey) => format!(" or Valkey {valkey}"),
        };
        format!("{name} needs Redis {redis}{or}; this is {server}")
    }
}
