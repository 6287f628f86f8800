//! Connections between processes and the server, which break.
//!
//! A request that was sent arrives, in the order of sending; or its connection is cut before, and then it still arrives, or
//! not. What has run is answered, unless the connection was cut before the answer came. A request without a connection waits for
//! one. Reads that wait are served in the order in which they came.

use super::wire::{Answer, Command, Reply};
use super::world::{Event, S, Us, World, us};
use crate::queue::policy::plan::Failure;
use std::collections::VecDeque;
use std::time::Duration;

/// A request has so long to be answered.
const LIMIT: Us = 5 * S;

/// The number of a request, by which its answer is asked for.
pub(super) type Call = u64;

/// How good the network is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Weather {
    /// The longest that most requests and answers take.
    pub(super) latency: Us,
    /// Of a thousand so many are slow.
    pub(super) slow: u32,
    /// How long slow requests and slow answers take at most.
    pub(super) slowness: (Us, Us),
    /// Of a thousand requests, and answers, so many are lost and end their connection; and so many requests are refused.
    pub(super) breaks: u32,
    pub(super) refuses: u32,
}

#[derive(Debug)]
pub(super) struct Request {
    link: usize,
    epoch: usize,
    call: Call,
    sent: Us,
    commands: Vec<Command>,
}

/// The connections of one client, one after the other.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) actor: usize,
    /// Whether it is for reads that wait: it is given up when one takes too long.
    reads: bool,
    state: State,
    /// How many connections there were before.
    epoch: usize,
    /// Until when what was sent on each of those still arrives.
    arrive_until: Vec<Us>,
    /// When the last request arrives, and the last answer.
    last: (Us, Us),
    unanswered: Vec<Call>,
    outbox: VecDeque<Request>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Up,
    /// Cut, and nobody has noticed.
    Cut,
    Down,
}

/// A read that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    link: usize,
    epoch: usize,
    call: Call,
    command: Command,
    until: Us,
}

impl World {
    pub(super) fn link(&mut self, actor: usize, reads: bool) -> usize {
        self.links.push(Link {
            actor,
            reads,
            state: if self.serves { State::Up } else { State::Cut },
            epoch: 0,
            arrive_until: Vec::new(),
            last: (0, 0),
            unanswered: Vec::new(),
            outbox: VecDeque::new(),
        });
        let link = self.links.len() - 1;
        if !self.serves {
            self.at(self.now, Event::Notice(link));
        }
        link
    }

    /// Which connection it is.
    pub(super) fn epoch(&self, link: usize) -> usize {
        self.links[link].epoch
    }

    /// The connections of all processes that live.
    pub(super) fn live_links(&self) -> Vec<usize> {
        (0..self.links.len()).filter(|link| self.is_alive(self.links[*link].actor)).collect()
    }

    fn latency(&mut self, slowness: Us) -> Us {
        let Weather { latency, slow, .. } = self.weather;
        let slow = self.rng.u32(0..1_000) < slow;
        if slow { self.rng.u64(..=slowness) } else { self.rng.u64(50..=latency) }
    }

    /// Sends a request.
    pub(super) fn send(&mut self, link: usize, commands: Vec<Command>) -> Call {
        let call = self.number();
        self.calls.insert(call, None);
        let epoch = self.links[link].epoch;
        let request = Request { link, epoch, call, sent: self.now, commands };
        match self.links[link].state {
            State::Up => self.depart(request),
            State::Cut => self.links[link].unanswered.push(call),
            State::Down => {
                self.links[link].outbox.push_back(request);
                self.at(self.now + LIMIT, Event::Expire { link, call });
            }
        }
        call
    }

    fn depart(&mut self, request: Request) {
        let arrives = self.now + self.latency(self.weather.slowness.0);
        let link = &mut self.links[request.link];
        link.unanswered.push(request.call);
        link.last.0 = link.last.0.max(arrives);
        let arrives = link.last.0;
        if arrives > self.now + LIMIT {
            self.at(self.now + LIMIT, Event::Expire { link: request.link, call: request.call });
        }
        self.at(arrives, Event::Arrive(request));
    }

