//! A connection that receives the messages of channels.
//!
//! The driver of a [`Connection`](super::Connection) ignores pushes, and with RESP2 a message cannot
//! be told from a reply. So a subscription reads its own socket.

use super::dialler::Dialler;
use super::establish::{Established, establish, write_all};
use super::transport::Io;
use crate::config::Config;
use crate::error::{ConnectError, Disconnect};
use crate::resp::{Frame, Scanner, Value};
use bytes::BytesMut;
use std::future::poll_fn;
use std::sync::Arc;

/// The request whose reply shows that the server is alive: it is allowed to subscribers.
const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";

/// A message, or another sign of life.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Message {
        channel: String,
        text: String,
    },
    /// The reply to SUBSCRIBE or PING.
    Other,
}

/// A connection that receives the messages of channels.
#[derive(Debug)]
pub(crate) struct Subscription {
    io: Io,
    input: BytesMut,
    scanner: Scanner,
}

impl Subscription {
    /// Connects and subscribes.
    pub(crate) async fn open(
        config: &Config,
        dialler: &Dialler,
        channels: &[&str],
    ) -> Result<Self, ConnectError> {
        let Established { mut io, input, .. } = establish(config, dialler).await?;
        let mut out = format!("*{}\r\n$9\r\nSUBSCRIBE\r\n", channels.len() + 1);
        for channel in channels {
            out.push_str(&format!("${}\r\n{channel}\r\n", channel.len()));
        }
        let failed = |error| {
            let reason = crate::error::ConnectReason::Io(Arc::new(error));
            ConnectError::new(&config.address, reason)
        };
        write_all(&mut io, out.as_bytes()).await.map_err(failed)?;
        Ok(Self { io, input, scanner: Scanner::new(config.limits) })
    }

    /// Asks for a sign of life.
    pub(crate) async fn ping(&mut self) -> Result<(), Disconnect> {
        let written = write_all(&mut self.io, PING).await;
        written.map_err(|error| Disconnect::Io(Arc::new(error)))
    }

    /// Returns what the server sends next.
    ///
    /// Cancel-safe: dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Heard, Disconnect> {
        loop {
            if let Some(len) = self.scanner.scan(&self.input).map_err(Disconnect::Protocol)? {
                let frame = Frame::scanned(self.input.split_to(len).freeze());
                return Ok(heard(&Value::from(&frame)));
            }
            self.input.reserve(1024);
            let (io, input) = (&mut self.io, &mut self.input);
            match poll_fn(|cx| io.poll_read(cx, input)).await {
                Ok(0) => return Err(Disconnect::Eof),
                Ok(_) => {}
                Err(error) => return Err(Disconnect::Io(Arc::new(error))),
            }
        }
    }
}

fn heard(value: &Value) -> Heard {
    let text = |value: &Value| value.as_bytes().map(|b| String::from_utf8_lossy(b).into_owned());
    match value.as_list().map(|list| &**list) {
        Some([kind, channel, message]) if kind.as_bytes() == Some(b"message") => {
            match (text(channel), text(message)) {
                (Some(channel), Some(text)) => Heard::Message { channel, text },
                _ => Heard::Other,
            }
        }
        _ => Heard::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::Limits;

    #[test]
    fn messages_are_told_from_replies_in_both_protocols() {
        let message = |channel: &str, text: &str| Heard::Message {
            channel: channel.into(),
            text: text.into(),
        };
        let rows = [
            ("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n", message("c", "hi")),
            (">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n", message("c", "hi")),
            ("*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n", Heard::Other),
            ("*2\r\n$4\r\npong\r\n$0\r\n\r\n", Heard::Other),
            ("+PONG\r\n", Heard::Other),
        ];
        for (wire, expected) in rows {
            let frame = Frame::parse(wire.to_owned(), Limits::default()).unwrap();
            assert_eq!(heard(&Value::from(&frame)), expected, "{wire:?}");
        }
    }
}
