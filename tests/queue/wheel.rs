//! Delays at a real server: short ones, and those in the wheel, also beside many pending jobs.

use crate::test_queue::{GROUP, Run, STREAM, TestQueue, limited, number, until};
use bourn::XAdd;
use bourn::queue::Fail;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

#[test]
fn retries_come_at_their_time() {
    limited(async || {
        let test = TestQueue::new().await;
        let queue = test.builder().lease(Duration::from_secs(600)).open(bourn::queue::Flat);
        let queue = queue.await.unwrap();
        let adds = (0..12_000).map(|n| XAdd::new(STREAM).field("n", 1_000 + n));
        for added in test.client.send_all(adds).await {
            added.unwrap();
        }
        let read = ["XREADGROUP", "GROUP", GROUP, "busy", "COUNT", "12000", "STREAMS", STREAM, ">"];
        test.server.command(&read);
        test.enqueue(&queue, 20).await;
        let failed = Arc::new(Mutex::new(BTreeMap::new()));
        let late = Arc::new(Mutex::new(Vec::new()));
        let delay = |n: u64| {
            Duration::from_millis(match n % 4 {
                0 => 200,
                1 => 1_500,
                2 => 2_000,
                _ => 3_000,
            })
        };
        let run = Run::new(queue.worker(), {
            let (failed, late) = (Arc::clone(&failed), Arc::clone(&late));
            move |job| {
                let (n, now) = (number(&job), Instant::now());
                let result = if job.attempt() == 1 {
                    failed.lock().unwrap().insert(n, now);
                    Err(Fail::retry_after(delay(n), "later"))
                } else {
                    let due = failed.lock().unwrap()[&n] + delay(n);
                    assert!(now >= due, "job {n} is early");
                    late.lock().unwrap().push(now - due);
                    Ok(())
                };
                async move { result }
            }
        });
        until("every job is done", || async { late.lock().unwrap().len() == 20 }).await;
        let (report, _) = run.stop().await;
        assert_eq!((report.done, report.retried, report.panicked), (20, 20, 0), "{report}");
        let mut late = late.lock().unwrap().clone();
        late.sort_unstable();
        // The machine may be busy: the figures are in the benchmarks.
        assert!(late[10] < Duration::from_millis(500), "{late:?}");
    });
}
