//! MULTI ... EXEC around a batch: one request, one typed reply.

use super::batch::{Batch, IntoBatch, Measured, frames};
use crate::command::{Safety, slot_of};
use crate::connection::{Call, Failed, Replies, Request, ServerLookup, Size, error};
use crate::error::{Code, Error, Outcome, Refusal, ServerError, Unsent};
use crate::reader::Reader;
use crate::resp::{Args, DecodeError, Frame, Token};
use crate::server::Features;
use std::future::Future;
use std::iter;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

const MULTI: &[u8] = b"*1\r\n$5\r\nMULTI\r\n";
const EXEC: &[u8] = b"*1\r\n$4\r\nEXEC\r\n";

#[derive(Debug)]
pub(super) struct Transaction<B> {
    batch: Measured<B>,
    /// The connection on which it must be sent, if that matters.
    on: Option<Instant>,
}

impl<B: Batch> Transaction<B> {
    pub(super) fn new(batch: B) -> Self {
        Self { batch: Measured::new(batch), on: None }
    }

    /// Returns the results from the replies: OK, one QUEUED per command, and the reply of EXEC.
    fn results(
        &self,
        mut replies: Vec<Frame>,
        waited: Duration,
        server: ServerLookup<'_>,
    ) -> Result<B::Results, Error> {
        if let Some((error, needs)) = self.discarded(&replies) {
            return Err(Error::refusal(error, needs, server));
        }
        let Some(exec) = replies.pop() else {
            return Err(error("EXEC", None, waited, (Safety::Write, 0)));
        };
        // Without MULTI the commands ran one by one: their results are not those of a transaction.
        let expected = iter::once("OK").chain(iter::repeat("QUEUED"));
        for (reply, expected) in replies.iter().zip(expected) {
            if !is_simple(reply, expected) {
                return Err(unexpected("MULTI", expected, reply));
            }
        }
        let decode = |source| Error::Decode { command: "EXEC", source };
        if exec.error().is_some() {
            return Err(unexpected("EXEC", "a reply to each command", &exec));
        }
        let replies = exec.elements().map_err(decode)?;
        let replies = replies.ok_or_else(|| decode(DecodeError::new("an array", "null")))?;
        let count = self.batch.measures.as_ref().map_or(0, Vec::len);
        if replies.len() != count {
            return Err(decode(DecodeError::new("a reply to each command", "another number")));
        }
        Ok(self.batch.results(replies, None, waited, server))
    }

    /// Returns the error that discarded the transaction, and the features that the refused command
    /// needs. `None` unless the replies prove that none of the commands has run.
    ///
    /// | MULTI | the commands | EXEC | the error returned |
    /// |---|---|---|---|
    /// | OK | one is refused | EXECABORT | that of the first refused command |
    /// | OK | QUEUED | EXECABORT ... because of: READONLY ... | that of EXEC, with the code after `because of: ` |
    /// | OK | QUEUED | another error, e.g. MOVED | that of EXEC |
    /// | refused | all are refused | an error | that of MULTI |
    ///
    /// If MULTI was refused, the commands were single ones: one that was not refused has run.
    fn discarded(&self, replies: &[Frame]) -> Option<(ServerError, Features)> {
        let [multi, queued @ .., exec] = replies else { return None };
        let exec = exec.error()?;
        let not_run = |error: ServerError| error.meaning(Refusal::NotApplied);
        if let Some(text) = multi.error() {
            let named = self.batch.named();
            let each = queued.iter().zip(&named);
            let refused = each.map(|(reply, (name, _, refusal))| {
                let error = ServerError::new(name, reply.error()?).meaning(*refusal);
                Some(error.outcome() == Outcome::NotApplied)
            });
            let none_ran = refused.into_iter().all(|refused| refused == Some(true));
            return none_ran.then(|| (not_run(ServerError::new("MULTI", text)), Features::NONE));
        }
        let is_queued = |reply: &Frame| is_simple(reply, "QUEUED") || reply.error().is_some();
        if !is_simple(multi, "OK") || !queued.iter().all(is_queued) {
            return None;
        }
        let error = ServerError::new("EXEC", exec);
        if *error.code() != Code::ExecAbort {
            return Some((not_run(error), Features::NONE));
        }
        let refused =
            queued.iter().enumerate().find_map(|(nth, reply)| Some((nth, reply.error()?)));
        if let Some((nth, text)) = refused {
            let (name, needs, _) = self.batch.named().get(nth).copied()?;
            return Some((not_run(ServerError::new(name, text)), needs));
        }
        let cause = error.message().strip_prefix(ABORT_REASON);
        let cause = cause.map(|cause| ServerError::new("EXEC", cause));
        Some((not_run(cause.unwrap_or(error)), Features::NONE))
    }
}

