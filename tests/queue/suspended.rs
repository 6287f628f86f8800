//! Workers whose process or thread is suspended for longer than a lease.

use crate::process::{HandlerJob, Process, wait_for};
use crate::test_queue::{Run, TestQueue, limited, number, until};
use bourn::queue::{Acked, Fail, Nack, QueueError, QueueEvent};
use std::sync::{Arc, Mutex};
use tokio::sync::{Notify, mpsc};

/// A handler that reports its first step, waits for `go`, and reports its second step.
fn in_two_steps(
    said: &mpsc::UnboundedSender<&'static str>,
    go: &Arc<Notify>,
) -> impl Fn(HandlerJob) -> futures_util::future::BoxFuture<'static, Result<(), Fail>> + use<> {
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
fn frozen_worker_takes_no_second_step() {
    limited(async || {
        let test = TestQueue::new().await;
        let process = Process::of(&test).await;
        let mut events = process.queue.events();
        let ((said, mut says), go) = (mpsc::unbounded_channel(), Arc::new(Notify::new()));
        test.enqueue(&process.queue, 1).await;
        let frozen = process.work(process.queue.worker(), in_two_steps(&said, &go));
        assert_eq!(says.recv().await, Some("the first step"));
        let thaw = process.freeze().await;
        // The handler's wait is over when the process resumes.
        go.notify_one();

        let queue = test.queue().await;
        let run = Run::new(queue.worker(), |_| async { Ok(()) });
        until("another has done it", || async { test.left() == (0, 0) }).await;
        drop(thaw);
        wait_for(&mut events, "the lost lease", |event| {
            matches!(event, QueueEvent::LeaseLost { .. })
        })
        .await;
        let (report, _) = frozen.stop().await;
        assert_eq!((report.lease_lost, report.done, report.already_gone), (1, 0, 0), "{report}");
        drop(said);
        assert_eq!(says.recv().await, None, "cancelled before the second step");
        assert_eq!(run.stop().await.1[&0], [2]);
        assert_eq!(test.left(), (0, 0));
        process.die();
    });
}

#[test]
fn late_settlement_fails_and_affects_no_other_worker() {
    limited(async || {
        let test = TestQueue::new().await;
        let process = Process::of(&test).await;
        test.enqueue(&process.queue, 3).await;
        let consumer = process.queue.consumer().prefetch(3);
        let mut consumer = process.run(consumer.start()).await.unwrap();
        let mut late = Vec::new();
        for _ in 0..3 {
            late.push(consumer.next().await.unwrap().unwrap());
        }
        let thaw = process.freeze().await;

        // Another worker settles the first job and holds the other two.
        let queue = test.queue().await;
        let mut other = queue.consumer().prefetch(3).start().await.unwrap();
        let mut held = Vec::new();
        for n in 0..3 {
            let delivery = other.next().await.unwrap().unwrap();
            assert_eq!((number(delivery.payload()), delivery.attempt()), (n, 2));
            held.push(delivery);
        }
        assert_eq!(held.remove(0).ack().await.unwrap(), Acked::Done);
        assert_eq!(test.left(), (2, 2));
        assert!(late.iter().all(|delivery| delivery.lease().is_lost()), "before it thaws");
        drop(thaw);

        let [first, second, third] = late.try_into().unwrap();
        assert_eq!(first.ack().await.unwrap(), Acked::AlreadyGone);
        assert!(matches!(second.nack(Nack::now()).await, Err(QueueError::LeaseLost)));
        assert!(matches!(third.extend().await, Err(QueueError::LeaseLost)));
        drop(third);
        let [second, third] = held.try_into().unwrap();
        second.extend().await.unwrap();
        assert_eq!(second.ack().await.unwrap(), Acked::Done);
        assert_eq!(third.ack().await.unwrap(), Acked::Done);
        assert_eq!(test.left(), (0, 0));
        assert_eq!(process.run(consumer.close()).await.lease_lost, 3);
        assert_eq!(other.close().await.done, 3);
        process.die();
    });
}

#[test]
fn thread_blocked_for_longer_than_the_lease_sees_that_it_is_lost() {
    limited(async || {
        let test = TestQueue::new().await;
        let process = Process::of(&test).await;
        test.enqueue(&process.queue, 1).await;
        let (go, gone) = std::sync::mpsc::channel::<()>();
        let gone = Arc::new(Mutex::new(gone));
        let (said, mut says) = mpsc::unbounded_channel();
        let blocked = process.work(process.queue.worker(), move |job| {
            let (gone, said) = (Arc::clone(&gone), said.clone());
            async move {
                assert!(!job.lease().is_lost());
                // No await: the handler cannot be cancelled here.
                let _ = gone.lock().expect("the lock is not poisoned").recv();
                said.send(job.lease().is_lost()).expect("the receiver is alive");
                Ok(())
            }
        });
        until("it has begun", || async { test.left() == (1, 1) }).await;
        let queue = test.queue().await;
        let run = Run::new(queue.worker(), |_| async { Ok(()) });
        until("another has done it", || async { test.left() == (0, 0) }).await;
        drop(go);
        assert_eq!(says.recv().await, Some(true));
        let (report, _) = blocked.stop().await;
        assert_eq!(report.done, 0, "{report}");
        assert_eq!(run.stop().await.0.done, 1);
        process.die();
    });
}
