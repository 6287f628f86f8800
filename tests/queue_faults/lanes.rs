//! The producer ids of IDMP.

use crate::steps::{STREAM, enqueue, len, requests};
use crate::support::{Email, in_paused_time, on_each_version, queue};
use bourn::EntryId;
use bourn::testing::{Fault, Server};
use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use tokio::time::Instant;

/// Returns the producer ids with which jobs were added.
fn producer_ids(server: &Server) -> Vec<String> {
    let add = requests(server, &["XADD", STREAM, "IDMP"]);
    let id = |request: &bourn::testing::Request| {
        let words = request.to_string();
        let mut words = words.split(' ').skip_while(|word| *word != "IDMP");
        words.nth(1).expect("a producer id").to_owned()
    };
    add.iter().map(id).collect()
}

/// A server remembers the last hundred numbers of a producer id: a job that is sent again must not
/// be followed by too many new ones.
#[test]
fn producer_id_gets_no_new_jobs_after_an_unknown_outcome() {
    for version in ["redis-8.6", "redis-8.10"] {
        in_paused_time(async {
            let server = Server::builder().version(version).build();
            let queue = queue(&server, STREAM).await;
            let producer = queue.producer();
            let job = Email::new();
            for skip in [100, 1] {
                server.inject(Fault::disconnect().on_command("XADD").skip(skip));
                let added = producer.enqueue_all([&job, &job]).await;
                assert!(added.iter().all(Result::is_ok), "{version}: {added:?}");
                server.clear_faults();
            }
            producer.enqueue(&job).await.unwrap();
            let ids = producer_ids(&server);
            assert_eq!(ids[0], ids[2], "{version}: one for all jobs");
            assert_ne!(ids[2], *ids.last().unwrap(), "{version}: and a new one");
            assert_eq!(len(&server, STREAM), 5, "{version}: none is added twice");
            enqueue(&queue).await;
        });
    }
}

/// A server remembers the numbers of each producer id for 100 s.
#[test]
fn producers_of_a_queue_use_the_same_producer_id() {
    in_paused_time(async {
        let server = Server::builder().version("redis-8.10").build();
        let queue = queue(&server, STREAM).await;
        for _ in 0..200 {
            enqueue(&queue).await;
            queue.clone().producer().clone().enqueue_all(&[Email::new(), Email::new()]).await;
        }
        let ids = producer_ids(&server);
        assert_eq!((ids.len(), ids.iter().collect::<BTreeSet<_>>().len()), (600, 1));
    });
}

/// The job would be added twice if it were sent again after a hundred others.
#[test]
fn producer_id_of_a_job_that_is_not_polled_gets_few_more_jobs() {
    in_paused_time(async {
        let server = Server::builder().version("redis-8.10").build();
        let queue = queue(&server, STREAM).await;
        let (producer, job) = (queue.producer(), Email::new());
        let mut waiting = pin!(producer.enqueue(&job));
        let is_pending = poll_fn(|cx| Poll::Ready(waiting.as_mut().poll(cx).is_pending())).await;
        assert!(is_pending, "it waits for its reply");
        for _ in 0..200 {
            enqueue(&queue).await;
        }
        let ids = producer_ids(&server);
        assert_eq!(ids.iter().filter(|id| **id == ids[0]).count(), 64);
        waiting.await.unwrap();
    });
}

#[test]
fn many_jobs_are_added_in_few_round_trips_and_in_their_order() {
    on_each_version(|server| async move {
        let queue = queue(&server, STREAM).await;
        let jobs: Vec<Email> = (0..10_000).map(|n| vec![("n".into(), format!("{n}"))]).collect();
        server.set_latency(Duration::from_millis(10));
        let start = Instant::now();
        let added = queue.producer().enqueue_all(&jobs).await;
        assert!(start.elapsed() < Duration::from_millis(150), "{:?}", start.elapsed());
        let ids: Vec<EntryId> = added.into_iter().map(Result::unwrap).collect();
        assert!(ids.is_sorted() && len(&server, STREAM) == 10_000);
    });
}