    /// The answer, if it has come.
    pub(super) fn take_answer(&mut self, call: Call) -> Option<Answer> {
        self.calls.get(&call)?.as_ref()?;
        self.calls.remove(&call).flatten()
    }

    /// Nobody waits for the answer any more. What was not sent is not sent then.
    pub(super) fn forget(&mut self, link: usize, call: Call) {
        self.calls.remove(&call);
        self.links[link].outbox.retain(|request| request.call != call);
    }

    fn resolve(&mut self, link: usize, call: Call, answer: Answer) {
        self.links[link].unanswered.retain(|other| *other != call);
        if let Some(place) = self.calls.get_mut(&call).filter(|place| place.is_none()) {
            *place = Some(answer);
            self.stir(self.links[link].actor);
        }
    }

    /// Something that is nobody's business but the world's.
    pub(super) fn happen(&mut self, event: Event) {
        match event {
            Event::Poll(_) => {}
            Event::Arrive(request) => self.arrive(request),
            Event::Answer { link, epoch, call, answer } => {
                if self.links[link].epoch == epoch {
                    self.resolve(link, call, answer);
                }
            }
            Event::Serve => self.serve(),
            Event::Notice(link) => {
                let reconnect = self.rng.u64(5_000..300_000);
                self.links[link].state = State::Down;
                for call in std::mem::take(&mut self.links[link].unanswered) {
                    self.resolve(link, call, Err(Failure::Unknown));
                }
                self.at(self.now + reconnect, Event::Up(link));
            }
            Event::Up(link) if !self.is_alive(self.links[link].actor) => {}
            Event::Up(link) if !self.serves => self.at(self.now + S / 10, Event::Up(link)),
            Event::Up(link) => {
                self.links[link].state = State::Up;
                for mut request in std::mem::take(&mut self.links[link].outbox) {
                    request.epoch = self.links[link].epoch;
                    self.depart(request);
                }
            }
            Event::Expire { link, call } => {
                let outbox = &mut self.links[link].outbox;
                let waits = outbox.iter().position(|request| request.call == call);
                let unsent = waits.and_then(|place| outbox.remove(place)).is_some();
                let trouble = if unsent { Failure::Refused } else { Failure::Unknown };
                let waits = self.links[link].unanswered.contains(&call);
                self.resolve(link, call, Err(trouble));
                if self.links[link].reads && waits {
                    self.cut(link);
                }
            }
        }
    }

    /// Whether what was sent on this connection comes through, which may have been cut.
    fn comes_through(&self, link: usize, epoch: usize) -> bool {
        let link = &self.links[link];
        self.serves && link.arrive_until.get(epoch).is_none_or(|until| self.now <= *until)
    }

    fn arrive(&mut self, request: Request) {
        let Request { link, epoch, call, sent, commands } = request;
        if !self.comes_through(link, epoch) {
            return;
        }
        let waits = self.calls.get(&call).is_some_and(Option::is_none);
        let late = epoch != self.links[link].epoch || !waits;
        if !late && self.rng.u32(..1_000) < self.weather.breaks {
            return self.cut(link);
        }
        if self.rng.u32(..1_000) < self.weather.refuses {
            return self.answer(link, epoch, call, Err(Failure::Refused));
        }
        // Not all of it may have come before the cut.
        let some = if late { self.rng.usize(1..=commands.len()) } else { commands.len() };
        let far = Duration::from_micros(self.now - sent) > self.lease.mul_f64(0.24);
        let mut answer = Vec::with_capacity(some);
        for command in commands.into_iter().take(some) {
            if far {
                let until = self.excuse();
                command.takes().for_each(|key| self.ledger.excuse(key, until));
            }
            let reply = self.run(&command);
            self.tell(|| {
                format!("{link}{}: {command:?} -> {reply:?}", if late { ", late" } else { "" })
            });
            match (reply, command.block()) {
                (Some(reply), _) => {
                    if late {
                        self.ledger.late(&command, &reply);
                    }
                    answer.push(reply);
                }
                (None, None) => answer.push(Reply::Entries(Vec::new())),
                (None, Some(block)) => {
                    let until = self.now + us(block);
                    self.waiting.push(Waiting { link, epoch, call, command, until });
                    self.at(until, Event::Serve);
                    return self.serve_when_due();
                }
            }
            match command {
                Command::Add { .. } | Command::Nack { .. } => self.serve(),
                Command::Claim(claim) if claim.idle.is_some() => self.serve_when_due(),
                _ => {}
            }
        }
        self.answer(link, epoch, call, Ok(answer));
    }

