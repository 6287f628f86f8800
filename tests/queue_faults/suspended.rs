//! Workers that lose their network for longer than a lease.

use crate::process::{Process, RunLog, wait_for};
use crate::test_queue::{HandlerJob, Run, on_each, until};
use bourn::queue::{Fail, QueueEvent};
use futures_util::future::BoxFuture;
use std::sync::Arc;
use tokio::sync::{Notify, mpsc};

/// A handler that reports its first step, waits for `go`, and reports its second step.
fn in_two_steps(
    said: &mpsc::UnboundedSender<&'static str>,
    go: &Arc<Notify>,
) -> impl Fn(HandlerJob) -> BoxFuture<'static, Result<(), Fail>> + use<> {
    let (said, go) = (said.clone(), Arc::clone(go));
    move |_| {
        let (said, go) = (said.clone(), Arc::clone(&go));
        Box::pin(async move {
            said.send("the first step").expect("the receiver is alive");
            go.notified().await;
            said.send("the second step").expect("the receiver is alive");
            Ok(())
        })
    }
}

#[test]
fn frozen_network_loses_leases_but_no_job() {
    const JOBS: u64 = 20;
    on_each(async |test| {
        let process = Process::new(&test, |queue| queue).await;
        test.enqueue(&process.queue, JOBS).await;
        let ((said, mut says), go) = (mpsc::unbounded_channel(), Arc::new(Notify::new()));
        let cut_off = Run::new(process.queue.worker().concurrency(4), in_two_steps(&said, &go));
        for _ in 0..4 {
            assert_eq!(says.recv().await, Some("the first step"));
        }
        let mut events = process.queue.events();
        process.cut_off();
        for _ in 0..4 {
            wait_for(&mut events, "a lost lease", |event| {
                matches!(event, QueueEvent::LeaseLost { .. })
            })
            .await;
        }
        // The leases were lost before others could get the jobs, and no handler took a second step.
        let run_log = RunLog::default();
        let other = Process::new(&test, |queue| queue).await;
        let run = Run::new(other.queue.worker(), run_log.handler());
        until("another has done all", || async { test.left() == (0, 0) }).await;
        test.server.clear_faults();
        go.notify_waiters();
        let (report, _) = cut_off.stop().await;
        assert_eq!((report.lease_lost, report.done), (4, 0), "{report}");
        drop(said);
        assert_eq!(says.recv().await, None, "no second step");
        assert_eq!(run.stop().await.0.done, JOBS);
        assert!(run_log.jobs().values().all(|log| log.done == 1));
        assert_eq!(test.left(), (0, 0));
    });
}
