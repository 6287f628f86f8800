//! The names of consumers that are gone.

use crate::process::Process;
use crate::test_queue::{GROUP, Run, STREAM, on_each, until};
use bourn::queue::{QueueEvent, QueueEvents};
use bourn::{Client, XInfoConsumers};
use std::time::Duration;

/// A short lease: crashed consumers are removed after twenty of them.
const SHORT: Duration = Duration::from_millis(500);

/// Returns the consumer names, and the number of entries pending for each.
async fn names(client: &Client) -> Vec<(String, u64)> {
    let consumers = client.send(XInfoConsumers::new(STREAM, GROUP)).await;
    let name = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
    consumers.expect("it is there").iter().map(|info| (name(&info.name), info.pending)).collect()
}

fn removed(events: &mut QueueEvents) -> Vec<String> {
    let mut names = Vec::new();
    while let Some(Some(event)) = futures_util::FutureExt::now_or_never(events.next()) {
        if let QueueEvent::ConsumerRemoved { name } = event {
            names.push(String::from_utf8_lossy(&name).into_owned());
        }
    }
    names
}

#[test]
fn closed_consumer_leaves_no_name() {
    on_each(async |test| {
        let queue = test.queue().await;
        test.enqueue(&queue, 5).await;
        let mut consumer = queue.consumer().prefetch(3).start().await.unwrap();
        let name = String::from_utf8_lossy(&consumer.name()).into_owned();
        let one = consumer.next().await.unwrap().unwrap();
        let two = consumer.next().await.unwrap().unwrap();
        assert!(names(&test.client).await.iter().any(|(known, _)| *known == name));
        one.ack().await.unwrap();
        drop(two);
        consumer.close().await;
        assert!(names(&test.client).await.iter().all(|(known, _)| *known != name));
        let run = Run::new(queue.worker(), |_| async { Ok(()) });
        until("the others are done", || async { test.left() == (0, 0) }).await;
        run.stop().await;
        let left = names(&test.client).await;
        assert!(
            left.iter().all(|(name, pending)| name.starts_with('~') && *pending == 0),
            "{left:?}"
        );
    });
}

#[test]
fn crashed_consumer_is_removed_once_nothing_is_pending_for_it() {
    on_each(async |test| {
        let crashed = Process::new(&test, |queue| queue.lease(SHORT)).await;
        test.enqueue(&crashed.queue, 5).await;
        let crashed_run = Run::new(crashed.queue.worker(), |_| std::future::pending());
        until("the jobs are in flight", || async { test.left() == (5, 5) }).await;
        let dead = names(&test.client).await[0].0.clone();
        crashed.crash([crashed_run]);

        let process = Process::new(&test, |queue| queue.lease(SHORT)).await;
        let queue = process.queue.clone();
        let mut events = queue.events();
        let run = Run::new(queue.worker(), |_| async { Ok(()) });
        // The name stays as long as entries are pending for it.
        until("every job is done", || async { test.left() == (0, 0) }).await;
        until("its consumer is removed", || async {
            names(&test.client).await.iter().all(|(name, _)| *name != dead)
        })
        .await;
        until("the removal is reported", || {
            let reported = removed(&mut events).contains(&dead);
            async move { reported }
        })
        .await;
        assert_eq!(run.stop().await.0.done, 5, "no job was lost");
    });
}
