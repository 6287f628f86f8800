//! The world of one history: the server, its connections, what may go wrong, and the one rng that decides.

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

/// How likely each misfortune of a new connection is, in percent.
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
    /// Those that have not ended, by number.
    live: Vec<usize>,
    pub(crate) odds: Odds,
    /// How long the server takes to answer.
    pub(crate) latency: Duration,
    /// How many bytes fit into a connection each way, and come with one read.
    pub(crate) room: usize,
    pub(crate) piece: usize,
    pub(crate) dials: usize,
    /// What was seen that must not be.
    pub(crate) wrong: Vec<String>,
    /// What happened, if anybody wants to know.
    pub(crate) tale: Option<Vec<String>>,
    start: Instant,
}

#[derive(Clone)]
pub(crate) struct Shared(Arc<(Mutex<World>, Notify)>);

pub(crate) type Dialling = Pin<Box<dyn Future<Output = io::Result<Wire>> + Send>>;

impl Shared {
    pub(crate) fn new(rng: Rng, tell: bool) -> Self {
        let world = World {
            rng,
            server: Server::new(),
            links: Vec::new(),
            live: Vec::new(),
            odds: Odds::default(),
            latency: Duration::ZERO,
            room: 1 << 16,
            piece: 1 << 16,
            dials: 0,
            wrong: Vec::new(),
            tale: tell.then(Vec::new),
            start: Instant::now(),
        };
        Self(Arc::new((Mutex::new(world), Notify::new())))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, World> {
        // A history that panicked is over, and is told of.
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something has changed: the server looks.
    pub(crate) fn stir(&self) {
        self.0.1.notify_one();
    }

    /// The server's task: does what is to be done, for ever.
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

    /// What `Client::connect_with` takes.
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
    /// Writes down what happens.
    pub(crate) fn tell(&mut self, what: impl FnOnce() -> String) {
        let after = self.start.elapsed();
        if let Some(tale) = &mut self.tale {
            tale.push(format!("{after:>12.3?} {}", what()));
        }
    }

    /// A dial: whether there will be a connection, and after how long.
    fn dialled(&mut self) -> (Option<bool>, Duration) {
        self.dials += 1;
        // A server that hung up at the first HELLO is greeted without it, and asked once more with it.
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
        self.tell(|| format!("dial: {fate:?}"));
        (fate, self.latency)
    }

    /// A new connection's number.
    fn open(&mut self) -> usize {
        let mut link = Link::new(self.room, self.piece);
        if self.rng.u8(0..100) < self.odds.short {
            link.life = self.rng.usize(1..600);
        }
        if self.rng.u8(0..100) < self.odds.short {
            link.left = self.rng.usize(1..1200);
        }
        link.reads = self.rng.u8(0..100) >= self.odds.mute;
        let (number, life, left) = (self.links.len(), link.life, link.left);
        self.tell(|| format!("connection {number}: life {life}, left {left}"));
        self.links.push(link);
        self.live.push(number);
        number
    }

    /// The server takes, runs, and answers; returns when it has something to do again.
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

    /// Runs the requests that have come whole.
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
            // Pushes and attributes come before any reply, but not before the first.
            match self.rng.u8(0..16) {
                0 if !words.starts_with("HELLO") => answer.insert_str(0, PUSH),
                1 if !words.starts_with("HELLO") => answer.insert_str(0, "|1\r\n+ttl\r\n:3600\r\n"),
                _ => {}
            }
            link.answers.push_back((due, answer.clone().into_bytes()));
            self.tell(|| format!("{number}: {} -> {answer:?}", words.get(..40).unwrap_or(&words)));
        }
    }

    /// Ends a connection where it is: some of what is on its way still comes, and what comes is run.
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
        self.tell(|| format!("{number}: {end:?}, {taken} bytes taken, {sent} of {answers} sent"));
    }

    /// Bytes out of turn.
    pub(crate) fn say(&mut self, number: usize, bytes: &[u8]) {
        self.links[number].answers.push_back((Instant::now(), bytes.to_vec()));
    }

    /// The connection that the client has.
    pub(crate) fn current(&self) -> Option<usize> {
        self.links.iter().rposition(|link| link.held && link.end.is_none())
    }

    /// From now on bytes come in large pieces.
    pub(crate) fn widen(&mut self) {
        self.links.iter_mut().for_each(|link| (link.room, link.piece) = (1 << 16, 1 << 16));
    }

    /// From now on nothing goes wrong by itself; but for connections that are dead and do not know it.
    pub(crate) fn heal(&mut self) {
        self.tell(|| "the faults end".to_owned());
        self.odds = Odds::default();
        self.latency = Duration::ZERO;
        self.server.state = State::Ready;
        for number in 0..self.links.len() {
            let dead = self.rng.u8(0..4) == 0;
            let link = &mut self.links[number];
            (link.life, link.left) = (usize::MAX, usize::MAX);
            if !dead {
                (link.reads, link.speaks) = (true, true);
            }
        }
    }
}

/// A frame that answers nobody.
pub(crate) const PUSH: &str = ">2\r\n+invalidate\r\n*1\r\n+k\r\n";
