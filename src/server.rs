//! The server's name, version and supported features. No I/O.
//!
//! Nothing here prevents a command from being sent: the server decides. The table explains a
//! refusal, and lets a caller choose a command in advance. Features of Redis 6.2 are included
//! because Redis 6.0 supports HELLO too.

use std::fmt;

/// The server of a connection, as reported by HELLO.
///
/// ```
/// # use bourn::{Feature, Server};
/// let server = Server::new("valkey", "9.1.2");
/// assert_eq!(server.to_string(), "valkey 9.1.2");
/// assert_eq!(server.supports(Feature::XAutoClaim), Some(true));
/// assert_eq!(server.supports(Feature::XNack), Some(false));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    name: Box<str>,
    version: Version,
}

impl Server {
    /// Creates a server from name and version, as HELLO reports them. Parts of the version that are
    /// not numbers count as 0.
    #[must_use]
    pub fn new(name: &str, version: &str) -> Self {
        Self { name: name.chars().take(MAX_NAME).collect(), version: Version::read(version) }
    }

    /// Returns the name it reports: `redis`, `valkey` or another.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the flavour: the project whose version numbers it has.
    #[must_use]
    pub fn flavour(&self) -> Flavour {
        match &*self.name {
            "redis" => Flavour::Redis,
            "valkey" => Flavour::Valkey,
            _ => Flavour::Other,
        }
    }

    /// Returns its version.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// Whether the server supports this feature; `None` if that is not known.
    ///
    /// It is not known for servers other than Redis and Valkey, for future Valkey versions, and for
    /// a version that is not a number. A server that reports the name `redis` is treated as Redis,
    /// although some other servers report it too.
    #[must_use]
    pub fn supports(&self, feature: Feature) -> Option<bool> {
        if self.version == Version::new(0, 0, 0) {
            return None;
        }
        match (self.flavour(), feature.valkey()) {
            (Flavour::Redis, _) => Some(self.version >= feature.redis()),
            (Flavour::Valkey, Some(since)) => Some(self.version >= since),
            (Flavour::Valkey, None) => (self.version < VALKEY_TO_COME).then_some(false),
            (Flavour::Other, _) => None,
        }
    }
}

/// Formats name and version: `valkey 9.1.2`.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name.escape_debug(), self.version)
    }
}

/// Maximum length of the name, which occurs in errors.
const MAX_NAME: usize = 64;

/// The project whose version numbers a server has.
///
/// ```
/// use bourn::{Flavour, Server};
///
/// assert_eq!(Server::new("valkey", "9.1.2").flavour(), Flavour::Valkey);
/// assert_eq!(Server::new("dragonfly", "1.2.3").flavour(), Flavour::Other);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Flavour {
    /// Redis, and every server that reports its name.
    Redis,
    /// Valkey.
    Valkey,
    /// Another server that supports HELLO.
    Other,
}

/// A server's version, such as 8.10.2.
///
/// ```
/// use bourn::Version;
///
/// let version = Version::new(8, 10, 2);
/// assert!(version > Version::new(8, 9, 7));
/// assert_eq!(version.to_string(), "8.10.2");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// The first number.
    pub major: u32,
    /// The second number.
    pub minor: u32,
    /// The third number.
    pub patch: u32,
}

impl Version {
    /// Creates a version from its three numbers.
    #[must_use]
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch }
    }

    fn read(text: &str) -> Self {
        let mut numbers = text.split('.').map(|part| {
            let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
            part.get(..digits).and_then(|digits| digits.parse().ok()).unwrap_or_default()
        });
        let mut next = || numbers.next().unwrap_or_default();
        Self { major: next(), minor: next(), patch: next() }
    }
}

/// Formats as `8.10.2`. With `{:#}` a third number of 0 is left out, as in `8.8`.
impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        if self.patch > 0 || !f.alternate() { write!(f, ".{}", self.patch) } else { Ok(()) }
    }
}

/// The first Valkey version whose new features are not known.
const VALKEY_TO_COME: Version = Version::new(9, 2, 0);

