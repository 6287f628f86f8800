//! XCFGSET: configures how a stream remembers idempotent adds. No I/O.

use super::arg::{Arg, seconds};
use super::reply::ok;
use super::{Command, Safety};
use crate::resp::{Args, DecodeError, Frame};
use crate::server::{Feature, Features};
use std::time::Duration;

/// Sets the number of pairs of producer and iid that a stream remembers for [`XAdd::idmp`], and for
/// how long.
///
/// `XCFGSET key [IDMP-DURATION s] [IDMP-MAXSIZE n]` (Redis 8.6). A value that is not set is
/// unchanged; the defaults are 100 seconds and 100 pairs. **A change discards all remembered
/// pairs**: an entry that is then sent again is added again. So configure a stream once, before
/// anything is added. Setting the current values changes and discards nothing.
///
/// # Errors
///
/// [`Code::Err`](crate::Code::Err) when the stream does not exist, when neither value is given, or
/// when a value is out of range; nothing is then set. [`Code::WrongType`](crate::Code::WrongType)
/// when the key is not a stream.
///
/// # Example
/// ```no_run
/// # use bourn::{Client, Error, XCfgSet};
/// # use std::time::Duration;
/// # async fn f(client: &Client) -> Result<(), Error> {
/// let hour = Duration::from_secs(3600);
/// client.send(XCfgSet::new("orders").idmp_duration(hour).idmp_max_size(10_000)).await?;
/// # Ok(()) }
/// ```
///
/// [`XAdd::idmp`]: crate::XAdd::idmp
#[derive(Debug, Clone)]
#[must_use]
pub struct XCfgSet<'a> {
    key: Arg<'a>,
    idmp_duration: Option<Duration>,
    idmp_max_size: Option<u64>,
}

impl<'a> XCfgSet<'a> {
    /// Configures this stream, which must exist. At least one of the two values is required.
    pub fn new(key: impl Into<Arg<'a>>) -> Self {
        Self { key: key.into(), idmp_duration: None, idmp_max_size: None }
    }

    /// Sets how long a pair is remembered: 1 to 86,400 seconds, rounded up to a second.
    pub fn idmp_duration(self, time: Duration) -> Self {
        Self { idmp_duration: Some(time), ..self }
    }

    /// Sets the number of pairs remembered for each producer, the newest ones: 1 to 10,000.
    pub fn idmp_max_size(self, pairs: u64) -> Self {
        Self { idmp_max_size: Some(pairs), ..self }
    }
}

impl Command for XCfgSet<'_> {
    const NAME: &'static str = "XCFGSET";
    // If the values were changed in between, a second run discards the pairs remembered since.
    const SAFETY: Safety = Safety::Write;
    type Reply = ();

    fn args(&self, out: &mut impl Args) {
        self.key.list(out);
        if let Some(time) = self.idmp_duration {
            out.text("IDMP-DURATION");
            out.number(seconds(time));
        }
        if let Some(pairs) = self.idmp_max_size {
            out.text("IDMP-MAXSIZE");
            out.number(pairs);
        }
    }

    fn needs(&self) -> Features {
        Feature::XCfgSet.into()
    }

    fn reply(frame: Frame) -> Result<(), DecodeError> {
        ok(frame)
    }

    fn keys(&self, out: &mut impl Args) {
        self.key.list(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::slot::listed_keys;
    use crate::command::{Raw, encode};
    use crate::resp::Limits;

    #[test]
    fn xcfgset_values_are_named_and_durations_are_whole_seconds() {
        let set = XCfgSet::new("s");
        let second = Duration::from_secs(1);
        let rows = [
            (set.clone(), "XCFGSET s"),
            (set.clone().idmp_duration(second), "XCFGSET s IDMP-DURATION 1"),
            (set.clone().idmp_duration(Duration::ZERO), "XCFGSET s IDMP-DURATION 0"),
            (set.clone().idmp_duration(Duration::from_nanos(1)), "XCFGSET s IDMP-DURATION 1"),
            (
                set.clone().idmp_duration(second + Duration::from_nanos(1)),
                "XCFGSET s IDMP-DURATION 2",
            ),
            (set.clone().idmp_duration(Duration::MAX), "XCFGSET s IDMP-DURATION 9223372036854776"),
            (set.clone().idmp_max_size(0), "XCFGSET s IDMP-MAXSIZE 0"),
            (
                set.idmp_max_size(10_000).idmp_duration(Duration::from_secs(86_400)),
                "XCFGSET s IDMP-DURATION 86400 IDMP-MAXSIZE 10000",
            ),
        ];
        for (set, expected) in rows {
            assert_eq!(encode(&set), encode(&Raw::new(expected)), "{expected}");
            assert_eq!(listed_keys(&set), ["s"]);
            assert_eq!(set.needs(), Feature::XCfgSet.into(), "{expected}");
        }
    }

    #[test]
    fn reply_is_ok() {
        for (bytes, expected) in [("+OK\r\n", true), (":1\r\n", false), ("_\r\n", false)] {
            let frame = Frame::parse(bytes, Limits::default()).unwrap();
            assert_eq!(XCfgSet::reply(frame).is_ok(), expected, "{bytes:?}");
        }
    }
}
