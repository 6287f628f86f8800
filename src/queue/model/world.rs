//! The world of one history: true time, processes with clocks of their own, the server.

use super::ledger::Ledger;
use super::net::{Call, Link, Request, Waiting, Weather};
use super::server::{Ms, Server, ms};
use super::wire::Answer;
use fastrand::Rng;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Microseconds of true time.
pub(super) type Us = u64;

pub(super) const S: Us = 1_000_000;

/// What happens at a time.
#[derive(Debug)]
pub(super) enum Event {
    /// A process looks at what is new.
    Poll(usize),
    Arrive(Request),
    Answer {
        link: usize,
        epoch: usize,
        call: Call,
        answer: Answer,
    },
    /// A read that waits may have something, or has waited long enough.
    Serve,
    /// That a connection was cut is noticed; then there is a new one.
    Notice(usize),
    Up(usize),
    /// A request has waited long enough for its answer.
    Expire {
        link: usize,
        call: Call,
    },
}

/// A process.
#[derive(Debug)]
struct Actor {
    alive: bool,
    /// How much faster its clock is, in millionths.
    ppm: i64,
    asleep_until: Us,
    /// Whether it looks at once.
    stirred: bool,
}

pub(super) struct World {
    pub(super) now: Us,
    pub(super) rng: Rng,
    pub(super) server: Server,
    /// Whether the server is there at all.
    pub(super) serves: bool,
    /// How far the server's clock is from the true time.
    pub(super) ahead: Ms,
    pub(super) weather: Weather,
    pub(super) lease: Duration,
    pub(super) ledger: Ledger,
    pub(super) steps: u64,
    /// How often a process or the server ended without a word, and connections were cut.
    pub(super) crashes: usize,
    pub(super) cuts: usize,
    /// What happened, if anybody wants to know.
    pub(super) tale: Option<Vec<String>>,
    pub(super) calls: BTreeMap<Call, Option<Answer>>,
    pub(super) links: Vec<Link>,
    pub(super) waiting: Vec<Waiting>,
    /// When those are looked at again.
    pub(super) serve_at: Option<Us>,
    events: BTreeMap<(Us, u64), Event>,
    number: u64,
    actors: Vec<Actor>,
    start: Instant,
}

impl World {
    pub(super) fn new(
        rng: Rng,
        server: Server,
        lease: Duration,
        ledger: Ledger,
        tell: bool,
    ) -> Self {
        Self {
            now: 0,
            rng,
            server,
            serves: true,
            ahead: 1_000_000_000,
            weather: Weather::default(),
            lease,
            ledger,
            steps: 0,
            crashes: 0,
            cuts: 0,
            tale: tell.then(Vec::new),
            calls: BTreeMap::new(),
            links: Vec::new(),
            waiting: Vec::new(),
            serve_at: None,
            events: BTreeMap::new(),
            number: 0,
            actors: Vec::new(),
            start: Instant::now(),
        }
    }

    pub(super) fn tell(&mut self, what: impl FnOnce() -> String) {
        let now = Duration::from_micros(self.now);
        if let Some(tale) = &mut self.tale {
            tale.push(format!("{:>10.3} {}", now.as_secs_f64(), what()));
        }
    }

    pub(super) fn at(&mut self, time: Us, event: Event) {
        let number = self.number();
        self.events.insert((time.max(self.now), number), event);
    }

    pub(super) fn pop(&mut self) -> Option<Event> {
        let ((time, _), event) = self.events.pop_first()?;
        self.now = time;
        self.steps += 1;
        Some(event)
    }

    /// A new process; its clock may be a little fast or slow.
    pub(super) fn actor(&mut self, ppm: i64) -> usize {
        self.actors.push(Actor { alive: true, ppm, asleep_until: 0, stirred: false });
        self.actors.len() - 1
    }

    pub(super) fn is_alive(&self, actor: usize) -> bool {
        self.actors[actor].alive
    }

    /// A process ends, and its connections with it.
    pub(super) fn end(&mut self, actor: usize) {
        self.actors[actor].alive = false;
        for link in 0..self.links.len() {
            if self.links[link].actor == actor {
                self.cut(link);
            }
        }
    }

    /// A process does nothing for some time.
    pub(super) fn sleep(&mut self, actor: usize, time: Us) {
        let until = &mut self.actors[actor].asleep_until;
        *until = (self.now + time).max(*until);
    }

    /// Whether a process may look now; if it is asleep, it will later.
    pub(super) fn may_look(&mut self, actor: usize) -> bool {
        let Actor { alive, asleep_until, .. } = self.actors[actor];
        self.actors[actor].stirred = false;
        if alive && asleep_until > self.now {
            self.stir_at(actor, asleep_until);
            return false;
        }
        alive
    }

    /// A process looks at what is new.
    pub(super) fn stir(&mut self, actor: usize) {
        if !std::mem::replace(&mut self.actors[actor].stirred, true) {
            self.at(self.now, Event::Poll(actor));
        }
    }

    pub(super) fn stir_at(&mut self, actor: usize, time: Us) {
        self.at(time, Event::Poll(actor));
    }

    /// The time by the clock of a process.
    pub(super) fn clock(&self, actor: usize) -> Instant {
        let off =
            i64::try_from(self.now).unwrap_or_default() / 1_000 * self.actors[actor].ppm / 1_000;
        self.start + Duration::from_micros(self.now.saturating_add_signed(off))
    }

    /// The true time at which a process's clock will show this.
    pub(super) fn true_time(&self, actor: usize, clock: Instant) -> Us {
        let shown = clock.saturating_duration_since(self.start).as_micros();
        let rate = u128::from(1_000_000_u64.saturating_add_signed(self.actors[actor].ppm));
        // A little later is late enough.
        Us::try_from(shown * 1_000_000 / rate).unwrap_or(Us::MAX) + 1_000
    }

    pub(super) fn server_time(&self) -> Ms {
        Ms::try_from(self.now / 1_000).unwrap_or_default() + self.ahead
    }

    /// The true time at which the server's clock shows this, if it does not jump.
    pub(super) fn when(&self, server: Ms) -> Us {
        Us::try_from(server - self.ahead).unwrap_or_default() * 1_000
    }

    /// How long what happens now may be to blame for what comes of it.
    pub(super) fn excuse(&self) -> Us {
        self.now + us(self.lease * 2) + S
    }

    pub(super) fn number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }
}

pub(super) fn us(time: Duration) -> Us {
    Us::try_from(ms(time)).unwrap_or_default() * 1_000
}
