//! The events of a server: bytes arrive, connections begin and end, time passes. No I/O.

use super::dispatch::{self, Step};
use super::fault::{End, Fault, Kind};
use super::link::{Link, Parcel};
use super::output;
use super::state::{Activity, Key, Read, State};
use super::store::Reply;
use bytes::Bytes;
use std::time::{Duration, Instant};

impl State {
    /// Opens a connection. `None`: it is refused.
    pub(super) fn connect(&mut self) -> Option<Key> {
        if !self.running || self.faults.refuse() {
            return None;
        }
        let key = self.open(false);
        let mut link = Link::default();
        let lanes =
            [(&mut link.requests, self.stalls.requests), (&mut link.replies, self.stalls.replies)];
        for (lane, stalled) in lanes {
            stalled.into_iter().for_each(|until| lane.stall(until));
        }
        self.links.insert(key, link);
        Some(key)
    }

    /// Takes bytes from a client. Returns how many; 0 if there is no room.
    pub(super) fn write(&mut self, key: Key, bytes: &[u8]) -> usize {
        let at = self.clock.after(self.latency);
        let id = self.sessions.get(&key).map(|session| session.id);
        let Some(link) = self.links.get_mut(&key) else { return bytes.len() };
        let Some(id) = id else { return bytes.len() };
        let len = bytes.len().min(link.requests.room());
        let Some(bytes) = bytes.get(..len).filter(|bytes| !bytes.is_empty()) else { return 0 };
        let cut = self.faults.count_requests(id, len);
        // Bytes after the cut were accepted, and are lost.
        let passed = cut.map_or(len, |(passed, _)| passed);
        let passed = Bytes::copy_from_slice(bytes.get(..passed).unwrap_or_default());
        link.requests.send(Parcel::Bytes(passed), at);
        if let Some((_, end)) = cut {
            link.requests.send(Parcel::End(end), at);
        }
        self.receive(key);
        len
    }

    /// Ends a client's side of a connection. It reads no more if it is `gone`.
    pub(super) fn hang_up(&mut self, key: Key, gone: bool) {
        let at = self.clock.after(self.latency);
        let open = self.sessions.contains_key(&key);
        let Some(link) = self.links.get_mut(&key) else { return };
        link.abandoned |= gone;
        if gone {
            self.wakers.extend(link.reader.take());
            self.wakers.extend(link.writer.take());
        }
        if open {
            link.requests.send(Parcel::End(End::Eof), at);
            self.receive(key);
        } else if link.abandoned {
            self.links.remove(&key);
        }
    }

    /// Runs the requests of a connection that have arrived.
    fn receive(&mut self, key: Key) {
        let now = self.clock.now();
        while let Some(parcel) =
            self.links.get_mut(&key).and_then(|link| link.requests.arrived(now))
        {
            match parcel {
                Parcel::Bytes(bytes) => {
                    if let Some(session) = self.session(key) {
                        session.input.extend(&bytes);
                    }
                    self.resumed.push_back(key);
                }
                // What is complete runs before the connection ends.
                Parcel::End(end) => {
                    self.run_ahead();
                    self.close(key, end);
                }
            }
        }
        if let Some(link) = self.links.get_mut(&key) {
            if link.requests.room() > 0 {
                self.wakers.extend(link.writer.take());
            }
        }
        self.run_ahead();
    }

    /// Runs the requests of the connections that may go on.
    fn run_ahead(&mut self) {
        while let Some(key) = self.resumed.pop_front() {
            while let Some(next) = self.next_request(key) {
                match next {
                    Ok(args) => {
                        let id = self.sessions.get(&key).map_or(0, |session| session.id);
                        self.note(id, &args);
                        dispatch::request(self, key, args);
                    }
                    Err(error) => {
                        if let Some(session) = self.session(key) {
                            session.closing = true;
                        }
                        output::send(self, key, &Reply::error(error));
                    }
                }
            }
        }
    }

