//! ECHO: returns a text. No I/O.

use super::arg::Arg;
use super::{Command, Safety};
use crate::resp::{Args, Cursor, DecodeError, Frame};
use bytes::Bytes;

/// Sends a text, which the server returns.
///
/// `ECHO message` (Redis 1.0). The returned text shares the buffer of the reply.
///
/// # Example
/// ```no_run
/// # use bourn::{Client, Echo, Error};
/// # async fn f(client: &Client) -> Result<(), Error> {
/// assert_eq!(client.send(Echo::new("hello")).await?, "hello");
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Echo<'a> {
    message: Arg<'a>,
}

impl<'a> Echo<'a> {
    /// Creates an ECHO of this text.
    pub fn new(message: impl Into<Arg<'a>>) -> Self {
        Self { message: message.into() }
    }
}

impl Command for Echo<'_> {
    const NAME: &'static str = "ECHO";
    const SAFETY: Safety = Safety::ReadOnly;
    type Reply = Bytes;

    fn args(&self, out: &mut impl Args) {
        self.message.list(out);
    }

    fn reply(frame: Frame) -> Result<Bytes, DecodeError> {
        text(frame)
    }
}

/// Decodes a text, exactly as sent.
pub(super) fn text(frame: Frame) -> Result<Bytes, DecodeError> {
    let bytes = frame.into_bytes();
    let text = Cursor::at(&bytes, 0).string("the text that was sent")?;
    Ok(bytes.slice_ref(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Raw, encode};
    use crate::resp::Limits;

    #[test]
    fn echo_message_is_sent_unchanged() {
        let rows: [&[u8]; 4] = [b"hello", b"a b", b"", b"\r\n\0\xff"];
        for message in rows {
            assert_eq!(encode(&Echo::new(message)), encode(&Raw::new("ECHO").arg(message)));
        }
    }

    #[test]
    fn echo_reply_is_any_string() {
        let rows: [(&[u8], Option<&[u8]>); 7] = [
            (b"$5\r\nhello\r\n", Some(b"hello")),
            (b"$4\r\n\r\n\0\xff\r\n", Some(b"\r\n\0\xff")),
            (b"$0\r\n\r\n", Some(b"")),
            (b"+hello\r\n", Some(b"hello")),
            (b"$-1\r\n", None),
            (b"_\r\n", None),
            (b"*1\r\n$1\r\na\r\n", None),
        ];
        for (bytes, expected) in rows {
            let frame = Frame::parse(bytes.to_vec(), Limits::default()).unwrap();
            let shown = bytes.escape_ascii();
            assert_eq!(Echo::reply(frame).ok().as_deref(), expected, "{shown}");
        }
    }
}
