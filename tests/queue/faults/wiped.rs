//! Streams and groups that vanish while jobs are added and done.

use super::{Diary, Given, told};
use crate::office::{GROUP, Job, LEASE, Office, Run, STREAM, job, until};
use crate::support::Server;
use bourn::queue::{Fail, Flat, Queue, QueueEvent};
use futures_util::FutureExt;
use std::future::Ready;
use std::time::{Duration, Instant};

/// After this long jobs are done again.
const AGAIN: Duration = Duration::from_secs(3);

/// How many errors the server has answered with.
fn errors(server: &Server) -> u64 {
    let stats = server.command(&["INFO", "errorstats"]);
    let count = |line: &str| line.split_once("count=")?.1.trim().parse::<u64>().ok();
    stats.lines().filter_map(count).sum()
}

/// A handler that does everything, and notes it.
fn note(diary: &Diary) -> impl Fn(Given) -> Ready<Result<(), Fail>> + use<> {
    let diary = diary.clone();
    move |job| {
        diary.begin(&job);
        diary.done(&job);
        std::future::ready(Ok(()))
    }
}

/// Adds a job, and waits until it is done.
async fn once(queue: &Queue<Job>, diary: &Diary, n: u64) {
    queue.producer().enqueue(&job(n)).await.expect("there is a server");
    until("it is done", || async { diary.page(n, |page| page.done > 0) }).await;
}

/// Two workers, which have jobs all the time, and lose them by these commands.
async fn wiped_by(wipe: &[&str]) {
    let office = Office::new().await;
    let queue = office.builder().lease(LEASE * 5).open(Flat).await.unwrap();
    let mut events = queue.events();
    let diary = Diary::default();
    let runs = [(); 2].map(|()| Run::new(queue.worker(), note(&diary)));
    let mut n = 0;
    for _ in 0..3 {
        let before = errors(&office.server);
        let jobs: Vec<Job> = (0..50).map(|more| job(n + more)).collect();
        n += 50;
        let adding = queue.producer();
        let added = tokio::spawn(async move { adding.enqueue_all(&jobs).await });
        office.server.command(wipe);
        assert!(added.await.unwrap().iter().all(Result::is_ok));
        let start = Instant::now();
        once(&queue, &diary, n).await;
        assert!(start.elapsed() < AGAIN, "{wipe:?}: {:?}", start.elapsed());
        told(&mut events, "that it was made again", |e| matches!(e, QueueEvent::Created)).await;
        while start.elapsed() < Duration::from_secs(1) {
            n += 1;
            once(&queue, &diary, n).await;
        }
        n += 1;
        // In a second, by two consumers; the rest is for what was sent in that very moment.
        let errors = errors(&office.server) - before;
        assert!(errors <= 10, "{wipe:?}: {errors} errors in {:?}", start.elapsed());
    }
    until("all are done", || async { office.left() == (0, 0) }).await;
    for run in runs {
        run.stop().await;
    }
}

#[tokio::test]
async fn a_server_that_is_flushed_is_worked_on() {
    wiped_by(&["FLUSHALL"]).await;
}

#[tokio::test]
async fn a_stream_that_is_deleted_is_made_again() {
    wiped_by(&["DEL", STREAM]).await;
}

#[tokio::test]
async fn a_group_that_is_destroyed_is_made_again() {
    wiped_by(&["XGROUP", "DESTROY", STREAM, GROUP]).await;
}

#[tokio::test]
async fn what_was_in_hand_when_its_stream_was_deleted_is_cancelled() {
    let office = Office::new().await;
    let queue = office.queue().await;
    let mut events = queue.events();
    office.enqueue(&queue, 4).await;
    let run = Run::new(queue.worker(), |_| std::future::pending());
    until("they are in hand", || async { office.left() == (4, 4) }).await;
    let before = errors(&office.server);
    office.server.command(&["DEL", STREAM]);
    for _ in 0..4 {
        told(&mut events, "a lost lease", |e| matches!(e, QueueEvent::LeaseLost { .. })).await;
    }
    let (report, _) = run.stop().await;
    assert_eq!(report.lease_lost, 4, "{report}");
    // Heartbeats that are refused are tried again, as long as there is hope: every 24th of a lease.
    let errors = errors(&office.server) - before;
    assert!(errors < 20, "{errors} errors");
}

#[tokio::test]
async fn what_was_in_hand_when_its_group_was_destroyed_is_not_run_twice() {
    let office = Office::new().await;
    let queue = office.queue().await;
    let mut events = queue.events();
    office.enqueue(&queue, 4).await;
    let (go, gone) = tokio::sync::oneshot::channel::<()>();
    let (gone, diary) = (gone.map(drop).shared(), Diary::default());
    let run = Run::new(queue.worker(), {
        let diary = diary.clone();
        move |job| {
            let (gone, diary) = (gone.clone(), diary.clone());
            async move {
                diary.begin(&job);
                gone.await;
                diary.done(&job);
                Ok(())
            }
        }
    });
    until("they are in hand", || async { office.left() == (4, 4) }).await;
    office.server.command(&["XGROUP", "DESTROY", STREAM, GROUP]);
    told(&mut events, "that it was made again", |e| matches!(e, QueueEvent::Created)).await;
    until("they are in hand again", || async { office.left() == (4, 4) }).await;
    go.send(()).unwrap();
    until("all are done", || async { office.left() == (0, 0) }).await;
    let (report, _) = run.stop().await;
    assert_eq!(report.done, 4, "{report}");
    assert!(diary.pages().values().all(|page| page.attempts == [1]));
}

#[tokio::test]
async fn an_idle_worker_notices_that_its_stream_was_deleted() {
    let office = Office::new().await;
    for at_most_once in [false, true] {
        let mut queue = office.builder().lease(Duration::from_secs(30));
        if at_most_once {
            queue = queue.at_most_once();
        }
        let queue = queue.open(Flat).await.unwrap();
        let diary = Diary::default();
        let run = Run::new(queue.worker(), note(&diary));
        until("it waits", || async {
            office.server.command(&["CLIENT", "LIST"]).contains("cmd=xreadgroup")
        })
        .await;
        office.server.command(&["DEL", STREAM]);
        let start = Instant::now();
        once(&queue, &diary, 1).await;
        assert!(start.elapsed() < AGAIN, "at most once {at_most_once}: {:?}", start.elapsed());
        run.stop().await;
    }
}

#[tokio::test]
async fn a_group_that_cannot_be_made_is_tried_slowly_and_made_at_last() {
    let office = Office::new().await;
    let queue = office.queue().await;
    let mut events = queue.events();
    let diary = Diary::default();
    let run = Run::new(queue.worker(), note(&diary));
    once(&queue, &diary, 1).await;
    office.server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    let before = errors(&office.server);
    office.server.command(&["DEL", STREAM]);
    let start = Instant::now();
    let mut interrupted = 0;
    while interrupted < 5 {
        told(&mut events, "that it cannot", |e| matches!(e, QueueEvent::Interrupted { .. })).await;
        interrupted += 1;
    }
    let (errors, seconds) = (errors(&office.server) - before, start.elapsed().as_secs_f64());
    assert!(seconds > 0.5, "five times in {seconds} s");
    assert!(errors as f64 <= 5.0 + 5.0 * seconds, "{errors} errors in {seconds} s");
    office.server.command(&["CONFIG", "SET", "maxmemory", "0"]);
    let start = Instant::now();
    once(&queue, &diary, 2).await;
    assert!(start.elapsed() < AGAIN, "{:?}", start.elapsed());
    run.stop().await;
}
