//! The state of a server: data, connections, settings. No I/O.

use super::clock::Clock;
use super::fault::{End, Faults};
use super::link::{Link, Parcel};
use super::readers::Readers;
use super::request::{Input, Request};
use super::settings::Settings;
use super::store::{Blocked, Context, Release, Reply, Store};
use super::users::{DEFAULT, Users};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::task::Waker;
use std::time::{Duration, Instant, SystemTime};

/// The number of a connection, never used again. [`Session::id`] starts at 1 after a restart.
pub(super) type Key = u64;

/// The state of a server.
#[derive(Debug)]
pub(super) struct State {
    pub(super) store: Store,
    /// The data that survives a crash.
    pub(super) synced: Store,
    /// The data of the replica.
    pub(super) replica: Store,
    pub(super) clock: Clock,
    pub(super) settings: Settings,
    pub(super) users: Users,
    /// The master, if this is a replica: host and port.
    pub(super) master: Option<(Bytes, i64)>,
    /// The slots of this node of a cluster.
    pub(super) slots: BTreeSet<i64>,
    pub(super) pause: Option<Pause>,
    pub(super) sessions: BTreeMap<Key, Session>,
    pub(super) links: BTreeMap<Key, Link>,
    pub(super) readers: Readers,
    /// The number of reads that have waited so far.
    pub(super) turns: u64,
    /// The connections that CLIENT PAUSE holds, in order.
    pub(super) postponed: VecDeque<Key>,
    /// The connections that wait no longer: their input is to be run.
    pub(super) resumed: VecDeque<Key>,
    pub(super) faults: Faults,
    pub(super) stalls: Stalls,
    pub(super) latency: Duration,
    /// The number of replicas that WAIT and WAITAOF count.
    pub(super) replicas: u64,
    pub(super) running: bool,
    pub(super) log: VecDeque<Request>,
    pub(super) log_limit: usize,
    /// The next moment at which something happens by itself.
    pub(super) next: Option<Instant>,
    /// To be woken when the lock is released.
    pub(super) wakers: Vec<Waker>,
    next_key: Key,
    next_id: i64,
}

/// CLIENT PAUSE.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pause {
    pub(super) until_ms: u64,
    pub(super) writes_only: bool,
}

/// The moments until which the bytes of all connections are held back.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Stalls {
    pub(super) requests: Option<Instant>,
    pub(super) replies: Option<Instant>,
}

/// A connection, as the server sees it.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: i64,
    pub(super) name: Option<Bytes>,
    pub(super) library: [Bytes; 2],
    pub(super) user: Option<Bytes>,
    pub(super) resp3: bool,
    pub(super) db: u32,
    pub(super) transaction: Option<Transaction>,
    /// EXEC runs.
    pub(super) in_exec: bool,
    pub(super) input: Input,
    pub(super) activity: Activity,
    /// The last command, for CLIENT LIST.
    pub(super) command: String,
    pub(super) since: Instant,
    /// The connection ends after the next reply.
    pub(super) closing: bool,
    /// The next reply does not reach the client.
    pub(super) lost_reply: Option<LostReply>,
    /// Connected to the old master after a failover, which is a replica now.
    pub(super) demoted: bool,
    /// The command of the test itself.
    pub(super) admin: bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum LostReply {
    /// The later replies follow.
    Dropped,
    /// The connection ends.
    WithConnection(End),
}

/// MULTI, and the commands after it.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    pub(super) queue: Vec<Vec<Bytes>>,
    pub(super) poisoned: bool,
    /// One of them is a write.
    pub(super) writes: bool,
}

/// A read that waits.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) blocked: Blocked,
    pub(super) until_ms: Option<u64>,
    /// The number of this read among all that have waited.
    pub(super) turn: u64,
    /// The time at which an entry is old enough for CLAIM, and its key. The server looks once, when
    /// the read begins to wait.
    pub(super) claim: Option<(u64, Bytes)>,
}

/// The reason why a connection waits.
#[derive(Debug)]
pub(super) enum Activity {
    /// The next request.
    Ready,
    /// A key, or the end of its time.
    Reading(Read),
    /// WAIT or WAITAOF: the reply, and when it is sent.
    Waiting { reply: Reply, until_ms: Option<u64> },
    /// The end of CLIENT PAUSE, to run this.
    Postponed(Vec<Bytes>),
}

impl State {
    pub(super) fn new(settings: Settings, now: Instant, time: SystemTime) -> Self {
        let store = Store::new(settings.release);
        let mut state = Self {
            synced: store.clone(),
            replica: store.clone(),
            store,
            clock: Clock::new(now, time),
            users: Users::new(),
            settings,
            master: None,
            slots: BTreeSet::new(),
            pause: None,
            sessions: BTreeMap::new(),
            links: BTreeMap::new(),
            readers: Readers::default(),
            turns: 0,
            postponed: VecDeque::new(),
            resumed: VecDeque::new(),
            faults: Faults::default(),
            stalls: Stalls::default(),
            latency: Duration::ZERO,
            replicas: 0,
            running: true,
            log: VecDeque::new(),
            log_limit: 100_000,
            next: None,
            wakers: Vec::new(),
            next_key: 1,
            next_id: 1,
        };
        state.reset_users();
        state
    }