/// A command, or an option of a command, that not every server supports.
///
/// ```
/// use bourn::{Feature, Server, Version};
///
/// assert_eq!(Feature::XNack.redis(), Version::new(8, 8, 0));
/// assert_eq!(Feature::XNack.valkey(), None);
/// assert_eq!(Server::new("redis", "8.2.3").supports(Feature::XNack), Some(false));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Feature {
    /// XAUTOCLAIM (Redis 6.2; every Valkey).
    XAutoClaim,
    /// XGROUP CREATECONSUMER (Redis 6.2; every Valkey).
    XGroupCreateConsumer,
    /// `NOMKSTREAM` of XADD (Redis 6.2; every Valkey).
    NoMkStream,
    /// `MINID` of XADD and XTRIM (Redis 6.2; every Valkey).
    MinId,
    /// `LIMIT` of XADD and XTRIM (Redis 6.2; every Valkey).
    TrimLimit,
    /// `(id` of XRANGE, XREVRANGE, XPENDING and XAUTOCLAIM: an excluded end of a range (Redis 6.2;
    /// every Valkey).
    Exclusive,
    /// `IDLE` of XPENDING (Redis 6.2; every Valkey).
    PendingIdle,
    /// `WRITE` of CLIENT PAUSE: the kind of commands that wait (Redis 6.2; every Valkey).
    ClientPauseMode,
    /// CLIENT UNPAUSE (Redis 6.2; every Valkey).
    ClientUnpause,
    /// `ms-*` of XADD: the server generates the second half of the id (Redis 7.0; every Valkey).
    AutoSeq,
    /// `ENTRIESREAD` of XGROUP CREATE and SETID (Redis 7.0; every Valkey).
    EntriesRead,
    /// `ENTRIESADDED` of XSETID (Redis 7.0; every Valkey).
    EntriesAdded,
    /// `MAXDELETEDID` of XSETID (Redis 7.0; every Valkey).
    MaxDeletedId,
    /// `NX` of EXPIRE and PEXPIRE (Redis 7.0; every Valkey).
    ExpireNx,
    /// `XX` of EXPIRE and PEXPIRE (Redis 7.0; every Valkey).
    ExpireXx,
    /// `GT` of EXPIRE and PEXPIRE (Redis 7.0; every Valkey).
    ExpireGt,
    /// `LT` of EXPIRE and PEXPIRE (Redis 7.0; every Valkey).
    ExpireLt,
    /// CLUSTER SHARDS (Redis 7.0; every Valkey).
    ClusterShards,
    /// CLIENT NO-EVICT (Redis 7.0; every Valkey).
    ClientNoEvict,
    /// WAITAOF (Redis 7.2; every Valkey).
    WaitAof,
    /// `+` of XREAD: the last entry itself (Redis 7.4; Valkey 8.0).
    ReadLast,
    /// `KEEPREF` of XADD and XTRIM (Redis 8.2; not in Valkey 9.1).
    KeepRef,
    /// `DELREF` of XADD and XTRIM (Redis 8.2; not in Valkey 9.1).
    DelRef,
    /// `ACKED` of XADD and XTRIM (Redis 8.2; not in Valkey 9.1).
    Acked,
    /// XACKDEL (Redis 8.2; Valkey 9.2).
    XAckDel,
    /// XDELEX (Redis 8.2; Valkey 9.2).
    XDelEx,
    /// `CLAIM` of XREADGROUP (Redis 8.4; not in Valkey 9.1).
    Claim,
    /// `IDMP` of XADD (Redis 8.6; not in Valkey 9.1).
    Idmp,
    /// `IDMPAUTO` of XADD (Redis 8.6; not in Valkey 9.1).
    IdmpAuto,
    /// XCFGSET (Redis 8.6; not in Valkey 9.1).
    XCfgSet,
    /// XIDMPRECORD (Redis 8.6.2; not in Valkey 9.1).
    XIdmpRecord,
    /// XNACK (Redis 8.8; not in Valkey 9.1).
    XNack,
    /// `MAXCOUNT` of XREAD and XREADGROUP (Redis 8.10; not in Valkey 9.1).
    MaxCount,
    /// `MAXSIZE` of XREAD and XREADGROUP (Redis 8.10; not in Valkey 9.1).
    MaxSize,
}

/// The kind of a feature: a whole command, or an option of one or more commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Command,
    Option,
}
use Kind::{Command, Option as Word};

/// The first Valkey version. It has the features of Redis 7.2.
pub(crate) const FIRST_VALKEY: Version = Version::new(7, 2, 0);

/// Supported by every Valkey.
const ALL: Option<Version> = Some(FIRST_VALKEY);

/// Not supported by any released Valkey.
const NOT_YET: Option<Version> = None;

const fn v(major: u32, minor: u32, patch: u32) -> Version {
    Version::new(major, minor, patch)
}

