//! Many consumers of one group: what they send while idle, who does the maintenance, and how many
//! block on the stream.

use crate::dial::{config, dialler};
use crate::steps::{STREAM, enqueue, next, requests, run, s};
use crate::support::{Email, in_paused_time};
use bourn::Client;
use bourn::queue::{Consumer, Fail, Flat, Job, Nack, Queue};
use bourn::testing::{Fault, Request, Server};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

const MS: Duration = Duration::from_millis(1);

/// The stream on which consumers wait for a place.
const ASIDE: &str = "{email}:aside";

/// The stream that says who moves the delayed jobs.
const MOVER: &str = "{email}:delay:mover";

/// The stream that says who does the maintenance.
const TURN: &str = "{email}:turn";

/// A process with one consumer.
struct One {
    consumer: Consumer<Email>,
    is_alive: Arc<AtomicBool>,
}

async fn open(server: &Server, is_alive: &Arc<AtomicBool>) -> Queue<Email> {
    let dial = dialler(server, is_alive, &Arc::new(AtomicU64::new(0)));
    let client = Client::connect_with(config(), dial).await.expect("a connection");
    Queue::builder(&client, STREAM).open(Flat).await.expect("the queue opens")
}

/// Starts this many consumers, a moment apart.
async fn start(server: &Server, count: usize) -> Vec<One> {
    let mut all = Vec::new();
    for _ in 0..count {
        let is_alive = Arc::new(AtomicBool::new(true));
        let queue = open(server, &is_alive).await;
        let consumer = queue.consumer().start().await.expect("it starts");
        all.push(One { consumer, is_alive });
        sleep(7 * MS).await;
    }
    all
}

/// Returns what was requested since, by connection.
fn since(server: &Server, before: usize) -> BTreeMap<i64, Vec<Request>> {
    let mut all: BTreeMap<i64, Vec<Request>> = BTreeMap::new();
    for request in server.requests().into_iter().skip(before) {
        all.entry(request.connection()).or_default().push(request);
    }
    all
}

/// Returns the names of those that added the records of the turn.
fn leaders(server: &Server) -> Vec<String> {
    holders(server, TURN)
}

/// Returns the names of those that added the records of this stream.
fn holders(server: &Server, key: &str) -> Vec<String> {
    let words = |request: &Request| request.to_string().split(' ').map(str::to_owned).collect();
    let add: Vec<Vec<String>> = requests(server, &["XADD", key]).iter().map(words).collect();
    let by = |words: &Vec<String>| {
        let by = words.iter().position(|word| word == "by").expect("a field");
        words[by + 1].clone()
    };
    add.iter().map(by).collect()
}

#[test]
fn idle_consumers_send_few_commands_and_one_does_the_maintenance() {
    for version in ["redis-6.2", "redis-8.2", "redis-8.10"] {
        println!("{version}");
        in_paused_time(async {
            let server = Server::builder().version(version).build();
            let all = start(&server, 12).await;
            sleep(s(60)).await;
            let before = server.requests().len();
            sleep(s(300)).await;
            // Without the probes of the caller's own connection, and what the gauges need.
            let count = |requests: &Vec<Request>| {
                let names: Vec<_> = requests.iter().map(Request::name).collect();
                if names.iter().all(|name| name == "PING") {
                    return 0;
                }
                let gauges = ["XINFO", "XLEN"];
                let is_gauge = |name: &String| gauges.contains(&name.as_str());
                names.iter().filter(|name| !is_gauge(name)).count()
            };
            let since = since(&server, before);
            let mut counts: Vec<usize> = since.values().map(count).collect();
            counts.sort_unstable();
            // Five minutes. The two connections of one consumer send more.
            let most = counts.len() - 2;
            let idle: usize = counts[..most].iter().sum();
            // From Redis 8.4 on, reads return abandoned entries themselves.
            let rate = if version == "redis-8.10" { 13 } else { 17 };
            assert!(idle <= 11 * rate * 5, "{version}: {idle}: {counts:?}");
            let runs = requests(&server, &["XPENDING", "-", "+", "1000"]).len();
            assert!((30..=50).contains(&runs), "{version}: {runs}");
            let leaders: BTreeSet<String> = leaders(&server).into_iter().collect();
            assert_eq!(leaders.len(), 1, "{version}");
            drop(all);
        });
    }
}

