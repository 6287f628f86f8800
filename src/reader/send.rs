//! A command on a reader's connection: the future of [`Reader::send`].

use super::{Dedicated, Meaning, Reader};
use crate::cluster::Way;
use crate::command::{DedicatedCommand, slot_of};
use crate::connection::{Enqueue, Failed, Patience, Replies, Shared, Ticket, without_asking};
use crate::error::{Error, Outcome, RAW, ServerError};
use crate::resp::DecodeError;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Instant;

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
    /// The number of redirects of a cluster that it has followed.
    hops: u8,
    asking: bool,
}

#[derive(Debug)]
enum Stage {
    New(Patience),
    Queueing(Enqueue<Arc<Shared>>),
    Waiting(Ticket<Arc<Shared>>, Option<Instant>),
    Over,
}

impl<'r, C: DedicatedCommand> DedicatedSending<'r, C> {
    fn new(reader: &'r mut Reader, command: C) -> Self {
        let patience = reader.patience(command.dedicated_waits());
        let (stage, waited) = (Stage::New(patience), Duration::ZERO);
        Self { reader, command, stage, waited, hops: 0, asking: false }
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

    /// Chooses the connection of a command that a node of a cluster redirects. A redirect that is to
    /// be followed later is not followed.
    fn redirect(&mut self, came: &(Replies, Failed)) -> bool {
        let (Replies::Single(frame), None) = came else { return false };
        let Some(text) = frame.error() else { return false };
        let error = ServerError::new(Self::name(), text).meaning(self.command.dedicated_refusal());
        if error.outcome() != Outcome::NotApplied {
            return false;
        }
        match self.reader.redirected(&error, self.hops) {
            Some(Way { to: Some(to), asking, after: Duration::ZERO }) => {
                self.hops = self.hops.saturating_add(1);
                (self.reader.shared, self.asking) = (to, asking);
                true
            }
            _ => false,
        }
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
                    let patience = *patience;
                    match slot_of(|keys| this.command.dedicated_keys(keys)) {
                        Ok(slot) => this.reader.choose(slot),
                        Err(reason) if this.reader.link.cluster().is_some() => {
                            this.stage = Stage::Over;
                            return Poll::Ready(Err(Error::Unsent { command, reason }));
                        }
                        Err(_) => {}
                    }
                    let enqueue = Enqueue::new(Arc::clone(&this.reader.shared), patience);
                    this.waited = enqueue.waited();
                    this.stage = Stage::Queueing(enqueue);
                }
                Stage::Queueing(enqueue) => {
                    let queued = ready!(enqueue.poll(&Dedicated(&this.command), cx));
                    let deadline = enqueue.deadline();
                    match queued {
                        Ok(ticket) => this.stage = Stage::Waiting(ticket, deadline),
                        Err(reason) => {
                            this.stage = Stage::Over;
                            return Poll::Ready(Err(Error::Unsent { command, reason }));
                        }
                    }
                }
                Stage::Waiting(ticket, deadline) => {
                    let (mut came, deadline) = (ready!(ticket.poll(cx)), *deadline);
                    if this.asking {
                        came.0 = without_asking(came.0);
                    }
                    if !this.redirect(&came) {
                        break came;
                    }
                    let patience = Patience::Until(deadline, this.waited);
                    let enqueue = Enqueue::new(Arc::clone(&this.reader.shared), patience);
                    this.stage = Stage::Queueing(enqueue.asking(this.asking));
                }
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
