//! The jobs: each depends only on its number and the seed.

use crate::both::Random;
use std::fmt;
use std::time::Duration;

/// The lease.
pub(crate) const LEASE: Duration = Duration::from_secs(2);

/// The attempt limit.
pub(crate) const MAX_ATTEMPTS: u32 = 5;

/// The retry delay that a failing job asks for.
pub(crate) const RETRY_AFTER: Duration = Duration::from_millis(400);

/// The fields of a job.
pub(crate) type Fields = Vec<(String, String)>;

/// The behaviour of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Plain,
    /// Takes a good part of a lease.
    Steady,
    /// Takes longer than a lease. Used only without faults: it would need too many attempts.
    Long,
    /// Fails this many times.
    Fails(u32),
    /// Always fails.
    Fatal,
    /// Always ends its process.
    Aborts,
}

impl Kind {
    /// Selects the kind: 2 % fail at first, 0.5 % are poison, and half of those abort the process.
    ///
    /// Aborting jobs are among the first, slow ones among the last: a slow job that often runs next
    /// to aborting ones would be dead-lettered, too.
    pub(crate) fn of(seed: u64, n: u64, jobs: u64) -> Self {
        let mut random = random(seed, n, 0);
        match random.below(1_000) {
            0..10 => Self::Fails(1),
            10..20 => Self::Fails(2),
            _ if n % 400 == 100 => Self::Fatal,
            _ if n % 200 == 50 && n < jobs / 2 => Self::Aborts,
            20..80 if n >= jobs / 4 * 3 => Self::Steady,
            _ => Self::Plain,
        }
    }

    /// Whether no attempt ever succeeds.
    pub(crate) fn is_poison(self) -> bool {
        matches!(self, Self::Fatal | Self::Aborts)
    }

    /// Returns the duration of an attempt. Aborting jobs take longest, so that jobs started with
    /// them end first, and do not lose their worker more often than the attempt limit allows.
    pub(crate) fn takes(self, seed: u64, n: u64, attempt: u32) -> Duration {
        let mut random = random(seed, n, attempt.into());
        let us = match self {
            Self::Long => 2_200 * u64::try_from(LEASE.as_millis()).expect("it is short"),
            Self::Steady => 100_000 + random.below(400_000),
            Self::Aborts => 80_000 + random.below(120_000),
            _ if random.below(100) == 0 => random.below(60_000),
            _ if random.below(5) == 0 => random.below(20_000),
            _ => random.below(2_000),
        };
        Duration::from_micros(us)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain => f.write_str("plain"),
            Self::Steady => f.write_str("steady"),
            Self::Long => f.write_str("long"),
            Self::Fails(times) => write!(f, "fails-{times}"),
            Self::Fatal => f.write_str("fatal"),
            Self::Aborts => f.write_str("aborts"),
        }
    }
}

impl Kind {
    /// Parses the displayed form.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "plain" => Some(Self::Plain),
            "steady" => Some(Self::Steady),
            "long" => Some(Self::Long),
            "fatal" => Some(Self::Fatal),
            "aborts" => Some(Self::Aborts),
            text => text.strip_prefix("fails-")?.parse().ok().map(Self::Fails),
        }
    }
}

/// Returns the fields of a job: its number, its kind, and padding that a cut can hit.
pub(crate) fn fields(seed: u64, n: u64, kind: Kind) -> Fields {
    let mut random = random(seed, n, 1 << 32);
    let most = if random.below(50) == 0 { 4_000 } else { 100 };
    let pad = "x".repeat(usize::try_from(random.below(most)).expect("it is small"));
    [("n", n.to_string()), ("kind", kind.to_string()), ("pad", pad)]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
}

/// Returns number and kind of a job; `None` if this run did not create it.
pub(crate) fn read(seed: u64, all: &[(String, String)]) -> Option<(u64, Kind)> {
    let value = |name| all.iter().find(|field| field.0 == name).map(|field| field.1.as_str());
    let (n, kind) = (value("n")?.parse().ok()?, Kind::parse(value("kind")?)?);
    (fields(seed, n, kind) == all).then_some((n, kind))
}

fn random(seed: u64, n: u64, more: u64) -> Random {
    Random::new(seed ^ n.wrapping_mul(0xD129_42E5_59F1_A5B7) ^ (more << 7))
}

#[test]
fn jobs_have_the_intended_mix() {
    let kinds: Vec<_> = (0..20_000).map(|n| (n, Kind::of(7, n, 20_000))).collect();
    let count = |is: fn(Kind) -> bool| kinds.iter().filter(|(_, kind)| is(*kind)).count();
    assert!((300..500).contains(&count(|kind| matches!(kind, Kind::Fails(_)))));
    assert!((45..=50).contains(&count(|kind| kind == Kind::Fatal)));
    assert!((45..=50).contains(&count(|kind| kind == Kind::Aborts)));
    assert!((200..400).contains(&count(|kind| kind == Kind::Steady)));
    for (n, kind) in kinds {
        assert_eq!(read(7, &fields(7, n, kind)), Some((n, kind)));
    }
    assert_eq!(read(7, &[("n".to_owned(), "1".to_owned())]), None);
}
