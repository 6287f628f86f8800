//! Trimming, where entries are kept until every group has acknowledged them.

use crate::steps::{STREAM, len, run, s};
use crate::support::{Email, in_paused_time};
use bourn::queue::{Flat, Queue, Retention};
use bourn::testing::Server;
use tokio::time::sleep;

/// Whole nodes of the server's stream are trimmed: more entries than one has.
const ENTRIES: i64 = 500;

#[test]
fn entries_that_a_group_has_not_read_or_acknowledged_are_not_trimmed() {
    for version in ["redis-6.2", "redis-7.0", "valkey-9.1"] {
        in_paused_time(async {
            let server = Server::builder().version(version).build();
            let client = server.client().await.unwrap();
            let queue = Queue::builder(&client, STREAM).retention(Retention::KeepUntilAllAcked);
            let queue: Queue<Email> = queue.open(Flat).await.unwrap();
            run(&server, "XGROUP CREATE email other 0");
            for n in 1..=ENTRIES {
                run(&server, &format!("XADD email {n}-0 user {n}"));
            }
            // The last entry is never finished, so that all before it can be trimmed.
            let ids: Vec<String> = (1..ENTRIES).map(|n| format!("{n}-0")).collect();
            let ack = |group: &str, ids: &[String]| {
                run(&server, &format!("XACK email {group} {}", ids.join(" ")));
            };
            run(&server, "XREADGROUP GROUP workers w STREAMS email >");
            ack("workers", &ids);
            let mut consumer = queue.consumer().start().await.unwrap();
            sleep(s(60)).await;
            assert_eq!(len(&server, STREAM), ENTRIES, "{version}: the other has read nothing");
            run(&server, "XREADGROUP GROUP other w STREAMS email >");
            ack("other", &ids[1..]);
            sleep(s(60)).await;
            assert_eq!(len(&server, STREAM), ENTRIES, "{version}: the first entry is pending");
            ack("other", &ids[..1]);
            sleep(s(60)).await;
            assert!(len(&server, STREAM) < ENTRIES / 2, "{version}: none of them is needed");
            consumer.next().await.expect("it is open").expect("the last one").ack().await.unwrap();
        });
    }
}
