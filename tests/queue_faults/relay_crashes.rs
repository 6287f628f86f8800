//! Crashes while a job is acknowledged with the next one, and while a dead letter is redriven: at no
//! point is the only copy gone, and a second copy is recognised.

use crate::dial::dialler;
use crate::steps::{DEAD, STREAM, enqueue, len, next, number, run, s};
use crate::support::{Email, VERSIONS, in_paused_time, on_each_version, queue};
use bourn::queue::{Acked, Consumer, Delivery, Fail, Flat, Job, Nack, Queue, Redrive};
use bourn::testing::{Fault, Server};
use bourn::{Client, EntryId};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::sleep;

const MS: Duration = Duration::from_millis(1);

/// The key of the next queue.
const NEXT: &str = "next";

/// A machine that can be lost: its connections then carry nothing any more, and it opens none.
struct Machine {
    client: Client,
    alive: Arc<AtomicBool>,
}

impl Machine {
    async fn new(server: &Server) -> Self {
        let alive = Arc::new(AtomicBool::new(true));
        let dial = dialler(server, &alive, &Arc::default());
        let config = server.config().reconnect(s(1), s(10));
        Self { client: Client::connect_with(config, dial).await.unwrap(), alive }
    }

    async fn queue(&self, stream: &str) -> Queue<Email> {
        Queue::builder(&self.client, stream).open(Flat).await.unwrap()
    }

    /// Loses the machine. All connections so far are its own.
    fn lose(&self, server: &Server) {
        self.alive.store(false, Ordering::Relaxed);
        let ids: BTreeSet<i64> =
            server.requests().iter().map(|request| request.connection()).collect();
        for id in ids {
            server.inject(Fault::stall_requests(Duration::MAX).on_connection(id));
        }
    }
}

/// Opens the queue and the next one, with one client.
async fn pair(server: &Server) -> (Queue<Email>, Queue<Email>) {
    let from = queue(server, STREAM).await;
    let out = Queue::builder(from.client(), NEXT).open(Flat).await.unwrap();
    (from, out)
}

/// Makes the key hold a string.
fn retype(server: &Server, key: &str) {
    run(server, &format!("DEL {key}"));
    run(server, &format!("SET {key} text"));
}

/// Returns the number of entries of a key; zero for a string.
fn entries(server: &Server, key: &str) -> i64 {
    server.command(&format!("XLEN {key}")).as_integer().unwrap_or(0)
}

/// A process whose job is being acknowledged with the next one.
struct Relaying {
    machine: Machine,
    id: EntryId,
    key: String,
    relay: JoinHandle<()>,
    _consumer: Consumer<Email>,
}

impl Relaying {
    async fn begin(server: &Server) -> Self {
        let machine = Machine::new(server).await;
        let (from, out) = (machine.queue(STREAM).await, machine.queue(NEXT).await);
        let id = enqueue(&from).await;
        let mut consumer = from.consumer().start().await.unwrap();
        let delivery = next(&mut consumer, s(1)).await.expect("the job");
        let key = delivery.idempotency_key();
        server.set_latency(5 * MS);
        let relay = delivery.ack_then(&out, &payload());
        let relay = tokio::spawn(async move { drop(relay.await) });
        Self { machine, id, key, relay, _consumer: consumer }
    }
}

fn payload() -> Email {
    vec![("next".into(), "1".into())]
}

/// Takes the job again in another process, and acknowledges it with the next one. Returns the
/// delivery's attempt and key; `None` if there is no job any more.
async fn relay_again(server: &Server) -> Option<(u32, String)> {
    let (from, out) = pair(server).await;
    let mut consumer = from.consumer().start().await.unwrap();
    let delivery = next(&mut consumer, s(100)).await?;
    let seen = (delivery.attempt(), delivery.idempotency_key());
    let (acked, id) = delivery.ack_then(&out, &payload()).await.unwrap();
    assert!(acked == Acked::Done && id.is_some(), "{acked:?} {id:?}");
    consumer.close().await;
    Some(seen)
}

