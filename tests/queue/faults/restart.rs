//! Servers that are killed in the middle of work, that forget what they had acknowledged, that hand over to a replica.

use super::{Diary, dead, told};
use crate::office::{GROUP, Job, Office, Run, STREAM, job, number, quick, until};
use crate::support::Server;
use bourn::queue::{Fail, Flat, Queue, QueueEvent};
use bourn::{Client, Config};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::time::Duration;
use std::{fs, io};
use tokio::net::TcpStream;

/// Does jobs and notes them; some fail the first time, one in fifty each time.
fn work(queue: &Queue<Job>, diary: &Diary) -> Run {
    let diary = diary.clone();
    Run::new(queue.worker().concurrency(16), move |job| {
        let diary = diary.clone();
        async move {
            diary.begin(&job);
            tokio::time::sleep(Duration::from_millis(number(&job) % 7)).await;
            match number(&job) {
                n if n % 50 == 7 => return Err(Fail::retry("it never does")),
                n if n % 10 == 3 && job.attempt() == 1 => return Err(Fail::retry("not yet")),
                _ => diary.done(&job),
            }
            Ok(())
        }
    })
}

/// Kills the server again and again while jobs are added and done.
async fn killed_in_the_middle_of_work(fsync: &str) {
    let server = Server::builder().args(["--appendonly", "yes", "--appendfsync", fsync]).start();
    let mut office = Office::on(server).await;
    let queue = office.queue().await;
    let diary = Diary::default();
    let run = work(&queue, &diary);
    let stop = Arc::new(AtomicBool::new(false));
    let producing = tokio::spawn({
        let (queue, stop) = (queue.clone(), Arc::clone(&stop));
        async move {
            let (mut known, mut n) = (Vec::new(), 0);
            while !stop.load(Ordering::Relaxed) {
                if queue.producer().enqueue(&job(n)).await.is_ok() {
                    known.push(n);
                }
                n += 1;
            }
            known
        }
    });
    for kills in 1..=3 {
        until("more is done", || async { diary.all_done() >= kills * 100 }).await;
        office.server.kill9();
        office.server.restart();
    }
    until("more is done", || async { diary.all_done() >= 400 }).await;
    stop.store(true, Ordering::Relaxed);
    let known = producing.await.unwrap();
    until("all are decided", || async { office.left() == (0, 0) }).await;
    run.stop().await;
    let dead = dead(&queue).await;
    for n in known {
        let page = diary.page(n, |page| page.clone());
        let is_dead = dead.binary_search(&n).is_ok();
        assert_eq!(is_dead, n % 50 == 7, "job {n}: {page:?}");
        assert_eq!(page.done > 0, !is_dead, "job {n}: {page:?}");
        // A restart may cost an attempt, for a lease that was lost.
        assert!(page.attempts.iter().all(|attempt| *attempt <= 3), "job {n}: {page:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_killed_loses_nothing_that_it_wrote_at_once() {
    killed_in_the_middle_of_work("always").await;
}

#[tokio::test]
async fn a_server_that_is_killed_loses_nothing_that_the_kernel_has() {
    // Not `everysec`: while an fsync takes its time, that may hold writes back for two seconds after their replies.
    killed_in_the_middle_of_work("no").await;
}

const BACKUP: &str = "backup";

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry?.file_name()));
        if from.is_dir() && !from.ends_with(BACKUP) {
            copy(&from, &to)?;
        } else if from.extension().is_some() {
            // The log and the socket have none.
            fs::copy(from, to)?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_server_that_comes_back_as_it_was_before_is_told_of_and_worked_on() {
    let mut office = Office::on(Server::builder().append_only().start()).await;
    let folder = office.server.socket_path().parent().expect("it is in a folder").to_owned();
    let backup = folder.join(BACKUP);
    let queue = office.queue().await;
    let diary = Diary::default();
    let run = work(&queue, &diary);
    office.enqueue(&queue, 40).await;
    until("all are decided", || async { office.left() == (0, 0) }).await;
    run.stop().await;
    for n in 40..60 {
        queue.producer().enqueue(&job(n)).await.unwrap();
    }
    // What is copied now is what the server will remember: twenty jobs that nobody was given.
    copy(&folder, &backup).unwrap();
    let run = work(&queue, &diary);
    for n in 60..100 {
        queue.producer().enqueue(&job(n)).await.unwrap();
    }
    until("all are decided", || async { office.left() == (0, 0) }).await;
    assert_eq!(dead(&queue).await, [7, 57]);

    let mut events = queue.events();
    office.server.kill9();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path != backup {
            fs::remove_dir_all(path).unwrap();
        }
    }
    copy(&backup, &folder).unwrap();
    office.server.restart();
    told(
        &mut events,
        "that it forgot",
        |event| matches!(event, QueueEvent::RolledBack { seen, last } if seen > last),
    )
    .await;
    for n in 100..120 {
        queue.producer().enqueue(&job(n)).await.unwrap();
    }
    until("all are decided", || async { office.left() == (0, 0) }).await;
    run.stop().await;
    assert_eq!(dead(&queue).await, [7, 57, 107], "what it had forgotten died again");
    for n in (0..120).filter(|n| n % 50 != 7) {
        let done = diary.page(n, |page| page.done);
        // Twice only if the server had forgotten.
        let again = (40..60).contains(&n);
        assert!((1..=if again { 2 } else { 1 }).contains(&done), "job {n} was done {done} times");
    }
}

