//! The data of the in-memory server: databases, keys and streams. No I/O.
//!
//! A request goes in, a [`Reply`] comes out. Time is an argument, so that the same requests always
//! give the same replies.
//!
//! | file | contents |
//! |---|---|
//! | `release` | the versions whose behaviour it has |
//! | `reply` | replies, and their bytes |
//! | `commands` | the table of commands: arity, flags, function |
//! | `run` | what a request needs, and what comes of it |
//! | `call` | one command: its arguments, its database, its time |
//! | `database` | keys, their values and when they expire |
//! | `stream` | entries in nodes, consumer groups, idempotent ids |
//! | `blocked`, `resume` | reads that wait |
//! | `text`, `arguments`, `errors` | parsing, and the errors that commands share |
//! | `xadd`, ... | the commands |

mod arguments;
mod blocked;
mod call;
mod commands;
mod database;
mod delete;
mod deliver;
mod entries;
mod errors;
mod expire;
mod help;
mod keys;
mod release;
mod reply;
mod resume;
mod run;
mod stream;
mod text;
mod trim;
mod xack;
mod xadd;
mod xautoclaim;
mod xclaim;
mod xgroup;
mod xidmp;
mod xinfo;
mod xnack;
mod xpending;
mod xrange;
mod xread;
mod xsetid;

pub(crate) use blocked::Blocked;
pub(crate) use commands::Traits;
pub(crate) use release::Release;
pub(crate) use reply::Reply;
pub(crate) use run::{Context, DATABASES, Run};

use arguments::Arguments;
use bytes::Bytes;
use call::Call;
use commands::{Found, Handler};
use database::Database;
use run::Signals;
use stream::NodeLimits;

/// The databases of one server.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    release: Release,
    limits: NodeLimits,
    databases: Vec<Database>,
    signals: Signals,
}

impl Store {
    /// Creates empty databases, 0 to 15.
    pub(crate) fn new(release: Release) -> Self {
        let databases = (0..DATABASES).map(|_| Database::default()).collect();
        let limits = NodeLimits::default();
        Self { release, limits, databases, signals: Signals::default() }
    }

    /// Sets the number of entries after which a node is full: `stream-node-max-entries`, 100 at
    /// first.
    pub(crate) const fn set_node_max_entries(&mut self, entries: u64) {
        self.limits.entries = entries;
    }

    /// Returns the properties of a command that the store runs. `None`: it does not know it.
    pub(crate) fn traits(&self, request: &[Bytes]) -> Option<Traits> {
        match commands::find(self.release, Arguments(request)) {
            Found::Command(command) => Some(command.traits),
            Found::Refused(_) => None,
        }
    }

    /// Returns the error of a request that is refused before it runs: an unknown command or
    /// subcommand, a wrong number of arguments. It also makes a transaction fail.
    pub(crate) fn refuses(&self, request: &[Bytes]) -> Option<Reply> {
        match commands::find(self.release, Arguments(request)) {
            Found::Command(_) => None,
            Found::Refused(error) => Some(error),
        }
    }

    /// Runs a request. Calls `refuses` first.
    pub(crate) fn run(&mut self, context: Context, request: &[Bytes]) -> Run {
        let command = match commands::find(self.release, Arguments(request)) {
            Found::Command(command) => command,
            Found::Refused(error) => return Run::Reply(error),
        };
        self.expire(context.now_ms);
        let mut call = self.call(context, request);
        let run = match command.run {
            Handler::Plain(run) => run(&mut call).map(Run::Reply),
            Handler::Read(run) => run(&mut call),
        };
        run.unwrap_or_else(Run::Reply)
    }

    /// Runs a read that waits again, because one of its keys is ready or an entry can be claimed.
    /// `None`: it goes on waiting.
    pub(crate) fn resume(
        &mut self,
        context: Context,
        blocked: &Blocked,
        key: &Bytes,
    ) -> Option<Reply> {
        self.expire(context.now_ms);
        resume::resume(&mut self.call(context, blocked.request()), blocked, key)
    }

    /// Returns when a read that waits with CLAIM looks for entries again, and the key to resume it
    /// with. `None`: it has no CLAIM.
    ///
    /// The server asks this when the read begins to wait, and again each time that this time has
    /// come and the read goes on waiting. It does not ask in between.
    pub(crate) fn claimable_at(&self, context: Context, blocked: &Blocked) -> Option<(u64, Bytes)> {
        let database = self.databases.get(context.db as usize)?;
        resume::looks_again_at(database, context.now_ms, blocked)
    }

    /// Returns the keys for which a waiting read may have something, and forgets them.
    pub(crate) fn take_ready(&mut self) -> Vec<(u32, Bytes)> {
        std::mem::take(&mut self.signals.ready)
    }

    /// Returns the keys that were modified, for WATCH and for replication, and forgets them.
    pub(crate) fn take_modified(&mut self) -> Vec<(u32, Bytes)> {
        std::mem::take(&mut self.signals.modified)
    }

    /// Returns the time at which the next key expires.
    pub(crate) fn next_expiry(&self) -> Option<u64> {
        self.databases.iter().filter_map(Database::next_expiry).min()
    }

    /// Removes the keys that have expired.
    pub(crate) fn expire(&mut self, now_ms: u64) {
        for (db, database) in (0..).zip(&mut self.databases) {
            for key in database.expire(now_ms) {
                self.signals.ready.push((db, key.clone()));
                self.signals.modified.push((db, key));
            }
        }
    }

    fn call<'a>(&'a mut self, context: Context, request: &'a [Bytes]) -> Call<'a> {
        Call {
            release: self.release,
            now: i64::try_from(context.now_ms).unwrap_or(i64::MAX),
            resp3: context.resp3,
            limits: self.limits,
            args: Arguments(request),
            db: context.db.min(DATABASES - 1),
            databases: &mut self.databases,
            signals: &mut self.signals,
        }
    }
}
