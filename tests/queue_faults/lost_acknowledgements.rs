//! Acknowledgements that a failover loses: what was decided by them is not done at the new master.
//!
//! Redis 8.2 and later delete an entry with its last acknowledgement, so nothing is decided later.

use crate::steps::{STREAM, enqueue, next, s};
use crate::support::{Email, in_paused_time};
use bourn::queue::{Flat, Queue, Retention};
use bourn::testing::Server;
use std::time::Duration;
use tokio::time::sleep;

const MS: Duration = Duration::from_millis(1);

#[test]
fn entry_whose_acknowledgement_is_lost_is_not_trimmed() {
    for version in ["redis-6.2", "redis-7.0", "valkey-9.1"] {
        for after in (0..60).step_by(2) {
            in_paused_time(async {
                let server = Server::builder().version(version);
                let server = server.setting("stream-node-max-entries", "1").build();
                let client = server.client().await.unwrap();
                let builder = Queue::builder(&client, STREAM);
                let builder = builder.retention(Retention::KeepUntilAllAcked);
                let queue = builder.open::<Email, _>(Flat).await.unwrap();
                enqueue(&queue).await;
                let mut consumer = queue.consumer().start().await.unwrap();
                let delivery = next(&mut consumer, s(9)).await.expect("the job");
                server.replicate();
                server.set_latency(5 * MS);
                delivery.ack().await.unwrap();
                let looks = || {
                    let requests = server.requests();
                    requests.iter().filter(|request| request.name() == "XPENDING").count()
                };
                let before = looks();
                while looks() == before {
                    sleep(MS).await;
                }
                sleep(after * MS).await;
                server.fail_over();
                let row = format!("{version}, {after} ms");
                next(&mut consumer, s(200)).await.expect(&row).ack().await.unwrap();
            });
        }
    }
}