/// A master and its replica, and a client that dials whoever `port` says.
struct Pair {
    office: Office,
    replica: Server,
    port: Arc<AtomicU16>,
}

impl Pair {
    async fn start() -> Self {
        // Otherwise a master waits some seconds for more replicas.
        let server = || Server::builder().args(["--repl-diskless-sync-delay", "0"]).start();
        let (server, replica) = (server(), server());
        let port = Arc::new(AtomicU16::new(server.port()));
        let dialled = Arc::clone(&port);
        let config = Config::tcp("127.0.0.1", server.port());
        let client = Client::connect_with(config, move || {
            TcpStream::connect(("127.0.0.1", dialled.load(Ordering::Relaxed)))
        });
        let office = Office { client: client.await.expect("a connection"), server };
        replica.command(&["REPLICAOF", "127.0.0.1", &office.server.port().to_string()]);
        until("it follows", || async {
            replica.command(&["INFO", "replication"]).contains("master_link_status:up")
        })
        .await;
        Self { office, replica, port }
    }

    /// The replica is the master now, and the client is told where it is.
    fn promote(&self) {
        self.replica.command(&["REPLICAOF", "NO", "ONE"]);
        self.port.store(self.replica.port(), Ordering::Relaxed);
    }

    /// Whether the replica has this entry, or has had it.
    fn knows(&self, last: &str) -> bool {
        let id = last.lines().next().expect("an id");
        let info = self.replica.try_command(&["XINFO", "STREAM", STREAM]);
        info.is_ok_and(|info| info.lines().any(|line| line == id))
    }

    /// What is left at the replica.
    fn left(&self) -> (String, String) {
        let pending = self.replica.command(&["XPENDING", STREAM, GROUP]);
        (
            self.replica.command(&["XLEN", STREAM]),
            pending.lines().next().unwrap_or_default().to_owned(),
        )
    }
}

fn nothing() -> (String, String) {
    ("0".to_owned(), "0".to_owned())
}

#[tokio::test]
async fn a_master_that_hands_over_to_its_replica_loses_nothing() {
    const JOBS: u64 = 600;
    let pair = Pair::start().await;
    // A demoted server may forget a lease or two.
    let queue = pair.office.builder().retry(quick(5)).open(Flat).await.unwrap();
    let diary = Diary::default();
    pair.office.enqueue(&queue, JOBS).await;
    let run = work(&queue, &diary);
    until("some are done", || async { diary.all_done() >= 100 }).await;
    // As an operator does it: nobody writes until the replica has it all.
    pair.office.server.command(&["CLIENT", "PAUSE", "10000", "WRITE"]);
    let offset = |server: &Server, name: &str| {
        let info = server.command(&["INFO", "replication"]);
        let line = info.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
        line.expect("it is told")
    };
    until("the replica has it all", || async {
        offset(&pair.office.server, "master_repl_offset:")
            == offset(&pair.replica, "slave_repl_offset:")
    })
    .await;
    pair.promote();
    let port = pair.replica.port().to_string();
    pair.office.server.command(&["REPLICAOF", "127.0.0.1", &port]);
    pair.office.server.command(&["CLIENT", "UNPAUSE"]);
    until("all are decided", || async { pair.left() == nothing() }).await;
    run.stop().await;
    let dead = dead(&queue).await;
    for n in 0..JOBS {
        let page = diary.page(n, |page| page.clone());
        assert_eq!(dead.contains(&n), n % 50 == 7, "job {n}: {page:?}");
        assert_eq!(page.done > 0, n % 50 != 7, "job {n}: {page:?}");
    }
}

#[tokio::test]
async fn a_master_that_dies_before_its_replica_knew_all_costs_only_duplicates() {
    const JOBS: u64 = 400;
    let mut pair = Pair::start().await;
    let queue = pair.office.queue().await;
    let diary = Diary::default();
    pair.office.enqueue(&queue, JOBS).await;
    let last = pair.office.server.command(&["XREVRANGE", STREAM, "+", "-", "COUNT", "1"]);
    let run = work(&queue, &diary);
    until("some are done, and the replica knows all jobs", || async {
        diary.all_done() >= 50 && pair.knows(&last)
    })
    .await;
    let mut events = queue.events();
    // From now on what the master acknowledges is its own.
    pair.replica.command(&["REPLICAOF", "NO", "ONE"]);
    queue.producer().enqueue(&job(JOBS)).await.unwrap();
    until("all are decided", || async { pair.office.left() == (0, 0) }).await;
    pair.promote();
    pair.office.server.kill9();
    told(&mut events, "that it forgot", |event| matches!(event, QueueEvent::RolledBack { .. }))
        .await;
    until("all are decided", || async { pair.left() == nothing() }).await;
    run.stop().await;
    let dead = dead(&queue).await;
    for n in 0..JOBS {
        let page = diary.page(n, |page| page.clone());
        assert_eq!(dead.contains(&n), n % 50 == 7, "job {n}: {page:?}");
        assert_eq!(page.done > 0, n % 50 != 7, "job {n}: {page:?}");
        assert!(page.done <= 2, "job {n}: {page:?}");
    }
}
