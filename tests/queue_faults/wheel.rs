//! Delays of any length: exact on each version, with other jobs pending, over crashes of workers and
//! of the mover.

use crate::steps::{delivered, enqueue, len, name, next, owner, requests, run, s};
use crate::support::{Email, in_paused_time, on_each_version, queue};
use crate::test_queue::{Run, number, on_each, until};
use bourn::EntryId;
use bourn::queue::{Consumer, Delivery, Fail, Flat, Nack, Queue, Retention};
use bourn::testing::{Fault, Server};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::{Instant, sleep};

const STREAM: &str = "email";

pub(crate) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// The keys of the wheel with entries.
pub(crate) fn in_wheel(server: &Server) -> Vec<String> {
    let keys = ["jobs:1m", "jobs:1h", "jobs:1d", "jobs:long"];
    let keys = keys.map(|key| format!("{{email}}:delay:{key}"));
    keys.into_iter().filter(|key| len(server, key) > 0).collect()
}

/// The number of timers in the wheel.
pub(crate) fn timers(server: &Server) -> i64 {
    let mut hop = 1_000_u64;
    let mut timers = 0;
    for _ in 0..37 {
        timers += len(server, &format!("{{email}}:delay:after:{hop}"));
        hop = hop * 3 / 2;
    }
    timers
}

/// Retries the job after this delay. Returns how late it comes.
async fn lateness(
    consumer: &mut Consumer<Email>,
    delivery: &mut Option<Delivery<Email>>,
    delay: Duration,
) -> Duration {
    let delivered = delivery.take().expect("the job");
    let attempt = delivered.attempt();
    let start = Instant::now();
    delivered.nack(Nack::after(delay)).await.unwrap();
    let again = next(consumer, delay + s(100)).await.expect("it comes again");
    let waited = start.elapsed();
    assert!(waited >= delay, "{delay:?}: early, after {waited:?}");
    assert_eq!(again.attempt(), attempt + 1);
    *delivery = Some(again);
    waited - delay
}

#[test]
fn delay_is_exact_on_each_version() {
    on_each_version(|server| async move {
        let queue = queue(&server, STREAM).await;
        let id = enqueue(&queue).await;
        let mut consumer = queue.consumer().start().await.unwrap();
        let delays = [ms(10), ms(200), ms(1_999), s(2), s(5), s(29), s(31), s(700)];
        let mut delivery = next(&mut consumer, s(9)).await;
        for delay in delays {
            let late = lateness(&mut consumer, &mut delivery, delay).await;
            assert!(late <= ms(30), "{delay:?}: {late:?} late");
        }
        let delivery = delivery.expect("the job");
        assert_eq!((delivery.original_id(), delivery.attempt()), (id, 9));
        assert!(delivery.idempotency_key().ends_with(&id.to_string()));
        delivery.ack().await.unwrap();
        assert_eq!((len(&server, STREAM), timers(&server)), (0, 0));
        assert_eq!(in_wheel(&server), Vec::<String>::new());
    });
}

#[test]
fn delay_is_exact_among_many_pending_jobs() {
    on_each_version(|server| async move {
        let queue = queue(&server, STREAM).await;
        for _ in 0..12_000 {
            run(&server, "XADD email * user 7");
        }
        run(&server, "XREADGROUP GROUP workers other COUNT 12000 STREAMS email >");
        // Before the lease of the others expires.
        enqueue(&queue).await;
        let mut consumer = queue.consumer().start().await.unwrap();
        let mut delivery = next(&mut consumer, s(9)).await;
        for delay in [ms(200), s(6)] {
            let late = lateness(&mut consumer, &mut delivery, delay).await;
            assert!(late <= ms(30), "{delay:?}: {late:?} late");
        }
    });
}