    fn next_request(&mut self, key: Key) -> Option<Result<Vec<Bytes>, String>> {
        let session = self.session(key)?;
        if !matches!(session.activity, Activity::Ready) {
            return None;
        }
        session.input.next().transpose()
    }

    /// Lets time pass. What is due happens.
    pub(super) fn advance_to(&mut self, now: Instant) {
        self.clock.advance_to(now);
        if self.next.is_some_and(|next| next <= self.clock.now()) {
            self.tick();
        }
    }

    /// Lets happen what an action has made due. Returns the next event.
    pub(super) fn settle(&mut self) -> Option<Instant> {
        self.next = self.next_event();
        if self.next.is_some_and(|next| next <= self.clock.now()) {
            self.tick();
            self.next = self.next_event();
        }
        self.next
    }

    /// Lets everything happen that is due.
    fn tick(&mut self) {
        let now = self.clock.now();
        for key in self.links.keys().copied().collect::<Vec<_>>() {
            self.receive(key);
            if let Some(link) = self.links.get_mut(&key) {
                if link.receive(now) {
                    self.wakers.extend(link.reader.take());
                }
            }
        }
        if self.paused().is_none() {
            self.pause = None;
            self.run_postponed();
        }
        self.store.expire(self.clock.now_ms());
        dispatch::serve(self);
        self.end_waits();
        self.claim();
        self.run_ahead();
    }

    /// Runs what CLIENT PAUSE has held back.
    fn run_postponed(&mut self) {
        while let Some(key) = self.postponed.pop_front() {
            let Some(session) = self.session(key) else { continue };
            let activity = std::mem::replace(&mut session.activity, Activity::Ready);
            if let Activity::Postponed(args) = activity {
                dispatch::request(self, key, args);
                self.resumed.push_back(key);
            }
            // It may have been CLIENT PAUSE.
            if self.paused().is_some() {
                return;
            }
        }
    }

    /// Answers the connections whose wait is over.
    fn end_waits(&mut self) {
        let now_ms = self.clock.now_ms();
        let mut due = Vec::new();
        for (key, session) in &self.sessions {
            let (until, reply) = match &session.activity {
                Activity::Reading(Read { until_ms: Some(until), .. }) => (*until, Reply::NullArray),
                Activity::Waiting { until_ms: Some(until), reply } => (*until, reply.clone()),
                _ => continue,
            };
            if until <= now_ms {
                due.push((until, *key, reply));
            }
        }
        due.sort_by_key(|(until, key, _)| (*until, *key));
        for (_, key, reply) in due {
            output::resume(self, key, &reply);
        }
    }

    /// Runs the reads that wait for pending entries which are old enough.
    fn claim(&mut self) {
        let now_ms = self.clock.now_ms();
        let mut due = Vec::new();
        for (key, session) in &self.sessions {
            let Activity::Reading(read) = &session.activity else { continue };
            if let Some((at, of)) = read.claim.as_ref().filter(|(at, _)| *at <= now_ms) {
                due.push((*at, read.turn, *key, session.db, of.clone()));
            }
        }
        due.sort();
        for (_, _, key, db, of) in due {
            dispatch::resume(self, key, db, &of);
            let context = self.context(key);
            let session = self.sessions.get_mut(&key);
            if let Some(Activity::Reading(read)) = session.map(|session| &mut session.activity) {
                read.claim = self.store.claimable_at(context, &read.blocked);
            }
        }
        dispatch::serve(self);
    }

