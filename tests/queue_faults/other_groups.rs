//! Several groups on one stream: no group deletes what another has not read, whatever it does with
//! its jobs, and groups with different retentions are refused or reported.

use crate::steps::{LEASE, STREAM, len, problems, requests, run, s};
use crate::support::{Email, VERSIONS, in_paused_time, on_each_version};
use bourn::queue::{
    Fail, Flat, Job, Queue, QueueBuilder, QueueError, Retention, RetryPolicy, SettingsError,
    Undecodable,
};
use bourn::testing::{Fault, Server};
use bourn::{Client, XAdd};
use tokio::time::sleep;

/// The versions with XACKDEL.
const KEEPING: [&str; 3] = ["redis-8.2", "redis-8.6", "redis-8.10"];

/// Runs a test on each of these versions.
fn on_each_keeping(test: impl AsyncFn(Server, Client)) {
    for version in KEEPING {
        println!("{version}");
        in_paused_time(async {
            let server = Server::builder().version(version).build();
            let client = server.client().await.unwrap();
            test(server, client).await;
        });
    }
}

/// Opens a queue. Another client creates the group `audit` after that.
async fn open_before_audit(server: &Server, client: &Client, with: With) -> Queue<Email> {
    let queue = open(client, "workers", with).await;
    run(server, "XGROUP CREATE email audit 0");
    queue
}

type With = fn(QueueBuilder) -> QueueBuilder;

async fn try_open(client: &Client, group: &str, with: With) -> Result<Queue<Email>, QueueError> {
    let retry = RetryPolicy::exponential(s(1), s(1)).max_attempts(1);
    with(Queue::builder(client, STREAM).group(group).retry(retry)).open(Flat).await
}

async fn open(client: &Client, group: &str, with: With) -> Queue<Email> {
    try_open(client, group, with).await.unwrap()
}

/// Adds this many jobs.
async fn add(client: &Client, jobs: usize) {
    for _ in 0..jobs {
        client.send(XAdd::new(STREAM).field("user", "7")).await.unwrap();
    }
}

/// Reads what the group has not read, and returns the number of entries.
fn unread(server: &Server, group: &str) -> i64 {
    run(server, &format!("XREADGROUP GROUP {group} a COUNT 100 STREAMS email >"));
    let pending = run(server, &format!("XPENDING email {group}"));
    pending.as_list().and_then(|summary| summary.first()?.as_integer()).expect("a number")
}

async fn done(_: Job<Email>) -> Result<(), Fail> {
    Ok(())
}

async fn fails(_: Job<Email>) -> Result<(), Fail> {
    Err(Fail::retry("no"))
}

#[test]
fn job_that_one_group_drops_is_kept_for_the_other() {
    let ways: [(&str, With); 3] = [
        ("no attempts left", |queue| queue.no_dead_letter()),
        ("undecodable", |queue| queue.no_dead_letter().undecodable(Undecodable::DeadLetter)),
        ("at most once", QueueBuilder::at_most_once),
    ];
    on_each_version(|server| async move {
        for (way, with) in ways {
            println!("{way}");
            run(&server, "DEL email");
            let keep: With = |queue| queue.retention(Retention::KeepUntilAllAcked);
            let client = server.client().await.unwrap();
            open(&client, "other", keep).await;
            let queue = with(Queue::builder(&client, STREAM).group("dropping"))
                .retry(RetryPolicy::exponential(s(1), s(1)).max_attempts(1))
                .retention(Retention::KeepUntilAllAcked);
            let queue: Queue<Email> = queue.open(Flat).await.unwrap();
            for _ in 0..10 {
                let name = if way == "undecodable" { &b"\xff"[..] } else { b"user" };
                client.send(XAdd::new(STREAM).field(name, "7")).await.unwrap();
            }
            let report = queue.worker().run(sleep(s(10)), fails).await.unwrap();
            assert_eq!(report.dead + report.dropped, 10, "{way}: {report}");
            assert_eq!(unread(&server, "other"), 10, "{way}");
        }
    });
}

/// The group of another client is created after the queue was opened.
#[test]
fn job_is_kept_for_a_group_that_another_client_creates_later() {
    let ways: [(&str, With); 4] = [
        ("done", |queue| queue),
        ("dead letter", |queue| queue),
        ("dropped", |queue| queue.no_dead_letter()),
        ("at most once", QueueBuilder::at_most_once),
    ];
    on_each_keeping(async |server, client| {
        for (way, with) in ways {
            println!("{way}");
            run(&server, "DEL email");
            let queue = open_before_audit(&server, &client, with).await;
            add(&client, 10).await;
            let (worker, stop) = (queue.worker(), sleep(s(10)));
            let report = if way == "done" || way == "at most once" {
                worker.run(stop, done).await
            } else {
                worker.run(stop, fails).await
            };
            let report = report.unwrap();
            assert_eq!(report.done + report.dead, 10, "{way}: {report}");
            assert_eq!(unread(&server, "audit"), 10, "{way}");
            assert_eq!(queue.stats().await.unwrap().ready, Some(0), "{way}");
        }
    });
}

