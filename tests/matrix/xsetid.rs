//! XSETID, XCFGSET and XIDMPRECORD.

use crate::db::id;
use crate::table::Table;
use bourn::{Feature, XAdd, XCfgSet, XIdmpRecord, XLen, XSetId};
use std::time::Duration;

fn set(ms: u64) -> XSetId<'static> {
    XSetId::new("k", id(ms))
}

const NO_KEY: &str = "ERR no such key";
const TOO_SMALL: &str = "ERR The ID specified in XSETID is smaller than the target stream top item";
const SECOND: Duration = Duration::from_secs(1);

#[rustfmt::skip]
pub(crate) fn rows(t: &mut Table) {
    t.command("XSETID").always("OK");
    t.reply("above", "OK, then 9-1", async |db| {
        db.add(1..=1).await;
        db.ask(set(9)).await?;
        let error = db.client.send(XAdd::new("k").id(id(9)).field("n", 9)).await;
        assert!(error.is_err(), "9-0 is taken");
        db.then(set(9), XAdd::new("k").id(bourn::EntryId::new(9, 1)).field("n", 9)).await
    });
    t.error("below the last entry", TOO_SMALL, async |db| { db.add(5..=5).await; db.ask(set(4)).await });
    t.error("no stream", NO_KEY, async |db| db.ask(set(4)).await);
    t.error("not a stream", "WRONGTYPE", async |db| db.ask(XSetId::new("s", id(4))).await);

    t.option("ENTRIESADDED").since("7.0", Feature::EntriesAdded, "ENTRIESADDED").always("OK");
    t.reply("as many as there are", "OK", async |db| { db.add(1..=3).await; db.ask(set(4).entries_added(3)).await });
    t.error("fewer than there are", "ERR The entries_added specified in XSETID is smaller than the target stream length",
        async |db| { db.add(1..=3).await; db.ask(set(4).entries_added(2)).await });
    t.error("no stream", NO_KEY, async |db| db.ask(set(4).entries_added(2)).await);
    t.error("not a stream", "WRONGTYPE", async |db| db.ask(XSetId::new("s", id(4)).entries_added(2)).await);
    t.error("beyond the largest number", "ERR value is not an integer or out of range",
        async |db| { db.add(1..=3).await; db.ask(set(4).entries_added(u64::MAX)).await });

    t.option("MAXDELETEDID").since("7.0", Feature::MaxDeletedId, "MAXDELETEDID").always("OK");
    t.reply("below the id", "OK", async |db| { db.add(1..=3).await; db.ask(set(4).max_deleted_id(id(4))).await });
    t.error("above the id", "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
        async |db| { db.add(1..=3).await; db.ask(set(4).max_deleted_id(id(5))).await });
    t.error("no stream", NO_KEY, async |db| db.ask(set(4).max_deleted_id(id(1))).await);
    t.error("not a stream", "WRONGTYPE", async |db| db.ask(XSetId::new("s", id(4)).max_deleted_id(id(1))).await);

    t.command("XCFGSET").since("8.6, valkey none", Feature::XCfgSet, "").always("an error");
    t.error("neither option", "ERR At least one parameter must be specified",
        async |db| { db.add(1..=1).await; db.ask(XCfgSet::new("k")).await });
    t.option("IDMP-DURATION").since("8.6, valkey none", Feature::XCfgSet, "").always("OK");
    t.reply("a change forgets the pairs", "OK, then 3", async |db| {
        let add = || XAdd::new("k").field("n", 1).idmp("p", "i");
        db.add(1..=1).await;
        db.ask(XCfgSet::new("k").idmp_duration(100 * SECOND)).await?;
        db.ask(add()).await?;
        let set = db.ask(XCfgSet::new("k").idmp_duration(SECOND)).await?;
        db.ask(add()).await?;
        Ok(format!("{set}, then {}", db.ask(XLen::new("k")).await?))
    });
    t.error("out of bounds", "ERR IDMP-DURATION must be between 1 and 86400 seconds",
        async |db| { db.add(1..=1).await; db.ask(XCfgSet::new("k").idmp_duration(86_401 * SECOND)).await });
    t.error("no stream", NO_KEY, async |db| db.ask(XCfgSet::new("k").idmp_duration(SECOND)).await);
    t.error("not a stream", "WRONGTYPE", async |db| db.ask(XCfgSet::new("s").idmp_duration(SECOND)).await);
    t.option("IDMP-MAXSIZE").since("8.6, valkey none", Feature::XCfgSet, "").always("OK");
    t.reply("only the newest pair is remembered", "OK, then 4", async |db| {
        let add = |iid| XAdd::new("k").field("n", 1).idmp("p", iid);
        db.add(1..=1).await;
        let set = db.ask(XCfgSet::new("k").idmp_max_size(1)).await?;
        for iid in ["i", "j", "j", "i"] {
            db.ask(add(iid)).await?;
        }
        Ok(format!("{set}, then {}", db.ask(XLen::new("k")).await?))
    });
    t.error("out of bounds", "ERR IDMP-MAXSIZE must be between 1 and 10000 entries",
        async |db| { db.add(1..=1).await; db.ask(XCfgSet::new("k").idmp_max_size(10_001)).await });
    t.error("no stream", NO_KEY, async |db| db.ask(XCfgSet::new("k").idmp_max_size(9)).await);
    t.error("not a stream", "WRONGTYPE", async |db| db.ask(XCfgSet::new("s").idmp_max_size(9)).await);

    t.command("XIDMPRECORD").since("8.6.2, valkey none", Feature::XIdmpRecord, "").always("OK");
    t.reply("as if added so", "OK, then 1-0", async |db| {
        db.add(1..=1).await;
        db.then(XIdmpRecord::new("k", "p", "i", id(1)), XAdd::new("k").field("n", 2).idmp("p", "i")).await
    });
    t.error("no such entry", "ERR", async |db| { db.add(1..=1).await; db.ask(XIdmpRecord::new("k", "p", "i", id(2))).await });
    t.error("no stream", "ERR", async |db| db.ask(XIdmpRecord::new("k", "p", "i", id(1))).await);
    t.error("not a stream", "WRONGTYPE", async |db| db.ask(XIdmpRecord::new("s", "p", "i", id(1))).await);
}
