//! What the tests share: paused time, a queue of texts.

use bourn::queue::{Fail, Flat, Job, Queue};
use bourn::testing::Server;
use std::future::Future;
use std::time::Duration;
use tokio::time::sleep;

/// The payload of the tests: fields.
pub(crate) type Email = Vec<(String, String)>;

/// The versions whose commands differ most: none, lag, XACKDEL, IDMP, XNACK; and a Valkey.
pub(crate) const VERSIONS: [&str; 6] =
    ["redis-6.2", "redis-7.0", "redis-8.2", "redis-8.6", "redis-8.10", "valkey-9.1"];

/// Runs a test in paused time, and fails it if it does not end.
pub(crate) fn in_paused_time(test: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime");
    let hours = Duration::from_secs(100 * 3_600);
    runtime.block_on(async { tokio::time::timeout(hours, test).await }).expect("the test ends");
}

/// Runs a test on a server of each of [`VERSIONS`].
pub(crate) fn on_each_version<F: Future<Output = ()>>(test: impl Fn(Server) -> F) {
    for version in VERSIONS {
        println!("{version}");
        in_paused_time(test(Server::builder().version(version).build()));
    }
}

/// Opens a queue of texts.
pub(crate) async fn queue(server: &Server, stream: &str) -> Queue<Email> {
    let client = server.client().await.expect("a connection");
    Queue::builder(&client, stream).open(Flat).await.expect("the queue opens")
}

#[test]
fn job_is_done_on_each_version() {
    on_each_version(|server| async move {
        let queue = queue(&server, "email").await;
        queue.producer().enqueue(&Email::new()).await.unwrap();
        let done = |_: Job<Email>| async { Ok::<_, Fail>(()) };
        let report = queue.worker().run(sleep(Duration::from_secs(1)), done).await.unwrap();
        assert_eq!((report.done, report.retried, report.dead), (1, 0, 0), "{report}");
    });
}