#[test]
fn delayed_jobs_keep_their_headers_and_wait_apart_from_pending_ones() {
    on_each_version(|server| async move {
        let queue = queue(&server, STREAM).await;
        let options = bourn::queue::Enqueue::new().header("trace", "7f3a");
        queue.producer().enqueue_with(&Email::new(), options).await.unwrap();
        let mut consumer = queue.consumer().start().await.unwrap();
        let delivery = next(&mut consumer, s(9)).await.expect("the job");
        delivery.nack(Nack::after(s(1_000))).await.unwrap();
        assert_eq!((len(&server, STREAM), timers(&server)), (0, 1));
        assert_eq!(in_wheel(&server), ["{email}:delay:jobs:1h"]);
        let stats = queue.stats().await.unwrap();
        assert_eq!((stats.waiting_retry, stats.in_flight, stats.length), (1, 0, 0));
        assert!(stats.consumers.iter().all(|info| !info.name.starts_with(b"~")), "{stats:?}");
        let again = next(&mut consumer, s(2_000)).await.expect("it comes again");
        assert_eq!(again.headers().get("trace"), Some(&b"7f3a"[..]));
    });
}

#[test]
fn queue_that_delays_nothing_sends_one_look() {
    on_each_version(|server| async move {
        let queue = queue(&server, STREAM).await;
        for _ in 0..20 {
            enqueue(&queue).await;
        }
        let mut consumer = queue.consumer().start().await.unwrap();
        for n in 0..20 {
            let delivery = next(&mut consumer, s(9)).await.expect("the job");
            if n % 2 == 0 {
                // It waits with the consumer.
                drop(delivery.nack(Nack::after(ms(100))).await);
            } else {
                delivery.ack().await.unwrap();
            }
        }
        sleep(s(100)).await;
        assert_eq!(requests(&server, &["{email}:delay:mover"]).len(), 1);
        assert_eq!(requests(&server, &["{email}:delay:after:1000"]).len(), 1);
    });
}

#[test]
fn mover_that_dies_is_replaced_and_one_that_leaves_at_once() {
    on_each_version(|server| async move {
        for dies in [true, false] {
            let (_queue, first, delivery) = delivered(&server).await;
            delivery.nack(Nack::after(s(60))).await.unwrap();
            let start = Instant::now();
            sleep(s(3)).await;
            if dies {
                lose_connections(&server);
                drop(first);
            } else {
                let _ = first.close().await;
            }
            let other = queue(&server, STREAM).await;
            let mut second = other.consumer().start().await.unwrap();
            sleep(s(50)).await;
            let again = next(&mut second, s(60)).await.expect("it comes again");
            assert!(start.elapsed() >= s(60), "{:?}", start.elapsed());
            assert!(start.elapsed() <= s(60) + ms(30), "dies: {dies}: {:?}", start.elapsed());
            again.ack().await.unwrap();
        }
    });
}

#[test]
fn consumers_of_other_processes_learn_of_the_first_delayed_job() {
    on_each_version(|server| async move {
        let queue = queue(&server, STREAM).await;
        // A process that was there before anything was delayed.
        let other = self::queue(&server, STREAM).await;
        let mut other_consumer = other.consumer().start().await.unwrap();
        sleep(s(1)).await;
        // It has room for one job.
        enqueue(&queue).await;
        sleep(s(1)).await;
        enqueue(&queue).await;
        let mut consumer = queue.consumer().start().await.unwrap();
        let delivery = next(&mut consumer, s(9)).await.expect("the second job");
        delivery.nack(Nack::after(s(60))).await.unwrap();
        let start = Instant::now();
        let _ = consumer.close().await;
        let first = next(&mut other_consumer, s(1)).await.expect("the first job");
        first.ack().await.unwrap();
        let again = next(&mut other_consumer, s(100)).await.expect("it comes again");
        assert!(start.elapsed() >= s(60) && start.elapsed() <= s(60) + ms(30));
        again.ack().await.unwrap();
    });
}

#[test]
fn one_consumer_moves_at_a_time_and_the_others_look_rarely() {
    on_each_version(|server| async move {
        let (_queue, _consumer, delivery) = delivered(&server).await;
        delivery.nack(Nack::after(s(2_000))).await.unwrap();
        let mut others = Vec::new();
        for _ in 0..3 {
            others.push(queue(&server, STREAM).await.consumer().start().await.unwrap());
        }
        sleep(s(20)).await;
        let count = |words: &[&str]| requests(&server, words).len();
        let before = (
            count(&["XREVRANGE", "{email}:delay:mover"]),
            count(&["XREAD", "{email}:delay:after:1000"]),
        );
        sleep(s(100)).await;
        let looks = count(&["XREVRANGE", "{email}:delay:mover"]) - before.0;
        let reads = count(&["XREAD", "{email}:delay:after:1000"]) - before.1;
        assert!((98..=102).contains(&reads), "{reads} reads in 100 s");
        // One each second to keep the turn, and some every four seconds.
        assert!(looks - reads <= 3 * 35, "{looks} looks in 100 s");
    });
}

