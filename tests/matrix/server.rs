//! Replication, persistence and the cluster.

use crate::db::Db;
use crate::show::Show;
use crate::table::{Answer, Table};
use bourn::{Block, ClusterShards, ClusterSlots, DedicatedCommand, Feature, Role, Wait, WaitAof};
use std::time::Duration;

/// Returns the reply of a replica whose master is not reachable.
async fn as_replica(db: &Db, command: impl DedicatedCommand<DedicatedReply: Show>) -> Answer {
    let mut reader = db.reader().await;
    db.run("REPLICAOF 127.0.0.1 1").await;
    let answer = reader.send(command).await;
    db.run("REPLICAOF NO ONE").await;
    Ok(answer?.show())
}

/// Returns the reply of a server that syncs every write to disk.
async fn append_only(db: &Db, command: impl DedicatedCommand<DedicatedReply: Show>) -> Answer {
    let mut reader = db.reader().await;
    db.run("CONFIG SET appendfsync always").await;
    db.run("CONFIG SET appendonly yes").await;
    let answer = reader.send(command).await;
    db.run("CONFIG SET appendonly no").await;
    Ok(answer?.show())
}

const MS: Block = Block::For(Duration::from_millis(1));
const LONG: Block = Block::For(Duration::from_secs(10));
const NO_CLUSTER: &str = "ERR This instance has cluster support disabled";

#[rustfmt::skip]
pub(crate) fn rows(t: &mut Table) {
    t.command("WAIT");
    t.reply("for none", "0", async |db| db.own(Wait::new(0, Block::Forever)).await);
    t.nothing("for one, in vain", "0", async |db| db.own(Wait::new(1, MS)).await);
    t.error("a replica", "ERR WAIT cannot be used with replica instances...", async |db| as_replica(&db, Wait::new(1, MS)).await);

    t.command("WAITAOF").since("7.2", Feature::WaitAof, "");
    t.reply("on its own disk", "1 0", async |db| append_only(&db, WaitAof::new(true, 0, LONG)).await);
    t.nothing("for a replica's, in vain", "0 0", async |db| db.own(WaitAof::new(false, 1, MS)).await);
    t.error("it writes no such file", "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.",
        async |db| db.own(WaitAof::new(true, 0, MS)).await);
    t.error("a replica", "ERR WAITAOF cannot be used with replica instances...",
        async |db| as_replica(&db, WaitAof::new(false, 1, MS)).await);

    t.command("ROLE").always("a role");
    t.reply("a master", "master, replicas 0", async |db| db.ask(Role::new()).await);
    t.reply("a replica", "replica of 127.0.0.1:1", async |db| as_replica(&db, Role::new()).await);
    t.error("not permitted", "NOPERM", async |db| db.denied(Role::new()).await);

    t.command("CLUSTER SLOTS");
    t.reply("a node with slots", "[0-2 of 1]", async |db| db.in_cluster("0 1 2", ClusterSlots::new()).await);
    t.nothing("no slots", "[]", async |db| db.in_cluster("", ClusterSlots::new()).await);
    t.error("no cluster", NO_CLUSTER, async |db| db.ask(ClusterSlots::new()).await);

    t.command("CLUSTER SHARDS").since("7.0", Feature::ClusterShards, "");
    t.reply("a node with slots", "[[0-2 5-5] Master Online]", async |db| db.in_cluster("0 1 2 5", ClusterShards::new()).await);
    t.nothing("no slots", "[[] Master Online]", async |db| db.in_cluster("", ClusterShards::new()).await);
    t.error("no cluster", NO_CLUSTER, async |db| db.ask(ClusterShards::new()).await);
}
