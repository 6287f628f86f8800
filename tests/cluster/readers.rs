//! Blocking reads, tails and the queue while slots move and masters fail.

use crate::three::{Three, number};
use bourn::command::key_slot;
use bourn::queue::{Fail, Flat, Job, Queue};
use bourn::{GroupFrom, ReadFrom, StartAt, XAck, XAdd, XGroupCreate, XLen, XReadGroup};
use futures_util::StreamExt;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

const ENTRIES: u64 = 600;

#[tokio::test(flavor = "multi_thread")]
async fn group_reader_and_tail_follow_a_slot_that_moves() {
    let three = Arc::new(Three::start());
    let client = three.client().await;
    let key = "{followed}stream";
    client.send(XGroupCreate::new(key, "group", StartAt::START).mk_stream()).await.unwrap();
    let mut tail = client.tail(key, ReadFrom::START).block(Duration::from_millis(500));
    let tailing = tokio::spawn(async move {
        let mut seen = Vec::new();
        while (seen.len() as u64) < ENTRIES {
            let entry = tail.next().await.unwrap().unwrap();
            seen.push(number(entry.get("n")));
        }
        seen
    });
    let reading_client = client.clone();
    let reading = tokio::spawn(async move {
        let client = reading_client;
        let mut reader = client.reader().await.unwrap();
        let mut seen = Vec::new();
        while (seen.len() as u64) < ENTRIES {
            let read = XReadGroup::new("group", "one").stream(key, GroupFrom::New);
            for entry in reader.read(read.block(Duration::from_secs(2))).await.unwrap().iter() {
                seen.push(number(entry.get("n")));
                assert_eq!(client.send(XAck::new(key, "group", entry.id())).await.unwrap(), 1);
            }
        }
        seen
    });
    let mover = Arc::clone(&three);
    let moving = tokio::task::spawn_blocking(move || {
        let slot = key_slot(key);
        for nth in 0..30 {
            let from = mover.owner(slot);
            mover.move_slot(slot, (from + 1 + nth % 2) % 3);
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    for n in 0..ENTRIES {
        client.send(XAdd::new(key).field("n", n)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    moving.await.unwrap();
    let all: Vec<_> = (0..ENTRIES).collect();
    let limit = Duration::from_secs(20);
    assert_eq!(tokio::time::timeout(limit, reading).await.unwrap().unwrap(), all);
    assert_eq!(tokio::time::timeout(limit, tailing).await.unwrap().unwrap(), all);
}

const JOBS: u64 = 300;

#[tokio::test(flavor = "multi_thread")]
async fn queue_runs_every_job_while_its_slot_moves_and_its_master_is_replaced() {
    let three = Arc::new(Three::start());
    let client = three.client().await;
    let stream = "{jobs}tasks";
    let queue: Queue<Payload> =
        Queue::builder(&client, stream).group("workers").open(Flat).await.unwrap();
    let (done, mut all) = tokio::sync::mpsc::unbounded_channel();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let worker = queue.worker().concurrency(8);
    let working = tokio::spawn(async move {
        let handle = move |job: Job<Payload>| {
            let done = done.clone();
            async move {
                let number: u64 = job[0].1.parse().expect("a number");
                done.send(number).expect("the test waits");
                Ok::<_, Fail>(())
            }
        };
        worker.run(async { drop(stopped.await) }, handle).await
    });
    let mover = Arc::clone(&three);
    let moving = tokio::task::spawn_blocking(move || {
        let slot = key_slot(stream);
        for nth in 0..10 {
            let from = mover.owner(slot);
            mover.move_slot(slot, (from + 1 + nth % 2) % 3);
            std::thread::sleep(Duration::from_millis(50));
        }
        mover.fail_over(mover.owner(slot) + 3);
    });
    let producer = queue.producer();
    for n in 0..JOBS {
        producer.enqueue(&vec![("n".to_owned(), n.to_string())]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    moving.await.unwrap();
    let mut seen = BTreeSet::new();
    let mut runs = 0;
    let every = async {
        while (seen.len() as u64) < JOBS {
            seen.insert(all.recv().await.expect("the worker runs"));
            runs += 1;
        }
    };
    tokio::time::timeout(Duration::from_secs(90), every).await.expect("every job runs");
    stop.send(()).unwrap();
    let report = working.await.unwrap().unwrap();
    println!("{runs} runs of {JOBS} jobs\n{report}");
    assert_eq!(runs, JOBS, "each ran once");
    assert_eq!(client.send(XLen::new(stream)).await.unwrap(), 0);
}

type Payload = Vec<(String, String)>;
