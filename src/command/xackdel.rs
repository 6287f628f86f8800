//! XACKDEL: acknowledges and deletes entries in one step. No I/O.

use super::arg::Arg;
use super::delete::{DeleteOutcome, list_ids_counted, outcomes, outcomes_of};
use super::ids::Ids;
use super::trim::Refs;
use super::{Command, Safety};
use crate::resp::{Args, DecodeError, Frame};
use crate::server::{Feature, Features};

/// Acknowledges entries in this group and deletes them from the stream, in one step.
///
/// `XACKDEL key group [KEEPREF|DELREF|ACKED] IDS n id [id ...]` (Redis 8.2). Returns an outcome for
/// each id, in the order given. An id that is not pending in this group is left unchanged:
/// [`DeleteOutcome::Missing`]. It may have been acknowledged before. Every id is missing if the
/// stream or group does not exist.
///
/// With [`Refs::Acked`] an entry that another group has not read or not acknowledged is
/// acknowledged here and stays in the stream: [`DeleteOutcome::StillReferenced`]. The last group
/// that acknowledges it this way deletes it.
///
/// # Errors
///
/// [`Code::WrongType`](crate::Code::WrongType) when the key is not a stream;
/// [`Code::Err`](crate::Code::Err) when there is no id.
///
/// # Example
/// ```no_run
/// # use bourn::{Client, DeleteOutcome, Entries, Error, Refs, XAckDel};
/// # async fn f(client: &Client, done: &Entries) -> Result<(), Error> {
/// let ids: Vec<_> = done.ids().collect();
/// let outcomes = client.send(XAckDel::new("orders", "billing", &ids).refs(Refs::Acked)).await?;
/// for (id, outcome) in ids.iter().zip(outcomes) {
///     if outcome == DeleteOutcome::Missing {
///         println!("{id} was someone else's by then");
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct XAckDel<'a> {
    key: Arg<'a>,
    group: Arg<'a>,
    refs: Option<Refs>,
    ids: Ids<'a>,
}

impl<'a> XAckDel<'a> {
    /// Acknowledges these entries in this group and deletes them. At least one id is required.
    pub fn new(
        key: impl Into<Arg<'a>>,
        group: impl Into<Arg<'a>>,
        ids: impl Into<Ids<'a>>,
    ) -> Self {
        Self { key: key.into(), group: group.into(), refs: None, ids: ids.into() }
    }

    /// Sets the policy for references from other groups. The default is [`Refs::Keep`].
    pub fn refs(self, refs: Refs) -> Self {
        Self { refs: Some(refs), ..self }
    }
}

impl Command for XAckDel<'_> {
    const NAME: &'static str = "XACKDEL";
    // A second run finds the entries of the first no longer pending, and leaves them unchanged.
    const SAFETY: Safety = Safety::Idempotent;
    type Reply = Vec<DeleteOutcome>;

    fn args(&self, out: &mut impl Args) {
        self.key.list(out);
        self.group.list(out);
        list_ids_counted(self.refs, &self.ids, out);
    }

    fn needs(&self) -> Features {
        Feature::XAckDel.into()
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
        let ids = [EntryId::new(1, 2), EntryId::new(u64::MAX, 0)];
        let all = XAckDel::new("s", "g", &ids);
        let rows = [
            (XAckDel::new("s", "g", ids[0]), "XACKDEL s g IDS 1 1-2"),
            (all.clone(), "XACKDEL s g IDS 2 1-2 18446744073709551615-0"),
            (all.clone().refs(Refs::Keep), "XACKDEL s g KEEPREF IDS 2 1-2 18446744073709551615-0"),
            (all.clone().refs(Refs::Delete), "XACKDEL s g DELREF IDS 2 1-2 18446744073709551615-0"),
            (all.refs(Refs::Acked), "XACKDEL s g ACKED IDS 2 1-2 18446744073709551615-0"),
            (XAckDel::new("s", "g", &ids[..0]), "XACKDEL s g IDS 0"),
        ];
        for (ack, expected) in rows {
            assert_eq!(encode(&ack), encode(&Raw::new(expected)), "{expected}");
            assert_eq!(listed_keys(&ack), ["s"]);
            assert_eq!(ack.needs(), Feature::XAckDel.into(), "{expected}");
        }
    }

    #[test]
    fn reply_is_an_outcome_for_each_id() {
        use DeleteOutcome::{Deleted, Missing, StillReferenced};
        let rows = [
            ("*0\r\n", Some(vec![])),
            ("*3\r\n:1\r\n:-1\r\n:2\r\n", Some(vec![Deleted, Missing, StillReferenced])),
            ("*1\r\n:9\r\n", Some(vec![DeleteOutcome::Other(9)])),
            ("*-1\r\n", None),
            (":1\r\n", None),
        ];
        for (bytes, expected) in rows {
            let frame = Frame::parse(bytes, Limits::default()).unwrap();
            assert_eq!(XAckDel::reply(frame).ok(), expected, "{bytes:?}");
        }
    }
}
