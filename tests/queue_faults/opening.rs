//! Faults while a queue opens.

use crate::support::{Email, in_paused_time, on_each_version};
use bourn::queue::{Fail, Flat, Job, Queue, QueueBuilder, QueueError, SettingsError};
use bourn::testing::{Fault, Server};
use std::time::Duration;
use tokio::time::sleep;

async fn open(
    server: &Server,
    group: &str,
    with: fn(QueueBuilder) -> QueueBuilder,
) -> Result<Queue<Email>, QueueError> {
    let client = server.client().await.unwrap();
    with(Queue::builder(&client, "email").group(group)).open(Flat).await
}

fn groups(server: &Server) -> usize {
    server.command("XINFO GROUPS email").as_list().map_or(0, |groups| groups.len())
}

#[test]
fn open_that_is_refused_creates_no_group_and_workers_go_on() {
    on_each_version(|server| async move {
        let queue = open(&server, "workers", |queue| queue).await.unwrap();
        let mistaken = open(&server, "wrokers", |queue| queue).await;
        let Err(QueueError::Settings(SettingsError::OtherGroups(names))) = mistaken else {
            panic!("{mistaken:?}");
        };
        assert_eq!((&*names, groups(&server)), ("workers", 1));
        // A worker that starts later is not refused.
        open(&server, "workers", |queue| queue).await.unwrap();
        queue.producer().enqueue(&Email::new()).await.unwrap();
        let done = |_: Job<Email>| async { Ok::<_, Fail>(()) };
        let report = queue.worker().run(sleep(Duration::from_secs(1)), done).await.unwrap();
        assert_eq!(report.done, 1, "{report}");
    });
}

#[test]
fn open_with_settings_that_do_not_fit_the_server_creates_nothing() {
    in_paused_time(async {
        let server = Server::builder().version("redis-7.0").build();
        assert!(server.command("SET letters 1").as_str().is_some());
        let with: [fn(QueueBuilder) -> QueueBuilder; 2] = [
            |queue| queue.dead_letter("letters"),
            |queue| queue.dedupe_window(Duration::from_secs(100), 100),
        ];
        for with in with {
            let refused = open(&server, "workers", with).await;
            assert!(matches!(refused, Err(QueueError::Settings(_))), "{refused:?}");
            assert_eq!(server.command("EXISTS email").as_integer(), Some(0));
        }
    });
}

#[test]
fn group_that_exists_is_recognised_behind_a_proxy_that_changes_the_code() {
    on_each_version(|server| async move {
        let queue = open(&server, "workers", |queue| queue).await.unwrap();
        let error = "ERR BUSYGROUP Consumer Group name already exists";
        server.inject(Fault::error(error).on_command("XGROUP CREATE").times(9));
        let again = open(&server, "workers", |queue| queue).await;
        assert!(again.is_ok(), "{again:?}");
        let redriven = queue.dead_letters().redrive(bourn::queue::Redrive::all()).await;
        assert!(matches!(redriven, Ok(0)), "{redriven:?}");
    });
}
