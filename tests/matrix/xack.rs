//! XACK, XACKDEL and XDELEX.

use crate::db::{Db, id};
use crate::table::{Answer, Table};
use bourn::{
    EntryId, Feature, GroupFrom, Refs, StartAt, XAck, XAckDel, XDelEx, XGroupCreate, XPending,
    XReadGroup,
};

/// Returns the answer for `1-0`, `2-0` and `4-0`, and the rest of three entries, of which the first
/// two are pending for `g` and the last two for another group.
async fn of_three(db: &Db, command: impl AsyncFnOnce(&[EntryId]) -> Answer) -> Answer {
    db.given(3, 2).await;
    db.must(XGroupCreate::new("k", "g2", StartAt::START)).await;
    db.must(XReadGroup::new("g2", "a").stream("k", GroupFrom::New)).await;
    db.must(XAck::new("k", "g2", id(1))).await;
    let answer = command(&[id(1), id(2), id(4)]).await?;
    let other = db.must(XPending::new("k", "g2")).await.count;
    let pending = db.must(XPending::new("k", "g")).await.count;
    Ok(format!("{answer}, left {}, pending {pending} and {other}", db.ids().await?))
}

async fn ack_del(db: &Db, refs: Refs) -> Answer {
    of_three(db, async |ids| db.ask(XAckDel::new("k", "g", ids).refs(refs)).await).await
}

async fn del_ex(db: &Db, refs: Refs) -> Answer {
    of_three(db, async |ids| db.ask(XDelEx::new("k", ids).refs(refs)).await).await
}

#[rustfmt::skip]
pub(crate) fn rows(t: &mut Table) {
    t.command("XACK");
    t.reply("pending ones among them", "2, then 1 2-0 2-0 [a=1]", async |db| {
        db.given(4, 3).await;
        db.then(XAck::new("k", "g", &[id(1), id(3), id(4)]), XPending::new("k", "g")).await
    });
    t.nothing("not pending", "0", async |db| { db.given(3, 1).await; db.ask(XAck::new("k", "g", id(2))).await });
    t.nothing("no group", "0", async |db| { db.add(1..=1).await; db.ask(XAck::new("k", "g", id(1))).await });
    t.nothing("no stream", "0", async |db| db.ask(XAck::new("k", "g", id(1))).await);
    t.error("not a stream", "WRONGTYPE", async |db| db.ask(XAck::new("s", "g", id(1))).await);
    t.error("no id", "ERR wrong number of arguments for 'xack' command", async |db| db.ask(XAck::new("k", "g", &[])).await);

    t.command("XACKDEL").since("8.2, valkey 9.2", Feature::XAckDel, "");
    t.reply("pending, not pending", "[1 -1]", async |db| { db.given(3, 1).await; db.ask(XAckDel::new("k", "g", &[id(1), id(2)])).await });
    t.nothing("no group", "[-1]", async |db| { db.add(1..=1).await; db.ask(XAckDel::new("k", "g", id(1))).await });
    t.nothing("no stream", "[-1]", async |db| db.ask(XAckDel::new("k", "g", id(1))).await);
    t.error("not a stream", "WRONGTYPE", async |db| db.ask(XAckDel::new("s", "g", id(1))).await);
    t.error("no id", "ERR wrong number of arguments for 'xackdel' command", async |db| db.ask(XAckDel::new("k", "g", &[])).await);

    for (option, refs, want) in [
        ("KEEPREF", Refs::Keep, "[1 1 -1], left [3-0], pending 0 and 2"),
        ("DELREF", Refs::Delete, "[1 1 -1], left [3-0], pending 0 and 1"),
        ("ACKED", Refs::Acked, "[1 2 -1], left [2-0 3-0], pending 0 and 2"),
    ] {
        t.option(option).since("8.2, valkey 9.2", Feature::XAckDel, "");
        t.reply("of no other group, of another, of none", want, async move |db| ack_del(&db, refs).await);
        t.nothing("no stream", "[-1]", async move |db| db.ask(XAckDel::new("k", "g", id(1)).refs(refs)).await);
        t.error("not a stream", "WRONGTYPE", async move |db| db.ask(XAckDel::new("s", "g", id(1)).refs(refs)).await);
    }

    t.command("XDELEX").since("8.2, valkey 9.2", Feature::XDelEx, "");
    t.reply("there, not there", "[1 -1]", async |db| { db.add(1..=1).await; db.ask(XDelEx::new("k", &[id(1), id(2)])).await });
    t.nothing("no stream", "[-1]", async |db| db.ask(XDelEx::new("k", id(1))).await);
    t.error("not a stream", "WRONGTYPE", async |db| db.ask(XDelEx::new("s", id(1))).await);
    t.error("no id", "ERR wrong number of arguments for 'xdelex' command", async |db| db.ask(XDelEx::new("k", &[])).await);

    for (option, refs, want) in [
        ("KEEPREF", Refs::Keep, "[1 1 -1], left [3-0], pending 2 and 2"),
        ("DELREF", Refs::Delete, "[1 1 -1], left [3-0], pending 0 and 1"),
        ("ACKED", Refs::Acked, "[2 2 2], left [1-0 2-0 3-0], pending 2 and 2"),
    ] {
        t.option(option).since("8.2, valkey 9.2", Feature::XDelEx, "");
        t.reply("of one group, of another, of none", want, async move |db| del_ex(&db, refs).await);
        t.nothing("no stream", "[-1]", async move |db| db.ask(XDelEx::new("k", id(1)).refs(refs)).await);
        t.error("not a stream", "WRONGTYPE", async move |db| db.ask(XDelEx::new("s", id(1)).refs(refs)).await);
    }
}