/// A worker is lost at each moment while it delays a job, and a mover at each moment while it moves
/// one. The second one happens after a minute.
#[test]
fn worker_lost_at_any_point_loses_no_delayed_job_and_runs_none_early() {
    for version in ["redis-6.2", "redis-7.0", "redis-8.6", "redis-8.10"] {
        let has_idmp = matches!(version, "redis-8.6" | "redis-8.10");
        let moments = (0..66).chain(59_970..60_068).step_by(6);
        let mut begun = 0;
        for after in moments {
            in_paused_time(async {
                let server = Server::builder().version(version).build();
                let (queue, consumer, delivery) = delivered(&server).await;
                server.set_latency(ms(5));
                let start = Instant::now();
                let nack = tokio::spawn(delivery.nack(Nack::after(s(60))));
                sleep(ms(after)).await;
                lose_connections(&server);
                // The mover has added the job, and not deleted its copy.
                let is_begun =
                    after >= 59_970 && len(&server, STREAM) == 1 && !in_wheel(&server).is_empty();
                begun += u32::from(is_begun);
                nack.abort();
                drop((queue, consumer));
                let other = self::queue(&server, STREAM).await;
                let mut second = other.consumer().start().await.unwrap();
                let again = next(&mut second, s(200)).await.expect("it is not lost");
                let (waited, row) = (start.elapsed(), format!("{version}, {after} ms"));
                if waited < s(60) {
                    // The delay was not written, and the lease has expired.
                    assert!(after < 100 && waited > s(29), "{row}: {waited:?}");
                }
                // The lease of the job, and half of one until the next sweep.
                assert!(waited < s(106), "{row}: {waited:?}");
                assert_eq!(again.attempt(), 2 + u32::from(waited > s(80)), "{row}: {waited:?}");
                let run = (again.attempt(), again.idempotency_key());
                again.ack().await.unwrap();
                let twice = next(&mut second, s(70)).await;
                // Without IDMP the next mover looks for the job in the stream. One that was not read
                // before is done by then, and no longer there: the same attempt is added once more.
                let is_done_before = is_begun && waited < s(80);
                assert_eq!(twice.is_some(), is_done_before && !has_idmp, "{row}: twice");
                if let Some(twice) = twice {
                    assert_eq!((twice.attempt(), twice.idempotency_key()), run, "{row}");
                    twice.ack().await.unwrap();
                    assert!(next(&mut second, s(70)).await.is_none(), "{row}: three times");
                }
                assert_eq!((len(&server, STREAM), timers(&server)), (0, 0), "{row}");
            });
        }
        assert!(begun > 0, "{version}");
    }
}

/// Makes the connections that exist now carry nothing any more, as those of a lost machine.
fn lose_connections(server: &Server) {
    let ids: BTreeSet<i64> = server.requests().iter().map(|request| request.connection()).collect();
    for id in ids {
        server.inject(Fault::stall_requests(Duration::MAX).on_connection(id));
    }
}

#[test]
fn closing_consumer_keeps_the_rest_of_a_short_delay() {
    on_each_version(|server| async move {
        let queue = queue(&server, STREAM).await;
        enqueue(&queue).await;
        let mut first = queue.consumer().start().await.unwrap();
        let mut second = self::queue(&server, STREAM).await.consumer().start().await.unwrap();
        let (delivery, other) = tokio::select! {
            delivery = first.next() => (delivery, false),
            delivery = second.next() => (delivery, true),
        };
        let delivery = delivery.unwrap().unwrap();
        delivery.nack(Nack::after(ms(1_900))).await.unwrap();
        let start = Instant::now();
        let (closes, mut stays) = if other { (second, first) } else { (first, second) };
        let _ = closes.close().await;
        assert!(start.elapsed() < s(1), "it does not wait for the delay");
        let again = next(&mut stays, s(60)).await.expect("it comes again");
        assert!(start.elapsed() >= ms(1_900), "{:?}", start.elapsed());
        assert!(start.elapsed() <= s(15), "{:?}", start.elapsed());
        assert_eq!(again.attempt(), 2);
    });
}

