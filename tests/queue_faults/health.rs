//! Health and counts: workers that are gone, entries that are left or lost.

use crate::steps::{problems, run};
use crate::support::{Email, in_paused_time};
use bourn::queue::{Fail, Flat, Job, Queue, QueueBuilder, QueueEvent, Retention};
use bourn::testing::Server;
use std::time::Duration;
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);
const LEASE: Duration = Duration::from_secs(30);

async fn open(server: &Server, with: impl Fn(QueueBuilder) -> QueueBuilder) -> Queue<Email> {
    let client = server.client().await.unwrap();
    with(Queue::builder(&client, "email")).open(Flat).await.unwrap()
}

async fn enqueue(queue: &Queue<Email>, jobs: usize) {
    for added in queue.producer().enqueue_all(&vec![Email::new(); jobs]).await {
        added.unwrap();
    }
}

fn servers() -> impl Iterator<Item = (&'static str, Server)> {
    Server::VERSIONS
        .into_iter()
        .map(|version| (version, Server::builder().version(version).build()))
}

#[test]
fn health_is_degraded_when_every_worker_has_died() {
    for version in Server::VERSIONS {
        for (jobs, lease) in [(0, LEASE), (1, LEASE), (0, SECOND), (1, SECOND)] {
            in_paused_time(async {
                let server = Server::builder().version(version).build();
                let with = |queue: QueueBuilder| queue.lease(lease);
                let queue = open(&server, with).await;
                let dying = open(&server, with).await;
                let done = |_: Job<Email>| async { Ok::<_, Fail>(()) };
                let running = tokio::spawn(async move {
                    dying.worker().run(std::future::pending::<()>(), done).await
                });
                sleep(SECOND).await;
                assert_eq!(problems(&queue).await, "", "{version}");
                // The connections of the worker carry nothing from now on: its machine is lost.
                let own = queue.client().connection_id();
                let ids: std::collections::BTreeSet<i64> =
                    server.requests().iter().map(|request| request.connection()).collect();
                for id in ids.into_iter().filter(|id| Some(*id) != own) {
                    let stall = bourn::testing::Fault::stall_requests(Duration::MAX);
                    server.inject(stall.on_connection(id));
                }
                running.abort();
                enqueue(&queue, jobs).await;
                sleep(lease * 8).await;
                let problems = problems(&queue).await;
                // Before Redis 7.2 an idle consumer cannot be told from a dead one.
                let knows = jobs > 0 || !["redis-6.2", "redis-7.0"].contains(&version);
                let is_reported = problems.contains("no consumer has been active");
                assert_eq!(is_reported, knows, "{version}, {jobs} jobs: {problems:?}");
            });
        }
    }
}

#[test]
fn health_is_ok_with_a_worker_that_waits_or_runs_a_long_job() {
    for version in Server::VERSIONS {
        for jobs in [0, 3] {
            in_paused_time(async {
                let server = Server::builder().version(version).build();
                let queue = open(&server, |queue| queue).await;
                enqueue(&queue, jobs).await;
                let long = |_: Job<Email>| async {
                    sleep(LEASE * 20).await;
                    Ok::<_, Fail>(())
                };
                let worker = queue.worker().concurrency(4);
                let checked = async {
                    for _ in 0..20 {
                        sleep(LEASE / 2).await;
                        assert_eq!(problems(&queue).await, "", "{version}, {jobs} jobs");
                    }
                };
                worker.grace(SECOND).run(checked, long).await.unwrap();
            });
        }
    }
}

#[test]
fn ready_of_a_lossy_queue_is_right_or_unknown() {
    // Also where less was trimmed than is left.
    let rows = [5_000, 1_500].into_iter().flat_map(|jobs| servers().map(move |row| (jobs, row)));
    for (jobs, (version, server)) in rows {
        in_paused_time(async {
            let queue = open(&server, |queue| queue.retention(Retention::LossyMaxLen(1_000))).await;
            enqueue(&queue, jobs).await;
            let mut unknown = 0;
            for _ in 0..12 {
                let stats = queue.stats().await.unwrap();
                let left = unread(&server);
                unknown += u32::from(stats.ready.is_none());
                assert!(
                    stats.ready.is_none_or(|ready| ready == left),
                    "{version}: {stats:?}, {left}"
                );
                let read = server.command("XREADGROUP GROUP workers a COUNT 90 STREAMS email >");
                drop(read);
            }
            println!("{version}: {unknown} of 12 unknown");
            if ["redis-8.2", "redis-8.6", "redis-8.10"].contains(&version) {
                assert_eq!(unknown, 0, "{version}");
            }
        });
    }
}

