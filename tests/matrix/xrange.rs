//! XLEN, XRANGE and XREVRANGE.

use crate::db::id;
use crate::table::Table;
use bourn::{EntryId, XLen, XRange, XRevRange};
use std::ops::Bound::{Excluded, Unbounded};

#[rustfmt::skip]
pub(crate) fn rows(t: &mut Table) {
    t.command("XLEN");
    t.reply("three entries", "3", async |db| { db.add(1..=3).await; db.ask(XLen::new("k")).await });
    t.nothing("no stream", "0", async |db| db.ask(XLen::new("k")).await);
    t.error("not a stream", "WRONGTYPE", async |db| db.ask(XLen::new("s")).await);

    t.command("XRANGE");
    t.reply("all", "[1-0 n=1, 2-0 n=2]", async |db| { db.add(1..=2).await; db.ask(XRange::new("k", ..)).await });
    t.reply("some", "[2-0 n=2, 3-0 n=3]", async |db| { db.add(1..=5).await; db.ask(XRange::new("k", id(2)..=id(3))).await });
    t.nothing("none between", "[]", async |db| { db.add(1..=2).await; db.ask(XRange::new("k", id(3)..=id(9))).await });
    t.nothing("start above end", "[]", async |db| { db.add(1..=2).await; db.ask(XRange::new("k", id(2)..=id(1))).await });
    t.nothing("no stream", "[]", async |db| db.ask(XRange::new("k", ..)).await);
    t.error("not a stream", "WRONGTYPE", async |db| db.ask(XRange::new("s", ..)).await);

    t.option("COUNT");
    t.reply("the first two", "[1-0 n=1, 2-0 n=2]", async |db| { db.add(1..=5).await; db.ask(XRange::new("k", ..).count(2)).await });
    t.nothing("0 is none (null)", "[]", async |db| { db.add(1..=5).await; db.ask(XRange::new("k", ..).count(0)).await });
    t.nothing("no stream", "[]", async |db| db.ask(XRange::new("k", ..).count(2)).await);
    t.error("beyond the largest number", "ERR value is not an integer or out of range",
        async |db| db.ask(XRange::new("k", ..).count(u64::MAX)).await);

    t.option("(id");
    t.reply("above", "[3-0 n=3]", async |db| { db.add(1..=3).await; db.ask(XRange::new("k", (Excluded(id(2)), Unbounded))).await });
    t.reply("below", "[1-0 n=1, 2-0 n=2]", async |db| { db.add(1..=3).await; db.ask(XRange::new("k", ..id(3))).await });
    t.nothing("none above", "[]", async |db| { db.add(1..=3).await; db.ask(XRange::new("k", (Excluded(id(3)), Unbounded))).await });
    t.error("above the largest", "ERR invalid start ID for the interval",
        async |db| db.ask(XRange::new("k", (Excluded(EntryId::MAX), Unbounded))).await);
    t.error("below the smallest", "ERR invalid end ID for the interval", async |db| db.ask(XRange::new("k", ..EntryId::MIN)).await);

    t.command("XREVRANGE");
    t.reply("all", "[2-0 n=2, 1-0 n=1]", async |db| { db.add(1..=2).await; db.ask(XRevRange::new("k", ..)).await });
    t.reply("some", "[3-0 n=3, 2-0 n=2]", async |db| { db.add(1..=5).await; db.ask(XRevRange::new("k", id(2)..=id(3))).await });
    t.nothing("none between", "[]", async |db| { db.add(1..=2).await; db.ask(XRevRange::new("k", id(3)..=id(9))).await });
    t.nothing("no stream", "[]", async |db| db.ask(XRevRange::new("k", ..)).await);
    t.error("not a stream", "WRONGTYPE", async |db| db.ask(XRevRange::new("s", ..)).await);

    t.option("COUNT");
    t.reply("the last two", "[5-0 n=5, 4-0 n=4]", async |db| { db.add(1..=5).await; db.ask(XRevRange::new("k", ..).count(2)).await });
    t.nothing("0 is none (null)", "[]", async |db| { db.add(1..=5).await; db.ask(XRevRange::new("k", ..).count(0)).await });
    t.nothing("no stream", "[]", async |db| db.ask(XRevRange::new("k", ..).count(2)).await);
    t.error("beyond the largest number", "ERR value is not an integer or out of range",
        async |db| db.ask(XRevRange::new("k", ..).count(u64::MAX)).await);

    t.option("(id");
    t.reply("above", "[3-0 n=3]", async |db| { db.add(1..=3).await; db.ask(XRevRange::new("k", (Excluded(id(2)), Unbounded))).await });
    t.reply("below", "[2-0 n=2, 1-0 n=1]", async |db| { db.add(1..=3).await; db.ask(XRevRange::new("k", ..id(3))).await });
    t.nothing("none above", "[]", async |db| { db.add(1..=3).await; db.ask(XRevRange::new("k", (Excluded(id(3)), Unbounded))).await });
    t.error("above the largest", "ERR invalid start ID for the interval",
        async |db| db.ask(XRevRange::new("k", (Excluded(EntryId::MAX), Unbounded))).await);
    t.error("below the smallest", "ERR invalid end ID for the interval", async |db| db.ask(XRevRange::new("k", ..EntryId::MIN)).await);
}
