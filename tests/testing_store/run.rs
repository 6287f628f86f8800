//! Runs a history on both, and makes a failing one shorter.

use crate::compare::{Wire, same};
use crate::history::{self, Settings, Step};
use crate::memory::Memory;
use crate::real::Connection;
use crate::support::Server;
use crate::testing::store::Release;
use bytes::Bytes;
use fastrand::Rng;
use std::env;
use std::fmt::Write;
use std::time::{Duration, Instant, SystemTime};

/// The commands of one history.
const LEN: usize = 120;

/// The runs in which a history must differ. Tasks of the server that run once a second may come
/// between two commands.
const RUNS: usize = 3;

/// The commands of a run by default.
const COMMANDS: usize = 12_000;

#[test]
fn random_histories_get_the_replies_of_a_real_server() {
    let number = |name: &str| env::var(name).ok().map(|text| text.parse().expect("a number"));
    let commands: usize = number("BOURN_COMMANDS").unwrap_or(COMMANDS);
    let first = number("BOURN_SEED").map_or_else(|| fastrand::u64(..1 << 32), |seed| seed as u64);
    let server = Server::start();
    let mut pair = Pair::new(&server);
    let start = Instant::now();
    for seed in (first..).take(commands.div_ceil(LEN)) {
        let mut rng = Rng::with_seed(seed);
        let settings = Settings::random(&mut rng);
        let steps = history::random(&mut rng, LEN);
        if let Some(difference) = pair.run(&steps, settings) {
            let (steps, difference) = pair.shorten(steps, settings, difference);
            panic!("{}", report(&server, seed, settings, &steps, &difference));
        }
    }
    println!("{commands} commands as {} does after {:.1?}", server.label(), start.elapsed());
}

fn report(
    server: &Server,
    seed: u64,
    settings: Settings,
    steps: &[Step],
    difference: &Difference,
) -> String {
    let label = server.label();
    let mut text = format!("{label}, {settings:?}, BOURN_SEED={seed}\n");
    for step in steps {
        let words = match step {
            Step::Run(words) => words,
            Step::Wait(words) => words,
            Step::Sleep => &Vec::new(),
        };
        let words: Vec<_> = words.iter().map(shown).collect();
        let kind = match step {
            Step::Run(_) => "",
            Step::Wait(_) => "waits: ",
            Step::Sleep => "sleep",
        };
        writeln!(text, "  {kind}{}", words.join(" ")).expect("a String takes all text");
    }
    let Difference { real, memory, .. } = difference;
    text + &format!("  real   {real:?}\n  memory {memory:?}")
}

fn shown(word: &Bytes) -> String {
    match word.len() {
        0 => "''".to_owned(),
        len @ 61.. => format!("{}...{len}", word[..20].escape_ascii()),
        _ => word.escape_ascii().to_string(),
    }
}

/// Replies that are not the same.
#[derive(Debug)]
struct Difference {
    /// The step after which they came.
    step: usize,
    real: Option<Wire>,
    memory: Option<Wire>,
}

/// A real server, and what the in-memory data is compared with.
#[derive(Debug)]
struct Pair {
    port: u16,
    release: Release,
    real: Connection,
    reader: Connection,
    waits: bool,
    /// The ids that XADD returned.
    added: Vec<Bytes>,
}

impl Pair {
    fn new(server: &Server) -> Self {
        let release = Release::ALL.into_iter().find(|release| release.label() == server.label());
        let port = server.port();
        let (real, reader) = (Connection::open(port), Connection::open(port));
        Self {
            port,
            release: release.expect("a known label"),
            real,
            reader,
            waits: false,
            added: Vec::new(),
        }
    }

    /// Runs a history, again if there is a difference. Returns one that is always there.
    fn run(&mut self, steps: &[Step], settings: Settings) -> Option<Difference> {
        let mut difference = None;
        for _ in 0..RUNS {
            difference = Some(self.run_once(steps, settings)?);
        }
        difference
    }