#[test]
fn maintenance_goes_on_when_its_consumer_dies_leaves_or_loses_its_record() {
    for version in ["redis-7.0", "redis-8.10"] {
        for how in ["dies", "leaves", "record is deleted", "key of another type"] {
            println!("{version}: {how}");
            in_paused_time(async {
                let server = Server::builder().version(version).build();
                let mut all = start(&server, 3).await;
                sleep(s(60)).await;
                let leader = leaders(&server).pop().expect("a leader");
                let is_it = |one: &One| one.consumer.name()[..] == *leader.as_bytes();
                let one = all.iter().position(is_it).expect("the leader");
                match how {
                    "dies" => {
                        let one = all.remove(one);
                        one.is_alive.store(false, Ordering::Relaxed);
                        server.disconnect_all();
                        std::mem::forget(one);
                    }
                    "leaves" => drop(all.remove(one).consumer.close().await),
                    "record is deleted" => drop(run(&server, &format!("DEL {TURN}"))),
                    _ => {
                        run(&server, &format!("DEL {TURN}"));
                        run(&server, &format!("SET {TURN} other"));
                    }
                }
                sleep(s(60)).await;
                let runs = || requests(&server, &["XPENDING", "-", "+", "1000"]).len();
                let before = runs();
                sleep(s(60)).await;
                let runs = runs() - before;
                assert!((2..=20).contains(&runs), "{version}, {how}: {runs}");
            });
        }
    }
}

/// Each of many consumers looks rarely who moves the delayed jobs, and twice then.
#[test]
fn delayed_jobs_do_not_wait_long_when_one_of_many_consumers_moved_them_and_dies() {
    in_paused_time(async {
        let server = Server::builder().version("redis-8.10").build();
        let mut all = start(&server, 60).await;
        let queue = open(&server, &Arc::new(AtomicBool::new(true))).await;
        enqueue(&queue).await;
        let delivery = loop {
            let mut one = all.pop().expect("one of them has the job");
            let next = next(&mut one.consumer, 10 * MS).await;
            all.insert(0, one);
            if let Some(delivery) = next {
                break delivery;
            }
        };
        delivery.nack(Nack::after(s(3_600))).await.unwrap();
        // By then they know how many they are, and that there are delayed jobs.
        sleep(s(200)).await;
        let mover = || holders(&server, MOVER).pop().expect("a mover");
        let before = mover();
        let is_it = |one: &One| one.consumer.name()[..] == *before.as_bytes();
        let one = all.remove(all.iter().position(is_it).expect("the mover"));
        one.is_alive.store(false, Ordering::Relaxed);
        server.disconnect_all();
        std::mem::forget(one);
        let start = Instant::now();
        while mover() == before && start.elapsed() < s(200) {
            sleep(100 * MS).await;
        }
        assert!(start.elapsed() < s(15), "{:?}", start.elapsed());
    });
}

/// Returns the connections that blocked on the stream within the last ten seconds.
fn on_the_stream(server: &Server, before: usize) -> usize {
    let blocks = |request: &&Request| {
        let text = request.to_string();
        request.name() == "XREADGROUP" && text.contains(" BLOCK ") && text.contains(" email ")
    };
    let since = since(server, before);
    since.values().filter(|requests| requests.iter().any(|request| blocks(&request))).count()
}

#[test]
fn few_of_many_consumers_block_on_the_stream_and_the_first_job_begins_at_once() {
    for version in ["redis-6.2", "redis-7.0", "redis-8.2", "redis-8.10"] {
        println!("{version}");
        in_paused_time(async {
            let server = Server::builder().version(version).build();
            let mut all = start(&server, 40).await;
            sleep(s(60)).await;
            let before = server.requests().len();
            sleep(s(9)).await;
            let blocked = on_the_stream(&server, before);
            assert!((1..=20).contains(&blocked), "{version}: {blocked}");
            assert_eq!(server.blocked(), 40, "{version}: the others stand aside");

            let is_alive = Arc::new(AtomicBool::new(true));
            let queue = open(&server, &is_alive).await;
            let receivers = all.iter_mut().map(|one| one.consumer.next());
            let mut receivers: Vec<_> = receivers.map(Box::pin).collect();
            sleep(s(3)).await;
            let start = Instant::now();
            let id = enqueue(&queue).await;
            let first = std::future::poll_fn(|cx| {
                let mut ready = receivers.iter_mut().map(|next| next.as_mut().poll(cx));
                ready.find(std::task::Poll::is_ready).unwrap_or(std::task::Poll::Pending)
            });
            let first = tokio::time::timeout(s(100), first).await.expect("it is received");
            let delivery = first.expect("it is open").expect("a job");
            assert!(start.elapsed() <= 5 * MS, "{version}: {:?}", start.elapsed());
            assert_eq!(delivery.id(), id);
        });
    }
}

/// Starts workers that run one job at a time, which takes this long.
async fn workers(
    server: &Server,
    count: usize,
    time: Duration,
) -> (Arc<AtomicU64>, Vec<(oneshot::Sender<()>, JoinHandle<()>)>) {
    let begun = Arc::new(AtomicU64::new(0));
    let mut all = Vec::new();
    for _ in 0..count {
        let queue = open(server, &Arc::new(AtomicBool::new(true))).await;
        let (stop, stopped) = oneshot::channel::<()>();
        let begun = Arc::clone(&begun);
        let handler = move |_: Job<Email>| {
            begun.fetch_add(1, Ordering::Relaxed);
            async move {
                sleep(time).await;
                Ok::<(), Fail>(())
            }
        };
        let worker = queue.worker().concurrency(1);
        let run = async move { drop(worker.run(async { drop(stopped.await) }, handler).await) };
        all.push((stop, tokio::spawn(run)));
        sleep(7 * MS).await;
    }
    (begun, all)
}

