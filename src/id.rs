//! Entry ids, and the special ids that commands accept in their place. No I/O.
//!
//! An id is `ms-seq`, two unsigned 64-bit numbers. If the server generated it, the first is the
//! Unix time in milliseconds.
//!
//! | position | type | instead of an id |
//! |---|---|---|
//! | XADD | [`AddId`] | `*`: [`AddId::Auto`]; `ms-*`: [`AddId::AutoSeq`] |
//! | XREAD | [`ReadFrom`] | `$`: [`ReadFrom::End`]; `+`: [`ReadFrom::Last`] |
//! | XREADGROUP | [`GroupFrom`] | `>`: [`GroupFrom::New`] |
//! | XGROUP CREATE, SETID | [`StartAt`] | `$`: [`StartAt::End`] |
//! | XRANGE, XREVRANGE, XPENDING | any of Rust's ranges over [`EntryId`] | `-`, `+`, `(id` |

use crate::resp::{Args, decimal};
use std::fmt;
use std::ops::{Bound, RangeBounds};
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The id of an entry: `ms-seq`.
///
/// Ids are ordered as on the server: by milliseconds, then by sequence number.
///
/// ```
/// # use bourn::EntryId;
/// let id: EntryId = "1700000000000-3".parse()?;
/// assert_eq!((id.ms(), id.seq()), (1_700_000_000_000, 3));
/// assert!(id < id.next().unwrap());
/// # Ok::<(), bourn::ParseIdError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EntryId {
    ms: u64,
    seq: u64,
}

impl EntryId {
    /// `0-0`, which is below every entry; no entry has it.
    pub const MIN: Self = Self::new(0, 0);
    /// The largest id.
    pub const MAX: Self = Self::new(u64::MAX, u64::MAX);

    /// Creates an id from its two halves.
    #[must_use]
    pub const fn new(ms: u64, seq: u64) -> Self {
        Self { ms, seq }
    }

    /// Returns the smallest id of this time, `ms-0`; [`EntryId::MIN`] for a time before 1970.
    #[must_use]
    pub fn from_time(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::new(u64::try_from(since.as_millis()).unwrap_or(u64::MAX), 0)
    }

    /// Returns the milliseconds: the Unix time if the server generated the id.
    #[must_use]
    pub const fn ms(self) -> u64 {
        self.ms
    }

    /// Returns the sequence number within the millisecond.
    #[must_use]
    pub const fn seq(self) -> u64 {
        self.seq
    }

    /// Returns the milliseconds as a time; `None` if a [`SystemTime`] cannot represent it.
    #[must_use]
    pub fn time(self) -> Option<SystemTime> {
        UNIX_EPOCH.checked_add(Duration::from_millis(self.ms))
    }

    /// Returns the smallest id above this one; `None` for [`EntryId::MAX`].
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        match (self.seq.checked_add(1), self.ms.checked_add(1)) {
            (Some(seq), _) => Some(Self::new(self.ms, seq)),
            (None, Some(ms)) => Some(Self::new(ms, 0)),
            (None, None) => None,
        }
    }

    /// Returns the largest id below this one; `None` for [`EntryId::MIN`].
    #[must_use]
    pub const fn prev(self) -> Option<Self> {
        match (self.seq.checked_sub(1), self.ms.checked_sub(1)) {
            (Some(seq), _) => Some(Self::new(self.ms, seq)),
            (None, Some(ms)) => Some(Self::new(ms, u64::MAX)),
            (None, None) => None,
        }
    }

    /// Parses an id as servers write it. `ms` alone means `ms-0`.
    ///
    /// # Errors
    ///
    /// The text is not one or two decimal 64-bit numbers separated by `-`.
    #[inline]
    pub fn parse(text: &[u8]) -> Result<Self, ParseIdError> {
        // Fast path: 13 digits of milliseconds, as in every id generated between 2001 and 2286.
        if let Some((head, [b'-', seq @ ..])) = text.split_first_chunk::<13>() {
            if let (Some(ms), Some(seq)) = (thirteen_digits(head), number(seq)) {
                return Ok(Self::new(ms, seq));
            }
        }
        Self::parse_any(text).ok_or(ParseIdError(()))
    }

    fn parse_any(text: &[u8]) -> Option<Self> {
        match memchr::memchr(b'-', text) {
            Some(dash) => {
                let (ms, seq) = text.split_at_checked(dash)?;
                Some(Self::new(number(ms)?, number(seq.get(1..)?)?))
            }
            None => Some(Self::new(number(text)?, 0)),
        }
    }

    fn arg(self, out: &mut impl Args) {
        out.id("", self.ms, self.seq);
    }
}

/// Parses up to twenty digits as an unsigned 64-bit number.
#[inline]
fn number(text: &[u8]) -> Option<u64> {
    match text {
        [digit] => digit.is_ascii_digit().then(|| u64::from(digit - b'0')),
        [] => None,
        _ => text.iter().try_fold(0u64, |n, byte| {
            let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
            n.checked_mul(10)?.checked_add(digit)
        }),
    }
}

