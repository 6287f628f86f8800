//! Recurring jobs at a real server, with the permissions that a queue needs.

use crate::statistics::LEAST;
use crate::test_queue::{GROUP, Job, LEASE, Run, STREAM, TestQueue, config, job, limited, until};
use bourn::Client;
use bourn::queue::{Flat, Missed, Queue, Recurrence};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[test]
fn each_second_has_one_job_of_three_workers() {
    limited(async || {
        let test = TestQueue::new().await;
        let mut rules = vec!["ACL", "SETUSER", "least", "on", ">secret", "~jobs", "~{jobs}*"];
        rules.extend(LEAST);
        test.server.command(&rules);
        let ticks = Arc::new(Mutex::new(Vec::new()));
        let mut runs = Vec::new();
        for _ in 0..3 {
            let settings = config(&test.server).user("least").password("secret");
            let client = Client::connect(settings).await.unwrap();
            let builder = Queue::builder(&client, STREAM).group(GROUP).lease(LEASE);
            let queue: Queue<Job> = builder.open(Flat).await.unwrap();
            let each_second = Recurrence::every(Duration::from_secs(1)).missed(Missed::All);
            queue.recurring().set("report", &each_second, &job(7)).await.unwrap();
            let ticks = Arc::clone(&ticks);
            let handler = move |job: bourn::queue::Job<Job>| {
                let tick = std::str::from_utf8(job.headers().get("tick").unwrap()).unwrap();
                ticks.lock().unwrap().push(tick.parse::<u64>().unwrap());
                async { Ok(()) }
            };
            runs.push((Run::new(queue.worker(), handler), queue));
        }
        // The first ones are made up for when one of the workers does the maintenance.
        until("there were twenty ticks", || async { ticks.lock().unwrap().len() >= 20 }).await;
        assert_eq!(runs[0].1.recurring().list().await.unwrap().len(), 1);
        assert!(runs[0].1.recurring().remove("report").await.unwrap());
        for (run, _) in runs {
            run.stop().await;
        }
        let mut ticks = ticks.lock().unwrap().clone();
        ticks.sort_unstable();
        let follow = |pair: &[u64]| pair[1] == pair[0] + 1_000;
        assert!(ticks.windows(2).all(follow), "{ticks:?}");
    });
}
