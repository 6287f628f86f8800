//! Carries out the plan, and delivers the entries that it reads or claims. A task.

mod blocking;
mod claiming;
mod command;
mod counts;
mod front;
mod group;
mod unread;

use self::command::command;
use self::counts::Counts;
use crate::client::Client;
use crate::command::XInfoStream;
use crate::entry::{Entries, Streams};
use crate::error::{Code, Error, Outcome};
use crate::id::EntryId;
use crate::queue::cause::Reason;
use crate::queue::codec::origin::Address;
use crate::queue::consumer::in_flight::{InFlight, Out, Settler};
use crate::queue::consumer::state::State;
use crate::queue::error::QueueError;
use crate::queue::event::QueueEvent;
use crate::queue::first::{Either, both, either, first};
use crate::queue::operation::claim::{self, Claimed};
use crate::queue::operation::clock;
use crate::queue::policy::batch::{self, Batch};
use crate::queue::policy::capabilities::Capabilities;
use crate::queue::policy::decision::Decision;
use crate::queue::policy::front::{Front, PATIENCE};
use crate::queue::policy::mark::{Mark, moving, split_count, was_alone};
use crate::queue::policy::plan::{Failure, Plan, Read, Step};
use crate::random;
use crate::reader::Reader;
use crate::server::Server;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// The time to wait for more capacity, while there is little.
const GATHER: Duration = Duration::from_millis(1);

/// The time that the last step may take when the consumer closes.
const LAST: Duration = Duration::from_secs(1);

pub(crate) struct Fetch {
    state: Arc<State>,
    plan: Plan,
    reader: Reader,
    settler: Settler,
    out: Out,
    /// The server reported on the connection that was checked last. An id alone is not sufficient:
    /// another server, or a restarted one, may assign the same.
    greeting: Option<Arc<Server>>,
    /// Its connection id, for servers that do not report themselves.
    connection: Option<i64>,
    /// For each stream, the highest id received from it.
    seen: Vec<EntryId>,
    /// For each stream, whether the reply to its last check was too large.
    unchecked: Vec<bool>,
    batch: Batch,
    unread: Counts,
    front: Front,
    /// The time until which the stream on which others wait for a place is not used: it could not be.
    no_aside_until: Option<Instant>,
    /// The time of the server's last reply.
    answered: Instant,
    /// The queue's own client: nothing is fetched once it is closed.
    client: Client,
}

impl Fetch {
    pub(crate) fn new(
        state: Arc<State>,
        plan: Plan,
        (reader, reply_bytes): (Reader, usize),
        settler: Settler,
        out: Out,
        client: Client,
    ) -> Self {
        let seen = vec![EntryId::MIN; state.levels.len()];
        let unchecked = vec![false; state.levels.len()];
        let (greeting, connection) = (reader.server(), reader.connection_id());
        let capabilities = Capabilities::of(greeting.as_deref());
        let places = state.settings().map_or(1, |settings| settings.blocked_readers);
        Self {
            batch: Batch::new(reply_bytes, capabilities.max_size),
            unchecked,
            unread: Counts::new(state.levels.len()),
            front: Front::new(places),
            no_aside_until: None,
            state,
            plan,
            reader,
            settler,
            out,
            greeting,
            connection,
            seen,
            answered: clock::now(),
            client,
        }
    }

    /// Runs until the consumer closes or a permanent error occurs.
    pub(crate) async fn run(self) {
        let state = Arc::clone(&self.state);
        // Entries that arrive after this limit are pending for us, and come back when their lease
        // expires.
        let late = async {
            state.closing.cancelled().await;
            tokio::time::sleep(LAST).await;
        };
        if let Either::Right(_) = either(pin!(self.work()), pin!(late)).await {
            state.set_unanswered();
        }
        state.closing.cancel();
    }