#[test]
fn job_with_a_next_one_is_kept_for_a_group_that_another_client_creates_later() {
    for denied in [false, true] {
        on_each_keeping(async |server, client| {
            if denied {
                run(&server, "ACL SETUSER default -xdelex");
            }
            let queue = open_before_audit(&server, &client, |queue| queue).await;
            let out: Queue<Email> = Queue::builder(&client, "next").open(Flat).await.unwrap();
            add(&client, 1).await;
            let mut consumer = queue.consumer().start().await.unwrap();
            let delivery = consumer.next().await.unwrap().unwrap();
            delivery.ack_then(&out, &Email::new()).await.unwrap();
            assert_eq!(len(&server, "next"), 1, "{denied}");
            assert_eq!(unread(&server, "audit"), i64::from(!denied), "{denied}");
        });
    }
}

#[test]
fn job_that_another_client_acknowledged_is_kept_for_a_third_group() {
    on_each_keeping(async |server, client| {
        let queue = open_before_audit(&server, &client, |queue| queue).await;
        add(&client, 1).await;
        let mut consumer = queue.consumer().start().await.unwrap();
        let delivery = consumer.next().await.unwrap().unwrap();
        run(&server, &format!("XACK email workers {}", delivery.id()));
        delivery.ack().await.unwrap();
        assert_eq!(unread(&server, "audit"), 1);
    });
}

#[test]
fn entries_that_another_client_has_acknowledged_are_trimmed() {
    on_each_keeping(async |server, client| {
        let queue = open_before_audit(&server, &client, |queue| queue).await;
        add(&client, 500).await;
        let read = async {
            sleep(s(20)).await;
            assert_eq!(len(&server, STREAM), 500, "audit has read nothing");
            run(&server, "XREADGROUP GROUP audit a NOACK COUNT 500 STREAMS email >");
            sleep(s(30)).await;
        };
        let report = queue.worker().run(read, done).await.unwrap();
        assert_eq!(report.done, 500, "{report}");
        // Whole nodes are trimmed.
        assert!(len(&server, STREAM) < 200, "{}", len(&server, STREAM));
    });
}

