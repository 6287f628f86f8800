//! Reading: the task that carries out the plan, and delivers the entries it reads.

use crate::command::{
    ClientUnblock, PendingEntry, XAutoClaim, XGroupCreate, XInfoStream, XPending, XPendingRange,
    XReadGroup,
};
use crate::entry::{Entries, Streams};
use crate::error::{Code, Error, Outcome};
use crate::id::{EntryId, GroupFrom, StartAt};
use crate::queue::Either;
use crate::queue::QueueError;
use crate::queue::consumer::in_flight::Hold;
use crate::queue::consumer::report::Ending;
use crate::queue::consumer::settle::Decision;
use crate::queue::consumer::state::{AckOrder, Desk};
use crate::queue::event::QueueEvent;
use crate::queue::first;
use crate::queue::operation::claim::{self, Taken};
use crate::queue::policy::capabilities::Abilities;
use crate::queue::policy::leases::Key;
use crate::queue::policy::plan::{LOOK, Plan, Read, Step, Trouble};
use crate::reader::Reader;
use crate::server::Server;
use std::collections::HashSet;
use std::ops::Bound;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// The channel for delivered entries.
pub(crate) type Out = mpsc::UnboundedSender<Result<Hold, QueueError>>;

/// The time to wait for more capacity, while there is little.
const GATHER: Duration = Duration::from_millis(1);

/// The time that the last step may take when the consumer closes.
const LAST: Duration = Duration::from_secs(1);

/// The interval at which a read that should end is unblocked.
const UNBLOCK: Duration = Duration::from_millis(50);

pub(crate) struct Reading {
    desk: Arc<Desk>,
    plan: Plan,
    reader: Reader,
    out: Out,
    /// The server reported on the connection that was checked last. An id alone is not sufficient:
    /// another server, or a restarted one, may assign the same.
    greeting: Option<Arc<Server>>,
    /// Its connection id, for servers that do not report themselves.
    connection: Option<i64>,
    /// For each stream, the highest id received from it.
    seen: Vec<EntryId>,
    /// The time of the server's last reply.
    answered: Instant,
}

impl Reading {
    pub(crate) fn new(desk: Arc<Desk>, plan: Plan, reader: Reader, out: Out) -> Self {
        let seen = vec![EntryId::MIN; desk.levels.len()];
        let (greeting, connection) = (reader.server(), reader.connection_id());
        Self { desk, plan, reader, out, greeting, connection, seen, answered: Instant::now() }
    }

    /// Runs until the consumer closes or a permanent error occurs.
    pub(crate) async fn run(self) {
        let desk = Arc::clone(&self.desk);
        // Entries that arrive after this limit are pending for us, and come back when their lease
        // expires.
        let late = async {
            desk.closing.cancelled().await;
            tokio::time::sleep(LAST).await;
        };
        first(self.work(), late).await;
        desk.closing.cancel();
    }

    async fn work(mut self) {
        while !self.desk.closing.is_cancelled() && !self.out.is_closed() {
            let Err(error) = self.step().await else {
                self.answered = Instant::now();
                continue;
            };
            let error = match error {
                QueueError::Redis(error) if !is_fatal(&error) => error,
                error => {
                    // The receiver may be closed.
                    let _ = self.out.send(Err(error));
                    break;
                }
            };
            if self.desk.closing.is_cancelled() {
                break;
            }
            self.plan.failed(trouble(&error), Instant::now(), fastrand::f64());
            let error = Arc::new(error);
            for core in &self.desk.levels {
                core.emit(QueueEvent::Interrupted { error: Arc::clone(&error) });
            }
        }
    }

    async fn step(&mut self) -> Result<(), QueueError> {
        self.look_at_connection().await?;
        let (now, room) = (Instant::now(), self.desk.room());
        let abilities = self.abilities();
        match self.plan.next(now, room, abilities, fastrand::f64()) {
            Step::Rest(time) => {
                first(tokio::time::sleep(time), self.desk.closing.cancelled()).await;
            }
            Step::Full => {
                let news = self.desk.news();
                if self.desk.room() == 0 {
                    first(news, self.desk.closing.cancelled()).await;
                }
                self.gather().await;
            }
            Step::Create => self.create().await?,
            Step::Recover(level) => self.recover(level, room).await?,
            Step::Sweep { level, cursor, count } => self.sweep(level, cursor, count).await?,
            Step::Census(level) => self.census(level).await?,
            Step::Look { level, owner, after } => self.look(level, &owner, after, room).await?,
            Step::Read(read) => self.read(read, abilities).await?,
        }
        Ok(())
    }

