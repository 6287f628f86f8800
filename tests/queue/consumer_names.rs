//! The name of a consumer that is removed while a job is delivered to it.

use crate::test_queue::{GROUP, LEASE, STREAM, TestQueue, config, limited, until};
use bourn::{Client, GroupFrom, XAdd, XReadGroup};
use std::time::Duration;
use tokio::time::timeout;

/// Writes are paused after the consumer has found nothing pending, so the delivery comes before the
/// removal. If a read of the consumer itself is paused too, its name stays: then it is tried again.
#[test]
fn job_delivered_to_a_consumer_while_it_is_removed_is_put_back() {
    limited(async || {
        let test = TestQueue::new().await;
        let queue = test.queue().await;
        let clients = |words: &str| test.server.command(&["CLIENT", "LIST"]).matches(words).count();
        let mut was_put_back = false;
        for _ in 0..20 {
            let consumer = queue.consumer().start().await.unwrap();
            let name = String::from_utf8(consumer.name().to_vec()).unwrap();
            until("it waits", || async { clients("cmd=xreadgroup") == 1 }).await;
            test.server.command(&["CLIENT", "PAUSE", "60000", "WRITE"]);
            let other = Client::connect(config(&test.server)).await.unwrap();
            let reader = name.clone();
            let delivering = tokio::spawn(async move {
                let read = XReadGroup::new(GROUP, &reader).stream(STREAM, GroupFrom::New);
                let both = (XAdd::new(STREAM).field("n", 1), read);
                let (added, read) = other.transact(both).await.unwrap();
                (added.unwrap(), read.unwrap().len())
            });
            until("the delivery is paused", || async { clients("cmd=xadd ") > 0 }).await;
            let others = clients("cmd=xgroup");
            let closing = tokio::spawn(consumer.close());
            let is_paused = async {
                until("the removal is paused", || async { clients("cmd=xgroup") > others }).await;
            };
            // Its name stays if the read was not answered.
            let _ = timeout(Duration::from_secs(3), is_paused).await;
            test.server.command(&["CLIENT", "UNPAUSE"]);
            let (id, delivered) = delivering.await.unwrap();
            assert_eq!(delivered, 1);
            closing.await.unwrap();
            let id = id.to_string();
            let owner = || {
                let found = test.server.command(&["XPENDING", STREAM, GROUP, &id, &id, "1"]);
                found.lines().nth(1).unwrap_or_default().to_owned()
            };
            until("it is pending", || async { !owner().is_empty() }).await;
            was_put_back = owner() != name;
            let mut next = queue.consumer().start().await.unwrap();
            let delivery = timeout(20 * LEASE, next.next()).await.expect("the job is kept");
            let delivery = delivery.expect("it is open").expect("no permanent error");
            assert_eq!((delivery.id().to_string(), delivery.attempt()), (id, 2));
            delivery.ack().await.unwrap();
            next.close().await;
            assert_eq!(test.left(), (0, 0));
            if was_put_back {
                break;
            }
        }
        assert!(was_put_back, "the name was never removed");
    });
}
