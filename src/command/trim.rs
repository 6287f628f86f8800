//! Trim options of XADD and XTRIM, and the policy for references to removed entries. No I/O.

use crate::EntryId;
use crate::id::IdArg;
use crate::resp::Args;
use crate::server::{Feature, Features};

/// The length or id that a stream is trimmed to.
///
/// `MAXLEN|MINID [=|~] threshold [LIMIT count]`: exact, unless [`Trim::approximate`] is set.
///
/// ```
/// # use bourn::{Trim, XAdd};
/// XAdd::new("orders").trim(Trim::max_len(1_000_000).approximate()).field("sku", "A-7");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trim {
    threshold: Threshold,
    how: How,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Threshold {
    MaxLen(u64),
    MinId(EntryId),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Exact,
    Approximate,
    Limited(u64),
}

impl Trim {
    /// Keeps the newest `entries`. `MAXLEN 0` removes all entries.
    #[must_use]
    pub fn max_len(entries: u64) -> Self {
        Self { threshold: Threshold::MaxLen(entries), how: How::Exact }
    }

    /// Removes the entries below this id (Redis 6.2).
    #[must_use]
    pub fn min_id(id: EntryId) -> Self {
        Self { threshold: Threshold::MinId(id), how: How::Exact }
    }

    /// Removes whole nodes only (100 entries or 4 KiB by the server's default). This is much
    /// cheaper for the server, but leaves some more entries than requested.
    #[must_use]
    pub fn approximate(self) -> Self {
        match self.how {
            How::Limited(_) => self,
            _ => Self { how: How::Approximate, ..self },
        }
    }

    /// Trims approximately and removes at most this many entries in one call; 0 means no limit
    /// (Redis 6.2).
    ///
    /// By default the server stops after 100 times the number of entries of a node.
    #[must_use]
    pub fn limit(self, entries: u64) -> Self {
        Self { how: How::Limited(entries), ..self }
    }

    /// Whether the threshold is an id.
    pub(super) fn is_by_id(&self) -> bool {
        matches!(self.threshold, Threshold::MinId(_))
    }

    /// Returns the features in use that not every server has.
    pub(crate) fn needs(&self) -> Features {
        Features::NONE
            .and_if(matches!(self.threshold, Threshold::MinId(_)), Feature::MinId)
            .and_if(matches!(self.how, How::Limited(_)), Feature::TrimLimit)
    }

    pub(crate) fn list(&self, out: &mut impl Args) {
        out.text(match self.threshold {
            Threshold::MaxLen(_) => "MAXLEN",
            Threshold::MinId(_) => "MINID",
        });
        out.text(if self.how == How::Exact { "=" } else { "~" });
        match self.threshold {
            Threshold::MaxLen(entries) => out.number(entries),
            Threshold::MinId(id) => id.arg(out),
        }
        if let How::Limited(entries) = self.how {
            out.text("LIMIT");
            out.number(entries);
        }
    }
}

/// The policy for consumer groups' references to removed entries (Redis 8.2).
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::{EntryId, Refs, XDelEx};
///
/// // Deletes the entry only if every group has acknowledged it.
/// let delete = XDelEx::new("orders", EntryId::new(7, 0)).refs(Refs::Acked);
/// println!("{:?}", client.send(delete).await?);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refs {
    /// `KEEPREF`: references stay, and consumers read the entry as deleted. The server's default.
    Keep,
    /// `DELREF`: references are removed too.
    Delete,
    /// `ACKED`: only entries that every group has read and acknowledged are removed.
    Acked,
}

impl Refs {
    /// Returns the features that XADD and XTRIM need for this policy.
    pub(crate) fn needs(refs: Option<Self>) -> Features {
        refs.map_or(Features::NONE, |refs| match refs {
            Self::Keep => Feature::KeepRef.into(),
            Self::Delete => Feature::DelRef.into(),
            Self::Acked => Feature::Acked.into(),
        })
    }

    pub(crate) fn list(self, out: &mut impl Args) {
        out.text(match self {
            Self::Keep => "KEEPREF",
            Self::Delete => "DELREF",
            Self::Acked => "ACKED",
        });
    }
}
