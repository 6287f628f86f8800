//! Consumer: the tasks that carry out the plan; a Stream of deliveries.

use super::clerk;
use super::core::Core;
use super::desk::{Desk, Limits};
use super::first;
use super::hold::Hold;
use super::plan::Plan;
use super::reading::Reading;
use super::tally::Report;
use super::{Delivery, Queue, QueueError, janitor, keeper};
use crate::client::Client;
use crate::error::Error;
use crate::reader::Reader;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How a consumer is to be: from [`Queue::consumer`].
#[must_use = "it is begun by start"]
pub struct ConsumerBuilder<T> {
    queue: Queue<T>,
    prefetch: usize,
    bytes: usize,
}

impl<T: Send + 'static> ConsumerBuilder<T> {
    pub(super) fn new(queue: Queue<T>) -> Self {
        Self { queue, prefetch: 1, bytes: 64 << 20 }
    }

    /// How many jobs are fetched before anyone asks for them; 1 by default, and at least. Their leases are kept, but another
    /// consumer could have been at them already.
    pub fn prefetch(self, jobs: usize) -> Self {
        Self { prefetch: jobs.max(1), ..self }
    }

    /// How many bytes of payload such jobs may have together; 64 MiB by default. One job may be larger.
    ///
    /// Before Redis 8.10 the server does not keep to it; then it is reckoned from those that are there.
    pub fn max_bytes(self, bytes: usize) -> Self {
        Self { bytes: bytes.max(1), ..self }
    }

    /// Begins: connects for reads that block, and tries again as long as the server cannot be reached.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    ///
    /// # Errors
    ///
    /// As [`Client::reader`](crate::Client::reader), if it will not pass: a password that is refused, settings that are wrong.
    pub async fn start(self) -> Result<Consumer<T>, QueueError> {
        let Self { queue, prefetch, bytes } = self;
        let limits = Limits { buffered: prefetch, bytes, undecided: usize::MAX };
        Consumer::start(vec![queue], 0, limits).await
    }
}

impl<T: 'static> fmt::Debug for ConsumerBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { queue, prefetch, bytes } = self;
        let mut out = f.debug_struct("ConsumerBuilder");
        out.field("queue", queue).field("prefetch", prefetch).field("bytes", bytes).finish()
    }
}

/// Jobs as they come: a [`Stream`](futures_core::Stream) of [`Delivery`], or [`Consumer::next`].
///
/// It reconnects, makes the group again, and takes over what others left behind, all by itself; an error ends it, for it is one
/// that will not pass: the key is not a stream, or the user may not read it. Jobs whose payload cannot be read never get
/// here: they go to the dead letters.
///
/// Dropping it is as [`Consumer::close`], in the background; jobs in hand can be decided after that.
pub struct Consumer<T> {
    queues: Vec<Queue<T>>,
    pub(super) desk: Arc<Desk>,
    jobs: mpsc::UnboundedReceiver<Result<Hold, QueueError>>,
}

impl<T: Send + 'static> Consumer<T> {
    /// The first queue is the most urgent one.
    pub(super) async fn start(
        queues: Vec<Queue<T>>,
        ageing: u32,
        limits: Limits,
    ) -> Result<Self, QueueError> {
        let cores: Vec<_> = queues.iter().map(|queue| Arc::clone(queue.core())).collect();
        let Some(first) = cores.first() else { return Err(QueueError::Stopped) };
        let client: Client = first.client.clone();
        let plan = Plan::new(first.settings.terms(cores.len(), ageing));
        let reader = reader(&client).await?;
        for core in &cores {
            opened(core).await?;
        }
        let desk = Arc::new(Desk::new(cores, client, limits));
        let (out, jobs) = mpsc::unbounded_channel();
        let reading = Reading::new(Arc::clone(&desk), plan, reader, out);
        tokio::spawn(supervise(Arc::clone(&desk), reading));
        Ok(Self { queues, desk, jobs })
    }

    /// The next job; `None` when the consumer is closed.
    ///
    /// # Cancel safety
    ///
    /// No job is lost when the future is dropped.
    ///
    /// # Errors
    ///
    /// What will not pass: there are no more jobs after it.
    pub async fn next(&mut self) -> Option<Result<Delivery<T>, QueueError>> {
        std::future::poll_fn(|cx| self.poll_job(cx)).await
    }

    fn poll_job(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Delivery<T>, QueueError>>> {
        loop {
            match std::task::ready!(self.poll_hold(cx)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(hold)) => {
                    if let Some(delivery) = self.open(hold) {
                        return Poll::Ready(Some(Ok(delivery)));
                    }
                }
            }
        }
    }

    /// The next entry, unread. What was lost while it lay here is passed over.
    pub(super) fn poll_hold(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Hold, QueueError>>> {
        loop {
            let next = std::task::ready!(self.jobs.poll_recv(cx));
            match next {
                Some(Ok(hold)) if hold.lease.is_lost() => drop(hold),
                Some(Ok(mut hold)) => {
                    hold.hand_out();
                    return Poll::Ready(Some(Ok(hold)));
                }
                other => return Poll::Ready(other),
            }
        }
    }

    /// Reads the payload; what cannot be read goes to the dead letters.
    pub(super) fn open(&self, hold: Hold) -> Option<Delivery<T>> {
        open(&self.queues, hold)
    }

    pub(super) fn queues(&self) -> &[Queue<T>] {
        &self.queues
    }

    /// What has become of its jobs so far.
    #[must_use]
    pub fn report(&self) -> Report {
        self.desk.tally.report()
    }

    /// The consumer's name, as the server knows it.
    #[must_use]
    pub fn name(&self) -> Arc<[u8]> {
        self.desk.name()
    }

    /// Takes no more jobs on, gives back those that nobody has asked for, waits until those in hand are decided, and removes
    /// the consumer from the group.
    ///
    /// # Cancel safety
    ///
    /// It goes on in the background when the future is dropped.
    pub async fn close(mut self) -> Report {
        self.shut();
        self.desk.ended.cancelled().await;
        self.desk.tally.report()
    }

    /// Takes no more jobs on, and gives back those that nobody has asked for.
    pub(super) fn shut(&mut self) {
        self.desk.closing.cancel();
        self.jobs.close();
        while let Ok(job) = self.jobs.try_recv() {
            drop(job);
        }
    }
}

