//! A server whose clock is not that of the process: ages count by the server's.

use crate::steps::{DEAD, enqueue, len};
use crate::support::{Email, VERSIONS, in_paused_time};
use bourn::queue::{Fail, Flat, Health, Job, Queue, Redrive};
use bourn::testing::{Fault, Server};
use std::time::{Duration, SystemTime};
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

/// Runs a test on a server that is two hours behind, and on one that is two hours ahead.
fn on_each<F: Future<Output = ()>>(test: impl Fn(&'static str, Server) -> F) {
    for version in VERSIONS {
        for is_ahead in [false, true] {
            let now = SystemTime::now();
            let time = if is_ahead { now + 2 * HOUR } else { now - 2 * HOUR };
            let server = Server::builder().version(version).time(time).build();
            println!("{version}, ahead: {is_ahead}");
            in_paused_time(test(version, server));
        }
    }
}

/// Opens a queue as a new process does.
async fn open(server: &Server) -> Queue<Email> {
    let client = server.client().await.unwrap();
    Queue::builder(&client, "email").open(Flat).await.unwrap()
}

/// Adds dead letters.
async fn fail(queue: &Queue<Email>, jobs: u64) {
    for _ in 0..jobs {
        enqueue(queue).await;
    }
    fail_all(queue, jobs).await;
}

/// Dead-letters all jobs.
async fn fail_all(queue: &Queue<Email>, jobs: u64) {
    let dead = |_: Job<Email>| async { Err::<(), _>(Fail::dead("no")) };
    let report = queue.worker().run(sleep(2 * SECOND), dead).await.unwrap();
    assert_eq!(report.dead, jobs, "{report}");
}

#[test]
fn purge_deletes_the_letters_that_are_older_by_the_servers_clock() {
    on_each(|version, server| async move {
        fail(&open(&server).await, 3).await;
        let purged = open(&server).await.dead_letters().purge(HOUR).await.unwrap();
        assert_eq!(purged, 0, "{version}: they are new");
        sleep(2 * HOUR).await;
        fail(&open(&server).await, 2).await;
        let purged = open(&server).await.dead_letters().purge(HOUR).await.unwrap();
        assert_eq!((purged, len(&server, DEAD)), (3, 2), "{version}");
    });
}

#[test]
fn redrive_since_selects_the_letters_that_are_newer_by_the_servers_clock() {
    on_each(|version, server| async move {
        fail(&open(&server).await, 3).await;
        sleep(2 * HOUR).await;
        fail(&open(&server).await, 2).await;
        let since = Redrive::all().since(HOUR);
        let redriven = open(&server).await.dead_letters().redrive(since).await.unwrap();
        assert_eq!((redriven, len(&server, DEAD)), (2, 3), "{version}");
    });
}

/// The ids show a time that is not ahead of the server's.
#[test]
fn no_new_letter_is_purged_or_left_out_where_time_is_not_allowed() {
    on_each(|version, server| async move {
        let noperm = "NOPERM User default has no permissions to run the 'time' command";
        server.inject(Fault::error(noperm).on_command("TIME").times(u64::MAX));
        fail(&open(&server).await, 3).await;
        sleep(2 * HOUR).await;
        fail(&open(&server).await, 2).await;
        let since = || Redrive::all().since(HOUR);
        let redriven = open(&server).await.dead_letters().redrive(since()).await.unwrap();
        assert_eq!(redriven, 2, "{version}");
        let purged = open(&server).await.dead_letters().purge(HOUR).await.unwrap();
        assert_eq!((purged, len(&server, DEAD)), (0, 3), "{version}: no id is newer");
        let queue = open(&server).await;
        enqueue(&queue).await;
        fail_all(&queue, 3).await;
        let purged = open(&server).await.dead_letters().purge(HOUR).await.unwrap();
        assert_eq!((purged, len(&server, DEAD)), (3, 3), "{version}: the last id is new");
        sleep(2 * HOUR).await;
        let dead = open(&server).await.dead_letters();
        assert_eq!(dead.purge(HOUR).await.unwrap(), 0, "{version}: no id shows the time");
        assert_eq!(dead.redrive(since()).await.unwrap(), 3, "{version}");
    });
}

#[test]
fn age_of_the_oldest_job_is_measured_by_the_servers_clock() {
    on_each(|version, server| async move {
        let queue = open(&server).await;
        enqueue(&queue).await;
        let stats = open(&server).await.stats().await.unwrap();
        assert!(stats.oldest_ready_age().unwrap() < SECOND, "{version}: {stats:?}");
        let waits = |health| match health {
            Health::Degraded(problems) => problems.join("; ").contains("has been waiting"),
            _ => false,
        };
        assert!(!waits(queue.health().await.unwrap()), "{version}");
        sleep(HOUR).await;
        let age = open(&server).await.stats().await.unwrap().oldest_ready_age().unwrap();
        assert!((HOUR..HOUR + 10 * SECOND).contains(&age), "{version}: {age:?}");
        assert!(waits(queue.health().await.unwrap()), "{version}");
    });
}
