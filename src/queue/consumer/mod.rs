//! `Consumer`: a stream of deliveries, and the start and end of the tasks behind it. A task.
//!
//! | file | purpose |
//! |---|---|
//! | `state`, `lease`, `in_flight`, `report` | values that the tasks share |
//! | `delivery` | a job that was delivered to a caller |
//! | `alone`, `pause` | a job that is run alone: its turn, its mark at the server, no fetching |
//! | `failure` | a failed attempt; panics in the caller's code |
//! | `fetch`, `heartbeat`, `settle`, `delayed` | the tasks |
//! | `conclude` | how a settlement ended |
//! | `threads` | the runtime on which the tasks run |

mod alone;
mod conclude;
pub(crate) mod delayed;
pub(crate) mod delivery;
pub(crate) mod failure;
pub(crate) mod fetch;
pub(crate) mod heartbeat;
pub(crate) mod in_flight;
pub(crate) mod lease;
mod pause;
pub(crate) mod report;
pub(crate) mod settle;
pub(crate) mod state;
mod threads;

use crate::error::Error;
use crate::queue::consumer::alone::Alone;
use crate::queue::consumer::delayed::Redelivery;
use crate::queue::consumer::delivery::Delivery;
use crate::queue::consumer::fetch::Fetch;
use crate::queue::consumer::in_flight::{InFlight, Settlement, Settler};
use crate::queue::consumer::report::Report;
use crate::queue::consumer::state::{Limits, State};
use crate::queue::error::QueueError;
use crate::queue::first::first;
use crate::queue::maintenance;
use crate::queue::operation::backoff::{Backoff, is_transient};
use crate::queue::policy::plan::Plan;
use crate::queue::shared::{Queue, Shared};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Configures and starts a [`Consumer`]. Created by [`Queue::consumer`].
///
/// ```no_run
/// # async fn f(queue: &bourn::queue::Queue<String>) -> Result<(), Box<dyn std::error::Error>> {
/// // Up to 8 jobs and 1 MiB wait here, fetched and not yet taken.
/// let jobs = queue.consumer().prefetch(8).max_bytes(1 << 20).start().await?;
/// println!("{}", jobs.close().await);
/// # Ok(()) }
/// ```
#[must_use = "a `ConsumerBuilder` does nothing until `start` is called"]
pub struct ConsumerBuilder<T> {
    queue: Queue<T>,
    prefetch: usize,
    bytes: usize,
}

impl<T: 'static> Queue<T> {
    /// Configures a consumer, which receives jobs that are acknowledged one by one.
    pub fn consumer(&self) -> ConsumerBuilder<T>
    where
        T: Send,
    {
        ConsumerBuilder::new(self.clone())
    }
}

