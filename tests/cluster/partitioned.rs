//! A queue of several lanes while their slots move and a master is replaced.

use crate::three::Three;
use bourn::command::key_slot;
use bourn::queue::{Enqueue, Fail, Flat, Job, Partitioned};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

type Payload = Vec<(String, String)>;

const JOBS: u64 = 2_000;
const LANES: usize = 6;

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_all_lanes_are_done_while_slots_move_and_a_master_is_replaced() {
    let three = Arc::new(Three::start());
    let client = three.client().await;
    let queue = Partitioned::builder(&client, "orders").lanes(LANES).open::<Payload, _>(Flat);
    let queue = queue.await.unwrap();
    let done: Arc<Mutex<BTreeSet<u64>>> = Arc::default();
    let stop = CancellationToken::new();
    let workers: Vec<_> = (0..2)
        .map(|_| {
            let done = Arc::clone(&done);
            let handler = move |job: Job<Payload>| {
                let number: u64 = job[0].1.parse().expect("a number");
                done.lock().expect("no panic").insert(number);
                async { Ok::<(), Fail>(()) }
            };
            let worker = queue.worker().concurrency(12);
            tokio::spawn(worker.run(stop.clone().cancelled_owned(), handler))
        })
        .collect();
    let producer = queue.producer();
    let producing = tokio::spawn(async move {
        let (mut added, mut unknown) = (BTreeSet::new(), 0);
        for n in 0..JOBS {
            let job = vec![("n".to_owned(), n.to_string())];
            // Every other job has a key.
            let key = format!("customer:{}", n % 20);
            let options = if n % 2 == 0 { Enqueue::new() } else { Enqueue::new().key(key) };
            match producer.enqueue_with(&job, options).await {
                Ok(_) => _ = added.insert(n),
                Err(error) if error.may_have_run() => unknown += 1,
                Err(error) => panic!("job {n}: {error}"),
            }
            sleep(Duration::from_millis(5)).await;
        }
        (added, unknown)
    });
    let mover = Arc::clone(&three);
    let moving = tokio::task::spawn_blocking(move || {
        for nth in 0..5 {
            for lane in 0..LANES {
                let slot = key_slot(format!("{{orders:{lane}}}"));
                let from = mover.owner(slot);
                mover.move_slot(slot, (from + 1 + nth % 2) % 3);
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        mover.fail_over(mover.owner(key_slot("{orders:0}")) + 3);
    });
    moving.await.unwrap();
    let (added, unknown) = producing.await.unwrap();
    assert!(added.len() as u64 + unknown == JOBS && unknown <= JOBS / 100, "{unknown} unknown");
    let all_done = async {
        while !added.is_subset(&done.lock().expect("no panic")) {
            sleep(Duration::from_millis(20)).await;
        }
    };
    let is_done = timeout(Duration::from_secs(60), all_done).await.is_ok();
    let missing = added.difference(&done.lock().expect("no panic")).count();
    assert!(is_done, "{missing} jobs are missing");
    stop.cancel();
    for worker in workers {
        println!("{}", worker.await.unwrap().unwrap());
    }
    let stats = queue.stats().await;
    assert!(stats.is_complete() && stats.length() == 0, "{stats:?}");
}
