//! XGROUP DELCONSUMER: removes a consumer. No I/O.

use crate::command::{Arg, Command, Safety};
use crate::resp::{Args, DecodeError, Frame};

/// Removes a consumer. Its pending entries are removed from the group: [claim](crate::XClaim) them
/// first.
///
/// `XGROUP DELCONSUMER key group consumer` (Redis 5.0). Returns the number of its pending entries,
/// which are never delivered again; 0 if the consumer did not exist.
///
/// # Errors
///
/// [`Code::NoGroup`](crate::Code::NoGroup) when the group does not exist;
/// [`Code::Err`](crate::Code::Err) when the stream does not exist.
///
/// # Example
/// ```no_run
/// # use bourn::{Client, Error, XGroupDelConsumer};
/// # async fn f(client: &Client) -> Result<(), Error> {
/// let lost: u64 = client.send(XGroupDelConsumer::new("orders", "billing", "worker-1")).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct XGroupDelConsumer<'a> {
    key: Arg<'a>,
    group: Arg<'a>,
    consumer: Arg<'a>,
}

impl<'a> XGroupDelConsumer<'a> {
    /// Removes this consumer of this group.
    pub fn new(
        key: impl Into<Arg<'a>>,
        group: impl Into<Arg<'a>>,
        consumer: impl Into<Arg<'a>>,
    ) -> Self {
        Self { key: key.into(), group: group.into(), consumer: consumer.into() }
    }
}

impl Command for XGroupDelConsumer<'_> {
    const NAME: &'static str = "XGROUP DELCONSUMER";
    // Reading as the consumer recreates it; a second run would lose the entries delivered since.
    const SAFETY: Safety = Safety::Write;
    type Reply = u64;

    fn args(&self, out: &mut impl Args) {
        self.key.list(out);
        self.group.list(out);
        self.consumer.list(out);
    }

    fn reply(frame: Frame) -> Result<u64, DecodeError> {
        frame.cursor().count("a number of pending entries")
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
    fn consumer_is_the_last_argument() {
        let del = XGroupDelConsumer::new("s", "g", "c");
        assert_eq!(encode(&del), encode(&Raw::new("XGROUP DELCONSUMER s g c")));
        assert_eq!(listed_keys(&del), ["s"]);
    }

    #[test]
    fn reply_is_a_count() {
        for (bytes, expected) in [(":0\r\n", Some(0)), (":3\r\n", Some(3)), ("+OK\r\n", None)] {
            let frame = Frame::parse(bytes, Limits::default()).unwrap();
            assert_eq!(XGroupDelConsumer::reply(frame).ok(), expected, "{bytes:?}");
        }
    }
}
