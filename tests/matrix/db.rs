//! The subject of a row: a server that is empty except for the string `s`, and its client.
//!
//! Rows use the stream `k`, the group `g`, and the consumer `a` for pending entries. A failure in a
//! row's preparation panics; the result of its command is compared.

use crate::host::Host;
use crate::show::Show;
use crate::table::Answer;
use bourn::command::{BlockingCommand, DedicatedCommand};
use bourn::{
    Client, Command, Config, EntryId, Error, GroupFrom, Ids, Protocol, Raw, Reader, StartAt, XAdd,
    XClaim, XGroupCreate, XPending, XRange, XReadGroup,
};
use std::cell::Cell;
use std::ops::RangeInclusive;
use std::time::{Duration, SystemTime};

pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// The id `ms-0`.
pub(crate) const fn id(ms: u64) -> EntryId {
    EntryId::new(ms, 0)
}

/// A client, and the operations of the rows.
#[derive(Debug, Clone)]
pub(crate) struct Db {
    pub(crate) client: Client,
    pub(crate) config: Config,
    pub(crate) host: Host,
    /// The server's label.
    pub(crate) label: &'static str,
    pub(crate) protocol: Protocol,
}

impl Db {
    /// Removes the data of the row before.
    pub(crate) async fn empty(&self) {
        self.run("FLUSHALL").await;
        self.run("SET s text").await;
    }

    /// Returns the reply to a command.
    pub(crate) async fn ask<C: Command<Reply: Show>>(&self, command: C) -> Answer {
        Ok(self.client.send(command).await?.show())
    }

    /// Returns the reply to a command on a dedicated connection.
    pub(crate) async fn own<C: DedicatedCommand<DedicatedReply: Show>>(
        &self,
        command: C,
    ) -> Answer {
        Ok(self.reader().await.send(command).await?.show())
    }

    /// Returns the reply for a user without permissions.
    pub(crate) async fn denied<C: DedicatedCommand<DedicatedReply: Show>>(
        &self,
        command: C,
    ) -> Answer {
        self.run("ACL SETUSER nobody on nopass -@all").await;
        let config = self.config.clone().user("nobody").password("any");
        let denied = self.host.connect(config).await.expect("the user may connect");
        let mut reader = denied.reader().await.expect("a second time, too");
        Ok(reader.send(command).await?.show())
    }

    /// Returns the reply of a cluster node that has these slots, and no peers.
    pub(crate) async fn in_cluster<C: Command<Reply: Show>>(
        &self,
        slots: &str,
        command: C,
    ) -> Answer {
        let db = self.another(&[("cluster-enabled", "yes")]).await;
        if !slots.is_empty() {
            db.run(&format!("CLUSTER ADDSLOTS {slots}")).await;
        }
        db.ask(command).await
    }

    /// Starts another server of the same version, with these settings.
    pub(crate) async fn another(&self, settings: &[(&str, &str)]) -> Self {
        let host = Host::start(self.label, self.host.is_memory(), settings);
        let config = host.config().protocol(self.protocol);
        let client = host.connect(config.clone()).await.expect("the server takes connections");
        Self { client, config, host, ..self.clone() }
    }

    /// Returns the result of a blocking read.
    pub(crate) async fn read(&self, read: impl BlockingCommand) -> Answer {
        Ok(self.reader().await.read(read).await?.show())
    }

    /// Returns the result of a blocking read that waits until this has happened.
    pub(crate) async fn read_until(
        &self,
        read: impl BlockingCommand,
        happens: impl AsyncFnOnce(&Self, i64),
    ) -> Answer {
        let mut reader = self.reader().await;
        let connection = reader.connection_id().expect("the server sent its id");
        let came = Cell::new(false);
        let reading = async {
            let answer = reader.read(read).await.map(|streams| streams.show());
            came.set(true);
            answer
        };
        let happening = async {
            while !self.text("INFO clients").await.contains("blocked_clients:1\r\n") {
                // A refused read does not block.
                if came.get() {
                    return;
                }
                tokio::task::yield_now().await;
            }
            happens(self, connection).await;
        };
        futures_util::future::join(reading, happening).await.0
    }

    /// Returns two replies; the second one shows the effect of the first command.
    pub(crate) async fn then(
        &self,
        first: impl Command<Reply: Show>,
        then: impl Command<Reply: Show>,
    ) -> Answer {
        let first = self.ask(first).await?;
        Ok(format!("{first}, then {}", self.ask(then).await?))
    }

    /// Returns the current time at the server.
    pub(crate) fn now(&self) -> SystemTime {
        match &self.host {
            Host::Real(_) => SystemTime::now(),
            Host::Memory(server) => server.time(),
        }
    }

    /// Returns the ids of the stream's entries.
    pub(crate) async fn ids(&self) -> Answer {
        Ok(self.client.send(XRange::new("k", ..)).await?.ids().collect::<Vec<_>>().show())
    }

    /// Returns the pending entries.
    pub(crate) async fn pending(&self) -> Answer {
        self.ask(XPending::new("k", "g").range(.., 100)).await
    }

    pub(crate) async fn reader(&self) -> Reader {
        self.client.reader().await.expect("the server takes connections")
    }

    /// Prepares a row with any command.
    pub(crate) async fn run(&self, words: &str) {
        self.must(Raw::new(words)).await;
    }

    /// Prepares a row with any command, and returns its text.
    pub(crate) async fn text(&self, words: &str) -> String {
        let value = self.must(Raw::new(words)).await;
        value.as_str().map(str::to_owned).unwrap_or_else(|| panic!("{words}: no text"))
    }

    /// Prepares a row with a command that must succeed.
    pub(crate) async fn must<C: Command>(&self, command: C) -> C::Reply {
        let worked = |error: Error| panic!("the row could not be prepared: {}: {error:?}", C::NAME);
        self.client.send(command).await.unwrap_or_else(worked)
    }

    /// Prepares a row: adds the entries `ms-0` of this range, with their number in the field `n`.
    pub(crate) async fn add(&self, entries: RangeInclusive<u64>) {
        self.add_to("k", entries).await;
    }

    /// Prepares a row: [`Db::add`] for another stream.
    pub(crate) async fn add_to(&self, key: &str, entries: RangeInclusive<u64>) {
        for added in
            self.client.send_all(entries.map(|n| XAdd::new(key).id(id(n)).field("n", n))).await
        {
            added.expect("the stream takes it");
        }
    }

    /// Prepares a row: creates the group at the first entry, and the stream if it does not exist.
    pub(crate) async fn group(&self) {
        self.must(XGroupCreate::new("k", "g", StartAt::START).mk_stream()).await;
    }

    /// Prepares a row: this many entries, of which the first ones are pending for `a`.
    pub(crate) async fn given(&self, entries: u64, pending: u64) {
        self.group().await;
        self.add(1..=entries).await;
        // A COUNT of 0 is no limit.
        if pending == 0 {
            return;
        }
        let read = XReadGroup::new("g", "a").stream("k", GroupFrom::New).count(pending);
        assert_eq!(self.must(read).await.len() as u64, pending);
    }

    /// Prepares a row: sets the idle time of these entries of `a` to a minute.
    pub(crate) async fn age<'a>(&self, ids: impl Into<Ids<'a>>) {
        self.must(XClaim::new("k", "g", "a", Duration::ZERO, ids).idle(MINUTE).just_id()).await;
    }
}