/// Returns the id of the last entry that was delivered to the group.
fn position(server: &Server) -> String {
    let groups = server.command("XINFO GROUPS email");
    let group = &groups.as_list().unwrap()[0];
    let text = format!("{group:?}");
    let at = text.find("last-delivered-id").unwrap();
    text[at + "last-delivered-id".len()..]
        .chars()
        .skip_while(|c| !c.is_ascii_digit())
        .take_while(|c| c.is_ascii_digit() || *c == '-')
        .collect()
}

/// Counts the entries after the group's position.
fn unread(server: &Server) -> u64 {
    let after = format!("XRANGE email ({} +", position(server));
    server.command(&after).as_list().unwrap().len() as u64
}

#[test]
fn ready_is_right_or_unknown_where_another_client_has_trimmed() {
    for (version, server) in servers() {
        in_paused_time(async {
            let keep = |queue: QueueBuilder| queue.retention(Retention::KeepUntilAllAcked);
            let queue = open(&server, keep).await;
            enqueue(&queue, 5).await;
            let read = "XREADGROUP GROUP workers a COUNT 1 STREAMS email >";
            run(&server, read);
            run(&server, "XTRIM email MAXLEN = 2");
            for _ in 0..3 {
                let stats = queue.stats().await.unwrap();
                let left = unread(&server);
                let is_right = stats.ready.is_none_or(|ready| ready == left);
                assert!(is_right, "{version}: {stats:?}, not {left}");
                run(&server, read);
            }
        });
    }
}

/// Entries before the group's start, and those that a crash left, are never delivered.
#[test]
fn ready_counts_what_the_group_will_receive_or_is_unknown() {
    for start in ["$", "0", "0, behind a pending entry"] {
        for (version, server) in servers() {
            in_paused_time(async {
                let read = || run(&server, "XREADGROUP GROUP workers a COUNT 1 STREAMS email >");
                for _ in 0..10 {
                    run(&server, "XADD email * a 1");
                }
                run(&server, &format!("XGROUP CREATE email workers {}", &start[..1]));
                let queue = open(&server, |queue| queue).await;
                if start.contains("behind") {
                    read();
                }
                if start != "$" {
                    // It is done, and was not deleted.
                    read();
                    run(&server, &format!("XACK email workers {}", position(&server)));
                }
                for added in [0, 5] {
                    enqueue(&queue, added).await;
                    for _ in 0..3 {
                        let ready = queue.stats().await.unwrap().ready;
                        let left = unread(&server);
                        let is_right = ready.is_none_or(|ready| ready == left);
                        // Without a lag, nothing says what is behind the first entry.
                        let known = version != "redis-6.2" || !start.contains("behind");
                        assert!(is_right || !known, "{version}, {start}: {ready:?}, not {left}");
                        read();
                    }
                }
                let is_known = queue.stats().await.unwrap().ready.is_some();
                let knows = start != "$" && (version != "redis-6.2" || start != "0");
                assert_eq!(is_known, knows, "{version}, from {start}");
            });
        }
    }
}

#[test]
fn at_most_once_job_lost_between_read_and_delete_is_not_ready() {
    for (version, server) in servers() {
        in_paused_time(async {
            let queue = open(&server, QueueBuilder::at_most_once).await;
            enqueue(&queue, 1).await;
            let read = server.command("XREADGROUP GROUP workers a NOACK STREAMS email >");
            assert!(read.as_integer().is_none());
            assert_eq!(queue.stats().await.unwrap().ready, Some(0), "{version}");
        });
    }
}

#[test]
fn eviction_policy_that_may_delete_the_stream_is_reported() {
    in_paused_time(async {
        let server = Server::builder().setting("maxmemory-policy", "allkeys-lru").build();
        let client = server.client().await.unwrap();
        let queue: Queue<Email> = Queue::builder(&client, "email").open_lazy(Flat).unwrap();
        let mut events = queue.events();
        enqueue(&queue, 1).await;
        let Some(QueueEvent::MayBeEvicted { policy }) = events.next().await else {
            panic!("it is reported when the queue is opened");
        };
        assert_eq!(&*policy, "allkeys-lru");
        assert!(problems(&queue).await.contains("allkeys-lru"));
        let server = Server::builder().setting("maxmemory-policy", "volatile-lru").build();
        let queue = open(&server, |queue| queue).await;
        assert_eq!(problems(&queue).await, "");
    });
}
