//! Jobs that replicas or disks must have.

use crate::steps::{LEASE, STREAM, len, requests, run, s};
use crate::support::{Email, in_paused_time, on_each_version, queue};
use bourn::queue::{Enqueue, Producer, QueueError, SettingsError};
use bourn::testing::{Fault, Server};
use bourn::{Durability, DurableError, Error, Outcome, Unsent, XAdd};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

const TIME: Duration = Duration::from_millis(400);

/// Returns a producer of jobs that one replica must have.
async fn producer(server: &Server) -> Producer<Email> {
    queue(server, STREAM).await.producer().durable(Durability::replicas(1, TIME))
}

#[test]
fn job_is_kept_if_enough_replicas_have_it_and_otherwise_it_is_there_and_told() {
    on_each_version(|server| async move {
        server.set_replicas(1);
        let producer = producer(&server).await;
        producer.enqueue(&Email::new()).await.expect("one replica has it");
        let two = Enqueue::new().durable(Durability::replicas(2, TIME));
        let begun = Instant::now();
        let error = producer.enqueue_with(&Email::new(), two).await.expect_err("too few");
        assert!(begun.elapsed() >= TIME && begun.elapsed() < TIME + s(1), "{:?}", begun.elapsed());
        assert_eq!(error.outcome(), Outcome::Unknown);
        let QueueError::NotKept { id, reason } = error else { panic!("{error}") };
        let DurableError::NotKept { kept: Some(kept), .. } = *reason else { panic!("{reason}") };
        assert_eq!((kept.id, kept.replicas, kept.disk), (id, 1, false));
        assert_eq!(len(&server, STREAM), 2);
    });
}

#[test]
fn disks_are_asked_where_the_server_can_and_refused_before_anything_is_added_elsewhere() {
    on_each_version(|server| async move {
        run(&server, "CONFIG SET appendonly yes");
        let producer = queue(&server, STREAM).await.producer().durable(Durability::disk(TIME));
        let added = producer.enqueue(&Email::new()).await;
        if requests(&server, &["WAITAOF"]).is_empty() {
            let error = added.expect_err("an old server");
            assert_eq!((error.outcome(), len(&server, STREAM)), (Outcome::NotSent, 0), "{error}");
            assert!(error.to_string().contains("WAITAOF (Redis 7.2)"), "{error}");
            return;
        }
        added.expect("the disk has it");
        run(&server, "CONFIG SET appendonly no");
        let error = producer.enqueue(&Email::new()).await.expect_err("no append-only file");
        assert!(error.to_string().contains("appendonly is disabled"), "{error}");
        assert!(matches!(error, QueueError::NotKept { .. }) && len(&server, STREAM) == 2);
    });
}

#[test]
fn jobs_of_many_tasks_are_sent_together_on_one_connection() {
    on_each_version(|server| async move {
        server.set_replicas(1);
        server.set_latency(Duration::from_millis(5));
        let producer = producer(&server).await;
        let mut tasks = JoinSet::new();
        for _ in 0..200 {
            let producer = producer.clone();
            tasks.spawn(async move { producer.enqueue(&Email::new()).await });
        }
        while let Some(task) = tasks.join_next().await {
            task.expect("no panic").expect("one replica has it");
        }
        assert_eq!(len(&server, STREAM), 200);
        let waits = requests(&server, &["WAIT"]);
        assert!(waits.len() <= 3, "{} waits", waits.len());
        let all = vec![Email::new(); 3_000];
        for added in producer.enqueue_all(&all).await {
            added.expect("one replica has it");
        }
        let adds = requests(&server, &["XADD", STREAM]);
        let of = |request: &bourn::testing::Request| request.connection();
        assert!(adds.iter().all(|add| of(add) == of(&waits[0])), "a connection of their own");
        assert_eq!(adds.len(), 3_200);
    });
}

#[test]
fn entries_with_other_needs_wait_apart() {
    on_each_version(|server| async move {
        server.set_replicas(1);
        let one = producer(&server).await;
        let two = one.clone().durable(Durability::replicas(2, TIME));
        let payload = Email::new();
        let (first, few, last) =
            tokio::join!(one.enqueue(&payload), two.enqueue(&payload), one.enqueue(&payload));
        first.expect("one replica has it");
        assert!(matches!(few, Err(QueueError::NotKept { .. })), "{few:?}");
        last.expect("one replica has it");
        let waits = requests(&server, &["WAIT"]);
        assert_eq!(waits.len(), 3, "{waits:?}");
    });
}

#[test]
fn job_without_a_reply_is_never_told_as_kept() {
    on_each_version(|server| async move {
        server.set_replicas(1);
        let producer = producer(&server).await;
        producer.enqueue(&Email::new()).await.expect("one replica has it");
        for command in ["XADD", "WAIT"] {
            let before = len(&server, STREAM);
            server.inject(Fault::lose_reply().on_command(command).times(1));
            let error = producer.enqueue(&Email::new()).await.expect_err("no reply");
            assert_eq!(error.outcome(), Outcome::Unknown, "{command}: {error}");
            assert_eq!(len(&server, STREAM), before + 1, "{command}");
            let is_known = matches!(error, QueueError::NotKept { .. });
            let has_idmp = requests(&server, &["IDMP"]).len() > 1;
            assert_eq!(is_known, has_idmp || command == "WAIT", "{command}: {error}");
        }
        producer.enqueue(&Email::new()).await.expect("one replica has it");
    });
}