#[test]
fn consumers_that_are_busy_pass_their_places_on() {
    for version in ["redis-7.0", "redis-8.10"] {
        println!("{version}");
        in_paused_time(async {
            let server = Server::builder().version(version).build();
            let (begun, all) = workers(&server, 30, s(40)).await;
            sleep(s(60)).await;
            let queue = open(&server, &Arc::new(AtomicBool::new(true))).await;
            let jobs = vec![Email::new(); 30];
            for round in 1..=2 {
                for added in queue.producer().enqueue_all(&jobs).await {
                    added.expect("it is added");
                }
                sleep(s(2)).await;
                let begun = begun.load(Ordering::Relaxed);
                assert_eq!(begun, 30 * round, "{version}: each worker has a job");
                sleep(s(60)).await;
            }
            drop(all);
        });
    }
}

#[test]
fn jobs_are_begun_when_all_that_block_on_the_stream_die_or_places_are_lost() {
    for version in ["redis-7.0", "redis-8.10"] {
        for how in ["die", "key is deleted", "key of another type", "no memory", "no permission"] {
            println!("{version}: {how}");
            in_paused_time(async {
                let server = Server::builder().version(version).build();
                let (begun, all) = workers(&server, 24, 100 * MS).await;
                sleep(s(60)).await;
                let queue = open(&server, &Arc::new(AtomicBool::new(true))).await;
                match how {
                    "key is deleted" => drop(run(&server, &format!("DEL {ASIDE}"))),
                    "key of another type" => {
                        run(&server, &format!("DEL {ASIDE}"));
                        run(&server, &format!("SET {ASIDE} other"));
                    }
                    "no memory" => {
                        let error = "OOM command not allowed when used memory > 'maxmemory'.";
                        let fault = Fault::error(error).on_command("XGROUP").times(u64::MAX);
                        run(&server, &format!("DEL {ASIDE}"));
                        server.inject(fault);
                    }
                    "no permission" => {
                        let fault = Fault::error("NOPERM no").on_command("XGROUP").times(u64::MAX);
                        run(&server, &format!("DEL {ASIDE}"));
                        server.inject(fault);
                    }
                    _ => {
                        // The readers of the stream, and only they.
                        let before = server.requests().len();
                        sleep(s(9)).await;
                        for (connection, requests) in since(&server, before) {
                            let blocks = requests.iter().any(|request| {
                                let text = request.to_string();
                                text.contains(" BLOCK ") && text.contains(" email ")
                            });
                            if blocks {
                                server
                                    .inject(Fault::stall_replies(s(40)).on_connection(connection));
                            }
                        }
                    }
                }
                for _ in 0..24 {
                    enqueue(&queue).await;
                }
                sleep(s(25)).await;
                let begun = begun.load(Ordering::Relaxed);
                assert!(begun >= 24 - 18 * u64::from(how == "die"), "{version}, {how}: {begun}");
                sleep(s(30)).await;
                drop(all);
            });
        }
    }
}

#[test]
fn places_are_waited_for_again_when_their_stream_can_be_used_again() {
    in_paused_time(async {
        let server = Server::builder().version("redis-8.10").build();
        let all = start(&server, 40).await;
        sleep(s(60)).await;
        let error = "OOM command not allowed when used memory > 'maxmemory'.";
        server.inject(Fault::error(error).on_command("XGROUP").times(u64::MAX));
        run(&server, &format!("DEL {ASIDE}"));
        sleep(s(30)).await;
        let blocked = async || {
            let before = server.requests().len();
            sleep(s(9)).await;
            on_the_stream(&server, before)
        };
        assert_eq!(blocked().await, 40, "without the stream all block");
        server.clear_faults();
        sleep(s(90)).await;
        let blocked = blocked().await;
        assert!((1..=20).contains(&blocked), "{blocked}");
        drop(all);
    });
}

/// A consumer that stands aside waits in a read, which a close must end.
#[test]
fn consumer_that_stands_aside_closes_at_once() {
    in_paused_time(async {
        let server = Server::builder().version("redis-8.10").build();
        let all = start(&server, 20).await;
        sleep(s(60)).await;
        for one in all {
            let start = Instant::now();
            one.consumer.close().await;
            assert!(start.elapsed() < 200 * MS, "{:?}", start.elapsed());
        }
        let mut last = start_one(&server).await;
        let queue = open(&server, &Arc::new(AtomicBool::new(true))).await;
        enqueue(&queue).await;
        assert!(next(&mut last.consumer, s(1)).await.is_some());
    });
}

async fn start_one(server: &Server) -> One {
    start(server, 1).await.pop().expect("one")
}