/// A connection for reads that block. A server that cannot be reached now may be later.
async fn reader(client: &Client) -> Result<Reader, Error> {
    let mut pause = clerk::Pause::default();
    loop {
        match client.reader().await {
            Err(Error::Connect(error)) if !error.is_permanent() => pause.wait().await,
            result => return result,
        }
    }
}

/// Opens a queue, once the server is there.
async fn opened(core: &Core) -> Result<(), QueueError> {
    let mut pause = clerk::Pause::default();
    loop {
        match core.opened().await {
            Err(QueueError::Redis(error)) if clerk::helps(&error) => pause.wait().await,
            result => return result,
        }
    }
}

pub(super) fn open<T: 'static>(queues: &[Queue<T>], hold: Hold) -> Option<Delivery<T>> {
    let queue = queues.get(hold.key.0)?;
    match queue.decoded(&hold.entry) {
        Ok(payload) => Some(Delivery::new(payload, hold)),
        Err(error) => {
            let why = format!("the payload cannot be read: {error}");
            drop(hold.decide(clerk::Decision::Bury(why.into())));
            None
        }
    }
}

impl<T: Send + 'static> futures_core::Stream for Consumer<T> {
    type Item = Result<Delivery<T>, QueueError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_job(cx)
    }
}

impl<T> Unpin for Consumer<T> {}

impl<T> Drop for Consumer<T> {
    fn drop(&mut self) {
        self.desk.closing.cancel();
    }
}

impl<T> fmt::Debug for Consumer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.desk.name();
        f.debug_struct("Consumer").field("name", &name.escape_ascii().to_string()).finish()
    }
}

/// Runs the tasks of a consumer to their end.
async fn supervise(desk: Arc<Desk>, reading: Reading) {
    let mut tasks = JoinSet::new();
    tasks.spawn(keeper::run(Arc::clone(&desk)));
    tasks.spawn(clerk::run(Arc::clone(&desk)));
    let tidying = CancellationToken::new();
    let janitor = tokio::spawn(janitor::run(Arc::clone(&desk), tidying.clone()));
    // Whatever becomes of it, even a panic: the others are told.
    let _ = tokio::spawn(reading.run()).await;
    desk.closing.cancel();
    while !desk.is_idle() {
        let news = desk.news();
        if !desk.is_idle() {
            news.await;
        }
    }
    // What was decided is done before the name is removed.
    let settled = async {
        while !desk.held().is_empty() {
            let news = desk.news();
            if !desk.held().is_empty() {
                news.await;
            }
        }
    };
    first(settled, tokio::time::sleep(LAST)).await;
    tidying.cancel();
    let _ = janitor.await;
    // A name that is left behind is removed by another consumer's janitor.
    let _ = tokio::time::timeout(LEAVE, janitor::leave(&desk)).await;
    desk.ended.cancel();
    desk.ordered.notify_one();
    while tasks.join_next().await.is_some() {}
}

/// How long is waited for the last replies.
const LAST: Duration = Duration::from_secs(5);

/// How long is waited for the name to be removed.
const LEAVE: Duration = Duration::from_secs(1);
