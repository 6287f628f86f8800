//! XPENDING.

use crate::db::{MINUTE, id};
use crate::table::Table;
use bourn::{EntryId, XClaim, XPending, XPendingRange};
use std::ops::Bound::{Excluded, Unbounded};
use std::time::Duration;

/// Returns all pending entries.
fn all() -> XPendingRange<'static> {
    XPendingRange::new("k", "g", .., 10)
}

const NO_GROUP: &str = "NOGROUP No such key 'k' or consumer group 'g'";

#[rustfmt::skip]
pub(crate) fn rows(t: &mut Table) {
    t.command("XPENDING");
    t.reply("of two consumers", "3 1-0 3-0 [a=2 b=1]", async |db| {
        db.given(4, 3).await;
        db.must(XClaim::new("k", "g", "b", Duration::ZERO, id(2))).await;
        db.ask(XPending::new("k", "g")).await
    });
    t.nothing("nothing is pending", "0 nil nil []", async |db| { db.given(3, 0).await; db.ask(XPending::new("k", "g")).await });
    t.error("no group", NO_GROUP, async |db| { db.add(1..=1).await; db.ask(XPending::new("k", "g")).await });
    t.error("no stream", NO_GROUP, async |db| db.ask(XPending::new("k", "g")).await);
    t.error("not a stream", "WRONGTYPE", async |db| db.ask(XPending::new("s", "g")).await);

    t.option("start end count");
    t.reply("the first two", "[1-0 a now 1 2-0 a now 1]",
        async |db| { db.given(3, 3).await; db.ask(XPending::new("k", "g").range(.., 2)).await });
    t.reply("between two ids", "[2-0 a now 1]",
        async |db| { db.given(3, 3).await; db.ask(XPending::new("k", "g").range(id(2)..=id(2), 9)).await });
    t.nothing("nothing is pending", "[]", async |db| { db.given(3, 0).await; db.ask(all()).await });
    t.nothing("a count of 0", "[]", async |db| { db.given(3, 3).await; db.ask(XPendingRange::new("k", "g", .., 0)).await });
    t.error("no group", NO_GROUP, async |db| { db.add(1..=1).await; db.ask(all()).await });
    t.error("beyond the largest number", "ERR value is not an integer or out of range",
        async |db| db.ask(XPendingRange::new("k", "g", .., u64::MAX)).await);

    t.option("(id");
    t.reply("above", "[3-0 a now 1]",
        async |db| { db.given(3, 3).await; db.ask(XPendingRange::new("k", "g", (Excluded(id(2)), Unbounded), 9)).await });
    t.reply("below", "[1-0 a now 1]", async |db| { db.given(3, 3).await; db.ask(XPendingRange::new("k", "g", ..id(2), 9)).await });
    t.nothing("none above", "[]",
        async |db| { db.given(3, 3).await; db.ask(XPendingRange::new("k", "g", (Excluded(id(3)), Unbounded), 9)).await });
    t.error("above the largest", "ERR invalid start ID for the interval",
        async |db| db.ask(XPendingRange::new("k", "g", (Excluded(EntryId::MAX), Unbounded), 9)).await);

    t.option("IDLE");
    t.reply("for long enough", "[2-0 a 1min 1]",
        async |db| { db.given(3, 3).await; db.age(id(2)).await; db.ask(all().idle(MINUTE)).await });
    t.nothing("none for so long", "[]", async |db| { db.given(3, 3).await; db.ask(all().idle(MINUTE)).await });
    t.error("no group", NO_GROUP, async |db| db.ask(all().idle(MINUTE)).await);

    t.option("consumer");
    t.reply("its own", "[1-0 a now 1 3-0 a now 1]", async |db| {
        db.given(3, 3).await;
        db.must(XClaim::new("k", "g", "b", Duration::ZERO, id(2))).await;
        db.ask(all().consumer("a")).await
    });
    t.nothing("no such consumer", "[]", async |db| { db.given(3, 3).await; db.ask(all().consumer("x")).await });
    t.error("no group", NO_GROUP, async |db| db.ask(all().consumer("a")).await);
}
