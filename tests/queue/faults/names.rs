//! The names of consumers that are gone.

use super::Process;
use crate::office::{GROUP, Office, Run, STREAM, config, until};
use bourn::queue::{QueueEvent, QueueEvents};
use bourn::{Client, XInfoConsumers};
use std::time::Duration;

/// The shortest that there is: the dead are forgotten after twenty of them.
const SHORT: Duration = Duration::from_millis(100);

/// The names that there are, and how much is pending for each.
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

#[tokio::test]
async fn a_consumer_that_is_closed_leaves_no_name_behind() {
    let office = Office::new().await;
    let queue = office.queue().await;
    office.enqueue(&queue, 5).await;
    let mut consumer = queue.consumer().prefetch(3).start().await.unwrap();
    let name = String::from_utf8_lossy(&consumer.name()).into_owned();
    let one = consumer.next().await.unwrap().unwrap();
    let two = consumer.next().await.unwrap().unwrap();
    assert!(names(&office.client).await.iter().any(|(known, _)| *known == name));
    one.ack().await.unwrap();
    drop(two);
    consumer.close().await;
    assert!(names(&office.client).await.iter().all(|(known, _)| *known != name));
    let run = Run::new(queue.worker(), |_| async { Ok(()) });
    until("the others are done", || async { office.left() == (0, 0) }).await;
    run.stop().await;
    let left = names(&office.client).await;
    assert!(left.iter().all(|(name, pending)| name == "~retry" && *pending == 0), "{left:?}");
}

#[tokio::test]
async fn the_name_of_a_dead_consumer_is_removed_when_it_holds_nothing_any_more() {
    let office = Office::new().await;
    let died = Process::new(config(&office.server), |queue| queue.lease(SHORT)).await;
    office.enqueue(&died.queue, 5).await;
    let dies = died.work(died.queue.worker(), |_| std::future::pending());
    until("they are in hand", || async { office.left() == (5, 5) }).await;
    let dead = names(&office.client).await[0].0.clone();
    died.die();
    drop(dies);

    let process = Process::patient(&office, |queue| queue.lease(SHORT)).await;
    let queue = process.queue.clone();
    let mut events = queue.events();
    let run = process.work(queue.worker(), |_| async { Ok(()) });
    // For as long as it holds anything it stays.
    until("all are done", || async { office.left() == (0, 0) }).await;
    process
        .until_tidy("its name is gone", || async {
            names(&office.client).await.iter().all(|(name, _)| *name != dead)
        })
        .await;
    until("that is told", || {
        let told = removed(&mut events).contains(&dead);
        async move { told }
    })
    .await;
    assert_eq!(run.stop().await.0.done, 5, "none was lost with it");
    process.die();
}

/// Names that are not ours are nobody's to remove.
#[tokio::test]
async fn the_names_of_strangers_stay() {
    let office = Office::new().await;
    let process = Process::patient(&office, |queue| queue.lease(SHORT)).await;
    office.server.command(&["XGROUP", "CREATECONSUMER", STREAM, GROUP, "stranger"]);
    office.server.command(&["XGROUP", "CREATECONSUMER", STREAM, GROUP, "bourn-of-old"]);
    let run = process.work(process.queue.worker(), |_| async { Ok(()) });
    process
        .until_tidy("ours is gone", || async {
            names(&office.client).await.iter().all(|(name, _)| name != "bourn-of-old")
        })
        .await;
    assert!(names(&office.client).await.iter().any(|(name, _)| name == "stranger"));
    run.stop().await;
    process.die();
}