/// Parses two groups of eight digits that overlap by three.
#[inline]
fn thirteen_digits(text: &[u8; 13]) -> Option<u64> {
    let (high, low) = (text.first_chunk()?, text.last_chunk()?);
    Some(eight_digits(*high)? * 100_000 + eight_digits(*low)? % 100_000)
}

/// Parses eight digits at once: digits are combined into numbers below 100, then below 10,000, and
/// so on.
#[inline]
fn eight_digits(text: [u8; 8]) -> Option<u64> {
    const ZEROS: u64 = 0x3030_3030_3030_3030;
    let n = u64::from_le_bytes(text);
    // A byte is '0'..='9' if its high half is 3 and stays 3 when 6 is added.
    let digits = (n & 0xF0F0_F0F0_F0F0_F0F0) == ZEROS
        && (n.wrapping_add(0x0606_0606_0606_0606) & 0xF0F0_F0F0_F0F0_F0F0) == ZEROS;
    if !digits {
        return None;
    }
    let n = n - ZEROS;
    let n = (n * 10 + (n >> 8)) & 0x00FF_00FF_00FF_00FF;
    let n = (n * 100 + (n >> 16)) & 0x0000_FFFF_0000_FFFF;
    Some((n * 10_000 + (n >> 32)) & 0xFFFF_FFFF)
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut ms, mut seq) = ([0; 20], [0; 20]);
        let mut text = [0u8; 41];
        let mut len = 0;
        for part in [decimal(self.ms, &mut ms), b"-", decimal(self.seq, &mut seq)] {
            if let Some(space) = text.get_mut(len..len + part.len()) {
                space.copy_from_slice(part);
                len += part.len();
            }
        }
        f.pad(std::str::from_utf8(text.get(..len).unwrap_or_default()).unwrap_or_default())
    }
}

impl fmt::Debug for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for EntryId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        Self::parse(text.as_bytes())
    }
}

impl From<(u64, u64)> for EntryId {
    fn from((ms, seq): (u64, u64)) -> Self {
        Self::new(ms, seq)
    }
}

/// The text is not an entry id.
///
/// ```
/// use bourn::EntryId;
///
/// let error = "yesterday".parse::<EntryId>().unwrap_err();
/// assert!(error.to_string().starts_with("not an entry id"));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an entry id; expected ms-seq, two unsigned 64-bit numbers")]
pub struct ParseIdError(());

debug_is_display!(ParseIdError);

/// The id of a new entry.
///
/// ```
/// use bourn::{AddId, EntryId, XAdd};
///
/// let as_given = XAdd::new("orders").id(AddId::Id(EntryId::new(1_700_000_000_000, 0)));
/// let of_that_time = XAdd::new("orders").id(AddId::AutoSeq { ms: 1_700_000_000_000 });
/// # let _ = (as_given, of_that_time);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum AddId {
    /// `*`: the server generates an id from its clock, always above the last one.
    #[default]
    Auto,
    /// `ms-*`: this time, with the next free sequence number (Redis 7.0).
    AutoSeq {
        /// Unix time in milliseconds.
        ms: u64,
    },
    /// This id, which must be above the last one.
    Id(EntryId),
}

/// The position at which XREAD starts.
///
/// ```
/// use bourn::{EntryId, ReadFrom, XRead};
/// use std::time::{Duration, SystemTime};
///
/// let all = XRead::new().stream("orders", ReadFrom::After(EntryId::MIN));
/// let hour = ReadFrom::since(SystemTime::now() - Duration::from_secs(3600));
/// let last_hour = XRead::new().stream("orders", hour);
/// # let _ = (all, last_hour);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadFrom {
    /// The entries above this id.
    After(EntryId),
    /// `$`: only entries added after the call. Entries added between two such calls are missed:
    /// continue at the last id read, or use a tail.
    End,
    /// `+`: the last entry alone (Redis 7.4, Valkey 8.0).
    ///
    /// If the last entry was deleted, Redis 7.4 and Valkey return nothing until another is added.
    /// Redis 8.0 and later return the last entry that still exists.
    Last,
}

impl ReadFrom {
    /// All entries, from the first one.
    pub const START: Self = Self::After(EntryId::MIN);

    /// Starts at the first entry of this time, including its millisecond. The ids must be generated
    /// by the server's clock.
    ///
    /// ```
    /// # use bourn::{EntryId, ReadFrom};
    /// # use std::time::{Duration, UNIX_EPOCH};
    /// let from = ReadFrom::since(UNIX_EPOCH + Duration::from_millis(5));
    /// assert_eq!(from, ReadFrom::After(EntryId::new(4, u64::MAX)));
    /// ```
    #[must_use]
    pub fn since(time: SystemTime) -> Self {
        Self::After(before(time))
    }
}

/// Returns the largest id below all ids of a time.
fn before(time: SystemTime) -> EntryId {
    EntryId::from_time(time).prev().unwrap_or(EntryId::MIN)
}

