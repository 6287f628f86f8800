//! The producer ids of IDMP.

use crate::steps::{STREAM, enqueue, len, requests};
use crate::support::{Email, in_paused_time, queue};
use bourn::testing::{Fault, Server};

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