impl<T: Send + 'static> ConsumerBuilder<T> {
    fn new(queue: Queue<T>) -> Self {
        Self { queue, prefetch: 1, bytes: 64 << 20 }
    }

    /// Sets how many jobs are fetched in advance. Default and minimum 1. Their leases are renewed,
    /// but another consumer could have run them already.
    ///
    /// At most 65,536 jobs are in flight: no more are fetched until some are settled.
    pub fn prefetch(self, jobs: usize) -> Self {
        Self { prefetch: jobs.max(1), ..self }
    }

    /// Sets the limit on the payload bytes of prefetched jobs together. Default 64 MiB. A single
    /// job may be larger.
    ///
    /// Redis 8.10 enforces it. For older servers it is estimated from the largest of the recent
    /// jobs, and a reply above this limit is given back and read again in smaller ones.
    pub fn max_bytes(self, bytes: usize) -> Self {
        Self { bytes: bytes.max(1), ..self }
    }

    /// Starts the consumer: opens two connections of its own, and retries while the server is
    /// unreachable.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    ///
    /// # Errors
    ///
    /// As [`Client::reader`](crate::Client::reader), if the error is permanent: a rejected
    /// password, invalid settings.
    pub async fn start(self) -> Result<Consumer<T>, QueueError> {
        let Self { queue, prefetch, bytes } = self;
        let limits = Limits {
            buffered: prefetch,
            bytes,
            until_settled: false,
            undecided: usize::MAX,
            // The caller may keep deliveries until others arrive.
            alone_within: Some(queue.shared().settings.lease),
        };
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

/// Receives jobs: as a [`Stream`](futures_core::Stream) of [`Delivery`], or with
/// [`Consumer::next`].
///
/// Reconnects, recreates the group and claims abandoned jobs automatically. An error is permanent
/// and ends the stream: the key is not a stream, the user lacks permission, or the client is closed.
/// Such an error of an acknowledgement does the same. Jobs whose payload cannot be decoded are not
/// returned: the attempt counts as failed, as [`Undecodable`](crate::queue::Undecodable) describes.
///
/// A job whose workers died during all its attempts is returned once more, alone: when all other
/// deliveries are settled, and the next one when it is settled. The consumer waits for one lease at
/// most for each.
///
/// Dropping it has the effect of [`Consumer::close`], in the background. Deliveries in flight can
/// still be settled after that.
///
/// ```no_run
/// # async fn f(queue: &bourn::queue::Queue<String>) -> Result<(), Box<dyn std::error::Error>> {
/// let mut jobs = queue.consumer().prefetch(8).start().await?;
/// while let Some(delivery) = jobs.next().await {
///     let delivery = delivery?;
///     println!("{}: {}", delivery.id(), delivery.payload());
///     delivery.ack().await?;
/// }
/// # Ok(()) }
/// ```
pub struct Consumer<T> {
    queues: Vec<Queue<T>>,
    pub(crate) state: Arc<State>,
    /// The runtime of its tasks.
    runtime: Handle,
    jobs: mpsc::UnboundedReceiver<Result<InFlight, QueueError>>,
    alone: Alone,
}

impl<T: Send + 'static> Consumer<T> {
    /// Starts a consumer of several queues. The first queue is the most urgent one.
    pub(crate) async fn start(
        queues: Vec<Queue<T>>,
        ageing: u32,
        limits: Limits,
    ) -> Result<Self, QueueError> {
        let all_shared: Vec<_> = queues.iter().map(|queue| Arc::clone(queue.shared())).collect();
        let Some(first) = all_shared.first() else { return Err(QueueError::Stopped) };
        let plan = Plan::new(first.settings.plan_settings(all_shared.len(), ageing));
        let runtime = threads::runtime(&first.client).map_err(Error::from)?;
        // A read that is not answered, or a heartbeat, shows a dead connection before a probe does.
        let idle = (first.settings.lease * 2).min(PROBE);
        let client = connected(|| first.client.another(&runtime, idle)).await?;
        // The bytes of payload that a reply may have.
        let bytes = limits.bytes.saturating_add(SMALL_REPLY);
        let reader = connected(|| client.reader_within(bytes)).await?;
        for shared in &all_shared {
            opened(shared).await?;
        }
        let own = |shared: &Arc<Shared>| Arc::new(shared.with_client(client.clone()));
        let levels = all_shared.iter().map(own).collect();
        let origin = first.client.clone();
        let state = Arc::new(State::new(levels, client, limits));
        let (out, jobs) = mpsc::unbounded_channel();
        let (settler, settlements) = Settler::channel(limits.undecided);
        let settlements = (settlements, Redelivery::new(&settler, &out));
        let fetch = Fetch::new(Arc::clone(&state), plan, reader, settler, out, origin);
        runtime.spawn(supervise(Arc::clone(&state), fetch, settlements));
        Ok(Self { queues, state, runtime, jobs, alone: Alone::No })
    }

    /// Returns the next job; `None` when the consumer is closed.
    ///
    /// # Cancel safety
    ///
    /// No job is lost when the future is dropped.
    ///
    /// # Errors
    ///
    /// Errors are permanent: there are no more jobs after one.
    pub async fn next(&mut self) -> Option<Result<Delivery<T>, QueueError>> {
        std::future::poll_fn(|cx| self.poll_job(cx)).await
    }

    fn poll_job(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Delivery<T>, QueueError>>> {
        loop {
            match std::task::ready!(self.poll_in_flight(cx)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(job)) => {
                    if let Some(delivery) = self.open(job) {
                        return Poll::Ready(Some(Ok(delivery)));
                    }
                }
            }
        }
    }

    /// Returns the next entry, not decoded. Entries whose lease was lost while they were buffered
    /// are skipped.
    pub(crate) fn poll_in_flight(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<InFlight, QueueError>>> {
        loop {
            if self.state.failed.is_cancelled() {
                self.stop_fetching();
                return Poll::Ready(self.state.take_failure().map(Err));
            }
            if let Some(job) = self.alone.poll(&self.runtime, cx) {
                return Poll::Ready(Some(Ok(job)));
            }
            let next = std::task::ready!(self.jobs.poll_recv(cx));
            match next {
                Some(Ok(job)) if job.lease.is_lost() => drop(job),
                // One of several that are to run alone, or a retry that was due here. Given back, it
                // loses no attempt if the one that runs alone ends the process.
                Some(Ok(job)) if self.alone.is_any() => drop(job),
                Some(Ok(job)) if job.is_alone => {
                    self.alone = Alone::wait(job, &self.runtime);
                }
                Some(Ok(mut job)) => {
                    job.mark_delivered();
                    return Poll::Ready(Some(Ok(job)));
                }
                // A permanent error may have closed the channel just now.
                None if self.state.failed.is_cancelled() => {}
                other => return Poll::Ready(other),
            }
        }
    }

    /// Decodes the payload. A job that cannot be decoded is settled.
    pub(crate) fn open(&self, job: InFlight) -> Option<Delivery<T>> {
        open(&self.queues, job)
    }

    pub(crate) fn queues(&self) -> &[Queue<T>] {
        &self.queues
    }

    /// Returns the counts of the outcomes so far.
    #[must_use]
    pub fn report(&self) -> Report {
        self.state.outcomes.report()
    }

    /// Returns the consumer's name at the server.
    #[must_use]
    pub fn name(&self) -> Arc<[u8]> {
        self.state.name()
    }

    /// Closes the consumer: fetches no more jobs, releases prefetched jobs, waits until deliveries
    /// in flight are settled, and removes the consumer from the group.
    ///
    /// # Cancel safety
    ///
    /// Closing continues in the background when the future is dropped.
    pub async fn close(mut self) -> Report {
        self.stop_fetching();
        self.ended().await;
        self.report()
    }

    /// Waits until the consumer is closed.
    pub(crate) async fn ended(&self) {
        self.state.ended.cancelled().await;
    }

    /// Waits on the runtime of the consumer's tasks: the caller's may be blocked.
    pub(crate) fn sleep_until(&self, at: Instant) -> impl Future<Output = ()> + use<T> {
        let mut timer = JoinSet::new();
        timer.spawn_on(async move { tokio::time::sleep_until(at).await }, &self.runtime);
        async move { drop(timer.join_next().await) }
    }

    /// Stops fetching, and releases prefetched jobs.
    pub(crate) fn stop_fetching(&mut self) {
        self.state.closing.cancel();
        self.alone = Alone::No;
        self.jobs.close();
        while let Ok(job) = self.jobs.try_recv() {
            drop(job);
        }
    }
}

/// Opens a connection. Retries while the server is unreachable.
async fn connected<C, F>(open: impl Fn() -> F) -> Result<C, Error>
where
    F: Future<Output = Result<C, Error>>,
{
    let mut backoff = Backoff::default();
    loop {
        match open().await {
            Err(Error::Connect(error)) if !error.is_permanent() => backoff.wait().await,
            result => return result,
        }
    }
}

/// Opens a queue. Retries while the error is transient.
async fn opened(shared: &Shared) -> Result<(), QueueError> {
    let mut backoff = Backoff::default();
    loop {
        match shared.opened().await {
            Err(QueueError::Redis(error)) if is_transient(&error) => backoff.wait().await,
            result => return result,
        }
    }
}

/// Decodes the payload of a job. A job that cannot be decoded is settled.
pub(crate) fn open<T: 'static>(queues: &[Queue<T>], job: InFlight) -> Option<Delivery<T>> {
    let queue = queues.get(job.key.0)?;
    match failure::decoded(queue, &job) {
        Ok(payload) => Some(Delivery::new(payload, job)),
        Err(undecoded) => {
            undecoded.settle(job, &queue.shared().settings);
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
        self.state.closing.cancel();
    }
}

impl<T> fmt::Debug for Consumer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.state.name();
        f.debug_struct("Consumer").field("name", &name.escape_ascii().to_string()).finish()
    }
}

