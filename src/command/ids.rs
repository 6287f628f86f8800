//! The ids of a command: one or many. No I/O.

use crate::EntryId;
use crate::id::IdArg;
use crate::resp::Args;

/// The ids that a command applies to: one, or a slice of them.
///
/// ```
/// use bourn::{EntryId, XAck};
///
/// let (one, many) = (EntryId::new(7, 0), vec![EntryId::new(8, 0), EntryId::new(9, 0)]);
/// let one = XAck::new("orders", "billing", one);
/// let many = XAck::new("orders", "billing", &many);
/// # let _ = (one, many);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ids<'a>(Repr<'a>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repr<'a> {
    One(EntryId),
    Many(&'a [EntryId]),
}

impl Ids<'_> {
    pub(crate) fn len(&self) -> usize {
        match self.0 {
            Repr::One(_) => 1,
            Repr::Many(ids) => ids.len(),
        }
    }

    pub(crate) fn list(&self, out: &mut impl Args) {
        match self.0 {
            Repr::One(id) => id.arg(out),
            Repr::Many(ids) => ids.iter().for_each(|id| id.arg(out)),
        }
    }
}

impl From<EntryId> for Ids<'_> {
    fn from(id: EntryId) -> Self {
        Self(Repr::One(id))
    }
}

impl<'a> From<&'a [EntryId]> for Ids<'a> {
    fn from(ids: &'a [EntryId]) -> Self {
        Self(Repr::Many(ids))
    }
}

impl<'a> From<&'a Vec<EntryId>> for Ids<'a> {
    fn from(ids: &'a Vec<EntryId>) -> Self {
        Self(Repr::Many(ids))
    }
}

impl<'a, const N: usize> From<&'a [EntryId; N]> for Ids<'a> {
    fn from(ids: &'a [EntryId; N]) -> Self {
        Self(Repr::Many(ids))
    }
}
