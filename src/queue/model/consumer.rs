//! A consumer: what its tasks share, as the real one's do. Nothing here is real but the plan, the leases and the policy.

use super::mutant::Mutant;
use super::tasks::Sim;
use super::wire::{Answer, Command, Reply};
use crate::id::EntryId;
use crate::queue::policy::capabilities::Capabilities;
use crate::queue::policy::leases::{Key, Leases};
use crate::queue::policy::plan::Failure;
use crate::queue::settings::Settings;
use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

/// What all consumers of a history have in common.
pub(super) struct Common {
    pub(super) settings: Settings,
    pub(super) levels: usize,
    pub(super) ageing: u32,
    pub(super) grace: Duration,
    pub(super) mutant: Option<Mutant>,
    everyone: RefCell<Vec<Weak<Consumer>>>,
}

impl Common {
    pub(super) fn new(
        settings: Settings,
        levels: usize,
        ageing: u32,
        grace: Duration,
        mutant: Option<Mutant>,
    ) -> Self {
        Self { settings, levels, ageing, grace, mutant, everyone: RefCell::default() }
    }

    pub(super) fn welcome(&self, consumer: &Rc<Consumer>) {
        self.everyone.borrow_mut().push(Rc::downgrade(consumer));
    }

    /// All consumers that live.
    pub(super) fn everyone(&self) -> Vec<Rc<Consumer>> {
        let everyone = self.everyone.borrow();
        let there = everyone.iter().filter_map(Weak::upgrade);
        there.filter(|consumer| consumer.sim.world().is_alive(consumer.actor)).collect()
    }
}

/// Whether the lease was lost.
pub(super) type Token = Rc<Cell<bool>>;

pub(super) struct Consumer {
    pub(super) sim: Sim,
    pub(super) actor: usize,
    pub(super) common: Rc<Common>,
    /// The connections for reads that block, and for everything else.
    pub(super) reads: usize,
    pub(super) commands: usize,
    pub(super) concurrency: usize,
    pub(super) prefetch: usize,
    name: RefCell<(Bytes, u32)>,
    pub(super) held: RefCell<Leases<Token>>,
    lapsed: RefCell<BTreeMap<Key, Instant>>,
    pub(super) buffer: RefCell<VecDeque<Hold>>,
    pub(super) undecided: Cell<usize>,
    /// Jobs whose handlers run.
    pub(super) running: RefCell<Vec<(Key, u64, Token)>>,
    pub(super) acks: RefCell<Vec<Hold>>,
    /// Of these it knows that they may be pending, and not in its hands.
    pub(super) given_up: RefCell<BTreeMap<Key, Instant>>,
    pub(super) closing: Cell<bool>,
    pub(super) cancelled: Cell<bool>,
    pub(super) ended: Cell<bool>,
    /// Since when it has had room.
    pub(super) free_since: Cell<u64>,
    /// How often in a row it has recovered something.
    pub(super) recovers: Cell<u32>,
}

/// An entry in somebody's hands.
#[derive(Debug, Clone)]
pub(super) struct Hold {
    pub(super) key: Key,
    pub(super) ticket: u64,
    pub(super) attempt: u32,
    pub(super) job: usize,
    pub(super) token: Token,
}

impl Consumer {
    pub(super) fn new(sim: &Sim, common: &Rc<Common>, ppm: i64, hands: (usize, usize)) -> Rc<Self> {
        let mut world = sim.world();
        let actor = world.actor(ppm);
        let (reads, commands) = (world.link(actor, true), world.link(actor, false));
        Rc::new(Self {
            sim: sim.clone(),
            actor,
            common: Rc::clone(common),
            reads,
            commands,
            concurrency: hands.0,
            prefetch: hands.1,
            name: RefCell::new((name(actor, 0), 0)),
            held: RefCell::new(Leases::new(common.settings.lease)),
            lapsed: RefCell::default(),
            buffer: RefCell::default(),
            undecided: Cell::new(0),
            running: RefCell::default(),
            acks: RefCell::default(),
            given_up: RefCell::default(),
            closing: Cell::new(false),
            cancelled: Cell::new(false),
            ended: Cell::new(false),
            free_since: Cell::new(world.now),
            recovers: Cell::new(0),
        })
    }

    pub(super) fn start(self: &Rc<Self>) {
        self.sim.spawn(self.actor, super::reading::run(Rc::clone(self)));
        self.sim.spawn(self.actor, super::keeping::run(Rc::clone(self)));
        self.sim.spawn(self.actor, super::deciding::run(Rc::clone(self)));
        self.sim.spawn(self.actor, super::working::run(Rc::clone(self)));
    }

    pub(super) fn is(&self, mutant: Mutant) -> bool {
        self.common.mutant == Some(mutant)
    }