#[test]
fn worker_lost_at_any_point_of_a_relay_leaves_one_next_job() {
    for version in VERSIONS {
        for after in (0..30).step_by(2) {
            in_paused_time(async {
                let server = Server::builder().version(version).build();
                let relaying = Relaying::begin(&server).await;
                let key = relaying.key.clone();
                sleep(after * MS).await;
                relaying.machine.lose(&server);
                assert!(entries(&server, STREAM) + entries(&server, NEXT) > 0, "{after} ms");
                let again = relay_again(&server).await;
                if let Some(again) = again {
                    assert_eq!(again, (2, key), "{version}, {after} ms");
                }
                let left = (len(&server, STREAM), len(&server, NEXT));
                assert_eq!(left, (0, 1), "{version}, {after} ms");
            });
        }
    }
}

#[test]
fn job_is_kept_whenever_the_next_key_changes_its_type_and_the_worker_is_lost() {
    for version in ["redis-7.0", "redis-8.10"] {
        for changed in (0..26).step_by(2) {
            for lost in (0..16).step_by(3) {
                in_paused_time(async {
                    let server = Server::builder().version(version).build();
                    let relaying = Relaying::begin(&server).await;
                    let (id, key) = (relaying.id, relaying.key.clone());
                    sleep(changed * MS).await;
                    let added = entries(&server, NEXT) > 0;
                    retype(&server, NEXT);
                    sleep(lost * MS).await;
                    relaying.machine.lose(&server);
                    let row = format!("{version}, changed at {changed} ms, lost {lost} ms later");
                    let kept = run(&server, &format!("XRANGE {STREAM} {id} {id}"));
                    let kept = kept.as_list().is_some_and(|found| !found.is_empty());
                    assert!(kept || added, "{row}");
                    run(&server, &format!("DEL {NEXT}"));
                    match relay_again(&server).await {
                        Some(again) => assert_eq!(again, (2, key), "{row}"),
                        None => assert!(added, "{row}"),
                    }
                    assert_eq!(len(&server, STREAM), 0, "{row}");
                });
            }
        }
    }
}

#[test]
fn lost_replies_of_a_relay_leave_one_next_job() {
    for skip in 0..2 {
        on_each_version(|server| async move {
            let (from, out) = pair(&server).await;
            enqueue(&from).await;
            let mut consumer = from.consumer().start().await.unwrap();
            let delivery = next(&mut consumer, s(1)).await.expect("the job");
            server.inject(Fault::lose_reply().on_command("EXEC").skip(skip));
            let (acked, id) = delivery.ack_then(&out, &payload()).await.unwrap();
            assert!(acked == Acked::Done && id.is_some(), "{skip}: {acked:?} {id:?}");
            assert_eq!((len(&server, STREAM), len(&server, NEXT)), (0, 1), "{skip}");
        });
    }
}

/// The copy is gone when it is looked for: the delivery count of the job says that it was added.
#[test]
fn next_job_that_is_done_before_the_lost_reply_is_not_added_again() {
    on_each_version(|server| async move {
        let (from, out) = pair(&server).await;
        let ran = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&ran);
        let handler = move |job: Job<Email>| {
            seen.lock().unwrap().push(job.idempotency_key());
            async { Ok::<_, Fail>(()) }
        };
        let worker = tokio::spawn(out.worker().run(sleep(s(200)), handler));
        let id = enqueue(&from).await;
        let mut consumer = from.consumer().start().await.unwrap();
        let delivery = next(&mut consumer, s(1)).await.expect("the job");
        server.set_latency(5 * MS);
        server.inject(Fault::lose_reply().on_command("EXEC"));
        let (acked, _) = delivery.ack_then(&out, &payload()).await.unwrap();
        assert_eq!(acked, Acked::Done);
        sleep(s(60)).await;
        assert_eq!(*ran.lock().unwrap(), [format!("next/workers/email/workers/{id}")]);
        assert_eq!((len(&server, STREAM), len(&server, NEXT)), (0, 0));
        worker.abort();
    });
}

/// A relay whose machine is lost after the next job was added.
async fn interrupted(server: &Server) -> Relaying {
    let relaying = Relaying::begin(server).await;
    while entries(server, NEXT) == 0 {
        sleep(MS).await;
    }
    relaying.machine.lose(server);
    relaying
}

