//! The list of ids of XACKDEL and XDELEX, and their outcome for each id. No I/O.
//!
//! | code | outcome | XACKDEL | XDELEX |
//! |---|---|---|---|
//! | 1 | [`DeleteOutcome::Deleted`] | acknowledged and deleted | deleted |
//! | -1 | [`DeleteOutcome::Missing`] | was not pending in this group | was not in the stream |
//! | 2 | [`DeleteOutcome::StillReferenced`] | acknowledged, not deleted | not deleted |

use super::arg::Arg;
use super::ids::Ids;
use super::trim::Refs;
use crate::resp::{Args, Cursor, DecodeError, Frame};

/// The result for one id of [`XAckDel`](crate::XAckDel) or [`XDelEx`](crate::XDelEx).
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::{DeleteOutcome, EntryId, XAckDel};
///
/// let ids = [EntryId::new(1, 0), EntryId::new(2, 0)];
/// for outcome in client.send(XAckDel::new("orders", "billing", &ids)).await? {
///     println!("deleted: {}", outcome == DeleteOutcome::Deleted);
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeleteOutcome {
    /// 1: the entry is no longer in the stream. XACKDEL has also acknowledged it.
    Deleted,
    /// -1: nothing was done. For XACKDEL the id was not pending in this group; the entry, if it
    /// exists, stays in the stream. For XDELEX the entry does not exist. The second occurrence of
    /// an id in one command is missing too.
    Missing,
    /// 2: the entry was not deleted, because with [`Refs::Acked`] some group has not read or not
    /// acknowledged it. XACKDEL has acknowledged it nevertheless. An id without an entry has this
    /// outcome too if a group has it pending or could still read it.
    StillReferenced,
    /// The code of an outcome that only later servers know.
    Other(i64),
}

impl DeleteOutcome {
    fn of(code: i64) -> Self {
        match code {
            1 => Self::Deleted,
            -1 => Self::Missing,
            2 => Self::StillReferenced,
            other => Self::Other(other),
        }
    }
}

/// Minimum size of an outcome on the wire: `:1` and CRLF.
const OUTCOME_BYTES: usize = 4;

/// Decodes one outcome per id, in the order of the request.
pub(super) fn outcomes(frame: Frame) -> Result<Vec<DeleteOutcome>, DecodeError> {
    let bytes = frame.as_bytes();
    let mut cursor = Cursor::at(bytes, 0);
    let len = cursor.array("an outcome for each id")?;
    let mut outcomes = Vec::with_capacity(len.min(bytes.len() / OUTCOME_BYTES));
    for _ in 0..len {
        outcomes.push(DeleteOutcome::of(cursor.integer("an outcome")?));
    }
    Ok(outcomes)
}

/// Decodes the outcomes of these ids. A reply with another number of outcomes is refused: they
/// could not be assigned to ids.
pub(super) fn outcomes_of(ids: &Ids<'_>, frame: Frame) -> Result<Vec<DeleteOutcome>, DecodeError> {
    let outcomes = outcomes(frame)?;
    if outcomes.len() == ids.len() {
        return Ok(outcomes);
    }
    Err(DecodeError::new("an outcome for each id", "another number of outcomes"))
}

/// `[KEEPREF|DELREF|ACKED] IDS n id [id ...]`.
pub(super) fn list_ids_counted(refs: Option<Refs>, ids: &Ids<'_>, out: &mut impl Args) {
    if let Some(refs) = refs {
        refs.list(out);
    }
    out.text("IDS");
    Arg::from(ids.len()).list(out);
    ids.list(out);
}

#[cfg(test)]
mod tests {
    use super::DeleteOutcome::{Deleted, Missing, Other, StillReferenced};
    use super::*;
    use crate::command::{Command, XAckDel, XDelEx};
    use crate::resp::Limits;

    #[test]
    fn replies_with_another_number_of_outcomes_than_ids_are_refused() {
        let ids = [crate::EntryId::new(1, 1), crate::EntryId::new(2, 2)];
        for (bytes, taken) in [
            ("*2\r\n:1\r\n:-1\r\n", true),
            ("*0\r\n", false),
            ("*1\r\n:1\r\n", false),
            ("*3\r\n:1\r\n:1\r\n:1\r\n", false),
        ] {
            let frame = || Frame::parse(bytes, Limits::default()).unwrap();
            assert_eq!(XDelEx::new("s", &ids).reply_to(frame()).is_ok(), taken, "{bytes:?}");
            assert_eq!(XAckDel::new("s", "g", &ids).reply_to(frame()).is_ok(), taken, "{bytes:?}");
        }
    }

    #[test]
    fn every_code_is_an_outcome_and_null_is_an_empty_list() {
        let rows = [
            ("*0\r\n", Some(vec![])),
            ("*1\r\n:1\r\n", Some(vec![Deleted])),
            ("*3\r\n:1\r\n:-1\r\n:2\r\n", Some(vec![Deleted, Missing, StillReferenced])),
            ("*3\r\n:0\r\n:3\r\n:-2\r\n", Some(vec![Other(0), Other(3), Other(-2)])),
            ("*1\r\n$2\r\n-1\r\n", Some(vec![Missing])),
            ("~1\r\n:2\r\n", Some(vec![StillReferenced])),
            ("*-1\r\n", None),
            ("_\r\n", None),
            ("$-1\r\n", None),
            (":1\r\n", None),
            ("+OK\r\n", None),
            ("*1\r\n$-1\r\n", None),
            ("*1\r\n+OK\r\n", None),
            ("*1\r\n*1\r\n:1\r\n", None),
            ("%1\r\n:1\r\n:1\r\n", None),
        ];
        for (bytes, expected) in rows {
            let frame = Frame::parse(bytes, Limits::default()).unwrap();
            assert_eq!(outcomes(frame).ok(), expected, "{bytes:?}");
        }
    }
}
