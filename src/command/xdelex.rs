//! XDELEX: deletes entries from a stream, with a policy for references to them. No I/O.

use super::arg::Arg;
use super::delete::{DeleteOutcome, list_ids_counted, outcomes, outcomes_of};
use super::ids::Ids;
use super::trim::Refs;
use super::{Command, Safety};
use crate::resp::{Args, DecodeError, Frame};
use crate::server::{Feature, Features};

/// Deletes entries from a stream, as [`XDel`](crate::XDel) does, with a policy for references from
/// consumer groups.
///
/// `XDELEX key [KEEPREF|DELREF|ACKED] IDS n id [id ...]` (Redis 8.2). Returns an outcome for each
/// id, in the order given. It is [`DeleteOutcome::Missing`] for an id that is not in the stream,
/// and for every id if the stream does not exist.
///
/// With [`Refs::Delete`] the ids, missing ones too, are removed from the pending entries lists.
/// With [`Refs::Acked`] an entry that some group has not read or not acknowledged is kept:
/// [`DeleteOutcome::StillReferenced`].
///
/// # Errors
///
/// [`Code::WrongType`](crate::Code::WrongType) when the key is not a stream;
/// [`Code::Err`](crate::Code::Err) when there is no id.
///
/// # Example
/// ```no_run
/// # use bourn::{Client, DeleteOutcome, EntryId, Error, Refs, XDelEx};
/// # async fn f(client: &Client, wrong: EntryId) -> Result<(), Error> {
/// let outcomes = client.send(XDelEx::new("orders", wrong).refs(Refs::Delete)).await?;
/// let was_there = outcomes == [DeleteOutcome::Deleted];
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct XDelEx<'a> {
    key: Arg<'a>,
    refs: Option<Refs>,
    ids: Ids<'a>,
}

impl<'a> XDelEx<'a> {
    /// Deletes these entries. At least one id is required.
    pub fn new(key: impl Into<Arg<'a>>, ids: impl Into<Ids<'a>>) -> Self {
        Self { key: key.into(), refs: None, ids: ids.into() }
    }

    /// Sets the policy for references from consumer groups. The default is [`Refs::Keep`].
    pub fn refs(self, refs: Refs) -> Self {
        Self { refs: Some(refs), ..self }
    }
}

impl Command for XDelEx<'_> {
    const NAME: &'static str = "XDELEX";
    // Repeated runs delete nothing but these ids, within the same policy.
    const SAFETY: Safety = Safety::Idempotent;
    type Reply = Vec<DeleteOutcome>;

    fn args(&self, out: &mut impl Args) {
        self.key.list(out);
        list_ids_counted(self.refs, &self.ids, out);
    }

    fn needs(&self) -> Features {
        Feature::XDelEx.into()
    }

    fn reply(frame: Frame) -> Result<Vec<DeleteOutcome>, DecodeError> {
        outcomes(frame)
    }

    fn reply_to(&self, frame: Frame) -> Result<Vec<DeleteOutcome>, DecodeError> {
        outcomes_of(&self.ids, frame)
    }

    fn keys(&self, out: &mut impl Args) {
        self.key.list(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EntryId;
    use crate::command::slot::listed_keys;
    use crate::command::{Raw, encode};
    use crate::resp::Limits;

    #[test]
    fn policy_and_id_count_precede_the_ids() {
        let ids = [EntryId::new(1, 2), EntryId::new(3, 0)];
        let all = XDelEx::new("s", &ids);
        let rows = [
            (XDelEx::new("s", ids[0]), "XDELEX s IDS 1 1-2"),
            (all.clone(), "XDELEX s IDS 2 1-2 3-0"),
            (all.clone().refs(Refs::Keep), "XDELEX s KEEPREF IDS 2 1-2 3-0"),
            (all.clone().refs(Refs::Delete), "XDELEX s DELREF IDS 2 1-2 3-0"),
            (all.refs(Refs::Acked), "XDELEX s ACKED IDS 2 1-2 3-0"),
            (XDelEx::new("s", &ids[..0]), "XDELEX s IDS 0"),
        ];
        for (del, expected) in rows {
            assert_eq!(encode(&del), encode(&Raw::new(expected)), "{expected}");
            assert_eq!(listed_keys(&del), ["s"]);
            assert_eq!(del.needs(), Feature::XDelEx.into(), "{expected}");
        }
    }

    #[test]
    fn reply_is_an_outcome_for_each_id() {
        use DeleteOutcome::{Deleted, Missing, StillReferenced};
        let rows = [
            ("*0\r\n", Some(vec![])),
            ("*3\r\n:2\r\n:1\r\n:-1\r\n", Some(vec![StillReferenced, Deleted, Missing])),
            ("*1\r\n:0\r\n", Some(vec![DeleteOutcome::Other(0)])),
            ("_\r\n", None),
            ("+OK\r\n", None),
        ];
        for (bytes, expected) in rows {
            let frame = Frame::parse(bytes, Limits::default()).unwrap();
            assert_eq!(XDelEx::reply(frame).ok(), expected, "{bytes:?}");
        }
    }
}