    async fn work(mut self) {
        while !self.state.closing.is_cancelled() && !self.out.is_closed() {
            if let Some(closed) = self.client.closed() {
                self.state.fail(closed.into());
                break;
            }
            let Err(error) = self.step().await else { continue };
            let error = match error {
                QueueError::Redis(error) if !is_fatal(&error) => error,
                error => {
                    self.state.set_unanswered();
                    // The receiver may be closed.
                    let _ = self.out.send(Err(error));
                    break;
                }
            };
            if error.outcome() == Outcome::Unknown {
                self.state.set_unanswered();
            }
            if self.state.closing.is_cancelled() {
                break;
            }
            if claim::reply_limit(&error).is_some() {
                self.batch.exceeded();
            }
            let failure = failure(&error);
            if failure == Failure::NoGroup {
                self.state.group_missing();
            }
            self.plan.failed(failure, clock::now(), random::fraction());
            let error = Arc::new(error);
            for shared in &self.state.levels {
                shared.emit(QueueEvent::Interrupted { error: Arc::clone(&error) });
            }
        }
        if self.has_place() {
            self.pass_on().await;
        }
    }

    /// Returns how many more entries may be fetched.
    fn room(&self) -> usize {
        self.state.room().min(self.settler.room())
    }

    async fn step(&mut self) -> Result<(), QueueError> {
        self.rename_if_silent();
        if self.is_new_connection() {
            self.plan.connection_changed();
        }
        let state = Arc::clone(&self.state);
        // From before the room is known.
        let taken = state.room_taken();
        let room = self.batch.count(self.room(), self.state.room_bytes());
        let now = clock::now();
        let capabilities = self.capabilities();
        self.plan.set_maintained(state.levels.iter().all(|shared| shared.crowd.is_maintained()));
        match self.plan.next(now, room, capabilities, random::fraction()) {
            Step::Wait(time) => {
                first(tokio::time::sleep(time), self.state.closing.cancelled()).await;
                // The server was not asked.
                return Ok(());
            }
            Step::Full => {
                let changed = self.state.changed();
                if self.room() == 0 && self.has_place() {
                    let patience = first(changed, tokio::time::sleep(PATIENCE));
                    first(patience, self.state.closing.cancelled()).await;
                    if self.room() == 0 {
                        self.pass_on().await;
                    }
                } else if self.room() == 0 {
                    first(changed, self.state.closing.cancelled()).await;
                }
                self.gather().await;
            }
            Step::Check => self.check_connection().await?,
            Step::CreateGroup => self.create().await?,
            Step::Recover(level) => self.recover(level, room).await?,
            Step::Sweep { level, cursor, count } => self.sweep(level, cursor, count).await?,
            Step::Read(mut read) => {
                let stands_aside = read.block.is_some() && !self.may_block();
                if stands_aside {
                    read.block = None;
                }
                let count = self.read(read, capabilities, taken).await?;
                if stands_aside && count == 0 {
                    self.stand_aside().await?;
                }
            }
        }
        self.answered = clock::now();
        Ok(())
    }

    fn capabilities(&self) -> Capabilities {
        // From the connection that reads: in a failover the two may be to different servers for a
        // moment.
        Capabilities::of(self.reader.server().as_deref())
    }

    /// Changes our name after a long time without a reply: another consumer may have removed the old
    /// one as abandoned.
    fn rename_if_silent(&mut self) {
        let lease = self.state.settings().map(|settings| settings.lease).unwrap_or_default();
        if clock::now().saturating_duration_since(self.answered) > lease * 10 {
            self.state.rename();
            self.answered = clock::now();
        }
    }

    /// Whether the connection is not the one that was checked last.
    fn is_new_connection(&self) -> bool {
        let is_known = match (&self.reader.server(), &self.greeting) {
            (Some(greeting), Some(known)) => Arc::ptr_eq(greeting, known),
            (greeting, known) => greeting.is_none() && known.is_none(),
        };
        !is_known || self.reader.connection_id() != self.connection
    }

    /// Checks a new connection: the server behind it may have lost data.
    async fn check_connection(&mut self) -> Result<(), QueueError> {
        let state = Arc::clone(&self.state);
        let (greeting, connection) = (self.reader.server(), self.reader.connection_id());
        for (level, shared) in state.levels.iter().enumerate() {
            if self.unchecked.get_mut(level).is_some_and(std::mem::take) {
                continue;
            }
            // On the same connection: in a failover the client may still be connected to another
            // server.
            let info = match self.reader.send(XInfoStream::new(&shared.settings.stream)).await {
                Ok(info) => info,
                // No such key: the next read reports that as well.
                Err(Error::Server(error)) if *error.code() == Code::Err => continue,
                Err(error) if claim::reply_limit(&error).is_some() => {
                    // The reply has the first and the last entry. The next connection is not
                    // checked.
                    if let Some(unchecked) = self.unchecked.get_mut(level) {
                        *unchecked = true;
                    }
                    return Err(error.into());
                }
                Err(error) => return Err(error.into()),
            };
            shared.check_window(info.idmp.map(|idmp| (idmp.duration, idmp.max_size))).await?;
            let (last, seen) = (info.last_generated_id, self.seen.get_mut(level));
            if let Some(seen) = seen.filter(|seen| **seen > last) {
                shared.emit(QueueEvent::RolledBack { seen: *seen, last });
                *seen = last;
            }
        }
        (self.greeting, self.connection) = (greeting, connection);
        self.plan.checked();
        Ok(())
    }