#[test]
fn job_waits_for_a_server_and_ends_in_its_time() {
    on_each_version(|server| async move {
        server.set_replicas(1);
        let producer = producer(&server).await;
        for is_connected in [false, true] {
            server.stop();
            let (begun, waiting) = (Instant::now(), producer.clone());
            let error = waiting.enqueue(&Email::new()).await.expect_err("no server");
            assert!(!error.may_have_run(), "{is_connected}: {error}");
            // A minute, in which a job with IDMP is sent again, is for those that may have run.
            assert!(begun.elapsed() < s(15), "{is_connected}: {:?}", begun.elapsed());
            server.start();
            producer.enqueue(&Email::new()).await.expect("there is one again");
        }
        let loading = "LOADING Redis is loading the dataset in memory";
        server.inject(Fault::error(loading).on_command("XADD").times(2));
        producer.enqueue(&Email::new()).await.expect("it has loaded");
        assert_eq!(len(&server, STREAM), 3);
    });
}

#[test]
fn unique_job_cannot_be_durable() {
    in_paused_time(async {
        let server = Server::builder().version("redis-8.10").build();
        let producer = producer(&server).await;
        let unique = Enqueue::new().unique("welcome:1");
        let error = producer.enqueue_with(&Email::new(), unique).await.expect_err("it is refused");
        assert!(matches!(error, QueueError::Settings(SettingsError::Value(_))), "{error}");
        let client = server.client().await.expect("a connection");
        let durable = client.durable(Durability::replicas(1, TIME));
        let add = bourn::XAdd::new(STREAM).field("a", 1).idmp("p", "1");
        let error = durable.add(add).await.expect_err("it is refused");
        assert_eq!(error.outcome(), Outcome::NotSent, "{error}");
        assert_eq!(len(&server, STREAM), 0);
    });
}

#[test]
fn dropped_future_adds_nothing_before_its_first_poll_and_others_go_on() {
    on_each_version(|server| async move {
        server.set_replicas(1);
        let producer = producer(&server).await;
        let (payload, other) = (Email::new(), Email::new());
        drop(producer.enqueue(&payload));
        server.set_latency(Duration::from_millis(50));
        let dropped = tokio::time::timeout(TIME / 80, producer.enqueue(&payload)).await;
        assert!(dropped.is_err(), "it is dropped while it waits");
        producer.enqueue(&other).await.expect("one replica has it");
        assert!((1..=2).contains(&len(&server, STREAM)));
        tokio::time::sleep(LEASE).await;
    });
}

#[test]
fn first_job_waits_for_a_connection_as_later_ones_do() {
    on_each_version(|server| async move {
        server.set_replicas(1);
        let producer = producer(&server).await;
        let later = async {
            tokio::time::sleep(s(2)).await;
            server.start();
        };
        server.stop();
        let begun = Instant::now();
        let (added, ()) = tokio::join!(async { producer.enqueue(&Email::new()).await }, later);
        added.expect("there is a server in time");
        assert!(begun.elapsed() >= s(2) && begun.elapsed() < s(4), "{:?}", begun.elapsed());

        let producer = self::producer(&server).await;
        server.stop();
        let (begun, before) = (Instant::now(), len(&server, STREAM));
        let error = producer.enqueue(&Email::new()).await.expect_err("no server");
        assert_eq!(error.outcome(), Outcome::NotSent, "{error}");
        let text = error.to_string();
        assert!(text.contains("before it could be sent"), "{text}");
        let waited = begun.elapsed();
        assert!(waited >= s(5) && waited < s(7), "{waited:?}");
        assert_eq!(len(&server, STREAM), before);
    });
}

#[test]
fn disk_is_not_asked_of_a_server_that_was_unknown_and_cannot() {
    on_each_version(|server| async move {
        run(&server, "CONFIG SET appendonly yes");
        let producer = queue(&server, STREAM).await.producer().durable(Durability::disk(TIME));
        let later = async {
            tokio::time::sleep(s(1)).await;
            server.start();
        };
        server.stop();
        let (added, ()) = tokio::join!(async { producer.enqueue(&Email::new()).await }, later);
        let can = !requests(&server, &["WAITAOF"]).is_empty();
        assert_eq!((added.is_ok(), len(&server, STREAM)), (can, i64::from(can)), "{added:?}");
    });
}

#[test]
fn connection_ends_when_the_client_is_closed() {
    on_each_version(|server| async move {
        server.set_replicas(1);
        let client = server.client().await.expect("a connection");
        let other = client.clone();
        let [used, unused] = [(); 2].map(|()| client.durable(Durability::replicas(1, TIME)));
        let add = || XAdd::new(STREAM).field("n", 1);
        used.add(add()).await.expect("one replica has it");
        assert_eq!(server.connections(), 2);
        other.close().await;
        assert_eq!(server.connections(), 0);
        let late = client.durable(Durability::replicas(1, TIME));
        for durable in [used, unused, late] {
            let begun = Instant::now();
            let error = durable.add(add()).await.expect_err("it is closed");
            let DurableError::Redis(error) = error else { panic!("{error}") };
            let is_closed = matches!(error, Error::Unsent { reason: Unsent::Closed, .. });
            assert!(is_closed && begun.elapsed().is_zero(), "{error}");
        }
        assert_eq!((len(&server, STREAM), server.connections()), (1, 0));
    });
}
