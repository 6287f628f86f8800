//! How XADD and XTRIM keep a stream short, and what becomes of references to what goes. Pure.

use crate::EntryId;
use crate::id::IdArg;
use crate::resp::Args;
use crate::server::{Feature, Features};

/// What to trim a stream to.
///
/// `MAXLEN|MINID [=|~] threshold [LIMIT count]`: exact unless [`Trim::approximate`].
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
    /// Keeps the newest `entries`. After `MAXLEN 0` none is left.
    #[must_use]
    pub fn max_len(entries: u64) -> Self {
        Self { threshold: Threshold::MaxLen(entries), how: How::Exact }
    }

    /// Removes the entries below this id (Redis 6.2).
    #[must_use]
    pub fn min_id(id: EntryId) -> Self {
        Self { threshold: Threshold::MinId(id), how: How::Exact }
    }

    /// Removes whole nodes only (100 entries or 4 KiB by the server's default), which costs the server far less: some more
    /// entries than asked for stay.
    #[must_use]
    pub fn approximate(self) -> Self {
        match self.how {
            How::Limited(_) => self,
            _ => Self { how: How::Approximate, ..self },
        }
    }

    /// Approximate, and removes no more than this many entries in one call; 0 for no limit (Redis 6.2).
    ///
    /// Without it the server stops after 100 times the entries of a node.
    #[must_use]
    pub fn limit(self, entries: u64) -> Self {
        Self { how: How::Limited(entries), ..self }
    }

    /// Whether the threshold is an id.
    pub(super) fn is_by_id(&self) -> bool {
        matches!(self.threshold, Threshold::MinId(_))
    }

    /// What of it not every server has.
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

/// What becomes of the places where groups still refer to an entry that is removed (Redis 8.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refs {
    /// `KEEPREF`: they stay, and readers find an entry without a body. The server's default.
    Keep,
    /// `DELREF`: they go too.
    Delete,
    /// `ACKED`: only entries that every group has read and acknowledged are removed.
    Acked,
}

impl Refs {
    /// What of XADD and XTRIM with it not every server has.
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
