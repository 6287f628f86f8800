//! Each kind of handler, and each kind of error that it may return.

use crate::test_queue::{Job as Pairs, TestQueue, number, on_each, quick, until};
use anyhow::Context;
use bourn::queue::{BoxError, Fail, Flat, Handler, Job, Queue, Verdict, WorkerBuilder};
use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;

#[derive(Debug, thiserror::Error)]
#[error("no such user")]
struct NoSuchUser;

async fn boxed(_: Job<Pairs>) -> Result<(), Box<dyn Error + Send + Sync>> {
    Err(NoSuchUser)?
}

async fn anyhow(_: Job<Pairs>) -> anyhow::Result<()> {
    Err(NoSuchUser).context("cannot send")
}

async fn typed(_: Job<Pairs>) -> Result<(), NoSuchUser> {
    Err(NoSuchUser)
}

async fn mixed(job: Job<Pairs>) -> Result<(), Fail> {
    Ok(anyhow(job).await?)
}

async fn counts(sum: Arc<AtomicU64>, job: Job<Pairs>) -> anyhow::Result<()> {
    sum.fetch_add(number(&job), Ordering::Relaxed);
    Ok(())
}

/// A handler with state.
struct Counter(Arc<AtomicU64>);

impl Handler<Pairs> for Counter {
    async fn handle(&self, job: Job<Pairs>) -> Result<(), Fail> {
        tokio::task::yield_now().await;
        counts(Arc::clone(&self.0), job).await?;
        Ok(())
    }
}

/// Runs the worker until the stream is empty.
async fn finish<R>(test: &TestQueue, run: impl FnOnce(Arc<Notify>) -> R)
where
    R: Future<Output = Result<bourn::queue::Report, bourn::queue::QueueError>>,
{
    let over = Arc::new(Notify::new());
    let work = run(Arc::clone(&over));
    let watch = async {
        until("every job is settled", || async { test.left() == (0, 0) }).await;
        over.notify_one();
    };
    let (report, ()) = tokio::join!(work, watch);
    report.unwrap();
}

/// On several threads the tasks of the jobs run in any order.
#[test]
fn handlers_are_called_in_the_order_of_the_ids_on_several_threads() {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(4).enable_time().build().unwrap();
    runtime.block_on(async {
        let server = bourn::testing::Server::new();
        let client = server.client().await.unwrap();
        let queue: Queue<Pairs> = Queue::builder(&client, "jobs").open(Flat).await.unwrap();
        let jobs: Vec<Pairs> = (0..3_000).map(crate::test_queue::job).collect();
        for added in queue.producer().enqueue_all(&jobs).await {
            added.unwrap();
        }
        let (called, all) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Notify::new()));
        let (calls, done) = (Arc::clone(&called), Arc::clone(&all));
        let handler = move |job: Job<Pairs>| {
            let mut calls = calls.lock().unwrap();
            calls.push(number(&job));
            if calls.len() == 3_000 {
                done.notify_one();
            }
            async { Ok::<_, Fail>(()) }
        };
        let stop = async { tokio::time::timeout(Duration::from_secs(60), all.notified()).await };
        queue.worker().concurrency(64).run(stop, handler).await.unwrap();
        let expected: Vec<u64> = (0..3_000).collect();
        assert_eq!(*called.lock().unwrap(), expected);
    });
}

#[test]
fn handler_errors_of_any_type_are_classified_by_type_and_dead_lettered_with_their_causes() {
    on_each(async |test| {
        let retry = quick(3).classify(|error: &BoxError| {
            let first: &(dyn Error + 'static) = &**error;
            let mut chain = std::iter::successors(Some(first), |error| Error::source(*error));
            if chain.any(|error| error.is::<NoSuchUser>()) { Verdict::Dead } else { Verdict::Retry }
        });
        let queue = test.builder().retry(retry).open(Flat).await.unwrap();
        let dead = async |expected: &str| {
            let dead = queue.dead_letters();
            let letters = dead.list(None, 9).await.unwrap();
            let letters: Vec<_> =
                letters.iter().map(|dead| (&*dead.reason, dead.attempts)).collect();
            assert_eq!(letters, [(expected, 1)]);
            dead.purge(Duration::ZERO).await.unwrap();
        };
        let worker = async || -> WorkerBuilder<Pairs> {
            test.enqueue(&queue, 1).await;
            queue.worker()
        };
        let run = worker().await;
        finish(&test, |over| async move { run.run(over.notified(), boxed).await }).await;
        dead("no such user").await;
        let run = worker().await;
        finish(&test, |over| async move { run.run(over.notified(), anyhow).await }).await;
        dead("cannot send: no such user").await;
        let run = worker().await;
        finish(&test, |over| async move { run.run(over.notified(), typed).await }).await;
        dead("no such user").await;
        let run = worker().await;
        finish(&test, |over| async move { run.run_handler(over.notified(), mixed).await }).await;
        dead("cannot send: no such user").await;
    });
}

#[test]
fn closures_functions_and_types_run_with_shared_state() {
    on_each(async |test| {
        let queue: Queue<Pairs> = test.queue().await;
        let sum = Arc::new(AtomicU64::new(0));
        let state = || Arc::clone(&sum);
        // 0 + 1 + 2 + 3
        for (round, total) in (0_u8..4).zip([6, 12, 18, 24]) {
            test.enqueue(&queue, 4).await;
            let worker = queue.worker();
            match round {
                0 => {
                    let state = state();
                    let run = async |over: Arc<Notify>| {
                        worker.run_with(state, over.notified(), counts).await
                    };
                    finish(&test, run).await;
                }
                1 => {
                    let state = state();
                    let run = async |over: Arc<Notify>| {
                        let add = |state, job| async { counts(state, job).await };
                        worker.run_with(state, over.notified(), add).await
                    };
                    finish(&test, run).await;
                }
                2 => {
                    let counter = Counter(state());
                    let run = async |over: Arc<Notify>| {
                        worker.run_handler(over.notified(), counter).await
                    };
                    finish(&test, run).await;
                }
                _ => {
                    let state = state();
                    let run = async |over: Arc<Notify>| {
                        let add = move |job: Job<Pairs>| counts(Arc::clone(&state), job);
                        worker.run_handler(over.notified(), add).await
                    };
                    finish(&test, run).await;
                }
            }
            assert_eq!(sum.load(Ordering::Relaxed), total, "round {round}");
        }
    });
}