#[test]
fn delayed_job_that_a_failover_brings_back_is_moved_again() {
    on_each_version(|server| async move {
        let (_queue, mut consumer, delivery) = delivered(&server).await;
        delivery.nack(Nack::after(s(60))).await.unwrap();
        sleep(s(30)).await;
        server.replicate();
        next(&mut consumer, s(60)).await.expect("it comes again").ack().await.unwrap();
        // The replica has neither the entry nor its acknowledgement.
        server.fail_over();
        server.disconnect_all();
        let again = next(&mut consumer, s(9)).await.expect("it is delayed no longer");
        again.ack().await.unwrap();
        assert_eq!((len(&server, STREAM), timers(&server)), (0, 0));
    });
}

/// The timer is written, the reply is lost, and there is no connection until the lease has expired.
/// A consumer claims a job that waits in the wheel, and whose entry was not removed. In the next
/// milliseconds, `change` is called with the name of the consumer: the job is not in the wheel any
/// more. Then it has to be run from its entry.
async fn lose_delayed_job(server: &Server, change: impl AsyncFn(&str, EntryId)) {
    run(server, "FLUSHALL");
    let queue = queue(server, STREAM).await;
    let id = enqueue(&queue).await;
    run(server, "XREADGROUP GROUP workers a STREAMS email >");
    server.sync();
    run(server, &format!("XCLAIM email workers a 0 {id} IDLE 90000 RETRYCOUNT 2000000001"));
    server.set_latency(ms(5));
    let mut consumer = queue.consumer().start().await.unwrap();
    while owner(server, id).is_some_and(|(name, _)| name == "a") {
        sleep(ms(1)).await;
    }
    change(&name(&consumer), id).await;
    server.set_latency(Duration::ZERO);
    let again = next(&mut consumer, s(200)).await.expect("the server has kept its entry");
    assert_eq!(again.id(), id);
}

/// It had not written the mark, nor the job in the wheel.
#[test]
fn delayed_job_that_a_crashed_server_lost_is_run_from_its_entry() {
    on_each_version(|server| async move {
        for after in (0..40).step_by(4) {
            let crash = async |_: &str, _| {
                sleep(ms(after)).await;
                server.crash();
            };
            lose_delayed_job(&server, crash).await;
        }
    });
}

#[test]
fn entry_that_has_lost_its_mark_is_not_removed() {
    on_each_version(|server| async move {
        let unmark = async |me: &str, id| {
            run(&server, &format!("XCLAIM email workers {me} 0 {id} RETRYCOUNT 1 JUSTID"));
        };
        lose_delayed_job(&server, unmark).await;
    });
}

#[test]
fn delayed_job_whose_mark_has_an_unknown_outcome_is_kept() {
    on_each_version(|server| async move {
        let (_queue, mut consumer, delivery) = delivered(&server).await;
        let id = delivery.id();
        server.inject(Fault::lose_reply().on_command("EXEC"));
        server.inject(Fault::refuse_connection().times(u64::MAX));
        let start = Instant::now();
        let nack = tokio::spawn(delivery.nack(Nack::after(s(60))));
        sleep(s(24)).await;
        server.clear_faults();
        assert!(nack.await.unwrap().is_err(), "the lease is lost");
        let again = next(&mut consumer, s(100)).await.expect("it comes again");
        assert!(start.elapsed() >= s(60) && start.elapsed() < s(61), "{:?}", start.elapsed());
        assert_eq!((again.original_id(), again.attempt()), (id, 2));
    });
}

