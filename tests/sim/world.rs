//! The world of one history: the server, its connections, its faults, and the one random generator.

use super::server::{Server, State, request};
use super::wire::{End, Link, Wire};
use fastrand::Rng;
use std::future::{Future, pending};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

/// The probability of each fault of a new connection, in percent.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Odds {
    pub(crate) refused: u8,
    pub(crate) never: u8,
    pub(crate) short: u8,
    pub(crate) mute: u8,
}

pub(crate) struct World {
    pub(crate) rng: Rng,
    pub(crate) server: Server,
    pub(crate) links: Vec<Link>,
    /// The open connections, by number.
    live: Vec<usize>,
    pub(crate) odds: Odds,
    /// The server's latency.
    pub(crate) latency: Duration,
    /// The capacity of a connection each way, and the most bytes per read.
    pub(crate) capacity: usize,
    pub(crate) piece: usize,
    pub(crate) dials: usize,
    /// Violations seen so far.
    pub(crate) wrong: Vec<String>,
    /// The events, if they are traced.
    pub(crate) trace: Option<Vec<String>>,
    start: Instant,
}

#[derive(Clone)]
pub(crate) struct Shared(Arc<(Mutex<World>, Notify)>);

pub(crate) type Dialling = Pin<Box<dyn Future<Output = io::Result<Wire>> + Send>>;

impl Shared {
    pub(crate) fn new(rng: Rng, trace: bool) -> Self {
        let world = World {
            rng,
            server: Server::new(),
            links: Vec::new(),
            live: Vec::new(),
            odds: Odds::default(),
            latency: Duration::ZERO,
            capacity: 1 << 16,
            piece: 1 << 16,
            dials: 0,
            wrong: Vec::new(),
            trace: trace.then(Vec::new),
            start: Instant::now(),
        };
        Self(Arc::new((Mutex::new(world), Notify::new())))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, World> {
        // A history that panicked is reported as such.
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the server after a change.
    pub(crate) fn stir(&self) {
        self.0.1.notify_one();
    }

    /// Runs the server's task.
    pub(crate) async fn serve(self) {
        loop {
            let due = self.lock().pump();
            let due = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.0.1.notified() => {}
                () = due => {}
            }
        }
    }

    /// Returns the dialler for `Client::connect_with`.
    pub(crate) fn dialler(&self) -> impl Fn() -> Dialling + Send + Sync + 'static {
        let shared = self.clone();
        move || {
            let shared = shared.clone();
            Box::pin(async move {
                let (fate, delay) = shared.lock().dialled();
                sleep(delay).await;
                match fate {
                    Some(true) => Ok(Wire::new(shared.clone(), shared.lock().open())),
                    Some(false) => Err(io::ErrorKind::ConnectionRefused.into()),
                    None => pending().await,
                }
            })
        }
    }
}

