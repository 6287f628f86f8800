use crate::in_paused_time;
use bourn::queue::{Fail, Flat, Job, Queue};
use bourn::testing::Server;
use bourn::{GroupFrom, Protocol, ReadFrom, StartAt, XAdd, XGroupCreate, XLen, XRead, XReadGroup};
use std::time::Duration;

#[test]
fn client_connects_to_every_version_in_both_protocols() {
    in_paused_time(async {
        for version in Server::VERSIONS {
            for protocol in [Protocol::Resp2, Protocol::Auto] {
                let server = Server::builder().version(version).build();
                let client = server.connect(server.config().protocol(protocol)).await.unwrap();
                client.send(XAdd::new("k").field("a", "b")).await.unwrap();
                assert_eq!(client.send(XLen::new("k")).await.unwrap(), 1, "{version}");
            }
        }
    });
}

#[test]
fn blocked_read_is_served_and_times_out() {
    in_paused_time(async {
        let server = Server::new();
        let client = server.client().await.unwrap();
        let mut reader = client.reader().await.unwrap();
        let start = tokio::time::Instant::now();
        let read = || XRead::new().stream("k", ReadFrom::START).block(Duration::from_secs(30));
        assert!(reader.read(read()).await.unwrap().is_empty());
        assert_eq!(start.elapsed(), Duration::from_secs(30));
        let adding = async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            client.send(XAdd::new("k").field("a", "b")).await.unwrap();
        };
        let (entries, ()) = tokio::join!(reader.read(read()), adding);
        assert_eq!(entries.unwrap().iter().count(), 1);
        assert_eq!(start.elapsed(), Duration::from_secs(33));
    });
}

#[test]
fn worker_runs_retries_and_dead_letters() {
    in_paused_time(async {
        for version in Server::VERSIONS {
            let server = Server::builder().version(version).build();
            let client = server.client().await.unwrap();
            let queue: Queue<Vec<(String, String)>> =
                Queue::builder(&client, "jobs").open(Flat).await.unwrap();
            queue.producer().enqueue(&vec![("a".into(), "b".into())]).await.unwrap();
            let start = tokio::time::Instant::now();
            let hour = tokio::time::sleep(Duration::from_secs(60 * 50));
            let report = queue
                .worker()
                .run(hour, |job: Job<Vec<(String, String)>>| async move {
                    Err::<(), _>(Fail::retry(format!("attempt {}", job.attempt())))
                })
                .await
                .unwrap();
            println!(
                "{version}: {report} {:?} {} requests",
                start.elapsed(),
                server.requests().len()
            );
        }
    });
}