/// Each feature, in the order of the enum: its name, and the first Redis and Valkey version with
/// it.
#[rustfmt::skip]
const TABLE: [(Feature, Kind, &str, Version, Option<Version>); 34] = [
    (Feature::XAutoClaim, Command, "XAUTOCLAIM", v(6, 2, 0), ALL),
    (Feature::XGroupCreateConsumer, Command, "XGROUP CREATECONSUMER", v(6, 2, 0), ALL),
    (Feature::NoMkStream, Word, "NOMKSTREAM", v(6, 2, 0), ALL),
    (Feature::MinId, Word, "MINID", v(6, 2, 0), ALL),
    (Feature::TrimLimit, Word, "LIMIT", v(6, 2, 0), ALL),
    (Feature::Exclusive, Word, "(id", v(6, 2, 0), ALL),
    (Feature::PendingIdle, Word, "IDLE", v(6, 2, 0), ALL),
    (Feature::ClientPauseMode, Word, "WRITE", v(6, 2, 0), ALL),
    (Feature::ClientUnpause, Command, "CLIENT UNPAUSE", v(6, 2, 0), ALL),
    (Feature::AutoSeq, Word, "ms-*", v(7, 0, 0), ALL),
    (Feature::EntriesRead, Word, "ENTRIESREAD", v(7, 0, 0), ALL),
    (Feature::EntriesAdded, Word, "ENTRIESADDED", v(7, 0, 0), ALL),
    (Feature::MaxDeletedId, Word, "MAXDELETEDID", v(7, 0, 0), ALL),
    (Feature::ExpireNx, Word, "NX", v(7, 0, 0), ALL),
    (Feature::ExpireXx, Word, "XX", v(7, 0, 0), ALL),
    (Feature::ExpireGt, Word, "GT", v(7, 0, 0), ALL),
    (Feature::ExpireLt, Word, "LT", v(7, 0, 0), ALL),
    (Feature::ClusterShards, Command, "CLUSTER SHARDS", v(7, 0, 0), ALL),
    (Feature::ClientNoEvict, Command, "CLIENT NO-EVICT", v(7, 0, 0), ALL),
    (Feature::WaitAof, Command, "WAITAOF", v(7, 2, 0), ALL),
    (Feature::ReadLast, Word, "+", v(7, 4, 0), Some(v(8, 0, 0))),
    (Feature::KeepRef, Word, "KEEPREF", v(8, 2, 0), NOT_YET),
    (Feature::DelRef, Word, "DELREF", v(8, 2, 0), NOT_YET),
    (Feature::Acked, Word, "ACKED", v(8, 2, 0), NOT_YET),
    (Feature::XAckDel, Command, "XACKDEL", v(8, 2, 0), Some(v(9, 2, 0))),
    (Feature::XDelEx, Command, "XDELEX", v(8, 2, 0), Some(v(9, 2, 0))),
    (Feature::Claim, Word, "CLAIM", v(8, 4, 0), NOT_YET),
    (Feature::Idmp, Word, "IDMP", v(8, 6, 0), NOT_YET),
    (Feature::IdmpAuto, Word, "IDMPAUTO", v(8, 6, 0), NOT_YET),
    (Feature::XCfgSet, Command, "XCFGSET", v(8, 6, 0), NOT_YET),
    (Feature::XIdmpRecord, Command, "XIDMPRECORD", v(8, 6, 2), NOT_YET),
    (Feature::XNack, Command, "XNACK", v(8, 8, 0), NOT_YET),
    (Feature::MaxCount, Word, "MAXCOUNT", v(8, 10, 0), NOT_YET),
    (Feature::MaxSize, Word, "MAXSIZE", v(8, 10, 0), NOT_YET),
];

impl Feature {
    /// Returns all features.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.0)
    }

    fn row(self) -> &'static (Self, Kind, &'static str, Version, Option<Version>) {
        // A test checks that the table has the order of the enum.
        #[expect(clippy::indexing_slicing, reason = "there is a row for each feature")]
        &TABLE[self as usize]
    }

    /// Returns the name of the command, or of the option as documented: `NOMKSTREAM`, `(id`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().2
    }

    /// Whether it is a whole command, not an option.
    #[must_use]
    pub fn is_command(self) -> bool {
        self.row().1 == Kind::Command
    }

    /// Returns the first Redis version that supports it.
    #[must_use]
    pub fn redis(self) -> Version {
        self.row().3
    }

    /// Returns the first Valkey version that supports it; `None` if none is known.
    #[must_use]
    pub fn valkey(self) -> Option<Version> {
        self.row().4
    }
}