    /// While nearly all worker slots are busy, waits a moment for more of them, so that one read
    /// serves several.
    async fn gather(&self) {
        let most = self.state.limits.undecided.min(self.state.limits.buffered);
        let room = async {
            while self.room() < most / 4 {
                let changed = self.state.changed();
                if self.room() < most / 4 {
                    changed.await;
                }
            }
        };
        if self.room() < most / 4 {
            let gathered = first(room, tokio::time::sleep(GATHER));
            first(gathered, self.state.closing.cancelled()).await;
        }
    }

    /// Reads, until there are entries or `taken` says that there is less room than before. Returns the
    /// number of entries.
    async fn read(
        &mut self,
        read: Read,
        capabilities: Capabilities,
        taken: impl Future<Output = ()>,
    ) -> Result<usize, QueueError> {
        let counts = |level: &usize| self.counts_unread(*level, capabilities);
        if read.levels.iter().any(counts) {
            let count = self.read_counted(&read, capabilities).await?;
            if count > 0 || read.block.is_none() || self.state.closing.is_cancelled() {
                self.plan.read_done(count, capabilities);
                return Ok(count);
            }
        }
        let state = Arc::clone(&self.state);
        let (me, since) = (state.name(), clock::now());
        let command = command(&state, &me, &read, &self.batch, capabilities);
        let Some(command) = command else { return Ok(0) };
        let streams = match read.block {
            None => self.reader.read(command).await?,
            Some(time) => {
                let looks = self.look(&state, &read, capabilities);
                let id = self.reader.connection_id();
                let Self { reader, unread, .. } = self;
                let count = async {
                    let looked = looks.await;
                    unread.count_looked(&state, looked, capabilities.place).await;
                };
                let reading = both(count, reader.read(command.block(time)));
                blocking::until(&state, id, reading, taken).await?
            }
        };
        let count = self.receive(streams, since).await?;
        self.plan.read_done(count, capabilities);
        Ok(count)
    }

    /// Delivers the entries of a reply. Returns their number.
    async fn receive(&mut self, streams: Streams, since: Instant) -> Result<usize, QueueError> {
        let state = Arc::clone(&self.state);
        let mut count = 0;
        for stream in streams.into_streams() {
            let mut levels = state.levels.iter().enumerate();
            let level = levels.find(|(_, shared)| &*shared.settings.stream == stream.key());
            let Some((level, shared)) = level else { continue };
            let entries = stream.into_entries();
            count += entries.len();
            self.note_seen(level, &entries);
            if shared.settings.at_most_once {
                claim::delete(shared, &entries).await?;
            }
            let attempt = |delivered: u64| u32::try_from(delivered.saturating_add(1));
            let claimed = entries.iter().map(|entry| {
                let before = entry.delivery().map_or(0, |delivery| delivery.deliveries);
                Claimed {
                    entry: entry.to_entry(),
                    attempt: attempt(before).unwrap_or(u32::MAX),
                    since,
                }
            });
            self.deliver(level, claimed.collect());
        }
        Ok(count)
    }

    fn note_seen(&mut self, level: usize, entries: &Entries) {
        if let (Some(seen), Some(last)) = (self.seen.get_mut(level), entries.ids().max()) {
            *seen = (*seen).max(last);
            if let Some(shared) = self.state.shared(level) {
                clock::id_seen(shared, last);
            }
        }
    }

