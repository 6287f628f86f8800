//! Handlers that block every thread of their runtime for longer than a lease.

use crate::process::{Process, RunLog};
use crate::test_queue::{LEASE, Run, TestQueue, limited, until};
use std::thread;
use std::time::Duration;

#[test]
fn handlers_that_block_every_thread_keep_their_leases() {
    limited(async || {
        let test = TestQueue::new().await;
        let queue = test.queue().await;
        test.enqueue(&queue, 2).await;
        let run_log = RunLog::default();
        let begun = run_log.clone();
        let run = Run::new(queue.worker(), move |job| {
            let log = begun.clone();
            async move {
                log.begin(&job);
                thread::sleep(LEASE * 2);
                log.done(&job);
                Ok(())
            }
        });
        // The runtime's timers stand still as well.
        while run_log.jobs().len() < 2 {
            thread::sleep(Duration::from_millis(5));
        }
        // Another process takes each job whose lease expires.
        let other = Process::of(&test).await;
        let log = run_log.clone();
        let taken = other.work(other.queue.worker(), move |job| {
            log.begin(&job);
            async { Ok(()) }
        });
        until("both jobs are done", || async { test.left() == (0, 0) }).await;
        let (report, _) = run.stop().await;
        assert_eq!((report.done, report.already_gone, report.lease_lost), (2, 0, 0), "{report}");
        assert_eq!(taken.stop().await.1.len(), 0, "no job was run twice");
        assert!(run_log.jobs().values().all(|log| log.attempts == [1] && log.done == 1));
        other.die();
    });
}
