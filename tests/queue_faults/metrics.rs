//! Metrics: series that do not grow, and what they count.

use crate::steps::{STREAM, enqueue, run, s};
use crate::support::{Email, in_paused_time, queue};
use bourn::queue::{Fail, Flat, Job, Queue, Retention};
use bourn::testing::Server;
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::time::sleep;

#[test]
fn replaced_workers_share_one_series_and_other_clients_have_their_own() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    metrics::with_local_recorder(&recorder, || {
        in_paused_time(async {
            let server = Server::new();
            let queue = queue(&server, STREAM).await;
            enqueue(&queue).await;
            run(&server, &format!("XREADGROUP GROUP workers other STREAMS {STREAM} >"));
            let mut counts = Vec::new();
            for _ in 0..5 {
                for _ in 0..3 {
                    enqueue(&queue).await;
                }
                let long = |_: Job<Email>| async {
                    sleep(s(14)).await;
                    Ok::<_, Fail>(())
                };
                let worker = queue.worker().concurrency(3).grace(s(20));
                worker.run(sleep(s(13)), long).await.expect("no error");
                let text = handle.render();
                let pending = |line: &&str| line.starts_with("redis_streams_pending{");
                let lines: Vec<&str> = text.lines().filter(pending).collect();
                let has = |end: &str| lines.iter().any(|line| line.ends_with(end));
                assert!(has("consumer=\"bourn\"} 3"), "{text}");
                assert!(has("consumer=\"other\"} 1") || counts.len() > 1, "{text}");
                counts.push(text.lines().filter(|line| !line.starts_with('#')).count());
            }
            assert!(counts.windows(2).skip(1).all(|two| two[0] == two[1]), "{counts:?}");
        });
    });
}

#[test]
fn names_that_say_how_much_was_lost_have_no_series() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    metrics::with_local_recorder(&recorder, || {
        in_paused_time(async {
            let server = Server::new();
            let client = server.client().await.expect("a connection");
            let queue = Queue::builder(&client, STREAM).retention(Retention::LossyMaxLen(9));
            let queue: Queue<Email> = queue.open(Flat).await.expect("it opens");
            for _ in 0..5 {
                enqueue(&queue).await;
            }
            run(&server, &format!("XTRIM {STREAM} MAXLEN = 1"));
            let done = |_: Job<Email>| async { Ok::<_, Fail>(()) };
            let report = queue.worker().run(sleep(s(30)), done).await.expect("no error");
            assert_eq!((report.done, report.lost), (1, 4));
            let text = handle.render();
            assert!(text.contains("consumer=\"bourn\""), "{text}");
            assert!(!text.contains("~lost") && !text.contains("~retention"), "{text}");
        });
    });
}
