//! XAUTOCLAIM.

use crate::db::{MINUTE, id};
use crate::show::Show;
use crate::table::Table;
use bourn::{EntryId, XAutoClaim, XAutoClaimJustId, XDel, XPending};
use std::time::Duration;

/// Claims all pending entries for `b`, from this id on.
fn claim(start: u64) -> XAutoClaim<'static> {
    XAutoClaim::new("k", "g", "b", Duration::ZERO, id(start))
}

/// Claims entries that are idle for a minute.
fn idle() -> XAutoClaim<'static> {
    XAutoClaim::new("k", "g", "b", MINUTE, EntryId::MIN)
}

fn just_id() -> XAutoClaimJustId<'static> {
    claim(0).just_id()
}

const NO_GROUP: &str = "NOGROUP No such key 'k' or consumer group 'g'";
/// The page of a claim without results.
const NOTHING: &str = "0-0 []";

#[rustfmt::skip]
pub(crate) fn rows(t: &mut Table) {
    t.command("XAUTOCLAIM");
    t.reply("all", "0-0 [1-0 n=1, 2-0 n=2]",
        async |db| { db.given(3, 2).await; db.ask(claim(0)).await });
    t.reply("from an id on", "0-0 [2-0 n=2]",
        async |db| { db.given(3, 2).await; db.ask(claim(2)).await });
    t.reply("idle for long enough", "0-0 [2-0 n=2]",
        async |db| { db.given(3, 3).await; db.age(id(2)).await; db.ask(idle()).await });
    t.reply("a third part: what was deleted", [("6.2", "nil"), ("7.0", "[]")],
        async |db| { db.given(3, 2).await; Ok(db.client.send(claim(0)).await?.deleted.show()) });
    t.reply("a deleted entry", [("6.2", "0-0 [nil, 2-0 n=2], then 2 1-0 2-0 [b=2]"), ("7.0", "0-0 [2-0 n=2] [1-0], then 1 2-0 2-0 [b=1]")],
        async |db| {
        db.given(2, 2).await;
        db.must(XDel::new("k", id(1))).await;
        db.then(claim(0), XPending::new("k", "g")).await
    });
    t.nothing("nothing is pending", NOTHING, async |db| { db.given(3, 0).await; db.ask(claim(0)).await });
    t.nothing("not idle for long enough", NOTHING, async |db| { db.given(3, 3).await; db.ask(idle()).await });
    t.error("no group", NO_GROUP, async |db| { db.add(1..=1).await; db.ask(claim(0)).await });
    t.error("no stream", NO_GROUP, async |db| db.ask(claim(0)).await);
    t.error("not a stream", "WRONGTYPE", async |db| db.ask(XAutoClaim::new("s", "g", "b", MINUTE, EntryId::MIN)).await);

    t.option("COUNT");
    t.reply("and where to go on", "3-0 [1-0 n=1, 2-0 n=2]",
        async |db| { db.given(5, 5).await; db.ask(claim(0).count(2)).await });
    t.nothing("ten times as many looked at", "11-0 []",
        async |db| { db.given(15, 15).await; db.ask(idle().count(1)).await });
    t.error("beyond the largest number", "ERR COUNT must be > 0",
        async |db| { db.given(1, 1).await; db.ask(claim(0).count(u64::MAX)).await });
    t.error("0", "ERR COUNT must be > 0", async |db| { db.given(1, 1).await; db.ask(claim(0).count(0)).await });

    t.option("(start");
    t.reply("above", "0-0 [2-0 n=2]",
        async |db| { db.given(2, 2).await; db.ask(claim(1).exclusive()).await });
    t.nothing("none above", NOTHING, async |db| { db.given(2, 2).await; db.ask(claim(2).exclusive()).await });
    t.error("above the largest", "ERR invalid start ID for the interval", async |db| {
        db.given(1, 1).await;
        db.ask(XAutoClaim::new("k", "g", "b", MINUTE, EntryId::MAX).exclusive()).await
    });

    t.option("JUSTID");
    t.reply("not counted as delivered", "0-0 [1-0], then [1-0 b now 1]",
        async |db| {
        db.given(1, 1).await;
        db.then(just_id(), XPending::new("k", "g").range(.., 9)).await
    });
    t.reply("a deleted entry", [("6.2", "0-0 [1-0 2-0]"), ("7.0", "0-0 [2-0] [1-0]")], async |db| {
        db.given(2, 2).await;
        db.must(XDel::new("k", id(1))).await;
        db.ask(just_id()).await
    });
    t.nothing("nothing is pending", NOTHING, async |db| { db.given(3, 0).await; db.ask(just_id()).await });
    t.error("no group", NO_GROUP, async |db| db.ask(just_id()).await);
}