    fn abilities(&self) -> Abilities {
        // From the connection that reads: in a failover the two may be to different servers for a
        // moment.
        Abilities::of(self.reader.server().as_deref())
    }

    /// Checks for a new connection. Replies lost with the last one may have made entries pending
    /// for us, and the server may have lost data.
    async fn look_at_connection(&mut self) -> Result<(), QueueError> {
        let desk = Arc::clone(&self.desk);
        let lease = desk.settings().map(|settings| settings.lease).unwrap_or_default();
        if self.answered.elapsed() > lease * 10 {
            // Another consumer may have removed our name as abandoned.
            desk.rename();
            self.answered = Instant::now();
        }
        let (greeting, connection) = (self.reader.server(), self.reader.connection_id());
        let is_known = match (&greeting, &self.greeting) {
            (Some(greeting), Some(known)) => Arc::ptr_eq(greeting, known),
            (greeting, known) => greeting.is_none() && known.is_none(),
        };
        if is_known && connection == self.connection {
            return Ok(());
        }
        for (level, core) in desk.levels.iter().enumerate() {
            // On the same connection: in a failover the client may still be connected to another
            // server.
            let info = match self.reader.send(XInfoStream::new(&core.settings.stream)).await {
                Ok(info) => info,
                // No such key: the next read reports that as well.
                Err(Error::Server(error)) if *error.code() == Code::Err => continue,
                Err(error) => return Err(error.into()),
            };
            let (last, seen) = (info.last_generated_id, self.seen.get_mut(level));
            if let Some(seen) = seen.filter(|seen| **seen > last) {
                core.emit(QueueEvent::RolledBack { seen: *seen, last });
                *seen = last;
            }
        }
        (self.greeting, self.connection) = (greeting, connection);
        self.plan.reconnected();
        Ok(())
    }

    /// While nearly all worker slots are busy, waits a moment for more of them, so that one read
    /// serves several.
    async fn gather(&self) {
        let most = self.desk.limits.undecided.min(self.desk.limits.buffered);
        let room = async {
            while self.desk.room() < most / 4 {
                let news = self.desk.news();
                if self.desk.room() < most / 4 {
                    news.await;
                }
            }
        };
        if self.desk.room() < most / 4 {
            let gathered = first(room, tokio::time::sleep(GATHER));
            first(gathered, self.desk.closing.cancelled()).await;
        }
    }

