//! Requests: how they are read, and as a test sees them. No I/O.

use crate::resp::{Cursor, Limits, ProtocolError, Scanner};
use bytes::{Bytes, BytesMut};
use std::fmt;

/// A request that a [`Server`](super::Server) ran or refused.
///
/// ```
/// # use bourn::{Error, XAdd, testing::Server};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// let server = Server::new();
/// let client = server.client().await?;
/// client.send(XAdd::new("orders").field("sku", "A-7")).await?;
///
/// let last = server.requests().pop().expect("it was sent");
/// assert_eq!(last.to_string(), "XADD orders * sku A-7");
/// assert_eq!(last.name(), "XADD");
/// assert_eq!(Some(last.connection()), client.connection_id());
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    connection: i64,
    args: Vec<Bytes>,
}

impl Request {
    pub(super) fn new(connection: i64, args: Vec<Bytes>) -> Self {
        Self { connection, args }
    }

    /// Returns the id of the connection, as in CLIENT ID.
    #[must_use]
    pub fn connection(&self) -> i64 {
        self.connection
    }

    /// Returns the name of the command in upper case.
    #[must_use]
    pub fn name(&self) -> String {
        self.args.first().map(|name| show(name).to_ascii_uppercase()).unwrap_or_default()
    }

    /// Returns the name of the command and its arguments.
    #[must_use]
    pub fn args(&self) -> &[Bytes] {
        &self.args
    }
}

/// Formats the arguments as text, separated by blanks. Other bytes are escaped.
impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, arg) in self.args.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            f.write_str(&show(arg))?;
        }
        Ok(())
    }
}

fn show(arg: &[u8]) -> String {
    std::str::from_utf8(arg).map_or_else(|_| arg.escape_ascii().to_string(), str::to_owned)
}

/// The bytes of a connection that were received and not run yet.
#[derive(Debug)]
pub(super) struct Input {
    bytes: BytesMut,
    scanner: Scanner,
}

impl Input {
    pub(super) fn new() -> Self {
        Self { bytes: BytesMut::new(), scanner: Scanner::new(Limits::default()) }
    }

    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Returns the arguments of the next request, if it is complete.
    ///
    /// # Errors
    ///
    /// Returns the reply to bytes that are no request, after which the server closes the connection.
    pub(super) fn next(&mut self) -> Result<Option<Vec<Bytes>>, String> {
        loop {
            if self.bytes.first().is_some_and(|byte| *byte != b'*') {
                return Err("ERR Protocol error: the in-memory server takes arrays only".to_owned());
            }
            let scanned = self.scanner.scan(&self.bytes).map_err(|error| refused(&error))?;
            let Some(len) = scanned else { return Ok(None) };
            let frame = self.bytes.split_to(len).freeze();
            match words(&frame) {
                // A request without arguments has no reply.
                Some(words) if words.is_empty() => {}
                Some(words) => return Ok(Some(words)),
                None => return Err("ERR Protocol error: expected '$'".to_owned()),
            }
        }
    }
}

fn refused(error: &ProtocolError) -> String {
    format!("ERR Protocol error: {error}")
}

/// Returns the elements of an array of bulk strings.
fn words(frame: &Bytes) -> Option<Vec<Bytes>> {
    let mut cursor = Cursor::at(frame, 0);
    let count = cursor.array("a request").ok()?;
    let mut words = Vec::with_capacity(count.min(frame.len() / 6));
    for _ in 0..count {
        words.push(frame.slice_ref(cursor.string("an argument").ok()?));
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_whole_whatever_the_pieces() {
        let bytes = b"*2\r\n$4\r\nPING\r\n$1\r\na\r\n*0\r\n*1\r\n$4\r\nEXEC\r\n";
        for piece in 1..bytes.len() {
            let (mut input, mut read) = (Input::new(), Vec::new());
            for piece in bytes.chunks(piece) {
                input.extend(piece);
                while let Some(words) = input.next().expect("requests") {
                    read.push(Request::new(1, words).to_string());
                }
            }
            assert_eq!(read, ["PING a", "EXEC"], "{piece} bytes at a time");
        }
    }

    #[test]
    fn other_bytes_are_a_protocol_error() {
        for (bytes, error) in [
            ("PING\r\n", "ERR Protocol error: the in-memory server takes arrays only"),
            ("*1\r\n:5\r\n", "ERR Protocol error: expected '$'"),
        ] {
            let mut input = Input::new();
            input.extend(bytes.as_bytes());
            assert_eq!(input.next(), Err(error.to_owned()), "{bytes:?}");
        }
    }
}