/// The three kinds of retention.
fn retentions() -> [(&'static str, With); 3] {
    [
        ("DeleteOnAck", |queue| queue),
        ("KeepUntilAllAcked", |queue| queue.retention(Retention::KeepUntilAllAcked)),
        ("LossyMaxLen or LossyMaxAge", |queue| queue.retention(Retention::LossyMaxLen(10))),
    ]
}

#[test]
fn group_with_another_retention_is_refused_and_creates_nothing() {
    on_each_version(|server| async move {
        let client = server.client().await.unwrap();
        for (first, with_first) in retentions() {
            for (second, with_second) in retentions() {
                run(&server, "DEL email");
                open(&client, "a", with_first).await;
                let opened = try_open(&client, "b", with_second).await;
                let groups = run(&server, "XINFO GROUPS email");
                let groups = groups.as_list().unwrap().len();
                match opened {
                    Ok(_) => {
                        assert!(first == second && first != "DeleteOnAck", "{first}, {second}");
                    }
                    Err(QueueError::Settings(SettingsError::OtherGroups(names))) => {
                        assert_eq!((second, &*names, groups), ("DeleteOnAck", "a", 1));
                    }
                    Err(QueueError::Settings(SettingsError::OtherRetention(names))) => {
                        assert_ne!(first, second);
                        assert_eq!((&*names, groups), (&*format!("a ({first})"), 1));
                    }
                    Err(error) => panic!("{first}, {second}: {error}"),
                }
                // The first queue's workers can start again.
                if groups == 1 {
                    open(&client, "a", with_first).await;
                }
            }
        }
    });
}

#[test]
fn retention_that_was_changed_or_whose_group_is_gone_is_forgotten() {
    on_each_version(|server| async move {
        let client = server.client().await.unwrap();
        let [(_, delete), (_, keep), (_, lossy)] = retentions();
        open(&client, "a", delete).await;
        open(&client, "a", keep).await;
        open(&client, "b", keep).await;
        assert!(try_open(&client, "c", lossy).await.is_err());
        run(&server, "XGROUP DESTROY email a");
        run(&server, "XGROUP DESTROY email b");
        open(&client, "c", lossy).await;
        // The group of another client has no recorded retention.
        run(&server, "XGROUP CREATE email audit 0");
        open(&client, "d", lossy).await;
    });
}

#[test]
fn group_that_a_worker_creates_again_records_its_retention() {
    on_each_version(|server| async move {
        let client = server.client().await.unwrap();
        let [(_, delete), (_, keep), _] = retentions();
        let queue = open(&client, "a", delete).await;
        let destroyed = async {
            sleep(s(1)).await;
            run(&server, "DEL email");
            add(&client, 1).await;
            sleep(s(20)).await;
        };
        let report = queue.worker().run(destroyed, done).await.unwrap();
        assert_eq!(report.done, 1, "{report}");
        assert!(try_open(&client, "b", keep).await.is_err());
    });
}

#[test]
fn health_names_the_groups_that_take_entries_from_each_other() {
    for version in VERSIONS {
        in_paused_time(async {
            let server = Server::builder().version(version).build();
            let client = server.client().await.unwrap();
            let [(_, delete), (_, keep), (_, lossy)] = retentions();
            let queue = open(&client, "a", delete).await;
            assert_eq!(problems(&queue).await, "", "{version}");
            // Two queues that open at once do not see each other.
            run(&server, "XGROUP CREATE email b 0");
            let reported = problems(&queue).await;
            let stays = KEEPING.contains(&version);
            assert!(reported.contains("b, reads the stream"), "{version}: {reported}");
            assert_eq!(reported.contains("entries stay"), stays, "{version}: {reported}");
            assert_eq!(reported.contains("it loses"), !stays, "{version}: {reported}");
            run(&server, "XGROUP CREATECONSUMER email b ~retention:keep");
            let reported = problems(&queue).await;
            assert!(reported.contains("another retention: KeepUntilAllAcked"), "{reported}");

            run(&server, "XGROUP DESTROY email a");
            let other = open(&client, "b", keep).await;
            assert_eq!(problems(&other).await, "", "{version}");
            run(&server, "XGROUP CREATE email a 0");
            assert_eq!(problems(&other).await, "", "{version}: of another client");
            run(&server, "XGROUP CREATECONSUMER email a ~retention:delete");
            let reported = problems(&other).await;
            assert!(reported.contains("another retention: DeleteOnAck"), "{reported}");
            assert_eq!(reported.contains("this group loses"), !stays, "{version}: {reported}");

            run(&server, "XGROUP DESTROY email a");
            run(&server, "XGROUP DESTROY email b");
            let lossy = open(&client, "c", lossy).await;
            run(&server, "XGROUP CREATE email b 0");
            assert_eq!(problems(&lossy).await, "", "{version}: of another client");
            run(&server, "XGROUP CREATECONSUMER email b ~retention:keep");
            assert!(problems(&lossy).await.contains("it loses"), "{version}");
        });
    }
}

#[test]
fn name_that_records_the_retention_is_no_consumer_and_stays() {
    on_each_version(|server| async move {
        let client = server.client().await.unwrap();
        let queue = open(&client, "a", |queue| queue.lease(s(1))).await;
        assert_eq!(queue.stats().await.unwrap().consumers, []);
        add(&client, 1).await;
        assert!(problems(&queue).await.contains("no consumer reads the queue"));
        queue.worker().run(sleep(LEASE * 10), done).await.unwrap();
        let names = format!("{:?}", run(&server, "XINFO CONSUMERS email a"));
        assert!(names.contains("~retention:delete"), "{names}");
    });
}

#[test]
fn server_that_refuses_xdelex_gets_xdel() {
    for with in [QueueBuilder::at_most_once, |queue: QueueBuilder| queue] {
        on_each_keeping(async |server, client| {
            run(&server, "ACL SETUSER default -xdelex");
            let queue = open(&client, "workers", with).await;
            add(&client, 10).await;
            queue.worker().run(sleep(s(10)), fails).await.unwrap();
            assert_eq!(len(&server, STREAM), 0);
            assert!(!requests(&server, &["XDEL"]).is_empty());
        });
    }
}

#[test]
fn user_who_may_not_create_consumers_opens_a_queue() {
    on_each_version(|server| async move {
        for command in ["XGROUP CREATECONSUMER", "XGROUP DELCONSUMER"] {
            let denied = Fault::error("NOPERM no permission").on_command(command);
            server.inject(denied.times(u64::MAX));
        }
        let client = server.client().await.unwrap();
        open(&client, "workers", |queue| queue).await;
    });
}

#[test]
fn stream_or_group_that_is_deleted_meanwhile_does_not_fail_open() {
    on_each_version(|server| async move {
        let client = server.client().await.unwrap();
        let keep: With = |queue| queue.retention(Retention::KeepUntilAllAcked);
        open(&client, "a", keep).await;
        for error in ["ERR no such key", "NOGROUP No such consumer group 'a' for key name 'email'"]
        {
            server.inject(Fault::error(error).on_command("XINFO CONSUMERS"));
            open(&client, "b", keep).await;
        }
    });
}
