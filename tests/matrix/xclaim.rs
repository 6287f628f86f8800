//! XCLAIM.

use crate::db::{Db, MINUTE, id};
use crate::table::{Answer, Table};
use bourn::{EntryId, GroupFrom, XClaim, XClaimJustId, XDel, XPending, XReadGroup};
use std::time::Duration;

/// Claims `1-0` for `b`.
fn claim() -> XClaim<'static> {
    XClaim::new("k", "g", "b", Duration::ZERO, id(1))
}

fn just_id() -> XClaimJustId<'static> {
    claim().just_id()
}

/// Returns the answer and the pending entries, of three entries of which two were delivered.
async fn of_three(db: &Db, claim: XClaim<'_>) -> Answer {
    db.given(3, 2).await;
    db.then(claim, XPending::new("k", "g").range(.., 9)).await
}

const NO_GROUP: &str = "NOGROUP No such key 'k' or consumer group 'g'";

#[rustfmt::skip]
pub(crate) fn rows(t: &mut Table) {
    t.command("XCLAIM");
    t.reply("pending for another", "[1-0 n=1], then [1-0 b now 2 2-0 a now 1]", async |db| of_three(&db, claim()).await);
    t.reply("idle for long enough", "[2-0 n=2]", async |db| {
        db.given(3, 3).await;
        db.age(id(2)).await;
        db.ask(XClaim::new("k", "g", "b", MINUTE, &[id(1), id(2), id(3)])).await
    });
    t.reply("a deleted entry", [("6.2", "[nil, 2-0 n=2], then 2 1-0 2-0 [b=2]"), ("7.0", "[2-0 n=2], then 1 2-0 2-0 [b=1]")], async |db| {
        db.given(2, 2).await;
        db.must(XDel::new("k", id(1))).await;
        let both = [id(1), id(2)];
        db.then(XClaim::new("k", "g", "b", Duration::ZERO, &both), XPending::new("k", "g")).await
    });
    t.nothing("not idle for long enough", "[]",
        async |db| { db.given(3, 3).await; db.ask(XClaim::new("k", "g", "b", MINUTE, id(1))).await });
    t.nothing("not pending", "[]", async |db| { db.given(1, 0).await; db.ask(claim()).await });
    t.error("no id", "ERR wrong number of arguments for 'xclaim' command",
        async |db| { db.given(1, 1).await; db.ask(XClaim::new("k", "g", "b", MINUTE, &[])).await });
    t.error("no group", NO_GROUP, async |db| { db.add(1..=1).await; db.ask(claim()).await });
    t.error("no stream", NO_GROUP, async |db| db.ask(claim()).await);
    t.error("not a stream", "WRONGTYPE", async |db| db.ask(XClaim::new("s", "g", "b", MINUTE, id(1))).await);

    t.option("IDLE");
    t.reply("as if delivered a minute ago", "[1-0 n=1], then [1-0 b 1min 2 2-0 a now 1]",
        async |db| of_three(&db, claim().idle(MINUTE)).await);
    t.reply("longer than there is time: now", "[1-0 n=1], then [1-0 b now 2 2-0 a now 1]",
        async |db| of_three(&db, claim().idle(Duration::MAX)).await);
    t.nothing("not pending", "[]", async |db| { db.given(1, 0).await; db.ask(claim().idle(MINUTE)).await });
    t.error("no group", NO_GROUP, async |db| db.ask(claim().idle(MINUTE)).await);

    t.option("TIME");
    t.reply("as if delivered a minute ago", "[1-0 n=1], then [1-0 b 1min 2 2-0 a now 1]",
        async |db| of_three(&db, claim().time(db.now() - MINUTE)).await);
    t.reply("in the future: now", "[1-0 n=1], then [1-0 b now 2 2-0 a now 1]",
        async |db| of_three(&db, claim().time(db.now() + MINUTE)).await);
    t.nothing("not pending", "[]", async |db| { db.given(1, 0).await; db.ask(claim().time(db.now())).await });
    t.error("no group", NO_GROUP, async |db| db.ask(claim().time(db.now())).await);

    t.option("RETRYCOUNT");
    t.reply("delivered so many times", "[1-0 n=1], then [1-0 b now 7 2-0 a now 1]", async |db| of_three(&db, claim().retry_count(7)).await);
    t.nothing("not pending", "[]", async |db| { db.given(1, 0).await; db.ask(claim().retry_count(7)).await });
    t.error("beyond the largest number", "ERR Invalid RETRYCOUNT option argument for XCLAIM",
        async |db| { db.given(1, 1).await; db.ask(claim().retry_count(u64::MAX)).await });

    t.option("FORCE");
    t.reply("not pending before", "[3-0 n=3], then [1-0 a now 1 2-0 a now 1 3-0 b now 2]",
        async |db| of_three(&db, XClaim::new("k", "g", "b", MINUTE, id(3)).force()).await);
    t.nothing("not in the stream", "[], then [1-0 a now 1 2-0 a now 1]",
        async |db| of_three(&db, XClaim::new("k", "g", "b", MINUTE, id(4)).force()).await);
    t.error("no group", NO_GROUP, async |db| db.ask(claim().force()).await);

    t.option("JUSTID");
    t.reply("not counted as delivered", "[1-0], then [1-0 b now 1]", async |db| {
        db.given(1, 1).await;
        db.then(just_id(), XPending::new("k", "g").range(.., 9)).await
    });
    t.reply("a deleted entry", [("6.2", "[1-0]"), ("7.0", "[]")], async |db| {
        db.given(2, 2).await;
        db.must(XDel::new("k", id(1))).await;
        db.ask(just_id()).await
    });
    t.nothing("not pending", "[]", async |db| { db.given(1, 0).await; db.ask(just_id()).await });
    t.error("no group", NO_GROUP, async |db| db.ask(just_id()).await);

    t.option("LASTID");
    t.reply("the group has been given up to there", "[1-0 n=1], then k [3-0 n=3]", async |db| {
        db.given(3, 1).await;
        db.then(claim().last_id(id(2)), XReadGroup::new("g", "b").stream("k", GroupFrom::New)).await
    });
    t.nothing("not pending", "[]", async |db| { db.given(1, 0).await; db.ask(claim().last_id(EntryId::MAX)).await });
    t.error("no group", NO_GROUP, async |db| db.ask(claim().last_id(id(2))).await);
}
