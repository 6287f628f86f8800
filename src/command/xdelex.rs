//! XDELEX: removes entries from a stream, and says what becomes of references to them. Pure.

use super::arg::Arg;
use super::delete::{DeleteOutcome, list_ids_counted, outcomes, outcomes_of};
use super::ids::Ids;
use super::trim::Refs;
use super::{Command, Safety};
use crate::resp::{Args, DecodeError, Frame};
use crate::server::{Feature, Features};

/// Removes entries from a stream, as [`XDel`](crate::XDel) does, with a say in what groups keep of them.
///
/// `XDELEX key [KEEPREF|DELREF|ACKED] IDS n id [id ...]` (Redis 8.2). Answers with an outcome for each id, in the order
/// given: [`DeleteOutcome::Missing`] for what is not in the stream, so for every id if there is no stream.
///
/// With [`Refs::Delete`] groups forget what they have pending of these ids, of missing ones too. With [`Refs::Acked`] an
/// entry stays that a group has not read or not acknowledged: [`DeleteOutcome::StillReferenced`].
///
/// # Errors
///
/// [`Code::WrongType`](crate::Code::WrongType) when the key holds something else; [`Code::Err`](crate::Code::Err)
/// without any id.
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
    /// Removes these entries; at least one.
    pub fn new(key: impl Into<Arg<'a>>, ids: impl Into<Ids<'a>>) -> Self {
        Self { key: key.into(), refs: None, ids: ids.into() }
    }

    /// What becomes of groups that refer to the entries; without it, [`Refs::Keep`].
    pub fn refs(self, refs: Refs) -> Self {
        Self { refs: Some(refs), ..self }
    }
}

impl Command for XDelEx<'_> {
    const NAME: &'static str = "XDELEX";
    // However often it runs, nothing goes but what these ids name and the policy gives up.
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

    fn key(&self) -> Option<&[u8]> {
        self.key.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EntryId;
    use crate::command::{Raw, encode};
    use crate::resp::Limits;

    #[test]
    fn the_policy_and_the_number_of_ids_stand_before_them() {
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
            assert_eq!(del.key(), Some(&b"s"[..]));
            assert_eq!(del.needs(), Feature::XDelEx.into(), "{expected}");
        }
    }

    #[test]
    fn the_reply_is_an_outcome_for_each_id() {
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
