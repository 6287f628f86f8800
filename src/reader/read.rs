//! A read in flight: the future of [`Reader::read`].

use super::{InFlightRead, Read, Reader, conclude};
use crate::command::{Block, BlockingCommand, Safety, slot_of};
use crate::connection::{Attempts, Enqueue, Patience, Shared};
use crate::entry::Streams;
use crate::error::{Code, Error, Unsent};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Instant;

impl Reader {
    /// Sends a read, [`XRead`](crate::XRead) or [`XReadGroup`](crate::XReadGroup), with or without
    /// `.block()`. Returns no entries when the block time is over.
    ///
    /// The deadline is the block time plus [`Config::block_grace`](crate::Config::block_grace).
    /// Without a block it is the command timeout. When it passes, the read fails and the connection
    /// is replaced. It is never reported as "no entries".
    ///
    /// # Cancel safety
    ///
    /// No entry is lost when the future is dropped: the read continues, and the next call returns
    /// its reply first, whatever command that call was given. If that reply has no entries, the
    /// command is sent as usual.
    ///
    /// # Errors
    ///
    /// As [`Client::send`](crate::Client::send). When the outcome of a group read is unknown, the
    /// server may have delivered entries that never arrived. They are pending for the consumer and
    /// can be read by id.
    pub fn read<C: BlockingCommand>(&mut self, command: C) -> Reading<'_, C> {
        Reading::new(self, command)
    }
}

/// The future of [`Reader::read`], with the entries.
///
/// ```no_run
/// # async fn f(reader: &mut bourn::Reader) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::{ReadFrom, XRead};
/// use std::time::Duration;
///
/// let read = XRead::new().stream("orders", ReadFrom::End).block(Duration::from_secs(30));
/// tokio::select! {
///     streams = reader.read(read) => println!("{} new entries", streams?.len()),
///     // Nothing is lost: the next read returns what arrives for this one.
///     () = tokio::time::sleep(Duration::from_secs(1)) => {}
/// }
/// # Ok(()) }
/// ```
#[must_use = "a read is not sent until its future is awaited"]
pub struct Reading<'r, C> {
    reader: &'r mut Reader,
    request: Read<C>,
    within: Option<Duration>,
    stage: Stage,
    attempts: Attempts,
    /// The error of an earlier attempt that may have run.
    lost: Option<Error>,
    /// The slot of its keys in a cluster.
    slot: Option<u16>,
    /// The number of redirects that it has followed.
    hops: u8,
    /// ASKING is sent before it.
    asking: bool,
    /// The connection of the next attempt was named by a server.
    named: bool,
}

#[derive(Debug)]
enum Stage {
    /// A dropped read is completed first.
    Before,
    Queueing(Enqueue<Arc<Shared>>),
    /// The reader's read in flight is this one.
    Waiting(Option<Instant>, Duration),
    /// The read is sent again at this time.
    Pausing {
        until: Instant,
        timer: Option<u64>,
        patience: Patience,
    },
    Over,
}

impl<'r, C: BlockingCommand> Reading<'r, C> {
    fn new(reader: &'r mut Reader, command: C) -> Self {
        Self {
            reader,
            request: Read(command, None),
            within: None,
            stage: Stage::Before,
            attempts: Attempts::default(),
            lost: None,
            slot: None,
            hops: 0,
            asking: false,
            named: false,
        }
    }

    /// Sets the time limit of this read, from the first poll to the reply. It replaces the BLOCK
    /// time and [`Config::block_grace`](crate::Config::block_grace). No effect after the first
    /// poll.
    ///
    /// To wait for entries for some time, set BLOCK. This limit covers the whole time that the
    /// server may take. When it passes, the connection is replaced, and the error says whether the
    /// read may have run.
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

    fn queue(&mut self, patience: Patience) -> Stage {
        if !std::mem::take(&mut self.named) {
            self.asking = false;
            self.reader.choose(self.slot);
        }
        let enqueue = Enqueue::new(Arc::clone(&self.reader.shared), patience);
        Stage::Queueing(enqueue.asking(self.asking))
    }

    /// Finds the slot of its keys.
    fn route(&mut self) -> Result<(), Unsent> {
        if self.reader.link.cluster().is_some() {
            self.slot = slot_of(|keys| self.request.0.read_keys(keys))?;
        }
        Ok(())
    }

