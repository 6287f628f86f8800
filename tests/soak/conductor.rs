//! A soak from its start to the verdict.

use crate::both::Random;
use crate::defects::Defect;
use crate::faults::inject_faults;
use crate::history::History;
use crate::job::{self, Kind};
use crate::judge::{Verdict, judge};
use crate::log::{self, Log};
use crate::producer::{KindOf, Producer};
use crate::slot::{Slot, Starter};
use crate::support::Server;
use crate::wire::Wire;
use crate::worker::{DEAD, GROUP, STREAM, reach};
use bourn::{Client, EntryId, XRange};
use std::ops::Bound::{Excluded, Unbounded};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use std::{env, fs, process};
use tokio::runtime;
use tokio::time::{Instant, sleep, timeout};

/// The number of worker processes.
const WORKERS: u32 = 4;

/// Jobs per minute of faults.
const JOBS: u64 = 20_000;

/// Jobs after the faults; every other one takes longer than a lease.
const CALM: u64 = 64;

/// The first number of these jobs.
const CALM_FROM: u64 = 1_000_000_000;

/// The limit for the stream to be empty after the faults.
const DRAINED: Duration = Duration::from_secs(60);

/// The limit for everything before and after the faults.
const BESIDE: Duration = Duration::from_secs(300);

/// The settings of a soak.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) seed: u64,
    /// The duration of the faults.
    pub(crate) time: Duration,
    /// The server's `appendfsync`.
    pub(crate) fsync: String,
    /// The intended defect.
    pub(crate) defect: Option<Defect>,
}

impl Settings {
    pub(crate) fn of_environment() -> Self {
        let seconds = env::var("BOURN_SECONDS").map_or(60, |text| text.parse().expect("a number"));
        let fsync = env::var("BOURN_FSYNC").unwrap_or_else(|_| "everysec".to_owned());
        Self { seed: Random::seed(), time: Duration::from_secs(seconds), fsync, defect: None }
    }

    fn jobs(&self) -> u64 {
        JOBS * self.time.as_secs() / 60
    }

    /// Returns the limit for the stream to be empty.
    fn drained(&self) -> Duration {
        // With some defects it never is.
        if self.defect.is_some() { DRAINED / 5 } else { DRAINED }
    }
}

/// Runs a soak and judges it. The logs are kept if a rule was broken.
pub(crate) fn soak(settings: &Settings) -> (History, Verdict) {
    let folder = new_folder();
    let runtime = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime can be made").block_on(async {
        let soak = conduct(settings, &folder);
        timeout(settings.time + BESIDE, soak).await.expect("the soak comes to an end");
    });
    let history = read(&folder);
    let verdict = judge(&history);
    let keep = !verdict.wrong.is_empty() || env::var_os("BOURN_KEEP").is_some();
    if !keep || settings.defect.is_some() {
        fs::remove_dir_all(&folder).expect("it is ours");
    } else {
        println!("the logs are in {}", folder.display());
    }
    (history, verdict)
}

async fn conduct(settings: &Settings, folder: &Path) {
    let Settings { seed, time, defect, .. } = *settings;
    let (began, wall) = (Instant::now(), log::now());
    let log = Arc::new(Log::open(folder, "conductor"));
    let server = Server::builder().args(["--appendonly", "yes"]);
    let mut server = server.args(["--appendfsync", &settings.fsync]).start();
    if settings.fsync == "always" {
        log.write("always");
    }
    if server.redis_at_least(8, 6) {
        log.write("recognizes-copies");
    }
    println!("{}, {:?} of faults", server.label(), settings.time);

    let mut wires = Vec::new();
    for slot in 0..=WORKERS {
        wires.push(Wire::new(slot, server.port(), seed, Arc::clone(&log)).await);
    }
    let starter = Starter {
        folder: folder.to_owned(),
        seed,
        log: Arc::clone(&log),
        defect,
        next: AtomicU32::default(),
    };
    let starter = Arc::new(starter);
    let slots = (0..WORKERS).zip(&wires);
    let slots = slots.map(|(slot, wire)| Slot::new(slot, wire.port, Arc::clone(&starter)));
    let slots: Vec<_> = slots.collect();
    let port = wires.last().expect("there are some").port;
    let queue = reach(port, None, WORKERS).await;
    let producer = Producer { queue, log: Arc::new(Log::open(folder, "producer")), seed, defect };

    let mut random = Random::new(seed);
    let until = Instant::now() + time;
    let jobs = settings.jobs();
    let kind: KindOf = Arc::new(move |n| Kind::of(seed, n, jobs));
    let (faults, ()) = tokio::join!(
        inject_faults(&mut server, &slots, &wires, &log, &mut random, until),
        producer.produce(0..jobs, &kind, time * 2 / 3),
    );
    println!("faults: {faults:?}");
    for wire in &wires {
        wire.calm().await;
    }
    drained(&server, &log, settings.drained(), "the faults").await;
    let kind: KindOf = Arc::new(|n| if n % 2 == 0 { Kind::Long } else { Kind::Plain });
    producer.produce(CALM_FROM..CALM_FROM + CALM, &kind, Duration::from_secs(1)).await;
    drained(&server, &log, settings.drained(), "the last jobs").await;

    for slot in slots {
        slot.close().await;
    }
    look(&server, &log, seed).await;
    let jump = began.elapsed().abs_diff(log::now().saturating_sub(wall));
    if jump > Duration::from_millis(50) {
        log.write(format_args!("wrong the clock jumped by {jump:?}"));
    }
}

