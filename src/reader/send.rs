//! A command on a reader's connection: the future of [`Reader::send`].

use super::{Dedicated, Meaning, Reader};
use crate::command::DedicatedCommand;
use crate::connection::{Enqueue, Patience, Replies, Shared, Ticket};
use crate::error::{Error, RAW};
use crate::resp::DecodeError;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

impl Reader {
    /// Sends a command on this connection: one that blocks it or changes it, such as
    /// [`Wait`](crate::Wait) or [`Auth`](crate::Auth), or any other [`Command`](crate::Command).
    ///
    /// A read in flight comes first, because the server answers in order. Its reply stays for the
    /// next [`Reader::read`].
    ///
    /// After a reconnect, what a command changed in the connection is lost. So are the writes that
    /// WAIT would wait for: it then counts all replicas at once. Compare [`Reader::connection_id`]
    /// to detect a reconnect.
    ///
    /// The deadline is the command's own time plus
    /// [`Config::block_grace`](crate::Config::block_grace). For a command that does not block it is
    /// the command timeout. When it passes, the connection is replaced, unless a
    /// read is in flight that may still be blocked.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before its first poll, the command is not sent. If it is dropped
    /// later, the command may run, and its reply is discarded. The next command waits until it has
    /// ended.
    ///
    /// # Errors
    ///
    /// [`Error::outcome`] says whether the command may have run.
    pub fn send<C: DedicatedCommand>(&mut self, command: C) -> DedicatedSending<'_, C> {
        DedicatedSending::new(self, command)
    }
}

/// The future of [`Reader::send`], with the reply.
///
/// ```no_run
/// # async fn f(reader: &mut bourn::Reader) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::{Block, Wait};
/// use std::time::Duration;
///
/// // One replica has everything that this connection wrote, or a second has passed.
/// let replicas = reader.send(Wait::new(1, Block::For(Duration::from_secs(1)))).await?;
/// println!("{replicas} replicas");
/// # Ok(()) }
/// ```
#[must_use = "a command is not sent until its future is awaited"]
pub struct DedicatedSending<'r, C> {
    reader: &'r mut Reader,
    command: C,
    stage: Stage,
    waited: Duration,
}

#[derive(Debug)]
enum Stage {
    New(Patience),
    Queueing(Enqueue<Arc<Shared>>),
    Waiting(Ticket<Arc<Shared>>),
    Over,
}

impl<'r, C: DedicatedCommand> DedicatedSending<'r, C> {
    fn new(reader: &'r mut Reader, command: C) -> Self {
        let patience = reader.patience(command.dedicated_waits());
        Self { reader, command, stage: Stage::New(patience), waited: Duration::ZERO }
    }

    /// Sets the time limit of this command, from the first poll to the reply. It replaces the
    /// command's own time and [`Config::block_grace`](crate::Config::block_grace). No effect after
    /// the first poll.
    pub fn within(mut self, time: Duration) -> Self {
        if matches!(self.stage, Stage::New(_)) {
            self.stage = Stage::New(Patience::For(time));
        }
        self
    }

    fn name() -> &'static str {
        if C::DEDICATED_NAME.is_empty() { RAW } else { C::DEDICATED_NAME }
    }
}

/// No field is pinned.
impl<C> Unpin for DedicatedSending<'_, C> {}

impl<C: DedicatedCommand> Future for DedicatedSending<'_, C> {
    type Output = Result<C::DedicatedReply, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let command = Self::name();
        let came = loop {
            match &mut this.stage {
                Stage::New(patience) => {
                    let enqueue =
                        Enqueue::new(Arc::clone(this.reader.connection.shared()), *patience);
                    this.waited = enqueue.waited();
                    this.stage = Stage::Queueing(enqueue);
                }
                Stage::Queueing(enqueue) => {
                    match ready!(enqueue.poll(&Dedicated(&this.command), cx)) {
                        Ok(ticket) => this.stage = Stage::Waiting(ticket),
                        Err(reason) => {
                            this.stage = Stage::Over;
                            return Poll::Ready(Err(Error::Unsent { command, reason }));
                        }
                    }
                }
                Stage::Waiting(ticket) => break ready!(ticket.poll(cx)),
                // Polling again after completion must not send another command.
                Stage::Over => return Poll::Pending,
            }
        };
        this.stage = Stage::Over;
        if let (Replies::Single(frame), None) = &came {
            let accepted = frame.error().and_then(|text| this.command.dedicated_accepted(text));
            if let Some(reply) = accepted {
                return Poll::Ready(Ok(reply));
            }
        }
        let secret = this.command.dedicated_secret();
        let meaning = Meaning {
            refusal: this.command.dedicated_refusal(),
            needs: this.command.dedicated_needs(),
            safety: this.command.dedicated_safety(),
        };
        let frame = this.reader.settle(command, meaning, secret, this.waited, came)?;
        Poll::Ready(this.command.dedicated_reply_to(frame).map_err(|source| {
            // The error may quote the reply, and the reply may quote the secret that was sent.
            let source = match secret {
                Some(_) => DecodeError::new("a reply to it", "another one"),
                None => source,
            };
            Error::Decode { command, source }
        }))
    }
}

impl<C> fmt::Debug for DedicatedSending<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DedicatedSending").field("stage", &self.stage).finish_non_exhaustive()
    }
}
