//! XNACK.

use crate::db::{Db, MINUTE, id};
use crate::table::{Answer, Table};
use bourn::{
    Feature, GroupFrom, NackMode, XAck, XAutoClaim, XInfoStream, XNack, XPending, XReadGroup,
};

fn nack(mode: NackMode) -> XNack<'static> {
    XNack::new("k", "g", mode, id(1))
}

/// Returns the answer and the pending entries, of three entries of which two were delivered.
async fn of_three(db: &Db, nack: XNack<'_>) -> Answer {
    db.given(3, 2).await;
    db.then(nack, XPending::new("k", "g").range(.., 9)).await
}

const NO_GROUP: &str = "NOGROUP No such key 'k' or consumer group 'g'";

#[rustfmt::skip]
pub(crate) fn rows(t: &mut Table) {
    t.command("XNACK").since("8.8, valkey none", Feature::XNack, "");
    t.reply("then of no consumer", "1, then 1 1-0 1-0 []", async |db| {
        db.given(1, 1).await;
        db.then(nack(NackMode::Fail), XPending::new("k", "g")).await
    });
    t.reply("then claimed at once", "1, then 0-0 [1-0 n=1]", async |db| {
        db.given(1, 1).await;
        db.then(nack(NackMode::Fail), XAutoClaim::new("k", "g", "b", MINUTE, id(0))).await
    });
    t.reply("then read with CLAIM", "1, then k [1-0 n=1 (since 1970 1)]", async |db| {
        db.given(1, 1).await;
        db.then(nack(NackMode::Fail), XReadGroup::new("g", "b").stream("k", GroupFrom::New).claim(MINUTE)).await
    });
    t.nothing("then not read as new", "1, then nil", async |db| {
        db.given(1, 1).await;
        db.then(nack(NackMode::Fail), XReadGroup::new("g", "b").stream("k", GroupFrom::New)).await
    });
    t.reply("then acknowledged", "1, then 1",
        async |db| { db.given(1, 1).await; db.then(nack(NackMode::Fail), XAck::new("k", "g", id(1))).await });
    t.reply("then XINFO STREAM FULL counts it", "nacked 1 of 2", async |db| {
        db.given(2, 2).await;
        db.ask(nack(NackMode::Fail)).await?;
        let group = &db.must(XInfoStream::new("k").full()).await.groups[0];
        Ok(format!("nacked {} of {}", group.nacked_count.unwrap_or_default(), group.pel_count))
    });
    t.reply("in a transaction (too old: none of it runs)", "1 and 1", async |db| {
        db.given(1, 1).await;
        let (nacked, acked) = db.client.transact((nack(NackMode::Fail), XAck::new("k", "g", id(1)))).await?;
        Ok(format!("{} and {}", nacked?, acked?))
    });
    t.error("no id", "ERR wrong number of arguments for 'xnack' command",
        async |db| { db.group().await; db.ask(XNack::new("k", "g", NackMode::Fail, &[])).await });

    for (option, mode, want) in [
        ("SILENT", NackMode::Silent, "1, then [1-0 '' nil 0 2-0 a now 1]"),
        ("FAIL", NackMode::Fail, "1, then [1-0 '' nil 1 2-0 a now 1]"),
        ("FATAL", NackMode::Fatal, "1, then [1-0 '' nil 9223372036854775807 2-0 a now 1]"),
    ] {
        t.option(option).since("8.8, valkey none", Feature::XNack, "");
        t.reply("given back", want, async move |db| of_three(&db, nack(mode)).await);
        t.nothing("not pending", "0", async move |db| { db.given(1, 0).await; db.ask(nack(mode)).await });
        t.error("no group", NO_GROUP, async move |db| { db.add(1..=1).await; db.ask(nack(mode)).await });
        t.error("no stream", NO_GROUP, async move |db| db.ask(nack(mode)).await);
        t.error("not a stream", "WRONGTYPE", async move |db| db.ask(XNack::new("s", "g", mode, id(1))).await);
    }

    t.option("RETRYCOUNT").since("8.8, valkey none", Feature::XNack, "");
    t.reply("delivered so many times", "1, then [1-0 '' nil 7 2-0 a now 1]",
        async |db| of_three(&db, nack(NackMode::Fatal).retry_count(7)).await);
    t.nothing("not pending", "0", async |db| { db.given(1, 0).await; db.ask(nack(NackMode::Fail).retry_count(7)).await });
    t.error("beyond the largest number", "ERR value is not an integer or out of range",
        async |db| { db.given(1, 1).await; db.ask(nack(NackMode::Fail).retry_count(u64::MAX)).await });

    t.option("FORCE").since("8.8, valkey none", Feature::XNack, "");
    t.reply("not given yet", "1, then [1-0 a now 1 2-0 a now 1 3-0 '' nil 0]",
        async |db| of_three(&db, XNack::new("k", "g", NackMode::Fail, id(3)).force()).await);
    t.nothing("not in the stream", "0, then [1-0 a now 1 2-0 a now 1]",
        async |db| of_three(&db, XNack::new("k", "g", NackMode::Fail, id(4)).force()).await);
    t.error("no group", NO_GROUP, async |db| db.ask(nack(NackMode::Fail).force()).await);
}
