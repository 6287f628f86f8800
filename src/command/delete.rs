//! What XACKDEL and XDELEX have in common: their list of ids, and an outcome for each. Pure.
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

/// What became of one id of [`XAckDel`](crate::XAckDel) or [`XDelEx`](crate::XDelEx).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeleteOutcome {
    /// 1: the entry is in the stream no longer. By XACKDEL it was acknowledged as well.
    Deleted,
    /// -1: there was nothing to do. For XACKDEL the id was not pending in this group, and the entry, if there is one, stays
    /// in the stream; for XDELEX there was no such entry. An id given twice is missing the second time.
    Missing,
    /// 2: the entry was not deleted, because with [`Refs::Acked`] some group has not read or not acknowledged it. By XACKDEL
    /// it was acknowledged all the same. An id of no entry has this outcome too, if a group could still be given that id or
    /// has it pending.
    StillReferenced,
    /// The code of an outcome that a later server came up with.
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

/// The least that an outcome takes on the wire: `:1` and its line end.
const OUTCOME_BYTES: usize = 4;

/// An outcome for each id, in the order of the request.
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

/// An outcome for each of these ids; with another number of them it cannot be said which id an outcome is of.
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
    fn another_number_of_outcomes_than_ids_is_refused() {
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
    fn each_code_is_an_outcome_and_null_is_none() {
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