/// The prefix of the error text of EXEC, when the server did not start the transaction.
const ABORT_REASON: &[u8] = b"Transaction discarded because of: ";

/// Whether a reply is this simple string, ignoring attributes before it.
fn is_simple(reply: &Frame, word: &str) -> bool {
    matches!(reply.cursor().value("a word"), Ok(Token::Simple(text)) if text == word.as_bytes())
}

/// Returns the error for a reply that is not the expected simple string.
fn unexpected(command: &'static str, expected: &'static str, reply: &Frame) -> Error {
    let text = reply.as_bytes().strip_suffix(b"\r\n").unwrap_or(reply.as_bytes());
    Error::Decode { command, source: DecodeError::text(expected, text) }
}

impl<B: Batch> Request for Transaction<B> {
    type Output = Result<B::Results, Error>;
    type Measure = ();

    fn refused(&self, replies: &Replies) -> Option<ServerError> {
        let Replies::Many(frames) = replies else { return None };
        self.discarded(frames).map(|(error, _)| error)
    }

    fn slot(&self) -> Result<Option<u16>, Unsent> {
        slot_of(|keys| self.batch.batch.key_each(&mut |key| keys.bytes(key)))
    }

    fn connection(&self) -> Option<Instant> {
        self.on
    }

    fn measure(&self) -> Result<(Size, ()), Unsent> {
        let size = self.batch.size()?;
        let bytes = size.bytes.saturating_add(MULTI.len() + EXEC.len());
        Ok((Size { replies: size.replies + 2, bytes }, ()))
    }

    fn write(&self, (): &(), out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(MULTI);
        let written = self.batch.write(out);
        out.extend_from_slice(EXEC);
        written
    }

    fn finish(
        &self,
        replies: Replies,
        failure: Failed,
        waited: Duration,
        server: ServerLookup<'_>,
    ) -> Self::Output {
        match failure {
            None => self.results(frames(replies), waited, server),
            failure => Err(error("EXEC", failure, waited, (Safety::Write, 0))),
        }
    }
}

impl Reader {
    /// Sends several commands as one transaction on this connection, as
    /// [`Client::transact`](super::Client::transact) does.
    pub(crate) fn transact<K, B: IntoBatch<K>>(&mut self, commands: B) -> Transact<'_, B::Batch> {
        Transact(self.link().call(Transaction::new(commands.into_batch())))
    }

    /// As [`Reader::transact`], for a transaction that is sent together with a read: it is polled
    /// before that.
    pub(crate) fn transact_before<K, B: IntoBatch<K>>(
        &self,
        commands: B,
    ) -> impl Future<Output = Result<<B::Batch as Batch>::Results, Error>> + use<K, B> {
        let calling = self.link().calling().clone();
        let batch = commands.into_batch();
        async move { Transact(calling.call(Transaction::new(batch))).await }
    }
}

/// The future of [`Client::transact`](super::Client::transact), with its results.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::{EntryId, XAck, XAdd};
///
/// let id = EntryId::new(1_700_000_000_000, 0);
/// let both = (XAdd::new("shipped").field("order", "17"), XAck::new("orders", "billing", id));
/// // The outer error: the transaction. The inner ones: each command.
/// let (added, acked) = client.transact(both).await?;
/// println!("{} {}", added?, acked?);
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "a transaction is not sent until its future is awaited"]
pub struct Transact<'a, B>(pub(super) Call<'a, Transaction<B>>);

impl<B: Batch> Transact<'_, B> {
    /// Sets the time limit of the transaction, as [`Sending::within`](super::Sending::within) does
    /// for a command.
    pub fn within(self, time: Duration) -> Self {
        Self(self.0.within(time))
    }

    /// Sends the transaction only on this connection, by
    /// [`Client::connected_since`](super::Client::connected_since): the server of another
    /// one may not have what the caller has seen. If the connection has ended,
    /// [`Unsent::Reconnected`] is returned.
    pub(crate) fn on(mut self, connection: Option<Instant>) -> Self {
        self.0.request_mut().on = connection;
        self
    }
}

impl<B: Batch> Future for Transact<'_, B> {
    type Output = Result<B::Results, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.get_mut().0).poll(cx)
    }
}
