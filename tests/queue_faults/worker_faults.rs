//! A worker: its leases and its connections, its handlers and their middleware, its shutdown.

use crate::support::{Email, on_each_version};
use bourn::queue::{Fail, Flat, Job, Queue};
use bourn::testing::Fault;
use std::time::Duration;
use tokio::time::sleep;

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn producer_that_delays_its_connection_costs_the_worker_no_lease() {
    on_each_version(|server| async move {
        let client = server.client().await.unwrap();
        let builder = Queue::builder(&client, "email").lease(Duration::from_secs(3));
        let queue = builder.open(Flat).await.unwrap();
        queue.producer().enqueue(&Email::new()).await.unwrap();
        let slow = |_: Job<Email>| async {
            sleep(Duration::from_secs(20)).await;
            Ok::<_, Fail>(())
        };
        let worker = tokio::spawn(queue.worker().run(sleep(MINUTE), slow));
        sleep(Duration::from_secs(1)).await;
        // The requests of the queue's own client arrive late, as behind a large batch.
        let id = client.connection_id().expect("the server reports it");
        server.inject(Fault::stall_requests(Duration::from_secs(4)).on_connection(id));
        let report = worker.await.unwrap().unwrap();
        assert_eq!((report.done, report.lease_lost), (1, 0), "{report}");
    });
}