#[test]
fn copy_for_another_group_is_not_taken_for_our_own() {
    on_each_version(|server| async move {
        let open = async |group: &str| {
            let client = server.client().await.unwrap();
            let builder = Queue::builder(&client, STREAM).group(group);
            let builder = builder.retention(Retention::KeepUntilAllAcked);
            builder.open::<Email, _>(Flat).await.unwrap()
        };
        let (one, other) = (open("one").await, open("other").await);
        let mut first = one.consumer().start().await.unwrap();
        let mut second = other.consumer().start().await.unwrap();
        enqueue(&one).await;
        for consumer in [&mut first, &mut second] {
            let delivery = next(consumer, s(9)).await.expect("the job");
            delivery.nack(Nack::after(s(5))).await.unwrap();
        }
        let _ = second.close().await;
        let running = next(&mut first, s(9)).await.expect("it comes again");
        // Its mover may have been replaced, and looks for copies.
        let mut second = other.consumer().start().await.unwrap();
        assert!(next(&mut second, s(15)).await.is_some(), "it comes again in both groups");
        running.ack().await.unwrap();
    });
}

#[test]
fn mover_that_leaves_is_followed_soon() {
    on_each_version(|server| async move {
        let (_queue, first, delivery) = delivered(&server).await;
        delivery.nack(Nack::after(s(60))).await.unwrap();
        let start = Instant::now();
        sleep(s(5)).await;
        let mut second = queue(&server, STREAM).await.consumer().start().await.unwrap();
        sleep(ms(53_500)).await;
        let _ = first.close().await;
        next(&mut second, s(60)).await.expect("it comes again");
        assert!(start.elapsed() >= s(60) && start.elapsed() < s(64), "{:?}", start.elapsed());
    });
}

/// Otherwise the next mover might add the job again, once it is done.
#[test]
fn mover_that_leaves_waits_for_the_replies_of_its_move() {
    on_each_version(|server| async move {
        let (queue, consumer, delivery) = delivered(&server).await;
        delivery.nack(Nack::after(s(20))).await.unwrap();
        server.set_latency(ms(100));
        until("the job is added again", || async { len(&server, STREAM) == 1 }).await;
        let tasks = queue.client().connection_id().expect("it is connected") + 1;
        server.inject(Fault::stall_replies(s(3)).on_connection(tasks));
        let _ = consumer.close().await;
        assert_eq!((len(&server, STREAM), in_wheel(&server).len(), timers(&server)), (1, 0, 0));
    });
}

#[test]
fn retry_takes_the_slot_that_a_waiting_read_would_fill() {
    on_each(async |test| {
        let queue = test.builder().lease(s(30)).open(Flat).await.unwrap();
        test.enqueue(&queue, 1).await;
        let run = Run::new(queue.worker().concurrency(1), |job| async move {
            if job.attempt() == 1 && number(&job) == 0 {
                return Err(Fail::retry_after(ms(500), "later"));
            }
            sleep(s(10)).await;
            Ok(())
        });
        sleep(s(2)).await;
        test.enqueue(&queue, 2).await;
        sleep(s(2)).await;
        assert_eq!(test.left(), (3, 1), "the others are left to other workers");
        until("they are done", || async { test.left() == (0, 0) }).await;
        assert_eq!(run.stop().await.0.done, 3);
    });
}

#[test]
fn retries_beyond_the_slots_are_given_back() {
    on_each(async |test| {
        let queue = test.builder().lease(s(30)).open(Flat).await.unwrap();
        test.enqueue(&queue, 6).await;
        let run = Run::new(queue.worker().concurrency(2), |job| async move {
            if job.attempt() == 1 {
                return Err(Fail::retry_after(ms(300), "later"));
            }
            sleep(s(9)).await;
            Ok(())
        });
        sleep(s(3)).await;
        let stats = queue.stats().await.unwrap();
        assert_eq!((stats.in_flight, stats.waiting_retry), (2, 4), "{stats:?}");
        until("they are done", || async { test.left() == (0, 0) }).await;
        assert_eq!(run.stop().await.0.done, 6);
    });
}

#[test]
fn delay_to_any_horizon_is_accepted() {
    on_each_version(|server| async move {
        let (_queue, mut consumer, delivery) = delivered(&server).await;
        delivery.nack(Nack::after(Duration::MAX)).await.unwrap();
        assert_eq!(in_wheel(&server), ["{email}:delay:jobs:long"]);
        assert!(next(&mut consumer, s(200)).await.is_none());
        assert_eq!((in_wheel(&server).len(), timers(&server)), (1, 1));
    });
}