/// A set of features that a command needs.
///
/// ```
/// use bourn::{Command, Feature, Features, XAdd};
///
/// // An XADD with IDMP needs Redis 8.6; a plain one runs on every server.
/// let add = XAdd::new("orders").field("sku", "A-7");
/// assert_eq!(add.needs(), Features::NONE);
/// let needs = add.idmp("shop", "order-17").needs();
/// assert_eq!(needs.iter().collect::<Vec<_>>(), [Feature::Idmp]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Features(u64);

impl Features {
    /// The empty set: every server suffices.
    pub const NONE: Self = Self(0);

    /// Adds a feature.
    #[must_use]
    pub const fn and(self, feature: Feature) -> Self {
        Self(self.0 | 1 << feature as u64)
    }

    /// Adds a feature if it is used.
    #[must_use]
    pub const fn and_if(self, used: bool, feature: Feature) -> Self {
        if used { self.and(feature) } else { self }
    }

    /// Returns the union of both sets.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns the features, whole commands before options.
    pub fn iter(self) -> impl Iterator<Item = Feature> {
        let these = move |command| {
            let has = move |f: &Feature| self.0 & 1 << *f as u64 != 0 && f.is_command() == command;
            Feature::all().filter(has)
        };
        these(true).chain(these(false))
    }
}

impl From<Feature> for Features {
    fn from(feature: Feature) -> Self {
        Self::NONE.and(feature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feature_table_has_the_order_of_the_enum() {
        for (place, feature) in Feature::all().enumerate() {
            assert_eq!(feature as usize, place, "{feature:?}");
        }
        assert!(TABLE.len() <= 64, "a set has 64 places");
    }

    #[test]
    fn version_parts_that_are_not_numbers_count_as_zero() {
        let rows = [
            ("8.10.2", (8, 10, 2)),
            ("7.2", (7, 2, 0)),
            ("8.4-rc1", (8, 4, 0)),
            ("9.1.2-beta.3", (9, 1, 2)),
            ("255.255.255", (255, 255, 255)),
            ("", (0, 0, 0)),
            ("99999999999.1.1", (0, 1, 1)),
            ("unstable", (0, 0, 0)),
        ];
        for (text, (major, minor, patch)) in rows {
            assert_eq!(Server::new("x", text).version(), Version { major, minor, patch }, "{text}");
        }
        assert!(v(8, 10, 0) > v(8, 9, 9));
        assert_eq!(format!("{0} {0:#} {1:#}", v(8, 10, 0), v(8, 6, 2)), "8.10.0 8.10 8.6.2");
    }

    #[test]
    fn supports_follows_the_version_and_is_none_if_unknown() {
        let rows = [
            ("redis", "8.7.9", Feature::XNack, Some(false)),
            ("redis", "8.8.0", Feature::XNack, Some(true)),
            ("redis", "8.6.1", Feature::XIdmpRecord, Some(false)),
            ("redis", "8.6.2", Feature::XIdmpRecord, Some(true)),
            ("redis", "6.2.14", Feature::XAutoClaim, Some(true)),
            ("redis", "6.0.20", Feature::XAutoClaim, Some(false)),
            ("valkey", "9.1.2", Feature::XAutoClaim, Some(true)),
            ("valkey", "9.1.2", Feature::XNack, Some(false)),
            ("valkey", "9.2.0", Feature::XNack, None),
            ("valkey", "9.1.9", Feature::XAckDel, Some(false)),
            ("valkey", "9.2.0", Feature::XAckDel, Some(true)),
            ("valkey", "7.2.5", Feature::ReadLast, Some(false)),
            ("valkey", "8.0.0", Feature::ReadLast, Some(true)),
            ("other", "1.2.3", Feature::XAutoClaim, None),
            ("redis", "unstable", Feature::XAutoClaim, None),
            ("valkey", "", Feature::XAutoClaim, None),
        ];
        for (name, version, feature, expected) in rows {
            let server = Server::new(name, version);
            assert_eq!(server.supports(feature), expected, "{server}, {feature:?}");
        }
    }

    #[test]
    fn feature_set_lists_its_members_commands_first() {
        let set = Features::NONE.and(Feature::Acked).and(Feature::MaxSize).and(Feature::XDelEx);
        let set = set.and_if(true, Feature::Claim).and_if(false, Feature::Idmp);
        let expected = [Feature::XDelEx, Feature::Acked, Feature::Claim, Feature::MaxSize];
        assert_eq!(set.iter().collect::<Vec<_>>(), expected);
        assert_eq!(set.union(Feature::Claim.into()), set);
        assert_eq!(Features::NONE.iter().count(), 0);
    }
}