    /// Returns the next moment at which something happens by itself.
    pub(super) fn next_event(&self) -> Option<Instant> {
        let now_ms = self.clock.now_ms();
        // What is due and did not happen is tried again later, and not at once.
        let moment = |at: u64| self.clock.moment(at.max(now_ms + 1));
        // Loops: this is done after each step, and takes a good part of a simulation's time.
        let mut arrival: Option<Instant> = None;
        for link in self.links.values() {
            for at in [link.requests.next_arrival(), link.replies.next_arrival()] {
                let Some(at) = at else { continue };
                arrival = Some(arrival.map_or(at, |first| first.min(at)));
            }
        }
        let mut wait = u64::MAX;
        for session in self.sessions.values() {
            let (until, claim) = match &session.activity {
                Activity::Reading(read) => (read.until_ms, read.claim.as_ref().map(|(at, _)| *at)),
                Activity::Waiting { until_ms, .. } => (*until_ms, None),
                _ => continue,
            };
            wait = wait.min(until.unwrap_or(u64::MAX)).min(claim.unwrap_or(u64::MAX));
        }
        let wait = (wait < u64::MAX).then(|| moment(wait));
        let pause = self.postponed.front().map(|_| match self.pause {
            Some(pause) => self.clock.moment(pause.until_ms),
            // CLIENT UNPAUSE has ended it.
            None => self.clock.now(),
        });
        let expiry = self.store.next_expiry().filter(|_| !self.readers.is_empty()).map(moment);
        [arrival, wait, pause, expiry].into_iter().flatten().min()
    }

    /// Adds a fault. A stall begins at once.
    pub(super) fn inject(&mut self, fault: Fault) {
        let connection = fault.connection;
        match fault.kind {
            Kind::StallRequests(time) => self.stall(connection, time, true),
            Kind::StallReplies(time) => self.stall(connection, time, false),
            _ => self.faults.add(fault),
        }
    }

    fn stall(&mut self, connection: Option<i64>, time: Duration, requests: bool) {
        let until = self.clock.after(time);
        let key = connection.map(|id| self.key_of(id));
        let affected =
            self.links.iter_mut().filter(|(own, _)| key.is_none_or(|key| key == Some(**own)));
        for (_, link) in affected {
            (if requests { &mut link.requests } else { &mut link.replies }).stall(until);
        }
        if connection.is_none() {
            let stalled =
                if requests { &mut self.stalls.requests } else { &mut self.stalls.replies };
            *stalled = (*stalled).max(Some(until));
        }
    }

    /// Removes the faults that have not happened, and ends the stalls.
    pub(super) fn clear_faults(&mut self) {
        self.faults.clear();
        self.stalls = Default::default();
        for link in self.links.values_mut() {
            link.requests.flow();
            link.replies.flow();
        }
        self.tick();
    }

    /// Moves the unix clock, forward or back.
    pub(super) fn move_clock(&mut self, by: Duration, forward: bool) {
        self.clock.move_by(by, forward);
        self.tick();
    }

    /// Runs a command of the test itself, and returns its reply. It does not wait.
    pub(super) fn command(&mut self, args: &[Bytes]) -> Vec<u8> {
        let key = self.open(true);
        if let Some(session) = self.session(key) {
            session.resp3 = true;
        }
        let reply = match dispatch::step(self, key, args) {
            Step::Reply(reply) | Step::Wait(reply, _) => reply,
            Step::Read(_) | Step::Postpone | Step::Gone => Reply::NullArray,
        };
        self.sessions.remove(&key);
        dispatch::serve(self);
        self.run_ahead();
        let mut out = Vec::new();
        reply.write(true, &mut out);
        out
    }

    /// Ends all connections and refuses new ones.
    pub(super) fn stop(&mut self) {
        self.running = false;
        self.close_all(End::Eof);
        self.pause = None;
    }

    /// Accepts connections again, with the data that is there.
    pub(super) fn start(&mut self) {
        self.running = true;
        self.restart_ids();
        self.reset_users();
    }

    /// Loses the writes that were not synced.
    pub(super) fn lose_unsynced(&mut self) {
        if !self.settings.syncs_always() {
            self.store = self.synced.clone();
        }
    }

    /// Makes the replica the master. The connections stay with the old one, which is a replica now.
    pub(super) fn fail_over(&mut self) {
        self.store = self.replica.clone();
        self.synced = self.store.clone();
        output::unblock_all(self);
        for session in self.sessions.values_mut() {
            session.demoted = true;
            session.transaction = None;
        }
        self.restart_ids();
        self.run_ahead();
    }
}
