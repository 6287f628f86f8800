//! A worker beside the other clients, and what it has done.

use crate::support::Server;
use bourn::Client;
use bourn::queue::{
    Fail, Flat, Job, Queue, QueueBuilder, QueueError, QueueEvent, QueueEvents, Report,
    WorkerBuilder,
};
use futures_util::FutureExt;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

/// The fields of an entry.
pub(crate) type Fields = Vec<(String, String)>;

/// Connects a client.
pub(crate) async fn connect(server: &Server) -> Client {
    Client::connect(server.url().as_str()).await.expect("a connection")
}

/// Opens a queue.
pub(crate) async fn open(
    client: &Client,
    (stream, group): (&str, &str),
    build: impl FnOnce(QueueBuilder) -> QueueBuilder,
) -> Queue<Fields> {
    let builder = Queue::builder(client, stream).group(group);
    build(builder).open(Flat).await.expect("the queue opens")
}

/// Returns the value of a field.
pub(crate) fn value<'a>(fields: &'a Fields, name: &str) -> &'a str {
    fields.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value)
}

/// An order.
pub(crate) fn order(id: &str, handler: &str) -> Fields {
    let own = |text: &str| text.to_owned();
    let who = (!handler.is_empty()).then(|| (own("for"), own(handler)));
    [(own("order_id"), own(id))].into_iter().chain(who).collect()
}

/// A running worker, and the attempts of each entry that it has handled, by a field.
pub(crate) struct Beside {
    worker: JoinHandle<Result<Report, QueueError>>,
    stop: oneshot::Sender<()>,
    handled: Arc<Mutex<BTreeMap<String, Vec<u32>>>>,
}

impl Beside {
    /// Starts a worker. An entry counts as handled when its handler returns `Ok`.
    pub(crate) fn start<R>(
        worker: WorkerBuilder<Fields>,
        field: &'static str,
        handler: impl Fn(Job<Fields>) -> R + Send + Sync + 'static,
    ) -> Self
    where
        R: Future<Output = Result<(), Fail>> + Send + 'static,
    {
        let (stop, stopped) = oneshot::channel();
        let handled = Arc::new(Mutex::new(BTreeMap::<String, Vec<u32>>::new()));
        let all = Arc::clone(&handled);
        let worker = worker.run(stopped, move |job: Job<Fields>| {
            let (all, name, attempt) =
                (Arc::clone(&all), value(&job, field).to_owned(), job.attempt());
            let handled = handler(job);
            async move {
                handled.await?;
                all.lock()
                    .expect("the lock is not poisoned")
                    .entry(name)
                    .or_default()
                    .push(attempt);
                Ok::<_, Fail>(())
            }
        });
        Self { worker: tokio::spawn(worker), stop, handled }
    }

    /// Returns the attempts of each entry that was handled.
    pub(crate) fn handled(&self) -> BTreeMap<String, Vec<u32>> {
        self.handled.lock().expect("the lock is not poisoned").clone()
    }

    pub(crate) async fn stop(self) -> (Report, BTreeMap<String, Vec<u32>>) {
        // The worker may have ended by itself.
        let _ = self.stop.send(());
        let report = self.worker.await.expect("no panic").expect("no permanent error");
        let handled = self.handled.lock().expect("the lock is not poisoned").clone();
        (report, handled)
    }
}

/// Returns the events so far.
pub(crate) fn all(events: &mut QueueEvents) -> Vec<QueueEvent> {
    std::iter::from_fn(|| events.next().now_or_never().flatten()).collect()
}

/// Returns the values of a field in the lines of handled entries.
pub(crate) fn handled(output: &[String], field: &str) -> Vec<String> {
    let lines = output.iter().filter_map(|line| line.strip_prefix("handled "));
    let json = lines.map(|line| serde_json::from_str(line).expect("an object"));
    json.map(|json: BTreeMap<String, String>| json.get(field).cloned().unwrap_or_default())
        .collect()
}

/// Polls until the condition holds; panics after a minute.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Returns the number of entries that are pending.
pub(crate) fn pending(server: &Server, stream: &str, group: &str) -> u64 {
    let reply = server.command(&["XPENDING", stream, group]);
    reply.lines().next().and_then(|line| line.parse().ok()).expect("a number")
}
