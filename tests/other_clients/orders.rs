//! The stream of orders: groups, claims, dead letters, monitoring, trimming, and a TypeScript
//! consumer.

use crate::beside::{Beside, all, connect, handled, open, order, pending, until};
use crate::process::Sample;
use crate::support::Server;
use bourn::queue::{Fail, Job, QueueEvent, Redrive, RetryPolicy};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);
const ORDERS: (&str, &str) = ("orders", "order-processors");

#[tokio::test(flavor = "multi_thread")]
async fn orders_that_python_failed_are_done_by_bourn_after_the_lease() {
    for sample in ["orders_group.py", "consume_robust.py"] {
        let server = Server::start();
        let queue = open(&connect(&server).await, ORDERS, |queue| queue.lease(3 * SECOND)).await;
        for n in 0..8 {
            let handler = if n % 4 == 0 { "bourn" } else { "" };
            let order = order(&n.to_string(), handler);
            queue.producer().enqueue(&order).await.expect("it is added");
        }
        let then = if sample == "consume_robust.py" {
            "while True: consume_messages('orders', 'order-processors', 'worker-1')"
        } else {
            ""
        };
        let python = Sample::python(&server, sample, then);
        until("Python has read all", || python.count("handled") + python.count("Error") == 8).await;
        let worker = Beside::start(queue.worker(), "order_id", |_| async { Ok(()) });
        until("nothing is pending", || pending(&server, ORDERS.0, ORDERS.1) == 0).await;
        let (report, by_bourn) = worker.stop().await;
        let by_python = handled(&python.stop(), "order_id");
        assert_eq!(by_python, ["1", "2", "3", "5", "6", "7"], "{sample}");
        let expected = ["0", "4"].map(|order| (order.to_owned(), vec![2]));
        assert_eq!(by_bourn.into_iter().collect::<Vec<_>>(), expected, "{sample}");
        assert_eq!((report.done, report.lease_lost), (2, 0), "{sample}: {report}");
    }
}