    /// Delivers entries of one reply to the consumer. Those that were delivered too often are
    /// dead-lettered.
    fn deliver(&mut self, level: usize, claimed: Vec<Claimed>) {
        let Some(shared) = self.state.shared(level) else { return };
        let (mut bytes, mut largest, mut alone) = (0, 0, Vec::new());
        for Claimed { entry, .. } in &claimed {
            let payload = entry.fields().map(|(name, value)| name.len() + value.len()).sum();
            bytes += payload;
            largest = largest.max(batch::size(payload, entry.fields().count()));
        }
        self.batch.received(claimed.len(), largest);
        let memory = self.state.hold(bytes);
        let settings = &shared.settings;
        let now = clock::now();
        self.state.expire(now);
        for Claimed { entry, attempt: count, since } in claimed {
            if entry.is_deleted() {
                continue;
            }
            let key = (level, entry.id());
            let address = Address::split(entry.fields(), &settings.stream);
            let is_for_others =
                address.as_ref().is_some_and(|(to, _)| *to.group != *settings.group);
            let is_in_wheel = split_count(count).1 == Mark::Delayed;
            if is_for_others || is_in_wheel || self.state.is_done(key) {
                let decision = match (is_for_others, is_in_wheel) {
                    (true, _) => Decision::Skip,
                    // Its worker died before it could remove the entry.
                    (_, true) => Decision::InWheel,
                    _ => Decision::Done,
                };
                let entry = (entry, Arc::clone(&memory));
                // At most once it was removed when it was read.
                let job = (!settings.at_most_once)
                    .then(|| InFlight::without_lease(&self.state, &self.settler, key, entry));
                if let Some(job) = job.flatten() {
                    job.settle(decision);
                }
                continue;
            }
            let (deliveries, mark) = split_count(count);
            let is_moving = mark == Mark::Moving;
            // The count of a job that is being moved includes the attempts before this entry.
            let before = address.map_or(0, |(address, _)| address.tried);
            let attempt = if is_moving { deliveries } else { deliveries.saturating_add(before) };
            let is_over = !settings.at_most_once && settings.retry.is_exhausted(attempt);
            // Its workers died: it may have only run beside the job that killed them.
            // One that we ran alone ourselves has not: the server has lost how it ended.
            let has_died = was_alone(count) && !self.state.has_run_alone(key, count);
            let is_alone = is_over && settings.retry.attempts() > 1 && !is_moving && !has_died;
            let is_exhausted = is_moving && !settings.at_most_once || is_over && !is_alone;
            // A delivery that did not run does not count as an attempt.
            let attempt = if is_alone { settings.retry.attempts() + 1 } else { attempt };
            // A delivery that is not run does not count as an attempt. The mark of a move contains
            // the attempts, and may have been set after this delivery.
            let attempts = attempt.saturating_sub(u32::from(is_exhausted && !is_moving));
            let count = if is_moving { moving(attempts) } else { attempts };
            let (times, memory) = ((since, now), Arc::clone(&memory));
            let job =
                InFlight::claim(&self.state, &self.settler, key, times, count, (entry, memory));
            let Some(mut job) = job else { continue };
            job.is_copied = mark == Mark::Copied || job.was_copied();
            if is_exhausted {
                job.settle(Decision::DeadLetter(Reason::worker_lost(attempts)));
            } else if is_alone {
                job.set_alone();
                alone.push(job);
            } else if let Err(mpsc::error::SendError(job)) = self.out.send(Ok(job)) {
                // The receiver is closed: the entry is released.
                drop(job);
            }
        }
        // Last: what is behind one of them is given back.
        for job in alone {
            if let Err(mpsc::error::SendError(job)) = self.out.send(Ok(job)) {
                drop(job);
            }
        }
    }
}

/// Whether the error is permanent.
fn is_fatal(error: &Error) -> bool {
    matches!(error, Error::Config(_) | Error::Decode { .. })
        || matches!(error.code(), Some(Code::WrongType | Code::NoPerm | Code::CrossSlot))
        || matches!(error, Error::Unsent { reason: crate::error::Unsent::Closed, .. })
}

fn failure(error: &Error) -> Failure {
    match error.code() {
        Some(Code::NoGroup) => Failure::NoGroup,
        // The reply of Redis 7.0 for a stream that was deleted.
        Some(Code::Unblocked) => Failure::NoGroup,
        _ if error.outcome() == Outcome::Unknown => Failure::Unknown,
        _ => Failure::Refused,
    }
}
