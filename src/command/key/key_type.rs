//! TYPE: returns the type of a key. No I/O.

use crate::command::{Arg, Command, Safety};
use crate::resp::{Args, Cursor, DecodeError, Frame};
use bytes::Bytes;

/// Returns the type of a key.
///
/// `TYPE key` (Redis 1.0).
///
/// # Example
/// ```no_run
/// # use bourn::{Client, Error, KeyType, Type};
/// # async fn f(client: &Client) -> Result<(), Error> {
/// if let KeyType::Other(kind) = client.send(Type::new("orders")).await? {
///     println!("no stream, but a {}", kind.escape_ascii());
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Type<'a> {
    key: Arg<'a>,
}

impl<'a> Type<'a> {
    /// Creates a TYPE command for this key.
    pub fn new(key: impl Into<Arg<'a>>) -> Self {
        Self { key: key.into() }
    }
}

/// The type of a key.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::{KeyType, Type};
///
/// match client.send(Type::new("orders")).await? {
///     KeyType::Stream | KeyType::None => println!("it can be used"),
///     other => println!("it holds something else: {other:?}"),
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyType {
    /// The key does not exist.
    None,
    /// A stream, possibly without entries.
    Stream,
    /// Another type, by name: `string`, `list`, `set`, `zset`, `hash` or a module's type. It shares
    /// the buffer of the reply.
    Other(Bytes),
}

impl Command for Type<'_> {
    const NAME: &'static str = "TYPE";
    const SAFETY: Safety = Safety::ReadOnly;
    type Reply = KeyType;

    fn args(&self, out: &mut impl Args) {
        self.key.list(out);
    }

    fn reply(frame: Frame) -> Result<KeyType, DecodeError> {
        let bytes = frame.into_bytes();
        Ok(match Cursor::at(&bytes, 0).string("the name of a type")? {
            b"none" => KeyType::None,
            b"stream" => KeyType::Stream,
            other => KeyType::Other(bytes.slice_ref(other)),
        })
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
        let kind = Type::new("orders");
        assert_eq!(encode(&kind), encode(&Raw::new("TYPE orders")));
        assert_eq!(listed_keys(&kind), ["orders"]);
    }

    #[test]
    fn type_reply_distinguishes_stream_missing_key_and_other_types() {
        let rows = [
            ("+stream\r\n", Some(KeyType::Stream)),
            ("+none\r\n", Some(KeyType::None)),
            ("+zset\r\n", Some(KeyType::Other("zset".into()))),
            ("$6\r\nstream\r\n", Some(KeyType::Stream)),
            ("$9\r\nReJSON-RL\r\n", Some(KeyType::Other("ReJSON-RL".into()))),
            ("_\r\n", None),
            (":1\r\n", None),
            ("*0\r\n", None),
        ];
        for (bytes, expected) in rows {
            let frame = Frame::parse(bytes, Limits::default()).unwrap();
            assert_eq!(Type::reply(frame).ok(), expected, "{bytes:?}");
        }
    }
}