    /// Returns the next stage of a read that a node of a cluster refused, or that was not sent to a
    /// node which lost the slot.
    fn follow(
        &mut self,
        error: &Error,
        deadline: Option<Instant>,
        waited: Duration,
    ) -> Option<Stage> {
        if self.reader.link.cluster().is_none() || self.reader.link.is_ended() {
            return None;
        }
        let after = match error {
            Error::Unsent { reason: Unsent::Closed, .. } => Duration::ZERO,
            // Redis 7.0 says so to a blocked read whose key has moved. The next answer is ASK, MOVED
            // or NOGROUP.
            Error::Server(error)
                if *error.code() == Code::Unblocked
                    && error.message().starts_with(b"the stream") =>
            {
                self.hops = self.hops.checked_add(1).filter(|hops| *hops < MOST_UNBLOCKED)?;
                Duration::ZERO
            }
            Error::Server(error) => {
                let way = self.reader.redirected(error, self.hops)?;
                self.hops = self.hops.saturating_add(1);
                if let Some(to) = way.to {
                    (self.reader.shared, self.asking, self.named) = (to, way.asking, true);
                }
                way.after
            }
            _ => return None,
        };
        let until = Instant::now().checked_add(after)?;
        if self.within.is_none() {
            let left = deadline.and_then(|deadline| deadline.checked_sub(self.reader.grace));
            self.request.1 = left.map(|left| left.saturating_duration_since(until));
        }
        let patience = Patience::Until(deadline, waited);
        Some(Stage::Pausing { until, timer: None, patience })
    }

    /// Handles an error: schedules another attempt, or returns the error to report.
    fn again(
        &mut self,
        error: Error,
        deadline: Option<Instant>,
        waited: Duration,
    ) -> Result<(), Error> {
        if let Some(stage) = self.follow(&error, deadline, waited) {
            self.stage = stage;
            return Ok(());
        }
        // A read that would wait beyond the deadline is not sent again.
        let waits = self.request.0.waits().and_then(Block::time).unwrap_or_default();
        let latest = deadline.map(|deadline| deadline.checked_sub(waits).unwrap_or(deadline));
        let safety = self.request.0.read_safety();
        let Some(until) = self.reader.again(&error, &mut self.attempts, safety, latest) else {
            return Err(conclude(error, self.lost.take()));
        };
        if matches!(error, Error::Lost { .. }) {
            self.lost = Some(error);
        }
        let patience = Patience::Until(deadline, waited);
        self.stage = Stage::Pausing { until, timer: None, patience };
        Ok(())
    }
}

/// The number of times that a read follows a key which is gone from its node.
const MOST_UNBLOCKED: u8 = 16;

/// No field is pinned.
impl<C> Unpin for Reading<'_, C> {}

impl<C: BlockingCommand> Future for Reading<'_, C> {
    type Output = Result<Streams, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let result = loop {
            match &mut this.stage {
                Stage::Before => {
                    if let Some(InFlightRead { safety, .. }) = this.reader.in_flight {
                        match ready!(this.reader.poll_finish(cx)) {
                            Ok(streams) if streams.is_empty() => {}
                            // The lost read returned nothing that this one does not.
                            Err(Error::Lost { .. })
                                if safety == Safety::ReadOnly && this.reader.repeats() => {}
                            result => break result,
                        }
                    }
                    let patience = match this.within {
                        Some(time) => Patience::For(time),
                        None => this.reader.patience(this.request.0.waits()),
                    };
                    if let Err(reason) = this.route() {
                        break Err(Error::Unsent { command: C::READ, reason });
                    }
                    this.stage = this.queue(patience);
                }
                Stage::Queueing(enqueue) => {
                    let queued = ready!(enqueue.poll(&this.request, cx));
                    let (waited, deadline) = (enqueue.waited(), enqueue.deadline());
                    let ticket = match queued {
                        Ok(ticket) => ticket,
                        Err(_) if enqueue.is_evicted() => {
                            this.stage = this.queue(Patience::Until(deadline, waited));
                            continue;
                        }
                        Err(reason) => {
                            let error = Error::Unsent { command: C::READ, reason };
                            break Err(conclude(error, this.lost.take()));
                        }
                    };
                    let needs = this.request.0.read_needs();
                    let safety = this.request.0.read_safety();
                    let command = C::READ;
                    let asking = this.asking;
                    this.reader.in_flight =
                        Some(InFlightRead { ticket, command, needs, safety, waited, asking });
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
                    let shared = &this.reader.shared;
                    ready!(shared.pause(timer, until.into_std(), cx));
                    let patience = *patience;
                    this.stage = this.queue(patience);
                }
                // Polling again after completion must not send another read.
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
