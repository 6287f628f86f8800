//! XNACK: gives pending entries back to their group. Pure.

use super::arg::Arg;
use super::delete::list_ids_counted;
use super::ids::Ids;
use super::reply::at_most;
use super::{Command, Safety};
use crate::resp::{Args, DecodeError, Frame};
use crate::server::{Feature, Features};

/// Gives pending entries back to the group: they stay pending and are no consumer's, to be claimed at once.
///
/// `XNACK key group SILENT|FAIL|FATAL IDS n id [id ...] [RETRYCOUNT n] [FORCE]` (Redis 8.8). Answers with the number of
/// ids that were given back; 0 if none was pending. **Whose an entry is does not matter**: what another consumer has
/// claimed meanwhile is taken from it.
///
/// Reading new entries does not give them out again. [`XAutoClaim`](crate::XAutoClaim), [`XClaim`](crate::XClaim) and
/// `CLAIM` of XREADGROUP do, whatever the idle time that they ask for.
///
/// # Errors
///
/// [`Code::NoGroup`](crate::Code::NoGroup) when the stream or the group does not exist;
/// [`Code::WrongType`](crate::Code::WrongType) when the key holds something else; [`Code::Err`](crate::Code::Err)
/// without any id, or for a [`XNack::retry_count`] above [`i64::MAX`].
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

/// What giving an entry back says about it, told by its number of deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NackMode {
    /// `SILENT`: nothing, as when a consumer stops. The delivery does not count: one less, and not below 0.
    Silent,
    /// `FAIL`: it failed this time. The delivery counts: the number stays.
    Fail,
    /// `FATAL`: it will never do. The number is [`i64::MAX`], above every limit, and stays so however often it is claimed.
    Fatal,
}

impl<'a> XNack<'a> {
    /// Gives these entries back to this group; at least one.
    pub fn new(
        key: impl Into<Arg<'a>>,
        group: impl Into<Arg<'a>>,
        mode: NackMode,
        ids: impl Into<Ids<'a>>,
    ) -> Self {
        let (key, group, ids) = (key.into(), group.into(), ids.into());
        Self { key, group, mode, ids, retry_count: None, force: false }
    }

    /// The entries count as delivered this often, whatever the mode; at most [`i64::MAX`].
    pub fn retry_count(self, deliveries: u64) -> Self {
        Self { retry_count: Some(deliveries), ..self }
    }

    /// Also takes entries that are in the stream and not pending: acknowledged ones, and those that the group has not been
    /// given yet and then may be given twice. These count as never delivered, but for [`NackMode::Fatal`] and
    /// [`XNack::retry_count`].
    pub fn force(self) -> Self {
        Self { force: true, ..self }
    }
}

impl Command for XNack<'_> {
    const NAME: &'static str = "XNACK";
    // A second SILENT takes off another delivery; and every mode takes from whoever has claimed the entry since.
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

    fn key(&self) -> Option<&[u8]> {
        self.key.as_bytes()
    }
}

const COUNT: &str = "a number of entries given back";

#[cfg(test)]
mod tests {
    use super::NackMode::{Fail, Fatal, Silent};
    use super::*;
    use crate::EntryId;
    use crate::command::{Raw, encode};
    use crate::resp::Limits;

    #[test]
    fn the_mode_stands_before_the_ids_and_the_options_behind() {
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
            assert_eq!(nack.key(), Some(&b"s"[..]));
            assert_eq!(nack.needs(), Feature::XNack.into(), "{expected}");
        }
    }

    #[test]
    fn the_reply_is_a_count() {
        let rows = [(":0\r\n", Some(0)), (":2\r\n", Some(2)), (":-1\r\n", None), ("*0\r\n", None)];
        for (bytes, expected) in rows {
            let frame = Frame::parse(bytes, Limits::default()).unwrap();
            assert_eq!(XNack::reply(frame).ok(), expected, "{bytes:?}");
        }
    }
}