/// Waits until the stream is empty. A timeout is logged as a violation.
async fn drained(server: &Server, log: &Log, limit: Duration, what: &str) {
    let start = Instant::now();
    while start.elapsed() < limit {
        if remain(server) == (0, 0) {
            println!("empty {:.1} s after {what}", start.elapsed().as_secs_f64());
            return;
        }
        sleep(Duration::from_millis(50)).await;
    }
    log.write(format_args!("wrong the stream is not empty {limit:?} after {what}"));
}

/// Returns the numbers of entries and of pending entries.
fn remain(server: &Server) -> (u64, u64) {
    let number = |words: &[&str]| {
        let said = server.command(words);
        said.lines().next().and_then(|first| first.parse().ok()).expect("a number")
    };
    (number(&["XLEN", STREAM]), number(&["XPENDING", STREAM, GROUP]))
}

/// Logs the final state of the server.
async fn look(server: &Server, log: &Log, seed: u64) {
    let (entries, pending) = remain(server);
    log.write(format_args!("remain {entries} {pending}"));
    let consumers = server.command(&["XINFO", "CONSUMERS", STREAM, GROUP]);
    println!("{} consumers are left", consumers.lines().filter(|line| *line == "name").count());

    let client = Client::connect(server.unix_url()).await.expect("the server is there");
    let mut start = Unbounded;
    loop {
        let page = XRange::new(DEAD, (start, Unbounded)).count(1_000);
        let page = client.send(page).await.expect("the stream can be read");
        let Some(last) = page.last() else { return };
        start = Excluded(last.id());
        for entry in &page {
            let text = |name| entry.get_str(name).ok().flatten().unwrap_or_default();
            let ours = entry.fields().filter(|(name, _)| !name.starts_with(b"_"));
            let owned = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let ours: Vec<_> = ours.map(|(name, value)| (owned(name), owned(value))).collect();
            match (text("_id").parse::<EntryId>(), job::read(seed, &ours)) {
                (Ok(id), Some((n, _))) => {
                    let (attempts, when) = (text("_attempt"), entry.id().ms());
                    log.write(format_args!("dead-letter {id} {n} {attempts} {when}"));
                }
                _ => log.write(format_args!("wrong no dead letter of ours: {entry:?}")),
            }
        }
    }
}

/// Creates a new folder.
fn new_folder() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let nth = NEXT.fetch_add(1, Ordering::Relaxed);
    let folder = env::temp_dir().join(format!("bourn-soak-{}-{nth}", process::id()));
    // Left by an earlier process with the same id.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir(&folder).expect("a folder can be made");
    folder
}

/// Reads the logs of all processes.
fn read(folder: &Path) -> History {
    let files =
        fs::read_dir(folder).expect("it is a folder").map(|file| file.expect("a file").path());
    // Files with a dot in their names hold the workers' output.
    let files = files.filter(|path| path.extension().is_none());
    let texts: Vec<_> = files.map(|path| fs::read_to_string(path).expect("text")).collect();
    History::read(texts.iter().flat_map(|text| text.lines()))
}
