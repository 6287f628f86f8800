//! XTRIM and XDEL.

use crate::db::{Db, id};
use crate::table::{Answer, Table};
use crate::want::Want;
use bourn::{Feature, Refs, Trim, XAck, XDel, XTrim};

fn trim(trim: Trim) -> XTrim<'static> {
    XTrim::new("k", trim)
}

/// Returns how many of three entries were removed, and the rest.
async fn of_three(db: &Db, trim: XTrim<'_>) -> Answer {
    db.add(1..=3).await;
    let went = db.ask(trim).await?;
    Ok(format!("{went}, left {}", db.ids().await?))
}

/// Returns how many of 250 entries were removed.
async fn of_250(db: &Db, trim: XTrim<'_>) -> Answer {
    db.add(1..=250).await;
    db.ask(trim).await
}

/// Returns how many of three delivered entries, one acknowledged, were removed; and the pending
/// ones.
async fn of_given(db: &Db, refs: Refs) -> Answer {
    db.given(3, 3).await;
    db.must(XAck::new("k", "g", id(1))).await;
    let went = db.ask(trim(Trim::max_len(0)).refs(refs)).await?;
    Ok(format!("{went}, pending {}", db.pending().await?))
}

const RANGE: &str = "ERR value is not an integer or out of range";
/// Redis 8.2 removes nothing; later versions remove as many as asked for, across nodes.
const NONE_OR_ALL: [(&str, &str); 2] = [("8.2", "0"), ("8.6", "240")];

#[rustfmt::skip]
pub(crate) fn rows(t: &mut Table) {
    t.command("XTRIM").option("MAXLEN =");
    t.reply("too long", "1, left [2-0 3-0]", async |db| of_three(&db, trim(Trim::max_len(2))).await);
    t.nothing("short enough", "0, left [1-0 2-0 3-0]", async |db| of_three(&db, trim(Trim::max_len(3))).await);
    t.nothing("no stream", "0", async |db| db.ask(trim(Trim::max_len(2))).await);
    t.error("not a stream", "WRONGTYPE", async |db| db.ask(XTrim::new("s", Trim::max_len(2))).await);
    t.error("beyond the largest number", RANGE, async |db| db.ask(trim(Trim::max_len(u64::MAX))).await);

    t.option("MAXLEN ~");
    t.reply("whole nodes only", "200", async |db| of_250(&db, trim(Trim::max_len(10).approximate())).await);
    t.nothing("no whole node", "0, left [1-0 2-0 3-0]", async |db| of_three(&db, trim(Trim::max_len(1).approximate())).await);
    t.error("not a stream", "WRONGTYPE", async |db| db.ask(XTrim::new("s", Trim::max_len(2).approximate())).await);

    t.option("MINID =");
    t.reply("what is below", "2, left [3-0]", async |db| of_three(&db, trim(Trim::min_id(id(3)))).await);
    t.nothing("nothing is below", "0, left [1-0 2-0 3-0]", async |db| of_three(&db, trim(Trim::min_id(id(1)))).await);
    t.error("not a stream", "WRONGTYPE", async |db| db.ask(XTrim::new("s", Trim::min_id(id(1)))).await);

    t.option("MINID ~");
    t.reply("whole nodes only", "200", async |db| of_250(&db, trim(Trim::min_id(id(240)).approximate())).await);
    t.nothing("no whole node", "0, left [1-0 2-0 3-0]", async |db| of_three(&db, trim(Trim::min_id(id(3)).approximate())).await);
    t.error("not a stream", "WRONGTYPE", async |db| db.ask(XTrim::new("s", Trim::min_id(id(1)).approximate())).await);

    t.option("LIMIT");
    t.reply("one node at most", "100", async |db| of_250(&db, trim(Trim::max_len(10).limit(150))).await);
    t.reply("one node at most, by id", "100", async |db| of_250(&db, trim(Trim::min_id(id(240)).limit(100))).await);
    t.nothing("less than a node", "0", async |db| of_250(&db, trim(Trim::max_len(10).limit(50))).await);
    t.error("beyond the largest number", RANGE, async |db| db.ask(trim(Trim::max_len(1).limit(u64::MAX))).await);

    for (option, refs, feature, want, approximately) in [
        ("KEEPREF", Refs::Keep, Feature::KeepRef, "3, pending [2-0 a now 1 3-0 a now 1]", Want::from("200")),
        ("DELREF", Refs::Delete, Feature::DelRef, "3, pending []", NONE_OR_ALL.into()),
        ("ACKED", Refs::Acked, Feature::Acked, "1, pending [2-0 a now 1 3-0 a now 1]", NONE_OR_ALL.into()),
    ] {
        t.option(option).since("8.2, valkey none", feature, option);
        t.reply("of three, one of them acknowledged", want, async move |db| of_given(&db, refs).await);
        t.reply("MAXLEN ~ 10, of 250", approximately,
            async move |db| of_250(&db, trim(Trim::max_len(10).approximate()).refs(refs)).await);
        t.nothing("no stream", "0", async move |db| db.ask(trim(Trim::max_len(0)).refs(refs)).await);
        t.error("not a stream", "WRONGTYPE", async move |db| db.ask(XTrim::new("s", Trim::max_len(0)).refs(refs)).await);
        t.error("beyond the largest number", RANGE, async move |db| db.ask(trim(Trim::max_len(u64::MAX)).refs(refs)).await);
    }

    t.command("XDEL");
    t.reply("some of them", "2, then [2-0 n=2]", async |db| {
        db.add(1..=3).await;
        db.then(XDel::new("k", &[id(1), id(3), id(4)]), bourn::XRange::new("k", ..)).await
    });
    t.reply("what is pending stays pending", "1, then 1 1-0 1-0 [a=1]", async |db| {
        db.given(1, 1).await;
        db.then(XDel::new("k", id(1)), bourn::XPending::new("k", "g")).await
    });
    t.nothing("no such entry", "0", async |db| { db.add(1..=3).await; db.ask(XDel::new("k", id(4))).await });
    t.nothing("no stream", "0", async |db| db.ask(XDel::new("k", id(1))).await);
    t.error("not a stream", "WRONGTYPE", async |db| db.ask(XDel::new("s", id(1))).await);
    t.error("no id", "ERR wrong number of arguments for 'xdel' command", async |db| db.ask(XDel::new("k", &[])).await);
}
