//! Jobs: a failed attempt, a dead letter, the span, and the trace context that travels with a job.

use crate::connection::All;
use crate::support::Server;
use bourn::queue::{Enqueue, Fail, Flat, Headers, Jitter, Job, Propagate, Queue, RetryPolicy};
use bourn::{Client, Config};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tracing::Span;
use tracing::subscriber::set_default;

type Pairs = Vec<(String, String)>;

/// Injects one context, and keeps the extracted ones with the name of the span.
#[derive(Clone, Default)]
struct Context(Arc<Mutex<Vec<(String, &'static str)>>>);

impl Propagate for Context {
    fn inject(&self, header: &mut dyn FnMut(&str, &str)) {
        header("traceparent", "00-a-b-01");
    }

    fn extract(&self, headers: Headers<'_>, span: &Span) {
        let parent = headers.get("traceparent").unwrap_or_default().escape_ascii().to_string();
        let name = span.metadata().map_or("none", |metadata| metadata.name());
        self.0.lock().unwrap().push((parent, name));
    }
}

#[tokio::test]
async fn failed_attempts_are_warnings_and_dead_letters_errors_in_the_span_of_the_job() {
    let server = Server::start();
    // The collector is of this thread: the worker's tasks run here too.
    let config = server.url().parse::<Config>().unwrap().runtime(Handle::current());
    let client = Client::connect(config).await.unwrap();
    let wait = Duration::from_millis(10);
    let retry = RetryPolicy::exponential(wait, wait).jitter(Jitter::None).max_attempts(2);
    let context = Context::default();
    let builder = Queue::builder(&client, "jobs").lease(Duration::from_millis(600)).retry(retry);
    let queue: Queue<Pairs> = builder.propagate(context.clone()).open(Flat).await.unwrap();
    let producer = queue.producer();
    let job = |n: &str| vec![("n".to_owned(), n.to_owned())];
    producer.enqueue(&job("fails")).await.unwrap();
    for result in producer.enqueue_all(&[job("works")]).await {
        result.unwrap();
    }
    let own = Enqueue::new().header("traceparent", "00-own-b-01");
    producer.enqueue_with(&job("works too"), own).await.unwrap();

    let all = All::default();
    let _collecting = set_default(all.clone());
    let over = Arc::new(Notify::new());
    let watch = async {
        let count = |key: &str| server.command(&["XLEN", key]);
        while count("{jobs}:dlq").trim() != "1" || count("jobs").trim() != "0" {
            tokio::time::sleep(wait).await;
        }
        over.notify_one();
    };
    let handler = |job: Job<Pairs>| async move {
        if job[0].1 == "fails" { Err(Fail::retry("no such user")) } else { Ok(()) }
    };
    let (report, ()) = tokio::join!(queue.worker().run(over.notified(), handler), watch);
    assert_eq!((report.as_ref().unwrap().done, report.unwrap().dead), (2, 1));

    let text = all.text();
    let lines: Vec<&str> = text.lines().collect();
    let starting = |start: &str| {
        lines.iter().filter(|line| line.starts_with(start)).copied().collect::<Vec<_>>()
    };
    let failed = starting("WARN message=attempt failed");
    assert_eq!(failed.len(), 2, "{text}");
    for (attempt, line) in (1..).zip(failed) {
        assert!(line.contains(&format!(" attempt={attempt} of=2")), "{line}");
        assert!(line.ends_with("reason=\"no such user\""), "{line}");
    }
    let dead = starting("ERROR message=job dead-lettered");
    assert_eq!(dead.len(), 1, "{text}");
    assert!(dead[0].contains("attempts=2") && dead[0].contains("no such user"), "{}", dead[0]);
    assert_eq!(starting("ERROR").len(), 1, "{text}");

    let mut contexts = context.0.lock().unwrap().clone();
    contexts.sort();
    let sent = ("00-a-b-01".to_owned(), "job");
    assert_eq!(contexts, [sent.clone(), sent.clone(), sent, ("00-own-b-01".to_owned(), "job")]);
}
