//! XTRIM: trims a stream. No I/O.

use super::arg::Arg;
use super::trim::{Refs, Trim};
use super::{Command, Safety};
use crate::resp::{Args, DecodeError, Frame};
use crate::server::Features;

/// Removes the oldest entries of a stream, down to a length or up to an id.
///
/// `XTRIM key MAXLEN|MINID [=|~] threshold [LIMIT count] [KEEPREF|DELREF|ACKED]` (Redis 5.0).
/// Returns the number of entries removed; 0 if the stream does not exist.
///
/// # Errors
///
/// [`Code::WrongType`](crate::Code::WrongType) when the key is not a stream.
///
/// # Example
/// ```no_run
/// # use bourn::{Client, EntryId, Error, Trim, XTrim};
/// # use std::time::{Duration, SystemTime};
/// # async fn f(client: &Client, now: SystemTime) -> Result<(), Error> {
/// let yesterday = EntryId::from_time(now - Duration::from_secs(86_400));
/// let removed = client.send(XTrim::new("orders", Trim::min_id(yesterday).approximate())).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct XTrim<'a> {
    key: Arg<'a>,
    trim: Trim,
    refs: Option<Refs>,
}

impl<'a> XTrim<'a> {
    /// Trims this stream.
    pub fn new(key: impl Into<Arg<'a>>, trim: Trim) -> Self {
        Self { key: key.into(), trim, refs: None }
    }

    /// Sets how trimming treats references from consumer groups to removed entries (Redis 8.2).
    ///
    /// With [`Refs::Delete`] or [`Refs::Acked`] an approximate trim is exact on Redis 8.6 and
    /// later, and removes nothing on Redis 8.2.
    pub fn refs(self, refs: Refs) -> Self {
        Self { refs: Some(refs), ..self }
    }
}

impl Command for XTrim<'_> {
    const NAME: &'static str = "XTRIM";
    const SAFETY: Safety = Safety::Write;
    type Reply = u64;

    fn args(&self, out: &mut impl Args) {
        self.key.list(out);
        self.trim.list(out);
        if let Some(refs) = self.refs {
            refs.list(out);
        }
    }

    /// By length, a second run also removes entries added after the first. By id, it removes no
    /// more.
    fn safety(&self) -> Safety {
        if self.trim.is_by_id() { Safety::Idempotent } else { Self::SAFETY }
    }

    fn needs(&self) -> Features {
        self.trim.needs().union(Refs::needs(self.refs))
    }

    fn reply(frame: Frame) -> Result<u64, DecodeError> {
        frame.cursor().count("a number of removed entries")
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
    fn xtrim_policy_follows_the_threshold() {
        let (len, id) = (Trim::max_len(5), Trim::min_id(EntryId::new(1, 2)));
        let rows = [
            (XTrim::new("s", len), "XTRIM s MAXLEN = 5"),
            (XTrim::new("s", len.approximate()), "XTRIM s MAXLEN ~ 5"),
            (XTrim::new("s", len.limit(7)), "XTRIM s MAXLEN ~ 5 LIMIT 7"),
            (XTrim::new("s", id), "XTRIM s MINID = 1-2"),
            (XTrim::new("s", id.limit(0)), "XTRIM s MINID ~ 1-2 LIMIT 0"),
            (XTrim::new("s", len).refs(Refs::Keep), "XTRIM s MAXLEN = 5 KEEPREF"),
            (XTrim::new("s", len).refs(Refs::Acked), "XTRIM s MAXLEN = 5 ACKED"),
            (XTrim::new("s", id.limit(7)).refs(Refs::Delete), "XTRIM s MINID ~ 1-2 LIMIT 7 DELREF"),
        ];
        for (trim, expected) in rows {
            assert_eq!(encode(&trim), encode(&Raw::new(expected)), "{expected}");
            assert_eq!(listed_keys(&trim), ["s"]);
        }
    }

    #[test]
    fn reply_is_a_count() {
        for (bytes, expected) in [(":0\r\n", Some(0)), (":9\r\n", Some(9)), ("$-1\r\n", None)] {
            let frame = Frame::parse(bytes, Limits::default()).unwrap();
            assert_eq!(XTrim::reply(frame).ok(), expected, "{bytes:?}");
        }
    }
}
