//! One history: settings, callers and misfortunes, all from a seed; and then everything has to be well again.

use super::callers::Desk;
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

/// With nothing more in its way a client works again within this time, whatever its settings here.
const RECOVERY: Duration = Duration::from_secs(40);

/// What came of a history.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Report {
    /// How many commands ended each way: confirmed, not sent, not applied, unknown, given up.
    pub(crate) ends: [usize; 5],
    pub(crate) dials: usize,
    pub(crate) wrong: Vec<String>,
    pub(crate) tale: Vec<String>,
}

/// Lives through the history of a seed, up to so many steps; `tell` for what happens in it.
pub(crate) fn run(seed: u64, steps: usize, tell: bool) -> Report {
    // What the client leaves to chance.
    fastrand::seed(seed);
    let mut runtime = Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(history(seed, steps, tell))
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// The settings of a history, those that matter to others apart as well.
struct Settings {
    config: Config,
    /// The time that a command has.
    limit: Duration,
    /// The longest bound of the backoff.
    most: Duration,
    /// Whether commands are sent again.
    repeats: bool,
    /// Whether callers wait for room.
    waits: bool,
}

/// Settings, now and then at the end of their range.
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

async fn history(seed: u64, steps: usize, tell: bool) -> Report {
    let mut rng = Rng::with_seed(seed);
    let shared = Shared::new(rng.fork(), tell);
    let server = tokio::spawn(shared.clone().serve());
    let Settings { config, limit, most, repeats, waits } = settings(&mut rng);
    {
        let mut world = shared.lock();
        world.tell(|| format!("{config:?}"));
        world.room = *rng.choice(&[7, 100, 1 << 16, 1 << 16, 1 << 16]).expect("five");
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
    let desk = Desk { client, shared: shared.clone(), ledger, limit, repeats, waits };
    let mut rests = rng.fork();
    let steps = steps.min(rng.usize(15..=STEPS));
    let mut calls = Vec::new();
    for _ in 0..steps {
        step(&desk, &mut rng, &mut calls).await;
    }
    shared.lock().heal();
    shared.stir();
    let mut wrong = settle(&desk, calls, &mut rests).await;
    let elapsed = start.elapsed();
    let closed = timeout(RECOVERY, desk.client.close()).await;
    wrong.extend(closed.err().map(|_| "it does not close".to_owned()));
    match timeout(RECOVERY, listener).await {
        Ok(said) => wrong.extend(said.expect("it only listens")),
        Err(_) => wrong.push("the events do not end".to_owned()),
    }
    server.abort();
    wrong.extend(desk.ledger.disagreements(&shared));
    let mut world = shared.lock();
    if world.links.iter().any(|link| link.held) {
        wrong.push("a connection is open after the end".to_owned());
    }
    // A wait is half the longest on average, when the bound has grown; and it grows anew every 5 s.
    let dials = world.dials;
    let allowed = 40 + 8 * elapsed.as_millis() / most.as_millis();
    if dials as u128 > allowed {
        wrong.push(format!("{dials} dials in {elapsed:?}"));
    }
    wrong.append(&mut world.wrong);
    let tale = world.tale.take().unwrap_or_default();
    Report { ends: desk.ledger.ends(), dials, wrong, tale }
}

/// What happens next.
async fn step(desk: &Desk, rng: &mut Rng, calls: &mut Vec<JoinHandle<()>>) {
    match rng.u8(0..100) {
        0..45 => calls.push(desk.call(rng)),
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
            misfortune(&mut desk.shared.lock(), rng);
            desk.shared.stir();
        }
        _ => {}
    }
    for _ in 0..*rng.choice(&[0, 0, 1, 2, 10]).expect("five") {
        yield_now().await;
    }
}

/// Something goes wrong, or is well again.
fn misfortune(world: &mut World, rng: &mut Rng) {
    let what = rng.u8(0..20);
    let state =
        *rng.choice(&[State::Loading, State::Busy, State::ReadOnly, State::Oom]).expect("four");
    let longest = rng.u64(1..4000);
    let (latency, bytes) = (ms(rng.u64(0..longest)), rng.usize(1..800));
    let current = world.current();
    world.tell(|| format!("misfortune {what} on {current:?}: {state:?} {latency:?} {bytes}"));
    match (what, current) {
        (0..2, _) => world.server.state = state,
        (2..4, _) => world.server.state = State::Ready,
        (4, _) => world.latency = latency,
        (5..7, _) => world.latency = Duration::ZERO,
        (7, _) => world.odds.refused = if world.odds.refused > 99 { 0 } else { 100 },
        // It starts again: with what it had, and it takes its time.
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

/// Everyone is told in time, and then all works.
async fn settle(desk: &Desk, calls: Vec<JoinHandle<()>>, rng: &mut Rng) -> Vec<String> {
    let mut wrong = Vec::new();
    let healed = Instant::now();
    for call in calls {
        let left = (desk.limit + ms(100)).saturating_sub(healed.elapsed());
        match timeout(left, call).await {
            Ok(Err(error)) if error.is_panic() => wrong.push(format!("{error}")),
            Ok(_) => {}
            Err(_) => wrong.push("a call does not end".to_owned()),
        }
    }
    let works = async {
        while let Err(error) = desk.works(rng).await {
            desk.shared.lock().tell(|| format!("not yet: {error:?}"));
            sleep(ms(20)).await;
        }
    };
    if timeout(RECOVERY, works).await.is_err() {
        wrong.push("it does not work again".to_owned());
        return wrong;
    }
    desk.shared.lock().widen();
    let many = async {
        let one = desk.works(rng).await.err();
        // Who does not want to wait for room is not to be asked for so much.
        let all = if desk.waits { desk.works_for_many(rng).await } else { Vec::new() };
        one.into_iter().chain(all).collect::<Vec<_>>()
    };
    match timeout(RECOVERY, many).await {
        Ok(errors) => wrong.extend(errors.first().map(|e| format!("it worked, and then: {e:?}"))),
        Err(_) => wrong.push("it worked, and then a call does not end".to_owned()),
    }
    wrong
}

/// Connections come and go by turns, for whoever listens; and who was slow is told.
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