    fn run(&mut self, command: &Command) -> Option<Reply> {
        let time = self.server_time();
        self.server.run(command, time, &mut self.ledger)
    }

    fn answer(&mut self, link: usize, epoch: usize, call: Call, answer: Answer) {
        if self.links[link].epoch != epoch {
            return;
        }
        if self.rng.u32(..1_000) < self.weather.breaks {
            return self.cut(link);
        }
        let comes = self.now + self.latency(self.weather.slowness.1);
        let last = &mut self.links[link].last.1;
        *last = comes.max(*last);
        let comes = *last;
        self.at(comes, Event::Answer { link, epoch, call, answer });
    }

    /// Looks after reads that wait, when the next pending entry may be claimed.
    fn serve_when_due(&mut self) {
        let claims = |waiting: &Waiting| match &waiting.command {
            Command::Read { read, .. } => read.claim,
            _ => None,
        };
        let Some(least) = self.waiting.iter().find_map(claims) else { return };
        let Some(due) = self.server.next_due(least) else { return };
        let due = self.when(due).max(self.now + 1_000);
        if self.serve_at.is_none_or(|at| at > due || at <= self.now) {
            self.serve_at = Some(due);
            self.at(due, Event::Serve);
        }
    }

    pub(super) fn serve(&mut self) {
        for waiting in std::mem::take(&mut self.waiting) {
            let over = waiting.until <= self.now;
            let reply = self.run(&waiting.command);
            match reply.or_else(|| over.then(|| Reply::Entries(Vec::new()))) {
                // Redis 6.2 does not notice, and goes on waiting.
                Some(Reply::NoGroup) if !over && !self.server.capabilities.deleted => {
                    self.waiting.push(waiting);
                }
                Some(reply) => {
                    let Waiting { link, epoch, call, command, .. } = waiting;
                    if epoch != self.links[link].epoch {
                        self.ledger.late(&command, &reply);
                    }
                    self.tell(|| format!("{link}: {reply:?} for who waits"));
                    self.answer(link, epoch, call, Ok(vec![reply]));
                }
                None => self.waiting.push(waiting),
            }
        }
        self.serve_when_due();
    }

    /// CLIENT UNBLOCK.
    pub(super) fn unblock(&mut self, link: usize) {
        for waiting in &mut self.waiting {
            if waiting.link == link {
                waiting.until = self.now;
            }
        }
        self.at(self.now, Event::Serve);
    }

    /// Cuts a connection: some of what is on its way still arrives, no answer does.
    pub(super) fn cut(&mut self, link: usize) {
        if self.links[link].state != State::Up {
            return;
        }
        self.cuts += 1;
        let arrive_until = match self.rng.u8(0..3) {
            0 => self.now,
            1 => self.now + self.rng.u64(..=self.weather.latency),
            _ => self.now + 2 * S,
        };
        let notice = if self.rng.bool() { self.rng.u64(..20_000) } else { self.rng.u64(..2 * S) };
        // The server may notice later: what it gives to who waits there is lost.
        if self.rng.bool() {
            self.waiting.retain(|waiting| waiting.link != link);
        }
        let Link { state, epoch, arrive_until: untils, last, .. } = &mut self.links[link];
        (*state, *last) = (State::Cut, (0, 0));
        *epoch += 1;
        untils.push(arrive_until);
        self.at(self.now + notice, Event::Notice(link));
        self.tell(|| format!("{link}: cut"));
    }

    /// The server is gone: every connection is cut, and nothing more arrives.
    pub(super) fn crash(&mut self) {
        self.serves = false;
        for link in 0..self.links.len() {
            self.cut(link);
            let last = self.links[link].arrive_until.last_mut();
            last.into_iter().for_each(|until| *until = self.now.min(*until));
        }
        self.waiting.clear();
    }
}
