//! Recurring jobs: one job a tick, by any number of workers, through the loss of each.

use crate::steps::{enqueue, len, requests, run, s};
use crate::support::{Email, VERSIONS, in_paused_time, on_each_version, queue};
use bourn::queue::SettingsError;
use bourn::queue::{Fail, Job, Missed, QueueError, QueueEvent, Recurrence};
use bourn::testing::{Fault, Server};
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::sleep;

const STREAM: &str = "email";
const KEY: &str = "{email}:recurring";
const MINUTE: Duration = Duration::from_secs(60);

/// The jobs that ran: the tick of each, and how late it began, in milliseconds.
#[derive(Clone, Default)]
struct Ran(Arc<Mutex<Vec<(u64, u64)>>>);

impl Ran {
    fn ticks(&self) -> Vec<u64> {
        let mut ticks: Vec<_> = self.0.lock().unwrap().iter().map(|(tick, _)| *tick).collect();
        ticks.sort_unstable();
        ticks
    }

    fn latest(&self) -> u64 {
        self.0.lock().unwrap().iter().map(|(_, late)| *late).max().unwrap_or_default()
    }

    /// Runs a worker of another process until `stop`.
    async fn worker(&self, server: &Server, stop: impl Future<Output = ()>) {
        let (ran, clock) = (self.clone(), server.clone());
        let queue = queue(server, STREAM).await;
        let handler = move |job: Job<Email>| {
            let tick = job.headers().get("tick").expect("the tick");
            let tick = std::str::from_utf8(tick).unwrap().parse().unwrap();
            assert_eq!(job.headers().get("recurring"), Some(&b"report"[..]));
            ran.0.lock().unwrap().push((tick, ms(clock.time()).saturating_sub(tick)));
            async { Ok::<_, Fail>(()) }
        };
        queue.worker().run(stop, handler).await.unwrap();
    }
}

fn ms(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap().as_millis().try_into().unwrap()
}

fn job() -> Email {
    vec![("all".to_owned(), "1".to_owned())]
}

/// Asserts that these are the next ticks after one another.
fn assert_each_minute(ticks: &[u64], row: &str) {
    assert!(ticks.iter().all(|tick| tick % 60_000 == 0), "{row}: {ticks:?}");
    assert!(ticks.windows(2).all(|pair| pair[1] == pair[0] + 60_000), "{row}: {ticks:?}");
}

#[test]
fn each_tick_has_one_job_however_many_workers_there_are() {
    on_each_version(|server| async move {
        let ran = Ran::default();
        let workers = async {
            let worker = || ran.worker(&server, sleep(10 * MINUTE));
            tokio::join!(worker(), worker(), worker());
        };
        let setting = async {
            // The workers run, and there is no recurring job yet.
            sleep(s(70)).await;
            queue(&server, STREAM).await.every("report", MINUTE, &job()).await.unwrap();
        };
        tokio::join!(workers, setting);
        let ticks = ran.ticks();
        assert!((8..=9).contains(&ticks.len()), "{ticks:?}");
        assert_each_minute(&ticks, "all");
        // The first one may be due before the workers have learned of it.
        assert!(ran.latest() < 20_000, "{} ms late", ran.latest());
        assert_eq!(len(&server, STREAM), 0);
    });
}

#[test]
fn ticks_are_not_late() {
    on_each_version(|server| async move {
        queue(&server, STREAM).await.every("report", s(1), &job()).await.unwrap();
        sleep(MINUTE).await;
        let ran = Ran::default();
        server.set_latency(Duration::from_millis(2));
        ran.worker(&server, sleep(2 * MINUTE)).await;
        let ticks = ran.ticks();
        // The first job is for those that were missed.
        ran.0.lock().unwrap().remove(0);
        assert!(ticks.len() > 100, "{}", ticks.len());
        assert!(ran.latest() <= 50, "{} ms late", ran.latest());
    });
}

/// Makes the connections that exist now carry nothing any more, as those of a lost machine.
fn lose_connections(server: &Server) {
    for id in 1..200 {
        server.inject(Fault::stall_requests(Duration::MAX).on_connection(id));
        server.inject(Fault::stall_replies(Duration::MAX).on_connection(id));
    }
}