    pub(super) fn now(&self) -> Instant {
        self.sim.clock(self.actor)
    }

    pub(super) fn random(&self) -> f64 {
        self.sim.world().rng.f64()
    }

    pub(super) fn lease(&self) -> Duration {
        self.common.settings.lease
    }

    pub(super) fn capabilities(&self) -> Capabilities {
        self.sim.world().server.capabilities
    }

    pub(super) fn name(&self) -> Bytes {
        self.name.borrow().0.clone()
    }

    /// The old one may have been given up for dead.
    pub(super) fn rename(&self) {
        let mut name_of = self.name.borrow_mut();
        *name_of = (name(self.actor, name_of.1 + 1), name_of.1 + 1);
    }

    pub(super) fn tell(&self, what: impl FnOnce() -> String) {
        self.sim.world().tell(|| format!("  {}: {}", self.actor, what()));
    }

    /// The reply to one command that waits for nothing.
    pub(super) async fn ask(&self, command: Command) -> Result<Reply, Failure> {
        one(self.sim.call(self.commands, vec![command]).await)
    }

    pub(super) fn room(&self) -> usize {
        let most = self.concurrency + self.prefetch;
        most.saturating_sub(self.undecided.get())
    }

    /// Takes an entry on that a command brought which was sent at `since`.
    pub(super) fn take(&self, key: Key, since: Instant, attempt: u32, job: usize) -> Option<Hold> {
        let now = self.now();
        let since = if self.is(Mutant::LeaseFromReply) { now } else { since };
        if !self.is(Mutant::BeatsLate) {
            self.lapse(now);
        }
        let token = Token::default();
        let ticket = {
            let mut held = self.held.borrow_mut();
            if now >= held.deadline(since) {
                drop(held);
                self.give_up(key);
                return None;
            }
            let ticket = held.insert(key, since, now, Rc::clone(&token));
            if self.is(Mutant::TakesTwice) && ticket.is_none() { Some(0) } else { ticket }
        };
        self.undecided.set(self.undecided.get() + usize::from(ticket.is_some()));
        Some(Hold { key, ticket: ticket?, attempt, job, token })
    }

    /// Cancels what is no longer believed in.
    pub(super) fn lapse(&self, now: Instant) {
        let lost = self.held.borrow_mut().take_expired(now);
        self.lose(lost);
    }

    pub(super) fn lose(&self, mut lost: Vec<(Key, Token)>) {
        lost.sort_by_key(|(key, _)| *key);
        for (key, token) in lost {
            self.tell(|| format!("{key:?} is lost"));
            token.set(true);
            self.was_run(key);
            self.sim.world().stir(self.actor);
        }
    }

    /// It was run, and may be given to us again.
    pub(super) fn was_run(&self, key: Key) {
        self.lapsed.borrow_mut().insert(key, self.now());
        self.give_up(key);
    }

    pub(super) fn has_lapsed(&self, key: Key) -> bool {
        self.lapsed.borrow().contains_key(&key)
    }

    pub(super) fn forget_lapsed(&self, before: Instant) {
        self.lapsed.borrow_mut().retain(|_, at| *at >= before);
    }

    /// It may be pending for us from now on without being in our hands, and we know it.
    pub(super) fn give_up(&self, key: Key) {
        self.given_up.borrow_mut().insert(key, self.now());
    }

    /// Whether it is at work on this, or will be, and believes that nobody else is.
    pub(super) fn believes(&self, key: Key) -> bool {
        let (now, held) = (self.now(), self.held.borrow());
        let hold = |hold: &Hold| hold.key == key && held.is_valid(key, hold.ticket, now);
        let runs =
            |(at, ticket, _): &(Key, u64, Token)| *at == key && held.is_valid(key, *ticket, now);
        self.buffer.borrow().iter().any(hold) || self.running.borrow().iter().any(runs)
    }

    /// What was in hand is decided, or lost.
    pub(super) fn put_down(&self) {
        self.undecided.set(self.undecided.get() - 1);
        self.sim.world().stir(self.actor);
    }
}

fn name(actor: usize, number: u32) -> Bytes {
    format!("w{actor}.{number}").into()
}

/// The answer to a request of one command, if it is what was asked for.
pub(super) fn one(answer: Answer) -> Result<Reply, Failure> {
    match answer?.pop() {
        Some(Reply::NoGroup) => Err(Failure::NoGroup),
        Some(reply) => Ok(reply),
        None => Err(Failure::Unknown),
    }
}

/// Ids of one stream, as keys.
pub(super) fn keys(level: usize, ids: &[EntryId]) -> Vec<Key> {
    ids.iter().map(|id| (level, *id)).collect()
}