    /// Runs a history from an empty database.
    fn run_once(&mut self, steps: &[Step], settings: Settings) -> Option<Difference> {
        let Settings { node_entries, resp3 } = settings;
        self.reader = Connection::open(self.port);
        self.waits = false;
        self.added.clear();
        self.real.ask("FLUSHALL");
        self.real.ask(&format!("CONFIG SET stream-node-max-entries {node_entries}"));
        let hello = if resp3 { "HELLO 3" } else { "HELLO 2" };
        self.real.ask(hello);
        self.reader.ask(hello);
        let mut memory = Memory::new(self.release, node_entries, resp3);
        for (step, what) in steps.iter().enumerate() {
            if let Some((real, memory)) = self.step(what, &mut memory) {
                return Some(Difference { step, real, memory });
            }
        }
        None
    }

    /// Runs a step, and returns replies that differ.
    fn step(&mut self, step: &Step, memory: &mut Memory) -> Option<(Option<Wire>, Option<Wire>)> {
        let (real, now, request) = match step {
            Step::Sleep => {
                std::thread::sleep(Duration::from_millis(300));
                return None;
            }
            // One read waits at a time.
            Step::Wait(_) if self.waits => return None,
            Step::Wait(request) => {
                let request = self.with_ids(request);
                self.reader.send(&request);
                let real = self.reader_reply();
                self.waits = real.is_none();
                (real, now_ms(), request)
            }
            Step::Run(request) => {
                let request = self.with_ids(request);
                self.real.send(&request);
                let real = self.real.receive();
                let now = time_of(&real, now_ms());
                if let Wire::Bulk(id) = &real {
                    if request[0].eq_ignore_ascii_case(b"XADD") {
                        self.added.push(Bytes::from(id.clone()));
                    }
                }
                (Some(real), now, request)
            }
        };
        let replied = memory.run(now, &request);
        if !is_same(self.release, real.as_ref(), replied.as_ref()) {
            return Some((real, replied));
        }
        if self.waits {
            let real = self.reader_reply();
            self.waits = real.is_none();
            let resumed = memory.resume(now);
            if !is_same(self.release, real.as_ref(), resumed.as_ref()) {
                return Some((real, resumed));
            }
            return None;
        }
        memory.stop_waiting();
        memory.resume(now);
        None
    }

    /// Puts ids in place of `@n`: the nth of the last ids that XADD returned.
    fn with_ids(&self, request: &[Bytes]) -> Vec<Bytes> {
        let replace = |word: &Bytes| {
            let Some(nth) = word.strip_prefix(b"@") else { return word.clone() };
            let nth = std::str::from_utf8(nth).ok().and_then(|nth| nth.parse::<usize>().ok());
            let id = nth.and_then(|nth| self.added.iter().rev().nth(nth));
            id.cloned().unwrap_or_else(|| Bytes::from_static(b"1-0"))
        };
        request.iter().map(replace).collect()
    }

    /// Returns the reply to the read that waits. A reply has been written before the second PING is
    /// answered.
    fn reader_reply(&mut self) -> Option<Wire> {
        self.real.ask("PING");
        self.real.ask("PING");
        self.reader.receive_now()
    }

    /// Leaves out steps as long as there is a difference.
    fn shorten(
        &mut self,
        mut steps: Vec<Step>,
        settings: Settings,
        mut difference: Difference,
    ) -> (Vec<Step>, Difference) {
        steps.truncate(difference.step + 1);
        let mut size = steps.len() / 2;
        while size > 0 {
            let mut from = 0;
            while from < steps.len() {
                let kept = steps.iter().take(from).chain(steps.iter().skip(from + size));
                let mut shorter: Vec<_> = kept.cloned().collect();
                match self.run(&shorter, settings) {
                    Some(found) => {
                        shorter.truncate(found.step + 1);
                        (steps, difference) = (shorter, found);
                    }
                    None => from += size,
                }
            }
            size /= 2;
        }
        (steps, difference)
    }
}

fn is_same(release: Release, real: Option<&Wire>, memory: Option<&Wire>) -> bool {
    // What Redis 8.10 counts depends on the order in which entries came and went.
    let any_tree = release == Release::Redis8_10;
    match (real, memory) {
        (Some(real), Some(memory)) => same(real, memory, any_tree),
        (None, None) => true,
        _ => false,
    }
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is after 1970");
    u64::try_from(now.as_millis()).expect("it is before the year 500 million")
}

/// Returns the time at which the server ran a command: that of an id, if it replied one just made.
fn time_of(real: &Wire, now: u64) -> u64 {
    real.as_id_ms().filter(|ms| (now - 50..=now).contains(ms)).unwrap_or(now)
}
