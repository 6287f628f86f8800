//! The stream of tasks: a producer, a consumer, and consumers of three priorities.

use crate::beside::{Beside, Fields, connect, handled, open, pending, until};
use crate::process::Sample;
use crate::support::Server;
use bourn::queue::{Priority, Worker};
use std::time::Duration;
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
async fn tasks_of_python_and_of_bourn_are_each_done_once_by_either() {
    let server = Server::start();
    let name = ("task_queue", "task_consumers");
    // Longer than the Python consumer needs for all that it reads at once.
    let queue = open(&connect(&server).await, name, |queue| queue.lease(20 * SECOND)).await;
    let python = Sample::python(&server, "tasks_consumer.py", "");
    let worker = Beside::start(queue.worker().concurrency(1), "task_id", |_| async {
        sleep(SECOND).await;
        Ok(())
    });
    let producers = [(); 2].map(|()| Sample::python(&server, "tasks_producer.py", ""));
    for n in 0..4 {
        let own = |text: &str| text.to_owned();
        let task: Fields = vec![
            (own("task_id"), format!("bourn-{n}")),
            (own("data"), own("of a producer of bourn")),
            (own("created_at"), own("1.5")),
        ];
        queue.producer().enqueue(&task).await.expect("it is added");
    }
    for producer in producers {
        assert_eq!(producer.ended().1.len(), 5);
    }
    until("14 tasks are done", || worker.handled().len() + python.count("Acknowledged") == 14)
        .await;
    assert_eq!(pending(&server, name.0, name.1), 0);
    let stats = queue.stats().await.expect("it is there");
    let (report, by_bourn) = worker.stop().await;
    let output = python.stop();
    let by_python = output.iter().filter_map(|line| line.strip_prefix("Received task ID: "));
    let by_python: Vec<&str> = by_python.filter_map(|line| line.split(',').next()).collect();
    println!("bourn: {report}; Python: {} tasks", by_python.len());
    assert!(!by_python.is_empty() && by_bourn.values().all(|attempts| *attempts == [1]));
    assert!(by_python.iter().all(|task| !by_bourn.contains_key(*task)), "{by_python:?}");
    assert_eq!((by_bourn.len() + by_python.len(), report.done), (14, by_bourn.len() as u64));
    assert_eq!((report.retried, report.dead, report.lease_lost), (0, 0, 0), "{report}");
    // The Python consumer acknowledges its entries, and does not delete them.
    assert_eq!((stats.ready, stats.in_flight), (Some(0), 0));
    assert_eq!(stats.acknowledged, Some(by_python.len() as u64));
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_of_three_priorities_are_each_done_once() {
    let server = Server::start();
    let names = ["tasks:high", "tasks:normal", "tasks:low"];
    // Queues of one worker share a client.
    let client = connect(&server).await;
    let mut queues = Vec::new();
    for name in names {
        queues.push(open(&client, (name, "task-processors"), |queue| queue).await);
    }
    let python = Sample::python(&server, "tasks_priority.py", "");
    let merged = Worker::merged(&queues, Priority::Strict).concurrency(1);
    let worker = Beside::start(merged, "n", |_| async {
        sleep(SECOND / 20).await;
        Ok(())
    });
    for n in 0..60 {
        let queue = queues.get(n % 3).expect("three queues");
        let task: Fields = vec![("n".to_owned(), n.to_string())];
        queue.producer().enqueue(&task).await.expect("it is added");
        sleep(SECOND / 50).await;
    }
    until("all are done", || worker.handled().len() + python.count("handled") == 60).await;
    until("nothing is pending", || {
        names.iter().all(|name| pending(&server, name, "task-processors") == 0)
    })
    .await;
    let (report, by_bourn) = worker.stop().await;
    let by_python = handled(&python.stop(), "n");
    println!("bourn: {report}; Python: {} tasks", by_python.len());
    assert!(by_python.iter().all(|task| !by_bourn.contains_key(task)), "{by_python:?}");
    assert_eq!((report.done, report.lease_lost), (by_bourn.len() as u64, 0), "{report}");
}