#[test]
fn worker_lost_at_any_point_of_a_tick_loses_and_repeats_none() {
    for version in VERSIONS {
        let mut begun = 0;
        for after in (0..60).step_by(5) {
            in_paused_time(async {
                let server = Server::builder().version(version).build();
                let recurrence = Recurrence::every(MINUTE).missed(Missed::All);
                let setting = queue(&server, STREAM).await;
                setting.recurring().set("report", &recurrence, &job()).await.unwrap();
                let (lost, ran) = (Ran::default(), Ran::default());
                let first = {
                    let (server, lost) = (server.clone(), lost.clone());
                    tokio::spawn(async move { lost.worker(&server, sleep(100 * MINUTE)).await })
                };
                sleep(s(30)).await;
                server.set_latency(Duration::from_millis(10));
                let now = ms(server.time());
                let next = now.next_multiple_of(60_000) + 120_000;
                sleep(Duration::from_millis(next - now + after)).await;
                lose_connections(&server);
                server.set_latency(Duration::ZERO);
                first.abort();
                let begun_now = run(&server, "XPENDING {email}:recurring ticks - + 1");
                let count = begun_now.as_list().unwrap()[0].as_list().unwrap()[3].as_integer();
                begun += u32::from(count == Some(1));
                ran.worker(&server, sleep(5 * MINUTE)).await;
                // A job that the lost worker had begun runs again, as every job does.
                let mut ticks = [lost.ticks(), ran.ticks()].concat();
                ticks.sort_unstable();
                ticks.dedup();
                let row = format!("{version}, {after} ms");
                assert!((6..=9).contains(&ticks.len()), "{row}: {ticks:?}");
                assert_each_minute(&ticks, &row);
                let mut once = ran.ticks();
                once.dedup();
                assert_eq!(once, ran.ticks(), "{row}: a tick twice");
                let twice: Vec<_> =
                    ran.ticks().into_iter().filter(|it| lost.ticks().contains(it)).collect();
                assert!(twice.len() <= 1, "{row}: {twice:?}");
            });
        }
        assert!(begun > 0, "{version}");
    }
}

/// It trusts its turn for too long, and the server decides.
#[test]
fn tick_that_another_consumer_has_recorded_has_no_second_job() {
    on_each_version(|server| async move {
        let setting = queue(&server, STREAM).await;
        setting.every("report", s(10), &job()).await.unwrap();
        let id = run(&server, "XRANGE {email}:recurring - + COUNT 1");
        let id = id.as_list().unwrap()[0].as_list().unwrap()[0].as_str().unwrap().to_owned();
        let ran = Ran::default();
        let recording = async {
            sleep(s(60)).await;
            let now = ms(server.time());
            let tick = now.next_multiple_of(10_000);
            sleep(Duration::from_millis(tick - now) - Duration::from_millis(20)).await;
            let text = format!("XCLAIM {KEY} ticks bourn 0 {id} TIME {tick} RETRYCOUNT 2");
            run(&server, &text);
            sleep(s(15)).await;
            assert!(!ran.ticks().contains(&tick), "{tick} has a job");
            assert!(ran.ticks().contains(&(tick + 10_000)), "the next one has none");
        };
        ran.worker(&server, recording).await;
    });
}

#[test]
fn ticks_without_a_worker_are_skipped_or_made_up_for() {
    on_each_version(|server| async move {
        for (missed, expected) in [(Missed::Skip, 0), (Missed::One, 1), (Missed::All, 10)] {
            run(&server, "FLUSHALL");
            let recurrence = Recurrence::every(10 * MINUTE).missed(missed);
            let setting = queue(&server, STREAM).await;
            setting.recurring().set("report", &recurrence, &job()).await.unwrap();
            let now = ms(server.time());
            // Ten ticks, and two minutes.
            let until = now.next_multiple_of(600_000) + 9 * 600_000 + 120_000;
            sleep(Duration::from_millis(until - now)).await;
            let ran = Ran::default();
            ran.worker(&server, sleep(MINUTE)).await;
            assert_eq!(ran.ticks().len(), expected, "{missed:?}: {:?}", ran.ticks());
            // The next one is due, whatever became of those before.
            ran.worker(&server, sleep(10 * MINUTE)).await;
            assert_eq!(ran.ticks().len(), expected + 1, "{missed:?}: {:?}", ran.ticks());
        }
    });
}

#[test]
fn recurring_job_that_is_removed_or_changed_adds_no_more_jobs() {
    on_each_version(|server| async move {
        let setting = queue(&server, STREAM).await;
        setting.every("report", s(10), &job()).await.unwrap();
        let ran = Ran::default();
        let changing = async {
            sleep(s(65)).await;
            setting.every("report", s(20), &job()).await.unwrap();
            let before = ran.ticks();
            sleep(s(100)).await;
            let since: Vec<_> =
                ran.ticks().into_iter().filter(|tick| !before.contains(tick)).collect();
            assert_eq!(since.len(), 5, "{since:?}");
            assert!(since.iter().all(|tick| tick % 20_000 == 0), "{since:?}");
            assert!(setting.recurring().remove("report").await.unwrap());
            assert!(!setting.recurring().remove("report").await.unwrap());
            let before = ran.ticks();
            sleep(s(100)).await;
            assert_eq!(ran.ticks(), before);
            assert_eq!((len(&server, KEY), setting.recurring().list().await.unwrap()), (0, vec![]));
        };
        ran.worker(&server, changing).await;
    });
}