/// Claims of Python with a min-idle above the lease find nothing; one below it ends the lease.
#[tokio::test(flavor = "multi_thread")]
async fn claims_of_python_take_a_running_job_only_with_a_min_idle_below_the_heartbeat() {
    let server = Server::start();
    let queue = open(&connect(&server).await, ORDERS, |queue| queue.lease(9 * SECOND)).await;
    let mut events = queue.events();
    queue.producer().enqueue(&order("1", "")).await.expect("it is added");
    let (begun, mut begins) = mpsc::unbounded_channel();
    let worker = Beside::start(queue.worker(), "order_id", move |job: Job<_>| {
        let begun = begun.clone();
        async move {
            begun.send(job.id()).expect("the test waits for it");
            job.lease().lost().await;
            Ok(())
        }
    });
    begins.recv().await.expect("it begins");
    // The sample names an argument that redis-py does not have.
    let (status, output) = Sample::python(&server, "orders_claim.py", "").ended();
    assert!(!status.success() && output.join("\n").contains("'start'"), "{output:?}");
    Sample::run(&server, "orders_check_pending.py", "assert stale[1] == [], stale");
    sleep(2 * SECOND).await;
    assert!(all(&mut events).is_empty());
    let claim = "
while not (stale := r.xautoclaim('orders', 'order-processors', 'worker-1', 1000, '0-0'))[1]:
    time.sleep(0.1)
";
    Sample::run(&server, "orders_check_pending.py", claim);
    let mut lost = false;
    until("the lease is lost", || {
        let is_loss = |event: &QueueEvent| matches!(event, QueueEvent::LeaseLost { .. });
        lost |= all(&mut events).iter().any(is_loss);
        lost
    })
    .await;
    let owned = "assert r.xpending_range('orders', 'order-processors', '-', '+', 9)[0]['consumer'] == 'worker-1'
r.xack('orders', 'order-processors', stale[1][0][0])";
    Sample::run(
        &server,
        "orders_check_pending.py",
        &format!(
            "stale = r.xautoclaim('orders', 'order-processors', 'worker-1', 0, '0-0')\n{owned}"
        ),
    );
    let (report, _) = worker.stop().await;
    assert_eq!((report.lease_lost, report.retried, report.dead), (1, 0, 0), "{report}");
    assert_eq!(pending(&server, ORDERS.0, ORDERS.1), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_of_python_and_of_bourn_share_a_stream() {
    let server = Server::start();
    let retry = RetryPolicy::exponential(SECOND / 100, SECOND / 100).max_attempts(2);
    let queue = open(&connect(&server).await, ORDERS, |queue| {
        queue.lease(3 * SECOND).retry(retry).dead_letter("orders_dlq")
    })
    .await;
    for (order_id, handler) in [("1", ""), ("2", "nobody"), ("3", "later")] {
        queue.producer().enqueue(&order(order_id, handler)).await.expect("it is added");
    }
    // A later failure is added again with a count, three times, and then to the dead letters.
    let then = "
for _ in range(9):
    for stream, entries in r.xreadgroup('order-processors', 'worker-1', {'orders': '>'}, count=10):
        for id, fields in entries:
            process_with_dlq(stream, 'order-processors', 'worker-1', id, fields)
";
    let output = Sample::run(&server, "orders_dead_letter.py", then);
    assert_eq!(handled(&output, "order_id"), ["1"]);
    assert_eq!(server.command(&["XLEN", "orders_dlq"]), "2");

    queue.producer().enqueue(&order("4", "")).await.expect("it is added");
    let worker =
        Beside::start(queue.worker(), "order_id", |_| async { Err(Fail::retry("no such order")) });
    until("it is dead-lettered", || server.command(&["XLEN", "orders_dlq"]) == "3").await;
    let (report, _) = worker.stop().await;
    assert_eq!((report.retried, report.dead), (1, 1), "{report}");
    let letters = queue.dead_letters();
    assert_eq!(queue.stats().await.expect("it is there").dead, 1);
    assert_eq!(letters.redrive(Redrive::all()).await.expect("it is there"), 1);
    // Those of the other client stay.
    assert_eq!(server.command(&["XLEN", "orders_dlq"]), "2");
    let worker = Beside::start(queue.worker(), "order_id", |_| async { Ok(()) });
    until("it is done", || worker.handled().contains_key("4")).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn monitoring_and_trimming_of_python_run_beside_a_worker() {
    let server = Server::start();
    let queue = open(&connect(&server).await, ORDERS, |queue| queue).await;
    let worker = Beside::start(queue.worker(), "order_id", |_| async {
        sleep(SECOND / 10).await;
        Ok(())
    });
    // The sample of metrics defines its consumer only.
    let metrics = Sample::python(&server, "orders_metrics.py", "monitored_consumer()");
    let readers = Sample::python(&server, "orders_basic.py", "");
    // Before Redis 7.2 a consumer is in `XINFO CONSUMERS` only once it got an entry.
    let mut added = 0;
    while metrics.count("handled") == 0 || added < 100 {
        assert!(added < 3_000, "the other consumer gets none: {:?}", metrics.output());
        queue.producer().enqueue(&order(&added.to_string(), "")).await.expect("it is added");
        added += 1;
        sleep(SECOND / 100).await;
    }
    for sample in [
        "orders_stream_info.py",
        "orders_group_info.py",
        "orders_pending.py",
        "orders_debug.py",
        "orders_check_pending.py",
        "orders_trim_approximate.py",
        "orders_trim_exact.py",
        "orders_trim_age.py",
        "orders_trim_aggressive.py",
    ] {
        // Information about a stream with nothing in it fails.
        queue.producer().enqueue(&order(sample, "")).await.expect("it is added");
        Sample::run(&server, sample, "");
    }
    Sample::run(&server, "publish_pool.py", "publish_message('orders', {'order_id': 'pool'})");
    // Those added above, one before each sample, and five by samples.
    until("all are done", || {
        let by_bourn: usize = worker.handled().values().map(Vec::len).sum();
        by_bourn + metrics.count("handled") == added + 14
    })
    .await;
    until("nothing is pending", || pending(&server, ORDERS.0, ORDERS.1) == 0).await;
    let (report, by_bourn) = worker.stop().await;
    println!("bourn: {report}");
    assert!(by_bourn.values().flatten().all(|attempt| *attempt == 1), "{by_bourn:?}");
    assert_eq!((report.retried, report.dead, report.lease_lost), (0, 0, 0), "{report}");
    assert!(metrics.count("handled") > 0 && readers.count("handled") > 0);
    drop((metrics.stop(), readers.stop()));
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_of_a_node_client_and_of_bourn_are_each_done_once_by_either() {
    let server = Server::start();
    let name = ("orders", "processors");
    let queue = open(&connect(&server).await, name, |queue| queue.lease(3 * SECOND)).await;
    let node = Sample::node(&server, "orders.ts");
    until("the client has published", || node.count("published") == 3).await;
    for n in 0..40 {
        let handler = if n % 10 == 0 { "bourn" } else { "" };
        queue.producer().enqueue(&order(&n.to_string(), handler)).await.expect("it is added");
    }
    let worker = Beside::start(queue.worker().concurrency(1), "order_id", |_| async {
        sleep(SECOND / 50).await;
        Ok(())
    });
    until("all are done", || worker.handled().len() + node.count("handled") >= 43).await;
    until("nothing is pending", || pending(&server, name.0, name.1) == 0).await;
    let (report, by_bourn) = worker.stop().await;
    let by_node = handled(&node.stop(), "order_id");
    println!("bourn: {report}; Node: {} orders", by_node.len());
    assert!(by_node.iter().all(|order| !by_bourn.contains_key(order)), "{by_node:?}");
    assert_eq!(by_node.len() + by_bourn.len(), 43);
    assert_eq!((report.retried, report.dead, report.lease_lost), (0, 0, 0), "{report}");
}