/// The job keeps its mark while other decisions are made: given back, waiting with its consumer,
/// with no free slot after that, in the wheel.
#[test]
fn next_job_of_an_interrupted_relay_is_recognised_after_a_retry() {
    on_each_version(|server| async move {
        let rows: [&[(u32, Nack)]; 4] = [
            &[(2, Nack::now()), (3, Nack::release()), (3, Nack::now())],
            &[(2, Nack::after(100 * MS)), (3, Nack::after(100 * MS))],
            &[(2, Nack::after(s(5))), (3, Nack::after(s(5)))],
            &[(2, Nack::after(s(5))), (3, Nack::now())],
        ];
        for row in rows {
            run(&server, &format!("DEL {NEXT}"));
            let _relaying = interrupted(&server).await;
            let (from, out) = pair(&server).await;
            let mut consumer = from.consumer().start().await.unwrap();
            for (attempt, nack) in row {
                let delivery = next(&mut consumer, s(100)).await.expect("the job");
                assert_eq!(delivery.attempt(), *attempt);
                delivery.nack(nack.clone()).await.unwrap();
            }
            let delivery = next(&mut consumer, s(100)).await.expect("the job");
            assert_eq!(delivery.attempt(), row.last().map_or(0, |(attempt, _)| attempt + 1));
            delivery.ack_then(&out, &payload()).await.unwrap();
            assert_eq!((len(&server, STREAM), len(&server, NEXT)), (0, 1), "{row:?}");
            consumer.close().await;
        }
    });
}

/// Without a free slot the job is given back.
#[test]
fn next_job_is_recognised_after_a_retry_that_found_no_slot() {
    on_each_version(|server| async move {
        let _relaying = interrupted(&server).await;
        let (from, out) = pair(&server).await;
        let mut consumer = from.consumer().prefetch(1).start().await.unwrap();
        let delivery = next(&mut consumer, s(100)).await.expect("the job");
        delivery.nack(Nack::after(s(1))).await.unwrap();
        // They take the only place, before the delay is over.
        enqueue(&from).await;
        sleep(s(10)).await;
        let other = next(&mut consumer, s(1)).await.expect("another job");
        assert_eq!(other.attempt(), 1);
        other.ack().await.unwrap();
        let delivery = next(&mut consumer, s(100)).await.expect("the job");
        assert_eq!(delivery.attempt(), 3);
        delivery.ack_then(&out, &payload()).await.unwrap();
        assert_eq!((len(&server, STREAM), len(&server, NEXT)), (0, 1));
    });
}

/// A server with IDMP recognises the next job by the first entry of the job.
#[test]
fn next_job_that_was_done_already_is_recognised_after_a_delay_in_the_wheel() {
    for version in ["redis-8.6", "redis-8.10"] {
        in_paused_time(async {
            let server = Server::builder().version(version).build();
            let _relaying = interrupted(&server).await;
            let (from, out) = pair(&server).await;
            let mut nexts = out.consumer().start().await.unwrap();
            next(&mut nexts, s(100)).await.expect("the next job").ack().await.unwrap();
            let mut consumer = from.consumer().start().await.unwrap();
            let delivery = next(&mut consumer, s(100)).await.expect("the job");
            delivery.nack(Nack::after(s(5))).await.unwrap();
            let delivery = next(&mut consumer, s(100)).await.expect("the job");
            delivery.ack_then(&out, &payload()).await.unwrap();
            assert!(next(&mut nexts, s(60)).await.is_none(), "{version}: it runs once");
            assert_eq!((len(&server, STREAM), len(&server, NEXT)), (0, 0), "{version}");
        });
    }
}

/// Another worker relies on the copy of one that is only slow.
#[test]
fn slow_worker_keeps_the_next_job_that_another_one_has_found() {
    on_each_version(|server| async move {
        let relaying = Relaying::begin(&server).await;
        while entries(&server, NEXT) == 0 {
            sleep(MS).await;
        }
        relaying.machine.lose(&server);
        assert_eq!(relay_again(&server).await, Some((2, relaying.key.clone())));
        relaying.machine.alive.store(true, Ordering::Relaxed);
        sleep(s(60)).await;
        assert_eq!((len(&server, STREAM), len(&server, NEXT)), (0, 1));
        assert!(relaying.relay.is_finished());
    });
}

