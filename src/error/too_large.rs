//! The error of an entry that is larger than the reply limit. No I/O.

use crate::id::EntryId;
use std::fmt;
use std::ops::RangeInclusive;

/// An entry that alone exceeds [`Config::reply_bytes`](crate::Config::reply_bytes).
///
/// A [`Tail`](crate::Tail) and a [`RangeStream`](crate::RangeStream) return it again each time they
/// are polled: they do not skip an entry that they cannot read. To continue, read the entry with a
/// client whose `reply_bytes` is larger (`XRange::new(error.key(), error.range()).count(1)`, or
/// [`XRevRange`](crate::XRevRange) if [`is_reversed`](Self::is_reversed)). Then start another
/// stream after its id, or delete it with XDEL.
///
/// ```no_run
/// # use futures_util::StreamExt;
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::{EntryId, Error, ReadFrom, XDel};
///
/// let mut tail = client.tail("orders", ReadFrom::After(EntryId::MIN));
/// if let Some(Err(Error::EntryTooLarge(error))) = tail.next().await {
///     println!("{}: an entry of {:?} exceeds {} bytes", error, error.range(), error.limit());
///     client.send(XDel::new("orders", *error.range().end())).await?;
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct EntryTooLarge {
    key: Box<[u8]>,
    range: RangeInclusive<EntryId>,
    reversed: bool,
    limit: usize,
}

impl EntryTooLarge {
    #[cfg(feature = "tokio")]
    pub(crate) fn new(
        key: &[u8],
        range: RangeInclusive<EntryId>,
        reversed: bool,
        limit: usize,
    ) -> Self {
        Self { key: key.into(), range, reversed, limit }
    }

    /// Returns the stream's key.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// Returns the range of ids that contains the entry. It is the first entry of this range, or
    /// the last one if [`is_reversed`](Self::is_reversed).
    #[must_use]
    pub fn range(&self) -> RangeInclusive<EntryId> {
        self.range.clone()
    }

    /// Whether the stream was read backwards, from its newest entry.
    #[must_use]
    pub fn is_reversed(&self) -> bool {
        self.reversed
    }

    /// Returns the limit of a reply, in bytes.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }
}

/// Formats the error as ``the reply to `XRANGE orders 5-1 + COUNT 1` is larger than 1048576 bytes
/// (Config::reply_bytes)``.
impl fmt::Display for EntryTooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, range, reversed, limit } = self;
        let low = Some(range.start()).filter(|id| **id > EntryId::MIN);
        let high = Some(range.end()).filter(|id| **id < EntryId::MAX);
        let low = low.map_or_else(|| "-".to_owned(), EntryId::to_string);
        let high = high.map_or_else(|| "+".to_owned(), EntryId::to_string);
        let (command, first, second) = match reversed {
            false => ("XRANGE", low, high),
            true => ("XREVRANGE", high, low),
        };
        let key = key.escape_ascii();
        write!(
            f,
            "the reply to `{command} {key} {first} {second} COUNT 1` is larger than {limit} bytes (Config::reply_bytes)"
        )
    }
}

impl std::error::Error for EntryTooLarge {}

debug_is_display!(EntryTooLarge);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_text_contains_a_command_that_reads_the_entry() {
        let (a, b) = (EntryId::new(5, 1), EntryId::new(9, 0));
        let rows = [
            (EntryId::MIN..=EntryId::MAX, false, "XRANGE s - +"),
            (a..=b, false, "XRANGE s 5-1 9-0"),
            (a..=b, true, "XREVRANGE s 9-0 5-1"),
            (EntryId::MIN..=EntryId::MAX, true, "XREVRANGE s + -"),
        ];
        for (range, reversed, command) in rows {
            let error = EntryTooLarge { key: (*b"s").into(), range, reversed, limit: 1024 };
            assert_eq!(
                error.to_string(),
                format!(
                    "the reply to `{command} COUNT 1` is larger than 1024 bytes (Config::reply_bytes)"
                )
            );
        }
    }
}
