//! The server versions whose behaviour the store has. No I/O.

/// A release of Redis or Valkey.
///
/// Redis releases are in order. A Valkey release is newer than Redis 7.2, from which it was forked,
/// and has nothing of a later Redis unless a rule says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Release {
    Redis6_2,
    Redis7_0,
    Redis7_2,
    Redis7_4,
    Redis8_2,
    Redis8_6,
    Redis8_10,
    Valkey8_1,
    Valkey9_1,
}

impl Release {
    /// Every release, oldest first.
    pub(crate) const ALL: [Self; 9] = [
        Self::Redis6_2,
        Self::Redis7_0,
        Self::Redis7_2,
        Self::Redis7_4,
        Self::Redis8_2,
        Self::Redis8_6,
        Self::Redis8_10,
        Self::Valkey8_1,
        Self::Valkey9_1,
    ];

    /// Whether this is Valkey.
    pub(crate) const fn is_valkey(self) -> bool {
        matches!(self, Self::Valkey8_1 | Self::Valkey9_1)
    }

    /// Whether this has what a release of Redis introduced. For a Valkey: up to Redis 7.2.
    pub(crate) fn has(self, since: Self) -> bool {
        let of_redis = if self.is_valkey() { Self::Redis7_2 } else { self };
        of_redis >= since
    }

    /// Increases a counter of the server. Since Redis 8.10, it stays at its largest value.
    pub(crate) fn increase(self, counter: i64) -> i64 {
        if self.has(Self::Redis8_10) { counter.saturating_add(1) } else { counter.wrapping_add(1) }
    }

    /// Returns the label of the test servers: `redis-8.10`.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Redis6_2 => "redis-6.2",
            Self::Redis7_0 => "redis-7.0",
            Self::Redis7_2 => "redis-7.2",
            Self::Redis7_4 => "redis-7.4",
            Self::Redis8_2 => "redis-8.2",
            Self::Redis8_6 => "redis-8.6",
            Self::Redis8_10 => "redis-8.10",
            Self::Valkey8_1 => "valkey-8.1",
            Self::Valkey9_1 => "valkey-9.1",
        }
    }

    /// Returns the version number that HELLO and INFO report.
    pub(crate) const fn version(self) -> &'static str {
        match self {
            Self::Redis6_2 => "6.2.14",
            Self::Redis7_0 => "7.0.15",
            Self::Redis7_2 => "7.2.4",
            Self::Redis7_4 => "7.4.1",
            Self::Redis8_2 => "8.2.3",
            Self::Redis8_6 => "8.6.2",
            Self::Redis8_10 => "8.10.2",
            Self::Valkey8_1 => "8.1.8",
            Self::Valkey9_1 => "9.1.2",
        }
    }
}