impl World {
    /// Records an event.
    pub(crate) fn trace(&mut self, what: impl FnOnce() -> String) {
        let after = self.start.elapsed();
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{after:>12.3?} {}", what()));
        }
    }

    /// Decides whether a dial succeeds, and after what time.
    fn dialled(&mut self) -> (Option<bool>, Duration) {
        self.dials += 1;
        // A server that hung up at the first HELLO is greeted without it, and asked once more with
        // it.
        let (held, used) = self
            .links
            .iter()
            .filter(|link| link.held)
            .fold((0, false), |all, link| (all.0 + 1, all.1 | link.used));
        if used || held > 1 {
            self.wrong.push("a dial while there was a connection".to_owned());
        }
        let luck = self.rng.u8(0..100);
        let fate = if luck < self.odds.refused {
            Some(false)
        } else {
            (luck >= self.odds.refused.saturating_add(self.odds.never)).then_some(true)
        };
        self.trace(|| format!("dial: {fate:?}"));
        (fate, self.latency)
    }

    /// Opens a connection; returns its number.
    fn open(&mut self) -> usize {
        let mut link = Link::new(self.capacity, self.piece);
        if self.rng.u8(0..100) < self.odds.short {
            link.life = self.rng.usize(1..600);
        }
        if self.rng.u8(0..100) < self.odds.short {
            link.left = self.rng.usize(1..1200);
        }
        link.reads = self.rng.u8(0..100) >= self.odds.mute;
        let (number, life, left) = (self.links.len(), link.life, link.left);
        self.trace(|| format!("connection {number}: life {life}, left {left}"));
        self.links.push(link);
        self.live.push(number);
        number
    }

    /// The server reads, runs and answers; returns the time of its next event.
    fn pump(&mut self) -> Option<Instant> {
        let now = Instant::now();
        let mut next: Option<Instant> = None;
        let mut live = std::mem::take(&mut self.live);
        live.retain(|number| self.links[*number].end.is_none());
        for &number in &live {
            let link = &mut self.links[number];
            if link.reads && !link.accepted.is_empty() {
                link.take(link.accepted.len());
                self.run(number);
            }
            let due = self.links[number].send(now);
            next = due.into_iter().chain(next).min();
        }
        self.live = live;
        next
    }

    /// Runs the complete requests.
    fn run(&mut self, number: usize) {
        loop {
            let request = match request(&mut self.links[number].input) {
                Ok(Some(request)) => request,
                Ok(None) => return,
                Err(bytes) => return self.wrong.push(format!("no request: {bytes}")),
            };
            let link = &mut self.links[number];
            let words = request.join(" ");
            link.used |= !["HELLO", "CLIENT", "PING"].contains(&&*request[0]);
            let mut answer = self.server.answer(request, &mut link.queued);
            let due = Instant::now() + self.latency;
            // Pushes and attributes come before any reply except the first.
            match self.rng.u8(0..16) {
                0 if !words.starts_with("HELLO") => answer.insert_str(0, PUSH),
                1 if !words.starts_with("HELLO") => answer.insert_str(0, "|1\r\n+ttl\r\n:3600\r\n"),
                _ => {}
            }
            link.answers.push_back((due, answer.clone().into_bytes()));
            self.trace(|| format!("{number}: {} -> {answer:?}", words.get(..40).unwrap_or(&words)));
        }
    }

    /// Ends a connection: some bytes in transit still arrive, and are run.
    pub(crate) fn cut(&mut self, number: usize) {
        let link = &mut self.links[number];
        if link.end.is_some() {
            return;
        }
        let some = |rng: &mut Rng, len: usize| match rng.u8(0..4) {
            0 => 0,
            1 => len,
            _ => rng.usize(0..=len),
        };
        let taken = some(&mut self.rng, link.accepted.len());
        link.take(taken);
        self.run(number);
        let link = &mut self.links[number];
        let answers: usize = link.answers.iter().map(|(_, bytes)| bytes.len()).sum();
        let end = if self.rng.bool() { End::Eof } else { End::Reset };
        let sent = some(&mut self.rng, answers);
        let all: Vec<u8> = link.answers.drain(..).flat_map(|(_, bytes)| bytes).collect();
        link.output.extend(&all[..sent]);
        link.close(end);
        self.trace(|| format!("{number}: {end:?}, {taken} bytes taken, {sent} of {answers} sent"));
    }

    /// Sends unsolicited bytes.
    pub(crate) fn say(&mut self, number: usize, bytes: &[u8]) {
        self.links[number].answers.push_back((Instant::now(), bytes.to_vec()));
    }

    /// Returns the client's open connection.
    pub(crate) fn current(&self) -> Option<usize> {
        self.links.iter().rposition(|link| link.held && link.end.is_none())
    }

    /// Removes the limits on chunk sizes.
    pub(crate) fn widen(&mut self) {
        self.links.iter_mut().for_each(|link| (link.capacity, link.piece) = (1 << 16, 1 << 16));
    }

    /// Ends the faults, except for connections that are broken without notice.
    pub(crate) fn heal(&mut self) {
        self.trace(|| "the faults end".to_owned());
        self.odds = Odds::default();
        self.latency = Duration::ZERO;
        self.server.state = State::Ready;
        for number in 0..self.links.len() {
            let broken = self.rng.u8(0..4) == 0;
            let link = &mut self.links[number];
            (link.life, link.left) = (usize::MAX, usize::MAX);
            if !broken {
                (link.reads, link.speaks) = (true, true);
            }
        }
    }
}

/// A push frame.
pub(crate) const PUSH: &str = ">2\r\n+invalidate\r\n*1\r\n+k\r\n";
