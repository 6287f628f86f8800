//! XLEN: returns the number of entries of a stream. No I/O.

use super::arg::Arg;
use super::{Command, Safety};
use crate::resp::{Args, DecodeError, Frame};

/// Counts the entries of a stream.
///
/// `XLEN key` (Redis 5.0). Returns 0 if the stream is empty or does not exist.
///
/// # Errors
///
/// [`Code::WrongType`](crate::Code::WrongType) when the key is not a stream.
///
/// # Example
/// ```no_run
/// # use bourn::{Client, Error, XLen};
/// # async fn f(client: &Client) -> Result<(), Error> {
/// let entries: u64 = client.send(XLen::new("orders")).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct XLen<'a> {
    key: Arg<'a>,
}

impl<'a> XLen<'a> {
    /// Counts the entries of this stream.
    pub fn new(key: impl Into<Arg<'a>>) -> Self {
        Self { key: key.into() }
    }
}

impl Command for XLen<'_> {
    const NAME: &'static str = "XLEN";
    const SAFETY: Safety = Safety::ReadOnly;
    type Reply = u64;

    fn args(&self, out: &mut impl Args) {
        self.key.list(out);
    }

    fn reply(frame: Frame) -> Result<u64, DecodeError> {
        frame.cursor().count("a number of entries")
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
    fn key_is_the_only_argument() {
        let len = XLen::new("orders");
        assert_eq!(encode(&len), encode(&Raw::new("XLEN orders")));
        assert_eq!(listed_keys(&len), ["orders"]);
    }

    #[test]
    fn xlen_reply_is_a_non_negative_integer() {
        let rows = [
            (":0\r\n", Some(0)),
            (":9223372036854775807\r\n", Some(9_223_372_036_854_775_807)),
            ("$2\r\n17\r\n", Some(17)),
            (":-1\r\n", None),
            ("$-1\r\n", None),
            ("_\r\n", None),
            ("+OK\r\n", None),
            ("*0\r\n", None),
        ];
        for (bytes, expected) in rows {
            let frame = Frame::parse(bytes, Limits::default()).unwrap();
            assert_eq!(XLen::reply(frame).ok(), expected, "{bytes:?}");
        }
    }
}
