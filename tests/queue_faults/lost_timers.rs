//! What a server loses of delayed jobs: their timers, and the marker that says that there are some.

use crate::steps::{STREAM, enqueue, len, next, run, s};
use crate::support::{Email, VERSIONS, in_paused_time, on_each_version, queue};
use crate::wheel::{in_wheel, ms, timers};
use bourn::queue::{Flat, Nack, Queue, Redrive, Retention};
use bourn::testing::Server;
use tokio::time::sleep;

/// The replica has the timer, and not what the mover did when the job was due.
#[test]
fn job_that_is_lost_while_it_is_moved_is_moved_again() {
    for version in VERSIONS {
        for after in (0..36).step_by(3) {
            in_paused_time(async {
                let server = Server::builder().version(version).build();
                let queue = queue(&server, STREAM).await;
                enqueue(&queue).await;
                server.set_latency(ms(5));
                let mut consumer = queue.consumer().start().await.unwrap();
                let delivery = next(&mut consumer, s(9)).await.expect("the job");
                delivery.nack(Nack::after(s(60))).await.unwrap();
                sleep(s(59)).await;
                server.replicate();
                // Now the job is due, within the 15 ms that its delivery took before.
                sleep(ms(970 + after)).await;
                server.fail_over();
                server.disconnect_all();
                let mut runs = 0;
                while let Some(again) = next(&mut consumer, s(100)).await {
                    assert_eq!(again.attempt(), 2);
                    again.ack().await.unwrap();
                    runs += 1;
                }
                let row = format!("{version}, {after} ms");
                assert!((1..=2).contains(&runs), "{row}: {runs}");
                let left = (len(&server, STREAM), timers(&server), in_wheel(&server));
                assert_eq!(left, (0, 0, Vec::new()), "{row}");
            });
        }
    }
}

#[test]
fn marker_that_a_crashed_server_lost_is_added_again() {
    on_each_version(|server| async move {
        let (first, other) = (queue(&server, STREAM).await, queue(&server, STREAM).await);
        enqueue(&first).await;
        let mut consumer = first.consumer().start().await.unwrap();
        let delivery = next(&mut consumer, s(9)).await.expect("the job");
        let mut second = other.consumer().start().await.unwrap();
        sleep(s(1)).await;
        delivery.nack(Nack::after(s(60))).await.unwrap();
        // Nothing was on the disk: also the stream is lost. The second consumer has not seen it.
        server.crash();
        sleep(s(5)).await;
        // Each takes one at a time.
        enqueue(&first).await;
        enqueue(&first).await;
        let delivery = next(&mut consumer, s(60)).await.expect("one job");
        next(&mut second, s(60)).await.expect("the other").ack().await.unwrap();
        delivery.nack(Nack::after(s(60))).await.unwrap();
        let _ = consumer.close().await;
        drop(first);
        while let Some(again) = next(&mut second, s(100)).await {
            again.ack().await.unwrap();
        }
        let left = (len(&server, STREAM), timers(&server), in_wheel(&server));
        assert_eq!(left, (0, 0, Vec::new()));
    });
}

#[test]
fn timers_without_a_group_and_a_record_are_found() {
    for is_running in [false, true] {
        on_each_version(move |server| async move {
            let (first, other) = (queue(&server, STREAM).await, queue(&server, STREAM).await);
            enqueue(&first).await;
            let mut consumer = first.consumer().start().await.unwrap();
            let delivery = next(&mut consumer, s(9)).await.expect("the job");
            let early =
                if is_running { Some(other.consumer().start().await.unwrap()) } else { None };
            delivery.nack(Nack::after(s(60))).await.unwrap();
            let _ = consumer.close().await;
            run(&server, "DEL {email}:delay:mover");
            run(&server, "XGROUP DESTROY email workers");
            let mut second = match early {
                Some(consumer) => consumer,
                None => other.consumer().start().await.unwrap(),
            };
            next(&mut second, s(100)).await.expect("it comes again").ack().await.unwrap();
            let left = (len(&server, STREAM), timers(&server), in_wheel(&server));
            assert_eq!(left, (0, 0, Vec::new()));
        });
    }
}

/// A mover that does not know what its predecessor has moved looks for copies of what is due.
#[test]
fn redriven_job_is_not_taken_for_its_earlier_attempt() {
    on_each_version(|server| async move {
        let client = server.client().await.unwrap();
        let builder = Queue::builder(&client, STREAM).retention(Retention::KeepUntilAllAcked);
        let queue = builder.open::<Email, _>(Flat).await.unwrap();
        enqueue(&queue).await;
        let mut consumer = queue.consumer().start().await.unwrap();
        for end in [Nack::after(s(60)), Nack::dead("no"), Nack::after(s(60))] {
            queue.dead_letters().redrive(Redrive::all()).await.unwrap();
            next(&mut consumer, s(100)).await.expect("the job").nack(end).await.unwrap();
        }
        let _ = consumer.close().await;
        // The timer of a job that was moved is left, as after a crash.
        run(&server, "XADD {email}:delay:after:1000 * job 1m/5-0 due 1 bytes 60");
        sleep(s(100)).await;
        let mut consumer = queue.consumer().start().await.unwrap();
        let again = next(&mut consumer, s(100)).await.expect("it is not lost");
        assert_eq!(again.attempt(), 2);
        again.ack().await.unwrap();
        assert_eq!((timers(&server), in_wheel(&server)), (0, Vec::new()));
    });
}
