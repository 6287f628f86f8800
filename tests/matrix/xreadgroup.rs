//! XREADGROUP.

use crate::db::{Db, MINUTE, id};
use crate::table::Table;
use bourn::{
    ClientUnblock, Feature, GroupFrom, StartAt, XDel, XGroupCreate, XGroupDestroy, XReadGroup,
};
use std::time::Duration;

/// Reads new entries for `b`.
fn new() -> XReadGroup<'static> {
    XReadGroup::new("g", "b").stream("k", GroupFrom::New)
}

/// Reads the entries pending for `a`, above this id.
fn history(above: u64) -> XReadGroup<'static> {
    XReadGroup::new("g", "a").stream("k", id(above))
}

/// Unblocks a read.
async fn unblock(db: &Db, reader: i64) {
    db.must(ClientUnblock::new(reader)).await;
}

const MS: Duration = Duration::from_millis(1);
const NO_GROUP: &str =
    "NOGROUP No such key 'k' or consumer group 'g' in XREADGROUP with GROUP option";
const RANGE: &str = "ERR value is not an integer or out of range";

#[rustfmt::skip]
pub(crate) fn rows(t: &mut Table) {
    t.command("XREADGROUP").option(">");
    t.reply("new entries", "k [2-0 n=2, 3-0 n=3]", async |db| { db.given(3, 1).await; db.ask(new()).await });
    t.reply("they are then pending", "k [2-0 n=2], then 2 1-0 2-0 [a=1 b=1]", async |db| {
        db.given(2, 1).await;
        db.then(new(), bourn::XPending::new("k", "g")).await
    });
    t.reply("two streams", "k [1-0 n=1] k2 [1-0 n=1]", async |db| {
        db.group().await;
        db.must(XGroupCreate::new("k2", "g", StartAt::START).mk_stream()).await;
        db.add(1..=1).await;
        db.add_to("k2", 1..=1).await;
        db.ask(new().stream("k2", GroupFrom::New)).await
    });
    t.nothing("all has been given", "nil", async |db| { db.given(3, 3).await; db.ask(new()).await });
    t.nothing("the stream is empty", "nil", async |db| { db.group().await; db.ask(new()).await });
    t.error("no stream", NO_GROUP, async |db| db.ask(new()).await);
    t.error("no group", NO_GROUP, async |db| { db.add(1..=1).await; db.ask(new()).await });
    t.error("not a stream", "WRONGTYPE", async |db| db.ask(XReadGroup::new("g", "a").stream("s", GroupFrom::New)).await);

    t.option("id");
    t.reply("what is pending for it", "k [2-0 n=2, 3-0 n=3]", async |db| { db.given(4, 3).await; db.ask(history(1)).await });
    t.reply("counts as delivered once more", "k [1-0 n=1], then [1-0 a now 2]", async |db| {
        db.given(1, 1).await;
        db.then(history(0), bourn::XPendingRange::new("k", "g", .., 9)).await
    });
    t.reply("a deleted entry", "k [1-0 nil, 2-0 n=2]", async |db| {
        db.given(2, 2).await;
        db.must(XDel::new("k", id(1))).await;
        db.ask(history(0)).await
    });
    t.nothing("nothing is pending: the key alone", "k []", async |db| { db.given(3, 3).await; db.ask(history(3)).await });
    t.error("no group", NO_GROUP, async |db| { db.add(1..=1).await; db.ask(history(0)).await });

    t.option("COUNT");
    t.reply("of what is new", "k [1-0 n=1, 2-0 n=2]", async |db| { db.given(3, 0).await; db.ask(new().count(2)).await });
    t.reply("of what is pending", "k [1-0 n=1]", async |db| { db.given(3, 3).await; db.ask(history(0).count(1)).await });
    t.nothing("all has been given", "nil", async |db| { db.given(3, 3).await; db.ask(new().count(1)).await });
    t.error("beyond the largest number", RANGE, async |db| db.ask(new().count(u64::MAX)).await);

    t.option("MAXCOUNT").since("8.10, valkey none", Feature::MaxCount, "MAXCOUNT");
    t.reply("of all streams together", "k [1-0 n=1, 2-0 n=2, 3-0 n=3] k2 [1-0 n=1]", async |db| {
        db.given(3, 0).await;
        db.must(XGroupCreate::new("k2", "g", StartAt::START).mk_stream()).await;
        db.add_to("k2", 1..=3).await;
        db.ask(new().stream("k2", GroupFrom::New).max_count(4)).await
    });
    t.nothing("all has been given", "nil", async |db| { db.given(3, 3).await; db.ask(new().max_count(1)).await });
    t.error("no group", NO_GROUP, async |db| db.ask(new().max_count(1)).await);
    t.error("beyond the largest number", "ERR value is not an integer or out of range",
        async |db| db.ask(new().max_count(u64::MAX)).await);
    t.error("0", "ERR MAXCOUNT must be a positive integer",
        async |db| { db.given(1, 0).await; db.ask(new().max_count(0)).await });

    t.option("MAXSIZE").since("8.10, valkey none", Feature::MaxSize, "MAXSIZE");
    t.reply("one always comes", "k [1-0 n=1]", async |db| { db.given(3, 0).await; db.ask(new().max_size(1)).await });
    t.reply("as many as fit", "k [1-0 n=1, 2-0 n=2]", async |db| { db.given(2, 0).await; db.ask(new().max_size(10_000)).await });
    t.nothing("all has been given", "nil", async |db| { db.given(3, 3).await; db.ask(new().max_size(1)).await });
    t.error("no group", NO_GROUP, async |db| db.ask(new().max_size(1)).await);
    t.error("beyond the largest number", "ERR value is not an integer or out of range",
        async |db| db.ask(new().max_size(u64::MAX)).await);
    t.error("0", "ERR MAXSIZE must be a positive integer",
        async |db| { db.given(1, 0).await; db.ask(new().max_size(0)).await });

    t.option("BLOCK");
    t.reply("there is something already", "k [1-0 n=1]", async |db| { db.given(1, 0).await; db.read(new().block(MINUTE)).await });
    t.reply("an entry comes", "k [1-0 n=1]", async |db| {
        db.group().await;
        db.read_until(new().block_forever(), async |db, _| db.add(1..=1).await).await
    });
    t.nothing("the time is over", "nil", async |db| { db.group().await; db.read(new().block(MS)).await });
    t.nothing("what is pending never waits", "k []", async |db| { db.group().await; db.read(history(0).block_forever()).await });
    t.error("no group", NO_GROUP, async |db| db.read(new().block_forever()).await);
    t.error("the group is destroyed", [("6.2", "NOGROUP the consumer group this client was blocked on no longer exists"), ("7.2", NO_GROUP)],
        async |db| {
        db.group().await;
        db.read_until(new().block_forever(), async |db, _| { db.must(XGroupDestroy::new("k", "g")).await; }).await
    });
    let deleted = [("6.2", "nil"), ("7.0", "UNBLOCKED the stream key no longer exists"), ("7.2", NO_GROUP)];
    t.error("the stream is deleted (6.2 waits on)", deleted, async |db| {
        db.group().await;
        db.read_until(new().block_forever(), async |db, reader| { db.run("DEL k").await; unblock(db, reader).await }).await
    });
    let replaced = [("6.2", "nil"), ("7.0", "UNBLOCKED the stream key no longer exists"), ("7.2", "WRONGTYPE")];
    t.error("the key is overwritten (6.2 waits on)", replaced, async |db| {
        db.group().await;
        db.read_until(new().block_forever(), async |db, reader| { db.run("SET k text").await; unblock(db, reader).await }).await
    });

    t.option("CLAIM").since("8.4, valkey none", Feature::Claim, "CLAIM");
    t.reply("idle for long enough, then new", "k [2-0 n=2 (1min 1), 3-0 n=3 (now 0)]", async |db| {
        db.given(3, 2).await;
        db.age(id(2)).await;
        db.ask(new().claim(MINUTE)).await
    });
    t.reply("a deleted entry is passed over", "k [2-0 n=2 (1min 1)]", async |db| {
        db.given(2, 2).await;
        db.age(&[id(1), id(2)]).await;
        db.must(XDel::new("k", id(1))).await;
        db.ask(new().claim(MINUTE)).await
    });
    t.reply("no effect on what is pending", "k [1-0 n=1]", async |db| { db.given(1, 1).await; db.ask(history(0).claim(MINUTE)).await });
    t.nothing("nothing idle, nothing new", "nil", async |db| { db.given(2, 2).await; db.ask(new().claim(MINUTE)).await });
    t.error("no group", NO_GROUP, async |db| db.ask(new().claim(MINUTE)).await);

    t.option("NOACK");
    t.reply("is not pending", "k [1-0 n=1], then 0 nil nil []", async |db| {
        db.given(1, 0).await;
        db.then(new().no_ack(), bourn::XPending::new("k", "g")).await
    });
    t.nothing("all has been given", "nil", async |db| { db.given(3, 3).await; db.ask(new().no_ack()).await });
    t.error("no group", NO_GROUP, async |db| db.ask(new().no_ack()).await);
}
