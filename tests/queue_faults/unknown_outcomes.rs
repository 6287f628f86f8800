//! Operations whose first attempt was applied while its reply was lost: the outcome stays unknown
//! until the server has answered, whatever the later attempts return.

use crate::steps::{LEASE, STREAM, delivered, len, requests, s, until};
use crate::support::{Email, in_paused_time, on_each_version, queue};
use bourn::EntryId;
use bourn::queue::{Enqueue, Flat, Nack, Producer, Queue, QueueError};
use bourn::testing::{Fault, Server};
use tokio::time::{Instant, sleep};

const LOADING: &str = "LOADING Redis is loading the dataset in memory";

/// Adds one job, two jobs, or a unique one. Returns the result of the first.
async fn add(producer: &Producer<Email>, way: &str) -> Result<EntryId, QueueError> {
    let job = Email::new();
    match way {
        "one" => producer.enqueue(&job).await,
        "two" => producer.enqueue_all([&job, &job]).await.swap_remove(0),
        _ => producer.enqueue_with(&job, Enqueue::new().unique("a")).await,
    }
}

/// Runs a test for each way to add jobs, on each server with IDMP.
fn on_each_way<F: Future<Output = ()>>(test: impl Fn(Server, &'static str) -> F) {
    for version in ["redis-8.6", "redis-8.10"] {
        for way in ["one", "two", "unique"] {
            println!("{way} on {version}");
            in_paused_time(test(Server::builder().version(version).build(), way));
        }
    }
}

#[test]
fn job_that_was_added_stays_unknown_while_the_server_loads() {
    on_each_way(|server, way| async move {
        let queue = queue(&server, STREAM).await;
        server.inject(Fault::lose_reply().on_command("XADD"));
        server.inject(Fault::error(LOADING).on_command("XADD").times(u64::MAX));
        let start = Instant::now();
        let error = add(&queue.producer(), way).await.unwrap_err();
        assert!(error.may_have_run(), "{error}");
        assert_eq!(len(&server, STREAM), 1, "{error}");
        let waited = start.elapsed();
        assert!(waited >= s(60) && waited < s(70), "{waited:?}: {error}");
    });
}

#[test]
fn job_that_was_added_is_found_when_the_server_has_loaded() {
    on_each_way(|server, way| async move {
        let queue = queue(&server, STREAM).await;
        server.inject(Fault::lose_reply().on_command("XADD"));
        server.inject(Fault::error(LOADING).on_command("XADD").times(u64::MAX));
        let loaded = async {
            sleep(s(50)).await;
            server.clear_faults();
        };
        let producer = queue.producer();
        let (added, ()) = tokio::join!(add(&producer, way), loaded);
        added.unwrap();
        assert_eq!(len(&server, STREAM), if way == "two" { 2 } else { 1 });
    });
}

#[test]
fn job_that_was_added_stays_unknown_without_a_server() {
    on_each_way(|server, way| async move {
        let queue = queue(&server, STREAM).await;
        server.inject(Fault::lose_reply().on_command("XADD"));
        server.inject(Fault::refuse_connection().times(u64::MAX));
        let error = add(&queue.producer(), way).await.unwrap_err();
        assert!(error.may_have_run(), "{error}");
        assert_eq!(len(&server, STREAM), 1, "{error}");
    });
}

#[test]
fn job_that_was_added_stays_unknown_after_a_permanent_refusal() {
    on_each_way(|server, way| async move {
        let queue = queue(&server, STREAM).await;
        server.inject(Fault::lose_reply().on_command("XADD"));
        server.inject(Fault::refuse_connection().times(20));
        server.inject(Fault::error("NOPERM no permission").on_command("XADD").times(u64::MAX));
        let start = Instant::now();
        let error = add(&queue.producer(), way).await.unwrap_err();
        assert!(error.may_have_run(), "{error}");
        assert_eq!(len(&server, STREAM), 1, "{error}");
        assert!(start.elapsed() < s(30), "{:?}: a repeat cannot help", start.elapsed());
    });
}

/// The commands that a repeated operation sends.
const WRITES: [&str; 6] = ["XACKDEL", "XACK", "XDEL", "XADD", "XLEN", "EXEC"];

/// The next of these commands is applied and its reply is lost. Then all are refused.
async fn lose_reply_then_refuse(server: &Server, commands: &[&str]) {
    let sent = |command: &&str| requests(server, &[command]).len();
    let before: usize = commands.iter().map(sent).sum();
    for command in commands {
        server.inject(Fault::lose_reply().on_command(command));
    }
    until("the reply is lost", || commands.iter().map(sent).sum::<usize>() > before).await;
    server.clear_faults();
    for command in WRITES {
        server.inject(Fault::error(LOADING).on_command(command).times(u64::MAX));
    }
}

#[test]
fn acknowledgement_that_was_applied_stays_unknown_while_the_server_loads() {
    on_each_version(|server| async move {
        let (_queue, _consumer, delivery) = delivered(&server).await;
        let start = Instant::now();
        let lost = lose_reply_then_refuse(&server, &["XACKDEL", "XACK"]);
        let (acked, ()) = tokio::join!(delivery.ack(), lost);
        let error = acked.unwrap_err();
        assert!(error.may_have_run(), "{error}");
        assert!(start.elapsed() >= LEASE, "{:?}: {error}", start.elapsed());
    });
}

#[test]
fn next_job_that_was_added_stays_unknown_while_the_server_loads() {
    on_each_version(|server| async move {
        let (queue, _consumer, delivery) = delivered(&server).await;
        let out = Queue::builder(queue.client(), "next").open(Flat).await.unwrap();
        let next = Email::new();
        let lost = lose_reply_then_refuse(&server, &["EXEC"]);
        let (acked, ()) = tokio::join!(delivery.ack_then(&out, &next), lost);
        let error = acked.unwrap_err();
        server.clear_faults();
        assert!(error.may_have_run(), "{error}");
        assert_eq!(len(&server, "next"), 1, "{error}");
    });
}

#[test]
fn dead_letter_that_was_added_stays_unknown_when_the_consumer_closes() {
    on_each_version(|server| async move {
        let (_queue, consumer, delivery) = delivered(&server).await;
        let nack = tokio::spawn(delivery.nack(Nack::dead("no")));
        lose_reply_then_refuse(&server, &["EXEC"]).await;
        sleep(s(5)).await;
        consumer.close().await;
        let error = nack.await.unwrap().unwrap_err();
        server.clear_faults();
        assert!(error.may_have_run(), "{error}");
        assert_eq!(len(&server, crate::steps::DEAD), 1, "{error}");
    });
}