    pub(super) fn release(&self) -> Release {
        self.settings.release
    }

    /// Adds a connection.
    pub(super) fn open(&mut self, admin: bool) -> Key {
        let (key, id) = (self.next_key, if admin { 0 } else { self.next_id });
        self.next_key += 1;
        self.next_id += i64::from(!admin);
        let open = admin || self.users.is_open();
        let session = Session {
            id,
            name: None,
            library: Default::default(),
            user: open.then_some(Bytes::from_static(DEFAULT)),
            resp3: false,
            db: 0,
            transaction: None,
            in_exec: false,
            input: Input::new(),
            activity: Activity::Ready,
            command: String::new(),
            since: self.clock.now(),
            closing: false,
            lost_reply: None,
            demoted: false,
            admin,
        };
        self.sessions.insert(key, session);
        key
    }

    /// Ends a connection. The client sees the end when it has arrived.
    pub(super) fn close(&mut self, key: Key, end: End) {
        let Some(session) = self.sessions.remove(&key) else { return };
        if let Activity::Reading(read) = &session.activity {
            self.readers.remove(key, session.db, read.blocked.keys());
        }
        self.postponed.retain(|other| *other != key);
        let at = self.clock.after(self.latency);
        let Some(link) = self.links.get_mut(&key) else { return };
        link.requests.lose();
        link.replies.send(Parcel::End(end), at);
        link.receive(self.clock.now());
        self.wakers.extend(link.reader.take());
        self.wakers.extend(link.writer.take());
        if link.abandoned {
            self.links.remove(&key);
        }
    }

    /// Ends all connections.
    pub(super) fn close_all(&mut self, end: End) {
        for key in self.sessions.keys().copied().collect::<Vec<_>>() {
            self.close(key, end);
        }
    }

    /// Makes ids start at 1, as after a start of the server.
    pub(super) fn restart_ids(&mut self) {
        self.next_id = 1;
    }

    /// Resets the users to one: the default user, with the password of the settings.
    pub(super) fn reset_users(&mut self) {
        self.users = Users::new();
        let password = self.settings.get("requirepass").unwrap_or_default();
        self.users.require(&password);
    }

    /// Returns a connection, which is there while one of its commands runs.
    pub(super) fn session(&mut self, key: Key) -> Option<&mut Session> {
        self.sessions.get_mut(&key)
    }

    /// Returns the key of the connection with this id.
    pub(super) fn key_of(&self, id: i64) -> Option<Key> {
        self.sessions.iter().find(|(_, session)| session.id == id).map(|(key, _)| *key)
    }

    /// Returns where and when a command of a connection runs.
    pub(super) fn context(&self, key: Key) -> Context {
        let session = self.sessions.get(&key);
        Context {
            now_ms: self.clock.now_ms(),
            db: session.map_or(0, |session| session.db),
            resp3: session.is_some_and(|session| session.resp3),
        }
    }

    /// Whether a connection is with a replica.
    pub(super) fn is_replica(&self, key: Key) -> bool {
        self.master.is_some() || self.sessions.get(&key).is_some_and(|session| session.demoted)
    }

    /// Returns the pause, unless it is over.
    pub(super) fn paused(&self) -> Option<Pause> {
        self.pause.filter(|pause| pause.until_ms > self.clock.now_ms())
    }

    /// Returns the number of connections.
    pub(super) fn connected(&self) -> usize {
        self.sessions.values().filter(|session| !session.admin).count()
    }

    /// Returns the number of connections that wait for a key or for replicas.
    pub(super) fn blocked(&self) -> usize {
        let waits = |session: &&Session| {
            matches!(session.activity, Activity::Reading(_) | Activity::Waiting { .. })
        };
        self.sessions.values().filter(waits).count()
    }

    /// Writes a request to the log.
    pub(super) fn note(&mut self, id: i64, args: &[Bytes]) {
        if self.log_limit == 0 {
            return;
        }
        while self.log.len() >= self.log_limit {
            self.log.pop_front();
        }
        self.log.push_back(Request::new(id, args.to_vec()));
    }
}

impl Session {
    /// Sets or removes the name. `None`: it has bytes that a name must not have.
    pub(super) fn set_name(&mut self, name: &Bytes) -> Option<()> {
        is_plain(name).then(|| self.name = Some(name.clone()).filter(|name| !name.is_empty()))
    }

    /// Returns the name of the user, for errors.
    pub(super) fn user_name(&self) -> String {
        String::from_utf8_lossy(self.user.as_deref().unwrap_or(DEFAULT)).into_owned()
    }

    /// Returns to what a new connection is, except for its id.
    pub(super) fn reset(&mut self, user: Option<Bytes>) {
        self.name = None;
        self.user = user;
        self.resp3 = false;
        self.db = 0;
        self.transaction = None;
    }
}

/// Whether a text has neither blanks nor control bytes.
pub(super) fn is_plain(text: &[u8]) -> bool {
    text.iter().all(|byte| matches!(byte, b'!'..=b'~'))
}