/// The consumer that finished the job may have relied on it.
#[test]
fn next_job_stays_if_the_job_is_finished_elsewhere_after_it_was_added() {
    on_each_version(|server| async move {
        let (from, out) = pair(&server).await;
        enqueue(&from).await;
        let mut consumer = from.consumer().start().await.unwrap();
        let delivery = next(&mut consumer, s(1)).await.expect("the job");
        let id = delivery.id();
        server.set_latency(5 * MS);
        let relay = tokio::spawn(delivery.ack_then(&out, &payload()));
        while entries(&server, NEXT) == 0 {
            sleep(MS).await;
        }
        run(&server, &format!("XACK {STREAM} workers {id}"));
        run(&server, &format!("XDEL {STREAM} {id}"));
        let (acked, added) = relay.await.unwrap().unwrap();
        assert!(acked == Acked::AlreadyGone && added.is_some(), "{acked:?} {added:?}");
        assert_eq!((len(&server, STREAM), len(&server, NEXT)), (0, 1));
    });
}

/// Adds a dead letter and starts its redrive in a process of its own.
async fn begin_redrive(server: &Server) -> (EntryId, Machine, JoinHandle<()>) {
    let machine = Machine::new(server).await;
    let from = machine.queue(STREAM).await;
    let id = enqueue(&from).await;
    let mut consumer = from.consumer().start().await.unwrap();
    let delivery: Delivery<Email> = next(&mut consumer, s(1)).await.expect("the job");
    delivery.nack(Nack::dead("no")).await.unwrap();
    consumer.close().await;
    server.set_latency(5 * MS);
    let redrive = async move { drop(from.dead_letters().redrive(Redrive::all()).await) };
    (id, machine, tokio::spawn(redrive))
}

/// Redrives everything when the claims of the lost operator are over.
async fn redrive_again(server: &Server) {
    sleep(s(31)).await;
    let queue = queue(server, STREAM).await;
    queue.dead_letters().redrive(Redrive::all()).await.unwrap();
}

#[test]
fn operator_lost_at_any_point_of_a_redrive_leaves_one_job() {
    for version in VERSIONS {
        for after in (0..60).step_by(3) {
            in_paused_time(async {
                let server = Server::builder().version(version).build();
                let (id, machine, _) = begin_redrive(&server).await;
                sleep(after * MS).await;
                machine.lose(&server);
                assert!(len(&server, STREAM) + len(&server, DEAD) > 0, "{version}, {after} ms");
                redrive_again(&server).await;
                let left = (len(&server, STREAM), len(&server, DEAD));
                assert_eq!(left, (1, 0), "{version}, {after} ms");
                let queue = queue(&server, STREAM).await;
                let mut consumer = queue.consumer().start().await.unwrap();
                let delivery = next(&mut consumer, s(100)).await.expect("the job");
                assert_eq!((delivery.attempt(), delivery.original_id()), (1, id));
            });
        }
    }
}

#[test]
fn dead_letter_is_kept_whenever_the_queue_changes_its_type_and_the_operator_is_lost() {
    for version in ["redis-7.0", "redis-8.10"] {
        for changed in (0..50).step_by(3) {
            for lost in [0, 6, 12] {
                in_paused_time(async {
                    let server = Server::builder().version(version).build();
                    let (_, machine, _) = begin_redrive(&server).await;
                    sleep(changed * MS).await;
                    let added = entries(&server, STREAM) > 0;
                    retype(&server, STREAM);
                    sleep(lost * MS).await;
                    machine.lose(&server);
                    let row = format!("{version}, changed at {changed} ms, lost {lost} ms later");
                    assert!(len(&server, DEAD) > 0 || added, "{row}");
                    run(&server, &format!("DEL {STREAM}"));
                    redrive_again(&server).await;
                    assert_eq!(len(&server, DEAD), 0, "{row}");
                    assert!(added || len(&server, STREAM) == 1, "{row}");
                });
            }
        }
    }
}

#[test]
fn claims_of_a_redrive_are_gone_when_it_ends() {
    on_each_version(|server| async move {
        let (_, _, redrive) = begin_redrive(&server).await;
        redrive.await.unwrap();
        assert_eq!((len(&server, STREAM), len(&server, DEAD)), (1, 0));
        let pending = run(&server, &format!("XPENDING {DEAD} bourn-redrive"));
        assert_eq!(pending.as_list().and_then(|list| list.first()?.as_integer()), Some(0));
        let consumers = run(&server, &format!("XINFO CONSUMERS {DEAD} bourn-redrive"));
        assert!(consumers.as_list().is_some_and(|list| list.is_empty()));
        assert_eq!(number(&server, &format!("EXISTS {DEAD}")), 1);
    });
}