/// Each process sets it at its start.
#[test]
fn recurring_job_that_is_set_again_stays_as_it_is() {
    on_each_version(|server| async move {
        let recurrence = Recurrence::every(MINUTE);
        let queues = [queue(&server, STREAM).await, queue(&server, STREAM).await];
        for queue in &queues {
            queue.recurring().set("report", &recurrence, &job()).await.unwrap();
        }
        let last = run(&server, "XREVRANGE {email}:recurring + - COUNT 1");
        sleep(s(90)).await;
        queues[0].recurring().set("report", &recurrence, &job()).await.unwrap();
        assert_eq!(run(&server, "XREVRANGE {email}:recurring + - COUNT 1"), last);
        assert_eq!(len(&server, KEY), 1);
        // At the same time two may be stored: the newer one stays.
        run(&server, "XADD {email}:recurring * _name report _rule x _zone x _missed one");
        queues[1].recurring().set("report", &recurrence, &job()).await.unwrap();
        assert_eq!(len(&server, KEY), 1);
        let listed = queues[0].recurring().get("report").await.unwrap().expect("it is set");
        assert_eq!(listed.recurrence, Some(recurrence));
    });
}

#[test]
fn recurring_jobs_are_listed_with_their_ticks() {
    on_each_version(|server| async move {
        let queue = queue(&server, STREAM).await;
        // Right after a tick, which does not count.
        let now = ms(server.time());
        sleep(Duration::from_millis(now.next_multiple_of(60_000) - now + 200)).await;
        let begin = ms(server.time());
        for name in ["report", "backup"] {
            queue.every(name, MINUTE, &job()).await.unwrap();
        }
        let listed = queue.recurring().list().await.unwrap();
        let names: Vec<_> = listed.iter().map(|job| job.name.as_str()).collect();
        assert_eq!(names, ["backup", "report"]);
        assert_eq!((listed[0].last, listed[1].last), (None, None));
        assert!(queue.recurring().remove("backup").await.unwrap());
        let ran = Ran::default();
        ran.worker(&server, sleep(5 * MINUTE)).await;
        let report = queue.recurring().get("report").await.unwrap().expect("it is set");
        assert!(ran.ticks().iter().all(|tick| *tick > begin), "{begin}: {:?}", ran.ticks());
        assert_eq!(report.last.map(ms), ran.ticks().last().copied());
        assert_eq!(report.next.map(ms), ran.ticks().last().map(|tick| tick + 60_000));
        assert!(queue.recurring().get("backup").await.unwrap().is_none());
        let stats = queue.stats().await.unwrap();
        assert!(stats.consumers.iter().all(|info| !info.name.starts_with(b"~")), "{stats:?}");
    });
}

#[test]
fn queue_without_recurring_jobs_sends_nothing_for_them() {
    on_each_version(|server| async move {
        let queue = queue(&server, STREAM).await;
        enqueue(&queue).await;
        let done = |_: Job<Email>| async { Ok::<_, Fail>(()) };
        queue.worker().run(sleep(2 * MINUTE), done).await.unwrap();
        assert_eq!(requests(&server, &[KEY]).len(), 0);
    });
}

#[test]
fn invalid_recurring_job_is_refused_and_an_unknown_one_is_told() {
    in_paused_time(async {
        let server = Server::new();
        let queue = queue(&server, STREAM).await;
        let half = Recurrence::every(Duration::from_millis(500));
        for (name, recurrence) in [("report", half), ("", Recurrence::every(MINUTE))] {
            let refused = queue.recurring().set(name, &recurrence, &job()).await.unwrap_err();
            let is_refused = matches!(refused, QueueError::Settings(SettingsError::Recurrence(_)));
            assert!(is_refused, "{refused}");
        }
        assert_eq!(len(&server, KEY), 0);
        queue.every("report", MINUTE, &job()).await.unwrap();
        run(&server, "XADD {email}:recurring * _name new _rule sometimes _zone UTC _missed one");
        let ran = Ran::default();
        let mut events = queue.events();
        let done = {
            let ran = ran.clone();
            move |job: Job<Email>| {
                let tick = job.headers().get("tick").map(<[u8]>::to_vec).unwrap();
                ran.0.lock().unwrap().push((String::from_utf8(tick).unwrap().parse().unwrap(), 0));
                async { Ok::<_, Fail>(()) }
            }
        };
        queue.worker().run(sleep(3 * MINUTE), done).await.unwrap();
        assert!((2..=3).contains(&ran.ticks().len()), "{:?}", ran.ticks());
        let unknown = async {
            loop {
                if let Some(QueueEvent::RecurrenceUnknown { name, .. }) = events.next().await {
                    return name;
                }
            }
        };
        assert_eq!(&*unknown.await, "new");
    });
}

#[cfg(feature = "cron")]
#[test]
fn cron_text_has_a_job_at_its_times() {
    in_paused_time(async {
        let server = Server::new();
        let setting = queue(&server, STREAM).await;
        setting.cron("report", "0 */2 * * *", "Asia/Kolkata", &job()).await.unwrap();
        let refused = setting.cron("report", "0 25 * * *", "UTC", &job()).await.unwrap_err();
        assert!(refused.to_string().contains("0 25 * * *"), "{refused}");
        let ran = Ran::default();
        ran.worker(&server, sleep(4 * 60 * MINUTE)).await;
        let ticks = ran.ticks();
        assert_eq!(ticks.len(), 2, "{ticks:?}");
        assert!(ran.latest() < 1_000, "{} ms late", ran.latest());
        // Half an hour beside full hours, UTC.
        assert!(ticks.iter().all(|tick| tick % 3_600_000 == 1_800_000), "{ticks:?}");
    });
}