    async fn create(&mut self) -> Result<(), QueueError> {
        for core in &self.desk.levels {
            let (stream, group) = (&core.settings.stream, &core.settings.group);
            let create = XGroupCreate::new(stream, group, StartAt::START).mk_stream();
            match core.client.send(create).await {
                Ok(()) => core.emit(QueueEvent::Created),
                Err(error) if error.code() == Some(&Code::BusyGroup) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.plan.created();
        Ok(())
    }

    /// Claims entries that are pending for us and not held.
    async fn recover(&mut self, level: usize, room: usize) -> Result<(), QueueError> {
        let desk = Arc::clone(&self.desk);
        let Some(core) = desk.core(level) else { return Ok(()) };
        let me = desk.name();
        let (asked, lease) = (Instant::now(), core.settings.lease);
        let (mut after, mut lost) = (Bound::Unbounded, Vec::new());
        // An entry held before the request may have been given back or acknowledged by the time of
        // the reply, or that decision may still be in flight. Claiming it could take it from
        // another consumer.
        let before: HashSet<Key> = desk.held().keys().collect();
        loop {
            let range = (after, Bound::Unbounded);
            let (stream, group) = (&core.settings.stream, &core.settings.group);
            let page = XPendingRange::new(stream, group, range, LOOK).consumer(&*me);
            let page = core.client.send(page).await?;
            let held = desk.held();
            let had = |key| {
                let run = desk.was_run(key) || desk.is_done(key);
                run || before.contains(&key) || held.holds(key)
            };
            // An old entry may be claimed by another consumer at any moment.
            let young = |entry: &PendingEntry| entry.idle.is_some_and(|idle| idle < lease / 2);
            let is_lost = |entry: &&PendingEntry| young(entry) && !had((level, entry.id));
            lost.extend(page.iter().filter(is_lost).cloned());
            drop(held);
            match page.last() {
                Some(last) if page.len() as u64 >= LOOK => after = Bound::Excluded(last.id),
                _ => break,
            }
        }
        let all = lost.len() <= room;
        lost.truncate(room);
        let (taken, in_time) = claim::recover(&desk, core, level, &me, asked, lost).await?;
        self.deliver(level, taken);
        self.plan.recovered(level, all && in_time);
        Ok(())
    }

    async fn sweep(
        &mut self,
        level: usize,
        cursor: EntryId,
        count: usize,
    ) -> Result<(), QueueError> {
        let desk = Arc::clone(&self.desk);
        let Some(core) = desk.core(level) else { return Ok(()) };
        let (me, since) = (desk.name(), Instant::now());
        let settings = &core.settings;
        let claim =
            XAutoClaim::new(&settings.stream, &settings.group, &*me, settings.lease, cursor);
        // The server rejects a COUNT of 0.
        let claimed = core.client.send(claim.count(count.max(1) as u64)).await?;
        self.plan.swept(level, claimed.cursor, claimed.entries.len() >= count);
        desk.vanished(level, claimed.deleted.as_deref().unwrap_or_default());
        let taken = claim::with_attempts(core, &me, since, &claimed.entries).await;
        let taken = self.or_recover(taken)?;
        self.deliver(level, taken);
        if claimed.entries.nulls() > 0 {
            claim::clear_nulls(&desk, core, level, &me).await?;
        }
        Ok(())
    }

    async fn census(&mut self, level: usize) -> Result<(), QueueError> {
        let Some(core) = self.desk.core(level) else { return Ok(()) };
        let pending = XPending::new(&core.settings.stream, &core.settings.group);
        let summary = core.client.send(pending).await?;
        let owners = summary.consumers.into_iter().map(|(name, _)| name.to_vec()).collect();
        self.plan.counted(level, owners, Instant::now());
        Ok(())
    }

    async fn look(
        &mut self,
        level: usize,
        owner: &[u8],
        after: Option<EntryId>,
        room: usize,
    ) -> Result<(), QueueError> {
        let desk = Arc::clone(&self.desk);
        let Some(core) = desk.core(level) else { return Ok(()) };
        let range = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let (stream, group) = (&core.settings.stream, &core.settings.group);
        let page = XPendingRange::new(stream, group, range, LOOK).consumer(owner);
        let page = core.client.send(page).await?;
        let held = |level, id| desk.held().holds((level, id));
        let Some((_, least, ids)) = self.plan.looked(&page, room, held) else { return Ok(()) };
        if ids.is_empty() {
            return Ok(());
        }
        let me = desk.name();
        let taken = claim::take(&desk, core, level, &me, least, &ids).await;
        let taken = self.or_recover(taken)?;
        self.deliver(level, taken);
        Ok(())
    }

    /// Schedules a recovery after an error: the entries were claimed, even if their delivery counts
    /// could not be read.
    fn or_recover(&mut self, taken: Result<Vec<Taken>, Error>) -> Result<Vec<Taken>, Error> {
        taken.inspect_err(|_| self.plan.reconnected())
    }

    async fn read(&mut self, read: Read, abilities: Abilities) -> Result<(), QueueError> {
        let desk = Arc::clone(&self.desk);
        let (me, since) = (desk.name(), Instant::now());
        let Some(settings) = desk.settings() else { return Ok(()) };
        let mut command = XReadGroup::new(&settings.group, &*me).count(read.count as u64);
        for core in read.levels.iter().filter_map(|level| desk.core(*level)) {
            command = command.stream(&core.settings.stream, GroupFrom::New);
        }
        // The server rejects a MAXCOUNT or MAXSIZE of 0.
        if let Some(most) = read.max_count.filter(|most| *most > 0) {
            command = command.max_count(most as u64);
        }
        if let Some(bytes) =
            Some(desk.room_bytes()).filter(|bytes| *bytes > 0 && abilities.max_size)
        {
            command = command.max_size(bytes as u64);
        }
        if let Some(idle) = read.claim {
            command = command.claim(idle);
        }
        if settings.at_most_once {
            command = command.no_ack();
        }
        let id = self.reader.connection_id();
        let streams = match read.block {
            None => self.reader.read(command).await?,
            Some(time) => {
                let reading = pin!(self.reader.read(command.block(time)));
                match either(reading, desk.closing.cancelled()).await {
                    Either::Left(streams) => streams?,
                    Either::Right(((), reading)) => {
                        // The read may not block yet, so it is unblocked more than once. Its
                        // entries are released.
                        let unblock = async {
                            while let Some(id) = id {
                                // If this fails, the read still ends soon.
                                let _ = desk.client.send(ClientUnblock::new(id)).await;
                                tokio::time::sleep(UNBLOCK).await;
                            }
                            std::future::pending::<()>().await;
                        };
                        match either(reading, pin!(unblock)).await {
                            Either::Left(streams) => streams?,
                            Either::Right(_) => Streams::default(),
                        }
                    }
                }
            }
        };
        let mut brought = 0;
        for stream in streams.into_streams() {
            let level = desk.levels.iter().position(|core| &*core.settings.stream == stream.key());
            let Some(level) = level else { continue };
            let entries = stream.into_entries();
            brought += entries.len();
            self.note_seen(level, &entries);
            if settings.at_most_once {
                claim::delete(&desk, level, &entries).await?;
            }
            let attempt = |delivered: u64| u32::try_from(delivered.saturating_add(1));
            let taken = entries.iter().map(|entry| {
                let before = entry.delivery().map_or(0, |delivery| delivery.deliveries);
                Taken {
                    entry: entry.to_entry(),
                    attempt: attempt(before).unwrap_or(u32::MAX),
                    since,
                }
            });
            self.deliver(level, taken.collect());
        }
        self.plan.brought(brought, abilities);
        Ok(())
    }

    fn note_seen(&mut self, level: usize, entries: &Entries) {
        if let (Some(seen), Some(last)) = (self.seen.get_mut(level), entries.ids().max()) {
            *seen = (*seen).max(last);
        }
    }

    /// Delivers entries to the consumer. Those that were delivered too often are dead-lettered.
    fn deliver(&self, level: usize, taken: Vec<Taken>) {
        let Some(core) = self.desk.core(level) else { return };
        let settings = &core.settings;
        let now = Instant::now();
        self.desk.lapse(now);
        for Taken { entry, attempt, since } in taken {
            if entry.is_deleted() {
                continue;
            }
            let key = (level, entry.id());
            if self.desk.is_done(key) {
                let ending = Ending::Done;
                self.desk.order_ack(AckOrder { key, ticket: 0, ending, reply: None });
                continue;
            }
            let spent = !settings.at_most_once && settings.retry.is_spent(attempt);
            // A delivery that is not run does not count as an attempt.
            let times = attempt.saturating_sub(u32::from(spent));
            let Some(hold) = self.desk.take(key, since, now, times, entry) else { continue };
            if spent {
                let why = format!("delivered {times} times and never finished");
                drop(hold.decide(Decision::Bury(why.into())));
            } else if let Err(mpsc::error::SendError(hold)) = self.out.send(Ok(hold)) {
                // The receiver is closed: the entry is released.
                drop(hold);
            }
        }
    }
}

/// Waits for the first of two futures. If that is the second one, the first is returned with its
/// output.
async fn either<A: Future + Unpin, B: Future>(mut a: A, b: B) -> Either<A::Output, (B::Output, A)> {
    let mut b = pin!(b);
    let which = std::future::poll_fn(|cx| {
        if let std::task::Poll::Ready(a) = std::pin::Pin::new(&mut a).poll(cx) {
            return std::task::Poll::Ready(Either::Left(a));
        }
        b.as_mut().poll(cx).map(Either::Right)
    })
    .await;
    match which {
        Either::Left(left) => Either::Left(left),
        Either::Right(right) => Either::Right((right, a)),
    }
}

/// Whether the error is permanent.
fn is_fatal(error: &Error) -> bool {
    matches!(error, Error::Config(_) | Error::Decode { .. })
        || matches!(error.code(), Some(Code::WrongType | Code::NoPerm | Code::CrossSlot))
        || matches!(error, Error::Unsent { reason: crate::error::Unsent::Closed, .. })
}

fn trouble(error: &Error) -> Trouble {
    match error.code() {
        Some(Code::NoGroup) => Trouble::NoGroup,
        // The reply of Redis 7.0 for a stream that was deleted.
        Some(Code::Unblocked) => Trouble::NoGroup,
        _ if error.outcome() == Outcome::Unknown => Trouble::Unknown,
        _ => Trouble::Refused,
    }
}
