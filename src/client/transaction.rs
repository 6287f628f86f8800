//! MULTI ... EXEC around a batch: one request, one typed reply.

use super::batch::{Batch, Measured, frames};
use crate::connection::{Asked, Call, Failed, Replies, Request, Size, error};
use crate::error::{Code, Error, ServerError, Unsent};
use crate::resp::{DecodeError, Frame, Token};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

const MULTI: &[u8] = b"*1\r\n$5\r\nMULTI\r\n";
const EXEC: &[u8] = b"*1\r\n$4\r\nEXEC\r\n";

#[derive(Debug)]
pub(super) struct Transaction<B>(Measured<B>);

impl<B: Batch> Transaction<B> {
    pub(super) fn new(batch: B) -> Self {
        Self(Measured::new(batch))
    }

    /// The replies: OK, as often QUEUED as there are commands, and EXEC's.
    fn results(
        &self,
        replies: Vec<Frame>,
        waited: Duration,
        server: Asked<'_>,
    ) -> Result<B::Results, Error> {
        let mut replies = replies.into_iter();
        let ok = replies.next();
        let exec = replies.next_back();
        let (Some(ok), Some(exec)) = (ok, exec) else {
            return Err(error("EXEC", None, waited));
        };
        // Without MULTI the commands have run one by one: what came of them is not what was asked for.
        if !says(&ok, b"OK") {
            return Err(unlike("MULTI", "OK", &ok));
        }
        let refused = replies.enumerate().find(|(_, reply)| !says(reply, b"QUEUED"));
        if let Some(text) = exec.error() {
            let discarded = ServerError::new("EXEC", text);
            let cause = refused.as_ref().and_then(|(nth, reply)| Some((*nth, reply.error()?)));
            return Err(match cause {
                Some((nth, text)) if *discarded.code() == Code::ExecAbort => {
                    self.0.refusal(nth, text, server)
                }
                _ => Error::Server(Box::new(discarded)),
            });
        }
        if let Some((_, refused)) = refused {
            return Err(unlike("MULTI", "QUEUED", &refused));
        }
        let decode = |source| Error::Decode { command: "EXEC", source };
        let replies = exec.elements().map_err(decode)?;
        let replies = replies.ok_or_else(|| decode(DecodeError::new("an array", "null")))?;
        let count = self.0.measures.as_ref().map_or(0, Vec::len);
        if replies.len() != count {
            return Err(decode(DecodeError::new("a reply to each command", "another number")));
        }
        Ok(self.0.results(replies, None, waited, server))
    }
}

/// Whether a reply is this one word, attributes before it aside.
fn says(reply: &Frame, word: &[u8]) -> bool {
    matches!(reply.cursor().value("a word"), Ok(Token::Simple(text)) if text == word)
}

/// The error for a reply that is not the one word it should be.
fn unlike(command: &'static str, expected: &'static str, reply: &Frame) -> Error {
    let text = reply.as_bytes().strip_suffix(b"\r\n").unwrap_or(reply.as_bytes());
    Error::Decode { command, source: DecodeError::text(expected, text) }
}

impl<B: Batch> Request for Transaction<B> {
    type Output = Result<B::Results, Error>;
    type Measure = ();

    fn measure(&self) -> Result<(Size, ()), Unsent> {
        let Size { replies, bytes } = self.0.size()?;
        let bytes = bytes.saturating_add(MULTI.len() + EXEC.len());
        Ok((Size { replies: replies + 2, bytes }, ()))
    }

    fn write(&self, (): &(), out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(MULTI);
        let written = self.0.write(out);
        out.extend_from_slice(EXEC);
        written
    }

    fn finish(
        &self,
        replies: Replies,
        failure: Failed,
        waited: Duration,
        server: Asked<'_>,
    ) -> Self::Output {
        match failure {
            None => self.results(frames(replies), waited, server),
            failure => Err(error("EXEC", failure, waited)),
        }
    }
}

/// The results to come of [`Client::transact`](super::Client::transact).
#[derive(Debug)]
#[must_use = "a transaction is not sent before its future is awaited"]
pub struct Transact<'a, B>(pub(super) Call<'a, Transaction<B>>);

impl<B: Batch> Transact<'_, B> {
    /// Sets the time that the transaction has, as [`Sending::within`](super::Sending::within) does for a command.
    pub fn within(self, time: Duration) -> Self {
        Self(self.0.within(time))
    }
}

impl<B: Batch> Future for Transact<'_, B> {
    type Output = Result<B::Results, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.get_mut().0).poll(cx)
    }
}
