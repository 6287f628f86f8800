//! One history: settings, callers and faults, all from one seed; then a complete recovery.

use super::callers::Callers;
use super::ledger::Ledger;
use super::server::State;
use super::world::{Odds, PUSH, Shared, World};
use bourn::{Client, Config, Event, Events, Retry, WhenFull};
use fastrand::Rng;
use std::time::Duration;
use tokio::runtime::Builder;
use tokio::task::{JoinHandle, yield_now};
use tokio::time::{Instant, sleep, timeout};

/// The most steps of a history.
pub(crate) const STEPS: usize = 50;

/// Without faults a client recovers within this time, whatever its settings.
const RECOVERY: Duration = Duration::from_secs(40);

/// The result of a history.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Report {
    /// The number of commands by end: confirmed, not sent, not applied, unknown, dropped.
    pub(crate) ends: [usize; 5],
    pub(crate) dials: usize,
    pub(crate) wrong: Vec<String>,
    pub(crate) trace: Vec<String>,
}

/// Runs the history of a seed, up to this many steps; `trace` collects its events.
pub(crate) fn run(seed: u64, steps: usize, trace: bool) -> Report {
    // The client's own randomness.
    bourn::testing::seed(seed);
    let mut runtime = Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(history(seed, steps, trace))
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// The settings of a history; those that other code needs are separate, too.
struct Settings {
    config: Config,
    /// The command timeout.
    limit: Duration,
    /// The upper limit of the backoff.
    most: Duration,
    /// Whether commands are retried.
    repeats: bool,
    /// Whether callers wait for capacity.
    waits: bool,
}

/// Returns random settings, sometimes at the end of their range.
fn settings(rng: &mut Rng) -> Settings {
    let rare = |rng: &mut Rng| rng.u8(0..6) == 0;
    let limit = ms(*rng.choice(&[50, 300, 1000, 5000]).expect("four"));
    let repeats = !rare(rng);
    let (least, most) = *rng.choice(&[(1, 50), (10, 1000), (10, 1000), (50, 50)]).expect("four");
    let mut config = Config::tcp("simulated", 1)
        .command_timeout(limit)
        .connect_timeout(ms(*rng.choice(&[100, 1000, 5000]).expect("three")))
        .retry(if repeats { Retry::Safe } else { Retry::Never })
        .reconnect(ms(least), ms(most));
    if rare(rng) {
        config = config.budget_bytes(rng.usize(1024..4096));
    }
    let waits = !rare(rng);
    if !waits {
        config = config.when_full(WhenFull::Fail);
    }
    if rare(rng) {
        config = config.probe((rng.bool()).then_some(ms(200)));
    }
    if rare(rng) {
        config = config.events_buffer(1);
    }
    Settings { config, limit, most: ms(most), repeats, waits }
}

async fn history(seed: u64, steps: usize, trace: bool) -> Report {
    let mut rng = Rng::with_seed(seed);
    let shared = Shared::new(rng.fork(), trace);
    let server = tokio::spawn(shared.clone().serve());
    let Settings { config, limit, most, repeats, waits } = settings(&mut rng);
    {
        let mut world = shared.lock();
        world.trace(|| format!("{config:?}"));
        world.capacity = *rng.choice(&[7, 100, 1 << 16, 1 << 16, 1 << 16]).expect("five");
        world.piece = *rng.choice(&[5, 30, 1 << 16, 1 << 16]).expect("four");
        let mut percent = |most| if rng.bool() { rng.u8(0..most) } else { 0 };
        let (refused, never) = (percent(60), percent(10));
        world.odds = Odds { refused, never, short: percent(60), mute: percent(10) };
    }
    let start = Instant::now();
    let client = loop {
        match Client::connect_with(config.clone(), shared.dialler()).await {
            Ok(client) => break client,
            Err(_) if start.elapsed() > ms(1000) => shared.lock().odds = Odds::default(),
            Err(_) => sleep(ms(1)).await,
        }
    };
    let listener = tokio::spawn(listen(client.events()));
    let ledger = Ledger::default();
    let callers = Callers { client, shared: shared.clone(), ledger, limit, repeats, waits };
    let mut rests = rng.fork();
    let steps = steps.min(rng.usize(15..=STEPS));
    let mut calls = Vec::new();
    for _ in 0..steps {
        step(&callers, &mut rng, &mut calls).await;
    }
    shared.lock().heal();
    shared.stir();
    let mut wrong = settle(&callers, calls, &mut rests).await;
    let elapsed = start.elapsed();
    let closed = timeout(RECOVERY, callers.client.close()).await;
    wrong.extend(closed.err().map(|_| "close does not return".to_owned()));
    match timeout(RECOVERY, listener).await {
        Ok(said) => wrong.extend(said.expect("the listener does not panic")),
        Err(_) => wrong.push("the events do not end".to_owned()),
    }
    server.abort();
    wrong.extend(callers.ledger.disagreements(&shared));
    let mut world = shared.lock();
    if world.links.iter().any(|link| link.held) {
        wrong.push("a connection is open after the end".to_owned());
    }
    // At its limit the backoff is half the limit on average; it restarts every 5 s.
    let dials = world.dials;
    let allowed = 40 + 8 * elapsed.as_millis() / most.as_millis();
    if dials as u128 > allowed {
        wrong.push(format!("{dials} dials in {elapsed:?}"));
    }
    wrong.append(&mut world.wrong);
    let trace = world.trace.take().unwrap_or_default();
    Report { ends: callers.ledger.ends(), dials, wrong, trace }
}

/// Does one random step.
async fn step(callers: &Callers, rng: &mut Rng, calls: &mut Vec<JoinHandle<()>>) {
    match rng.u8(0..100) {
        0..45 => calls.push(callers.call(rng)),
        45..52 => {
            if let Some(call) = rng.choice(calls.iter()) {
                call.abort();
            }
        }
        52..78 => {
            let longest = [20, 20, 20, 20, 20, 500, 500, 12_000];
            let longest = *rng.choice(&longest).expect("eight");
            sleep(ms(rng.u64(0..longest))).await;
        }
        78..100 => {
            fault(&mut callers.shared.lock(), rng);
            callers.shared.stir();
        }
        _ => {}
    }
    for _ in 0..*rng.choice(&[0, 0, 1, 2, 10]).expect("five") {
        yield_now().await;
    }
}

/// Causes a fault, or ends one.
fn fault(world: &mut World, rng: &mut Rng) {
    let what = rng.u8(0..20);
    let state =
        *rng.choice(&[State::Loading, State::Busy, State::ReadOnly, State::Oom]).expect("four");
    let longest = rng.u64(1..4000);
    let (latency, bytes) = (ms(rng.u64(0..longest)), rng.usize(1..800));
    let current = world.current();
    world.trace(|| format!("fault {what} on {current:?}: {state:?} {latency:?} {bytes}"));
    match (what, current) {
        (0..2, _) => world.server.state = state,
        (2..4, _) => world.server.state = State::Ready,
        (4, _) => world.latency = latency,
        (5..7, _) => world.latency = Duration::ZERO,
        (7, _) => world.odds.refused = if world.odds.refused > 99 { 0 } else { 100 },
        // The server restarts with its data, and loads for a while.
        (8, Some(number)) => {
            world.cut(number);
            world.server.state = State::Loading;
        }
        (9..12, Some(number)) => world.cut(number),
        (12, Some(number)) => world.links[number].life = bytes,
        (13, Some(number)) => world.links[number].left = bytes,
        (14, Some(number)) => world.links[number].reads ^= true,
        (15, Some(number)) => world.links[number].speaks ^= true,
        (16..18, Some(number)) => {
            (world.links[number].reads, world.links[number].speaks) = (true, true);
        }
        (18, Some(number)) => world.say(number, PUSH.as_bytes()),
        (19, Some(number)) => world.say(number, b"?\r\n"),
        _ => {}
    }
}

/// Waits until every call has ended in time, and until the client works again.
async fn settle(callers: &Callers, calls: Vec<JoinHandle<()>>, rng: &mut Rng) -> Vec<String> {
    let mut wrong = Vec::new();
    let healed = Instant::now();
    for call in calls {
        let left = (callers.limit + ms(100)).saturating_sub(healed.elapsed());
        match timeout(left, call).await {
            Ok(Err(error)) if error.is_panic() => wrong.push(format!("{error}")),
            Ok(_) => {}
            Err(_) => wrong.push("a call does not end".to_owned()),
        }
    }
    let works = async {
        while let Err(error) = callers.works(rng).await {
            callers.shared.lock().trace(|| format!("not yet: {error:?}"));
            sleep(ms(20)).await;
        }
    };
    if timeout(RECOVERY, works).await.is_err() {
        wrong.push("the client does not recover".to_owned());
        return wrong;
    }
    callers.shared.lock().widen();
    let many = async {
        let one = callers.works(rng).await.err();
        // Without waiting for capacity, such a burst would be refused.
        let all = if callers.waits { callers.add_many(rng).await } else { Vec::new() };
        one.into_iter().chain(all).collect::<Vec<_>>()
    };
    match timeout(RECOVERY, many).await {
        Ok(errors) => wrong.extend(errors.first().map(|e| format!("after recovery: {e:?}"))),
        Err(_) => wrong.push("after recovery a call does not end".to_owned()),
    }
    wrong
}

/// Checks that connect and disconnect events alternate; a slow listener gets `Missed`.
async fn listen(mut events: Events) -> Option<String> {
    let mut up = None;
    while let Some(event) = events.next().await {
        let now = match &event {
            Event::Connected { .. } => true,
            Event::Disconnected { .. } => false,
            Event::Missed { .. } => {
                up = None;
                continue;
            }
            _ => continue,
        };
        if up == Some(now) {
            return Some(format!("twice in a row: {event:?}"));
        }
        up = Some(now);
    }
    None
}
