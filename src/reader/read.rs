//! A read on its way: the future of [`Reader::read`].

use super::{Read, Reader, UnderWay, in_truth};
use crate::command::{Block, BlockingCommand, Safety};
use crate::connection::{Attempts, Enqueue, Patience, Shared};
use crate::entry::Streams;
use crate::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Instant;

/// The entries to come of [`Reader::read`].
#[must_use = "a read is not sent before its future is awaited"]
pub struct Reading<'r, C> {
    reader: &'r mut Reader,
    request: Read<C>,
    within: Option<Duration>,
    stage: Stage,
    attempts: Attempts,
    /// The error of an attempt that may have run.
    lost: Option<Error>,
}

#[derive(Debug)]
enum Stage {
    /// A read that was dropped comes first.
    Before,
    Queueing(Enqueue<Arc<Shared>>),
    /// It is the reader's read that is under way.
    Waiting(Option<Instant>, Duration),
    /// It is sent again at this time.
    Pausing {
        until: Instant,
        timer: Option<u64>,
        patience: Patience,
    },
    Over,
}

impl<'r, C: BlockingCommand> Reading<'r, C> {
    pub(super) fn new(reader: &'r mut Reader, command: C) -> Self {
        let (request, attempts) = (Read(command), Attempts::default());
        Self { reader, request, within: None, stage: Stage::Before, attempts, lost: None }
    }

    /// Sets the time that this read has, from the first poll to the reply, in place of its BLOCK and
    /// [`Config::block_grace`](crate::Config::block_grace). Without effect once it was polled.
    ///
    /// To wait for entries for a time, set BLOCK; this is for how long the server may take in all. When it passes, the connection is
    /// replaced, and the error says whether the read may have run.
    ///
    /// ```no_run
    /// # use bourn::{Client, Error, ReadFrom, XRead};
    /// # use std::time::Duration;
    /// # async fn f(client: &Client) -> Result<(), Error> {
    /// let mut reader = client.reader().await?;
    /// let read = XRead::new().stream("orders", ReadFrom::End).block(Duration::from_millis(100));
    /// let streams = reader.read(read).within(Duration::from_millis(500)).await?;
    /// # let _ = streams; Ok(()) }
    /// ```
    pub fn within(self, time: Duration) -> Self {
        Self { within: Some(time), ..self }
    }

    fn queue(&self, patience: Patience) -> Stage {
        Stage::Queueing(Enqueue::new(Arc::clone(self.reader.connection.shared()), patience))
    }

    /// What comes next behind an error: another attempt, or its end.
    fn again(
        &mut self,
        error: Error,
        deadline: Option<Instant>,
        waited: Duration,
    ) -> Result<(), Error> {
        // A read that would wait beyond the deadline is not begun again.
        let waits = self.request.0.waits().and_then(Block::time).unwrap_or_default();
        let latest = deadline.map(|deadline| deadline.checked_sub(waits).unwrap_or(deadline));
        let safety = self.request.0.read_safety();
        let Some(until) = self.reader.again(&error, &mut self.attempts, safety, latest) else {
            return Err(in_truth(error, self.lost.take()));
        };
        if matches!(error, Error::Lost { .. }) {
            self.lost = Some(error);
        }
        let patience = Patience::Until(deadline, waited);
        self.stage = Stage::Pausing { until, timer: None, patience };
        Ok(())
    }
}

/// Nothing in it is pinned.
impl<C> Unpin for Reading<'_, C> {}

impl<C: BlockingCommand> Future for Reading<'_, C> {
    type Output = Result<Streams, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let result = loop {
            match &mut this.stage {
                Stage::Before => {
                    if let Some(UnderWay { safety, .. }) = this.reader.under_way {
                        match ready!(this.reader.poll_finish(cx)) {
                            Ok(streams) if streams.is_empty() => {}
                            // It read nothing that this one does not.
                            Err(Error::Lost { .. })
                                if safety == Safety::ReadOnly && this.reader.repeats() => {}
                            result => break result,
                        }
                    }
                    let patience = match this.within {
                        Some(time) => Patience::For(time),
                        None => this.reader.patience(this.request.0.waits()),
                    };
                    this.stage = this.queue(patience);
                }
                Stage::Queueing(enqueue) => {
                    let queued = ready!(enqueue.poll(&this.request, cx));
                    let (waited, deadline) = (enqueue.waited(), enqueue.deadline());
                    let ticket = match queued {
                        Ok(ticket) => ticket,
                        Err(reason) => {
                            let error = Error::Unsent { command: C::READ, reason };
                            break Err(in_truth(error, this.lost.take()));
                        }
                    };
                    let needs = this.request.0.read_needs();
                    let safety = this.request.0.read_safety();
                    let command = C::READ;
                    this.reader.under_way =
                        Some(UnderWay { ticket, command, needs, safety, waited });
                    this.stage = Stage::Waiting(deadline, waited);
                }
                Stage::Waiting(deadline, waited) => {
                    let (deadline, waited) = (*deadline, *waited);
                    match ready!(this.reader.poll_finish(cx)) {
                        Ok(streams) => break Ok(streams),
                        Err(error) => {
                            if let Err(error) = this.again(error, deadline, waited) {
                                break Err(error);
                            }
                        }
                    }
                }
                Stage::Pausing { until, timer, patience } => {
                    let shared = this.reader.connection.shared();
                    ready!(shared.pause(timer, until.into_std(), cx));
                    let patience = *patience;
                    this.stage = this.queue(patience);
                }
                // A caller that polls on must not read again.
                Stage::Over => return Poll::Pending,
            }
        };
        this.stage = Stage::Over;
        Poll::Ready(result)
    }
}

impl<C> fmt::Debug for Reading<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading").field("stage", &self.stage).finish_non_exhaustive()
    }
}
