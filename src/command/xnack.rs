//! XNACK: releases pending entries to their group. No I/O.

use super::arg::Arg;
use super::delete::list_ids_counted;
use super::ids::Ids;
use super::reply::at_most;
use super::{Command, Safety};
use crate::resp::{Args, DecodeError, Frame};
use crate::server::{Feature, Features};

/// Releases pending entries to the group: they stay pending without an owner and can be claimed at
/// once.
///
/// `XNACK key group SILENT|FAIL|FATAL IDS n id [id ...] [RETRYCOUNT n] [FORCE]` (Redis 8.8).
/// Returns the number of ids released; 0 if none was pending. **Ownership is not checked**: entries
/// that another consumer has claimed meanwhile are released too.
///
/// Reads of new entries do not return released entries. [`XAutoClaim`](crate::XAutoClaim),
/// [`XClaim`](crate::XClaim) and `CLAIM` of XREADGROUP do, whatever minimum idle time they have.
///
/// # Errors
///
/// [`Code::NoGroup`](crate::Code::NoGroup) when the stream or the group does not exist;
/// [`Code::WrongType`](crate::Code::WrongType) when the key is not a stream;
/// [`Code::Err`](crate::Code::Err) when there is no id, or for an [`XNack::retry_count`] above
/// [`i64::MAX`].
///
/// # Example
/// ```no_run
/// # use bourn::{Client, EntryId, Error, NackMode, XNack};
/// # async fn f(client: &Client, not_begun: &[EntryId]) -> Result<(), Error> {
/// client.send(XNack::new("orders", "billing", NackMode::Silent, not_begun)).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct XNack<'a> {
    key: Arg<'a>,
    group: Arg<'a>,
    mode: NackMode,
    ids: Ids<'a>,
    retry_count: Option<u64>,
    force: bool,
}

/// The effect of a release on the delivery count.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::{EntryId, NackMode, XNack};
///
/// // The handler failed for a reason that is not the entry's fault: the delivery does not count.
/// let nack = XNack::new("orders", "billing", NackMode::Silent, EntryId::new(7, 0));
/// println!("{} released", client.send(nack).await?);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NackMode {
    /// `SILENT`: the delivery does not count, as when a consumer stops. The count is decremented,
    /// but not below 0.
    Silent,
    /// `FAIL`: this attempt failed. The count is unchanged.
    Fail,
    /// `FATAL`: no attempt can succeed. The count becomes [`i64::MAX`], above every limit, and
    /// stays so however often the entry is claimed.
    Fatal,
}

impl<'a> XNack<'a> {
    /// Releases these entries to this group. At least one id is required.
    pub fn new(
        key: impl Into<Arg<'a>>,
        group: impl Into<Arg<'a>>,
        mode: NackMode,
        ids: impl Into<Ids<'a>>,
    ) -> Self {
        let (key, group, ids) = (key.into(), group.into(), ids.into());
        Self { key, group, mode, ids, retry_count: None, force: false }
    }

    /// Sets the delivery count of the entries, whatever the mode; at most [`i64::MAX`].
    pub fn retry_count(self, deliveries: u64) -> Self {
        Self { retry_count: Some(deliveries), ..self }
    }

    /// Also releases entries that are in the stream but not pending: `FORCE`.
    ///
    /// These are acknowledged entries, and entries not yet delivered to the group, which may then
    /// be delivered twice. Their delivery count is 0, except with [`NackMode::Fatal`] or
    /// [`XNack::retry_count`].
    pub fn force(self) -> Self {
        Self { force: true, ..self }
    }
}

impl Command for XNack<'_> {
    const NAME: &'static str = "XNACK";
    // A second SILENT decrements the count again, and every mode releases an entry that was claimed
    // in between.
    const SAFETY: Safety = Safety::Write;
    type Reply = u64;

    fn args(&self, out: &mut impl Args) {
        self.key.list(out);
        self.group.list(out);
        out.text(match self.mode {
            NackMode::Silent => "SILENT",
            NackMode::Fail => "FAIL",
            NackMode::Fatal => "FATAL",
        });
        list_ids_counted(None, &self.ids, out);
        if let Some(deliveries) = self.retry_count {
            out.text("RETRYCOUNT");
            out.number(deliveries);
        }
        if self.force {
            out.text("FORCE");
        }
    }

    fn needs(&self) -> Features {
        Feature::XNack.into()
    }

    fn reply(frame: Frame) -> Result<u64, DecodeError> {
        frame.cursor().count(COUNT)
    }

    fn reply_to(&self, frame: Frame) -> Result<u64, DecodeError> {
        at_most(self.ids.len(), Self::reply(frame)?, COUNT)
    }

    fn keys(&self, out: &mut impl Args) {
        self.key.list(out);
    }
}

const COUNT: &str = "a number of entries given back";

#[cfg(test)]
mod tests {
    use super::NackMode::{Fail, Fatal, Silent};
    use super::*;
    use crate::EntryId;
    use crate::command::slot::listed_keys;
    use crate::command::{Raw, encode};
    use crate::resp::Limits;

    #[test]
    fn xnack_mode_precedes_the_ids_and_options_follow_them() {
        let ids = [EntryId::new(1, 2), EntryId::new(3, 0)];
        let fail = XNack::new("s", "g", Fail, ids[0]);
        let rows = [
            (XNack::new("s", "g", Silent, ids[0]), "XNACK s g SILENT IDS 1 1-2"),
            (fail.clone(), "XNACK s g FAIL IDS 1 1-2"),
            (XNack::new("s", "g", Fatal, &ids), "XNACK s g FATAL IDS 2 1-2 3-0"),
            (fail.clone().retry_count(0), "XNACK s g FAIL IDS 1 1-2 RETRYCOUNT 0"),
            (fail.clone().force(), "XNACK s g FAIL IDS 1 1-2 FORCE"),
            (fail.force().retry_count(7), "XNACK s g FAIL IDS 1 1-2 RETRYCOUNT 7 FORCE"),
            (XNack::new("s", "g", Fail, &ids[..0]), "XNACK s g FAIL IDS 0"),
        ];
        for (nack, expected) in rows {
            assert_eq!(encode(&nack), encode(&Raw::new(expected)), "{expected}");
            assert_eq!(listed_keys(&nack), ["s"]);
            assert_eq!(nack.needs(), Feature::XNack.into(), "{expected}");
        }
    }

    #[test]
    fn reply_is_a_count() {
        let rows = [(":0\r\n", Some(0)), (":2\r\n", Some(2)), (":-1\r\n", None), ("*0\r\n", None)];
        for (bytes, expected) in rows {
            let frame = Frame::parse(bytes, Limits::default()).unwrap();
            assert_eq!(XNack::reply(frame).ok(), expected, "{bytes:?}");
        }
    }
}