/// Runs the tasks of a consumer to their end.
async fn supervise(
    state: Arc<State>,
    fetch: Fetch,
    (settlements, redelivery): (mpsc::Receiver<Settlement>, Redelivery),
) {
    let mut tasks = JoinSet::new();
    tasks.spawn(heartbeat::run(Arc::clone(&state)));
    tasks.spawn(settle::run(Arc::clone(&state), settlements, redelivery));
    let stop = CancellationToken::new();
    let maintenance = tokio::spawn(maintain(Arc::clone(&state), stop.clone()));
    let mut movers = JoinSet::new();
    for level in 0..state.levels.len() {
        movers.spawn(move_delayed(Arc::clone(&state), level, stop.clone()));
        movers.spawn(add_recurring(Arc::clone(&state), level, stop.clone()));
    }
    // However fetching ends, even in a panic, the other tasks must be stopped.
    let _ = tokio::spawn(fetch.run()).await;
    state.closing.cancel();
    while !state.is_idle() {
        let changed = state.changed();
        if !state.is_idle() {
            changed.await;
        }
    }
    // Decisions are carried out before the name is removed.
    first(all_settled(&state), tokio::time::sleep(LAST)).await;
    // The others are recorded as failed, before the report is complete.
    state.no_retry.cancel();
    first(all_settled(&state), tokio::time::sleep(LEAVE)).await;
    stop.cancel();
    // It ends after its present step, for which the server may have no reply.
    let _ = tokio::time::timeout(LEAVE, maintenance).await;
    // What a mover has begun, it ends: the next one might add the jobs again.
    let left = async { while movers.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(LAST, left).await;
    let me = state.name();
    // If the name stays, another consumer removes it, when nothing can be on its way any more.
    if state.none_on_its_way() {
        let leaver = Arc::clone(&state);
        let leaving = async move { maintenance::consumers::leave(&leaver.levels, &me).await };
        // It continues after this time: a job that was delivered to the name may have to be put back.
        let _ = tokio::time::timeout(LEAVE, tokio::spawn(leaving)).await;
    }
    state.ended.cancel();
    while tasks.join_next().await.is_some() {}
}

/// Waits until no lease is left.
async fn all_settled(state: &State) {
    while !state.leases().is_empty() {
        let changed = state.changed();
        if !state.leases().is_empty() {
            changed.await;
        }
    }
}

/// Moves the delayed jobs of one stream at their time.
async fn move_delayed(state: Arc<State>, level: usize, stop: CancellationToken) {
    if let Some(shared) = state.shared(level) {
        maintenance::wheel::run(shared, || state.name(), &stop).await;
    }
}

/// Adds the recurring jobs of one stream at their time.
async fn add_recurring(state: Arc<State>, level: usize, stop: CancellationToken) {
    if let Some(shared) = state.shared(level) {
        maintenance::recurring::run(shared, &stop).await;
    }
}

async fn maintain(state: Arc<State>, stop: CancellationToken) {
    let name = || state.name();
    let lost = |level, entries| state.count_lost(level, entries);
    let settled = || state.outcomes.settled();
    maintenance::run(&state.levels, name, settled, lost, stop).await;
}

/// The bytes of a reply that are not limited by `max_bytes`: those around the payloads.
const SMALL_REPLY: usize = 4 << 20;

/// The maximum time for which a consumer's connections are idle without a probe, unless the client's
/// settings say more.
const PROBE: Duration = Duration::from_secs(60);

/// The time to wait for the last replies.
const LAST: Duration = Duration::from_secs(5);

/// The time to wait for the name to be removed.
const LEAVE: Duration = Duration::from_secs(1);
