//! What a row works on: an empty server, but for the string `s`, and a client of it.
//!
//! Rows work on the stream `k`, of which the group is `g` and the consumer that has things pending `a`. What prepares a
//! row has to work, or panics; what a row tries is told.

use crate::show::Show;
use crate::support::Server;
use crate::table::Told;
use bourn::command::{BlockingCommand, DedicatedCommand};
use bourn::{
    Client, Command, Config, EntryId, Error, GroupFrom, Ids, Protocol, Raw, Reader, StartAt, XAdd,
    XClaim, XGroupCreate, XPending, XRange, XReadGroup,
};
use std::cell::Cell;
use std::ops::RangeInclusive;
use std::time::Duration;

pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// The id `ms-0`.
pub(crate) const fn id(ms: u64) -> EntryId {
    EntryId::new(ms, 0)
}

/// A client, and what rows do with it.
#[derive(Debug, Clone)]
pub(crate) struct Db {
    pub(crate) client: Client,
    pub(crate) config: Config,
    /// The server's label.
    pub(crate) label: &'static str,
    pub(crate) protocol: Protocol,
}

impl Db {
    /// Removes what the row before has left.
    pub(crate) async fn empty(&self) {
        self.run("FLUSHALL").await;
        self.run("SET s text").await;
    }

    /// What the command answers.
    pub(crate) async fn ask<C: Command<Reply: Show>>(&self, command: C) -> Told {
        Ok(self.client.send(command).await?.show())
    }

    /// What the command answers on a connection of its own.
    pub(crate) async fn own<C: DedicatedCommand<DedicatedReply: Show>>(&self, command: C) -> Told {
        Ok(self.reader().await.send(command).await?.show())
    }

    /// What the command answers to a user who may do nothing.
    pub(crate) async fn denied<C: DedicatedCommand<DedicatedReply: Show>>(
        &self,
        command: C,
    ) -> Told {
        self.run("ACL SETUSER nobody on nopass -@all").await;
        let config = self.config.clone().user("nobody").password("any");
        let nobody = Client::connect(config).await.expect("the user may connect");
        let mut reader = nobody.reader().await.expect("once more, too");
        Ok(reader.send(command).await?.show())
    }

    /// What a node of a cluster answers that has these slots, and is all alone.
    pub(crate) async fn in_cluster<C: Command<Reply: Show>>(
        &self,
        slots: &str,
        command: C,
    ) -> Told {
        let node = Server::builder().label(self.label).args(["--cluster-enabled", "yes"]).start();
        let config = Config::tcp("127.0.0.1", node.port()).protocol(self.protocol);
        let client = Client::connect(config).await.expect("the node takes connections");
        let db = Self { client, ..self.clone() };
        if !slots.is_empty() {
            db.run(&format!("CLUSTER ADDSLOTS {slots}")).await;
        }
        db.ask(command).await
    }

    /// What a read that waits is given.
    pub(crate) async fn read(&self, read: impl BlockingCommand) -> Told {
        Ok(self.reader().await.read(read).await?.show())
    }

    /// What a read is given that waits until this has happened.
    pub(crate) async fn read_until(
        &self,
        read: impl BlockingCommand,
        happens: impl AsyncFnOnce(&Self, i64),
    ) -> Told {
        let mut reader = self.reader().await;
        let connection = reader.connection_id().expect("the server said it");
        let came = Cell::new(false);
        let reading = async {
            let told = reader.read(read).await.map(|streams| streams.show());
            came.set(true);
            told
        };
        let happening = async {
            while !self.text("INFO clients").await.contains("blocked_clients:1\r\n") {
                // Nor will it wait, if it was refused.
                if came.get() {
                    return;
                }
                tokio::task::yield_now().await;
            }
            happens(self, connection).await;
        };
        futures_util::future::join(reading, happening).await.0
    }

    /// Two answers, the second of which shows what became of the first.
    pub(crate) async fn then(
        &self,
        first: impl Command<Reply: Show>,
        then: impl Command<Reply: Show>,
    ) -> Told {
        let first = self.ask(first).await?;
        Ok(format!("{first}, then {}", self.ask(then).await?))
    }

    /// The ids of the stream's entries.
    pub(crate) async fn ids(&self) -> Told {
        Ok(self.client.send(XRange::new("k", ..)).await?.ids().collect::<Vec<_>>().show())
    }

    /// What is pending.
    pub(crate) async fn pending(&self) -> Told {
        self.ask(XPending::new("k", "g").range(.., 100)).await
    }

    pub(crate) async fn reader(&self) -> Reader {
        self.client.reader().await.expect("the server takes connections")
    }

    /// Prepares a row: any command.
    pub(crate) async fn run(&self, words: &str) {
        self.must(Raw::new(words)).await;
    }

    /// Prepares a row: what any command says.
    pub(crate) async fn text(&self, words: &str) -> String {
        let value = self.must(Raw::new(words)).await;
        value.as_str().map(str::to_owned).unwrap_or_else(|| panic!("{words}: no text"))
    }

    /// Prepares a row: a command that has to work.
    pub(crate) async fn must<C: Command>(&self, command: C) -> C::Reply {
        let worked = |error: Error| panic!("the row could not be prepared: {}: {error:?}", C::NAME);
        self.client.send(command).await.unwrap_or_else(worked)
    }

    /// Prepares a row: adds the entries `ms-0` of this range, each with the field `n`, its number.
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

    /// Prepares a row: a group that is given entries from the first on, and the stream if there is none.
    pub(crate) async fn group(&self) {
        self.must(XGroupCreate::new("k", "g", StartAt::START).mk_stream()).await;
    }

    /// Prepares a row: so many entries, of which the first few are pending for `a`.
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

    /// Prepares a row: these were given to `a` a minute ago.
    pub(crate) async fn age<'a>(&self, ids: impl Into<Ids<'a>>) {
        self.must(XClaim::new("k", "g", "a", Duration::ZERO, ids).idle(MINUTE).just_id()).await;
    }
}
