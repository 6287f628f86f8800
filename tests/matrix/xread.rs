//! XREAD.

use crate::db::{MINUTE, id};
use crate::table::Table;
use bourn::{ClientUnblock, Feature, ReadFrom, XRead};
use std::time::Duration;

/// Reads the stream after this id.
fn read(from: impl Into<ReadFrom>) -> XRead<'static> {
    XRead::new().stream("k", from)
}

/// Reads both streams from their start.
fn both() -> XRead<'static> {
    read(ReadFrom::START).stream("k2", ReadFrom::START)
}

const MS: Duration = Duration::from_millis(1);

#[rustfmt::skip]
pub(crate) fn rows(t: &mut Table) {
    t.command("XREAD").option("STREAMS");
    t.reply("above an id", "k [2-0 n=2, 3-0 n=3]", async |db| { db.add(1..=3).await; db.ask(read(id(1))).await });
    t.reply("two streams", "k2 [1-0 n=1] k [1-0 n=1]", async |db| {
        db.add(1..=1).await;
        db.add_to("k2", 1..=1).await;
        db.ask(XRead::new().stream("k2", ReadFrom::START).stream("k", ReadFrom::START)).await
    });
    t.reply("one of two streams has something", "k [1-0 n=1]", async |db| { db.add(1..=1).await; db.ask(both()).await });
    t.reply("a key twice", "k [1-0 n=1, 2-0 n=2] k [2-0 n=2]",
        async |db| { db.add(1..=2).await; db.ask(read(id(0)).stream("k", id(1))).await });
    t.nothing("none above", "nil", async |db| { db.add(1..=3).await; db.ask(read(id(3))).await });
    t.nothing("no stream", "nil", async |db| db.ask(read(ReadFrom::START)).await);
    t.error("not a stream", "WRONGTYPE", async |db| db.ask(XRead::new().stream("s", ReadFrom::START)).await);
    t.error("one of two is not a stream", "WRONGTYPE", async |db| { db.add(1..=3).await; db.ask(read(id(0)).stream("s", id(0))).await });
    t.error("no stream named", "ERR wrong number of arguments for 'xread' command", async |db| db.ask(XRead::new()).await);

    t.option("COUNT");
    t.reply("of each stream", "k [1-0 n=1] k2 [1-0 n=1]", async |db| {
        db.add(1..=3).await;
        db.add_to("k2", 1..=3).await;
        db.ask(both().count(1)).await
    });
    t.reply("0 is no limit", "k [1-0 n=1, 2-0 n=2]", async |db| { db.add(1..=2).await; db.ask(both().count(0)).await });
    t.nothing("no stream", "nil", async |db| db.ask(both().count(1)).await);
    t.error("beyond the largest number", "ERR value is not an integer or out of range", async |db| db.ask(both().count(u64::MAX)).await);

    t.option("MAXCOUNT").since("8.10, valkey none", Feature::MaxCount, "MAXCOUNT");
    t.reply("of all streams together", "k [1-0 n=1, 2-0 n=2, 3-0 n=3] k2 [1-0 n=1]", async |db| {
        db.add(1..=3).await;
        db.add_to("k2", 1..=3).await;
        db.ask(both().max_count(4)).await
    });
    t.nothing("no stream", "nil", async |db| db.ask(both().max_count(4)).await);
    t.error("not a stream", "WRONGTYPE", async |db| db.ask(XRead::new().stream("s", id(0)).max_count(4)).await);
    t.error("beyond the largest number", "ERR value is not an integer or out of range",
        async |db| db.ask(both().max_count(u64::MAX)).await);
    t.error("0", "ERR MAXCOUNT must be a positive integer",
        async |db| { db.add(1..=1).await; db.ask(both().max_count(0)).await });

    t.option("MAXSIZE").since("8.10, valkey none", Feature::MaxSize, "MAXSIZE");
    t.reply("one always comes", "k [1-0 n=1]", async |db| { db.add(1..=3).await; db.ask(both().max_size(1)).await });
    t.reply("as many as fit", "k [1-0 n=1, 2-0 n=2, 3-0 n=3]",
        async |db| { db.add(1..=3).await; db.ask(both().max_size(10_000)).await });
    t.nothing("no stream", "nil", async |db| db.ask(both().max_size(1)).await);
    t.error("not a stream", "WRONGTYPE", async |db| db.ask(XRead::new().stream("s", id(0)).max_size(4)).await);
    t.error("beyond the largest number", "ERR value is not an integer or out of range",
        async |db| db.ask(both().max_size(u64::MAX)).await);
    t.error("0", "ERR MAXSIZE must be a positive integer",
        async |db| { db.add(1..=1).await; db.ask(both().max_size(0)).await });

    t.option("$");
    t.reply("what is added later", "k [4-0 n=4]", async |db| {
        db.add(1..=3).await;
        db.read_until(read(ReadFrom::End).block(MINUTE), async |db, _| db.add(4..=4).await).await
    });
    t.nothing("nothing is above the last", "nil", async |db| { db.add(1..=3).await; db.ask(read(ReadFrom::End)).await });
    t.error("not a stream", "WRONGTYPE", async |db| db.ask(XRead::new().stream("s", ReadFrom::End)).await);

    t.option("+").since("7.4, valkey 8.0", Feature::ReadLast, "+");
    t.reply("the last entry", "k [3-0 n=3]", async |db| { db.add(1..=3).await; db.ask(read(ReadFrom::Last)).await });
    t.reply("whatever COUNT says", "k [3-0 n=3]", async |db| { db.add(1..=3).await; db.ask(read(ReadFrom::Last).count(2)).await });
    t.nothing("no stream", "nil", async |db| db.ask(read(ReadFrom::Last)).await);
    t.error("not a stream, which all say first", [("6.2", "WRONGTYPE")], async |db| db.ask(XRead::new().stream("s", ReadFrom::Last)).await);
    t.error("beyond the largest number", "ERR value is not an integer or out of range",
        async |db| db.ask(read(ReadFrom::Last).count(u64::MAX)).await);

    t.option("BLOCK");
    t.reply("there is something already", "k [1-0 n=1]", async |db| { db.add(1..=1).await; db.read(read(id(0)).block(MINUTE)).await });
    t.reply("an entry comes", "k [1-0 n=1]", async |db| db.read_until(read(id(0)).block(MINUTE), async |db, _| db.add(1..=1).await).await);
    t.reply("for ever", "k2 [1-0 n=1]", async |db| db.read_until(both().block_forever(), async |db, _| db.add_to("k2", 1..=1).await).await);
    t.reply("the stream is deleted, and made anew", "k [4-0 n=4]", async |db| {
        db.add(1..=3).await;
        db.read_until(read(id(3)).block_forever(), async |db, _| { db.run("DEL k").await; db.add(4..=4).await }).await
    });
    t.nothing("the time is over", "nil", async |db| db.read(read(id(0)).block(MS)).await);
    t.nothing("CLIENT UNBLOCK TIMEOUT", "nil", async |db| db.read_until(both().block_forever(), async |db, id| {
        assert!(db.must(ClientUnblock::new(id)).await);
    }).await);
    t.error("CLIENT UNBLOCK ERROR", "UNBLOCKED client unblocked via CLIENT UNBLOCK",
        async |db| db.read_until(both().block_forever(), async |db, id| {
        assert!(db.must(ClientUnblock::new(id).error()).await);
    }).await);
    t.error("not a stream", "WRONGTYPE", async |db| db.read(XRead::new().stream("s", id(0)).block_forever()).await);
}