/// The entries that XREADGROUP returns.
///
/// ```
/// use bourn::{GroupFrom, XReadGroup};
///
/// // After a restart under the same name: first what was delivered and not acknowledged.
/// let pending = XReadGroup::new("billing", "worker-1").stream("orders", GroupFrom::ALL_PENDING);
/// let new = XReadGroup::new("billing", "worker-1").stream("orders", GroupFrom::New);
/// # let _ = (pending, new);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum GroupFrom {
    /// `>`: entries that were not yet delivered to the group.
    #[default]
    New,
    /// This consumer's own pending entries above this id. Such a read never waits.
    Pending(EntryId),
}

impl GroupFrom {
    /// All of this consumer's pending entries.
    pub const ALL_PENDING: Self = Self::Pending(EntryId::MIN);
}

/// The position at which a group starts: it receives the entries above this id.
///
/// ```
/// use bourn::{StartAt, XGroupCreate};
///
/// // The group receives everything that is in the stream already.
/// let all = XGroupCreate::new("orders", "billing", StartAt::START);
/// let from_now_on = XGroupCreate::new("orders", "audit", StartAt::End);
/// # let _ = (all, from_now_on);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartAt {
    /// The entries above this id.
    After(EntryId),
    /// `$`: only entries added after the call.
    End,
}

impl StartAt {
    /// All entries, from the first one.
    pub const START: Self = Self::After(EntryId::MIN);

    /// Starts at the first entry of this time, as [`ReadFrom::since`].
    #[must_use]
    pub fn since(time: SystemTime) -> Self {
        Self::After(before(time))
    }
}

impl From<EntryId> for AddId {
    fn from(id: EntryId) -> Self {
        Self::Id(id)
    }
}

impl From<EntryId> for ReadFrom {
    fn from(id: EntryId) -> Self {
        Self::After(id)
    }
}

impl From<EntryId> for GroupFrom {
    fn from(id: EntryId) -> Self {
        Self::Pending(id)
    }
}

impl From<EntryId> for StartAt {
    fn from(id: EntryId) -> Self {
        Self::After(id)
    }
}

/// A range of ids, created from any Rust range over [`EntryId`].
///
/// `..` is the whole stream. An excluded end is written `(id`, which needs Redis 6.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IdRange {
    start: Bound<EntryId>,
    end: Bound<EntryId>,
}

impl IdRange {
    pub(crate) fn from_bounds(range: impl RangeBounds<EntryId>) -> Self {
        Self { start: range.start_bound().cloned(), end: range.end_bound().cloned() }
    }

    /// Whether an end of the range is excluded and so written `(id`.
    pub(crate) fn is_exclusive(&self) -> bool {
        matches!((self.start, self.end), (Bound::Excluded(_), _) | (_, Bound::Excluded(_)))
    }
}

/// An id, or a special id, as one argument of a command.
pub(crate) trait IdArg {
    fn arg(&self, out: &mut impl Args);
}

impl IdArg for EntryId {
    #[inline]
    fn arg(&self, out: &mut impl Args) {
        Self::arg(*self, out);
    }
}

impl IdArg for AddId {
    #[inline]
    fn arg(&self, out: &mut impl Args) {
        match self {
            Self::Auto => out.text("*"),
            Self::AutoSeq { ms } => {
                let mut digits = [0; 20];
                let mut text = decimal(*ms, &mut digits).to_vec();
                text.extend_from_slice(b"-*");
                out.bytes(&text);
            }
            Self::Id(id) => id.arg(out),
        }
    }
}

impl IdArg for ReadFrom {
    fn arg(&self, out: &mut impl Args) {
        match self {
            Self::After(id) => id.arg(out),
            Self::End => out.text("$"),
            Self::Last => out.text("+"),
        }
    }
}

impl IdArg for GroupFrom {
    fn arg(&self, out: &mut impl Args) {
        match self {
            Self::New => out.text(">"),
            // Servers read the last possible id as `>`. No entry is between it and the one before.
            Self::Pending(EntryId::MAX) => EntryId::new(u64::MAX, u64::MAX - 1).arg(out),
            Self::Pending(id) => id.arg(out),
        }
    }
}

impl IdArg for StartAt {
    fn arg(&self, out: &mut impl Args) {
        match self {
            Self::After(id) => id.arg(out),
            Self::End => out.text("$"),
        }
    }
}

impl IdRange {
    /// Lists the lower end, the first argument of XRANGE.
    pub(crate) fn start_arg(&self, out: &mut impl Args) {
        bound(self.start, "-", out);
    }

    /// Lists the upper end, the second argument of XRANGE.
    pub(crate) fn end_arg(&self, out: &mut impl Args) {
        bound(self.end, "+", out);
    }
}

fn bound(bound: Bound<EntryId>, open: &str, out: &mut impl Args) {
    match bound {
        Bound::Unbounded => out.text(open),
        Bound::Included(id) => id.arg(out),
        Bound::Excluded(id) => out.id("(", id.ms, id.seq),
    }
}
