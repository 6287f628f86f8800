//! XADD.

use crate::db::{Db, id};
use crate::table::{Answer, Table};
use crate::want::Want;
use bourn::{AddId, EntryId, Feature, Refs, Trim, XAck, XAdd, XAddNoMkStream, XLen, XRange};

/// An entry `9-0` for the stream.
fn nine() -> XAdd<'static> {
    XAdd::new("k").id(id(9)).field("n", 9)
}

/// An entry for the stream with an automatic id.
fn auto() -> XAdd<'static> {
    XAdd::new("k").field("n", 9)
}

fn no_stream() -> XAddNoMkStream<'static> {
    nine().no_mk_stream()
}

/// Returns the entries after this was added.
async fn left(db: &Db, add: XAdd<'_>) -> Answer {
    db.ask(add).await?;
    db.ids().await
}

/// Returns the number of entries after this was added to 250 of them.
async fn left_of_250(db: &Db, add: XAdd<'_>) -> Answer {
    db.add(1..=250).await;
    db.ask(add.id(id(300))).await?;
    db.ask(XLen::new("k")).await
}

/// Returns the rest and the pending ones of three delivered entries, one of them acknowledged.
async fn left_of_three(db: &Db, refs: Refs) -> Answer {
    db.given(3, 3).await;
    db.must(XAck::new("k", "g", id(1))).await;
    let left = left(db, nine().trim(Trim::max_len(1)).refs(refs)).await?;
    Ok(format!("{left}, pending {}", db.pending().await?))
}

/// Whether the second has the id of the first, and the number of entries.
async fn same(db: &Db, first: XAdd<'_>, second: XAdd<'_>) -> Answer {
    let (first, second) = (db.client.send(first).await?, db.client.send(second).await?);
    let len = db.ask(XLen::new("k")).await?;
    Ok(format!("{}, {len} in all", if first == second { "the same" } else { "another" }))
}

const NOT_ABOVE: &str =
    "ERR The ID specified in XADD is equal or smaller than the target stream top item";
/// Redis 8.2 keeps all 251 entries; later versions keep no more than asked for, across nodes.
const NONE_OR_ALL: [(&str, &str); 2] = [("8.2", "251"), ("8.6", "10")];
const NOT_AUTO: &str = "ERR syntax error, IDMP/IDMPAUTO can be used only with auto-generated IDs";

#[rustfmt::skip]
pub(crate) fn rows(t: &mut Table) {
    t.command("XADD").option("*").always("an id");
    t.reply("above the last id, by the clock", "true", async |db| {
        db.add(1..=1).await;
        Ok((db.client.send(auto()).await? > id(1_600_000_000_000)).to_string())
    });
    t.error("not a stream", "WRONGTYPE", async |db| db.ask(XAdd::new("s").field("n", 1)).await);
    t.error("the last id is the largest", "ERR The stream has exhausted the last possible ID, unable to add more items", async |db| {
        db.must(auto().id(EntryId::MAX)).await;
        db.ask(auto()).await
    });

    t.option("id").always("an id");
    t.reply("a new stream", "9-0, then [9-0 n=9]", async |db| db.then(nine(), XRange::new("k", ..)).await);
    t.reply("a name twice, nothing, any bytes", "[9-0 n=9 a=1 a= =\\xff\\x00]", async |db| {
        db.must(nine().field("a", 1).field("a", "").field("", &[0xff, 0])).await;
        db.ask(XRange::new("k", ..)).await
    });
    t.reply("many fields", "9-0, then [9-0 n=9 1=1 2=2 3=3 4=4 5=5]",
        async |db| db.then(nine().fields((1..=5).map(|n| (n, n))), XRange::new("k", ..)).await);
    t.error("not above the last", NOT_ABOVE, async |db| { db.add(1..=9).await; db.ask(nine()).await });
    t.error("0-0", "ERR The ID specified in XADD must be greater than 0-0", async |db| db.ask(nine().id(EntryId::MIN)).await);
    t.error("no field", "ERR wrong number of arguments for 'xadd' command", async |db| db.ask(XAdd::new("k").id(id(9))).await);

    t.option("ms-*").since("7.0", Feature::AutoSeq, "ms-*").always("an id");
    t.reply("the next of that time", "1-1", async |db| { db.add(1..=1).await; db.ask(auto().id(AddId::AutoSeq { ms: 1 })).await });
    t.reply("the first of that time", "2-0", async |db| { db.add(1..=1).await; db.ask(auto().id(AddId::AutoSeq { ms: 2 })).await });
    t.error("not a stream", "WRONGTYPE", async |db| db.ask(XAdd::new("s").id(AddId::AutoSeq { ms: 1 }).field("n", 1)).await);
    t.error("an earlier time", NOT_ABOVE, async |db| { db.add(3..=3).await; db.ask(auto().id(AddId::AutoSeq { ms: 2 })).await });
    t.error("none is left of that time", [("7.0", "ERR Elements are too large to be stored"), ("7.2", NOT_ABOVE)], async |db| {
        db.must(auto().id(EntryId::new(5, u64::MAX))).await;
        db.ask(auto().id(AddId::AutoSeq { ms: 5 })).await
    });

    t.option("NOMKSTREAM");
    t.reply("there is a stream", "9-0", async |db| { db.add(1..=1).await; db.ask(no_stream()).await });
    t.nothing("there is none", "nil", async |db| db.ask(no_stream()).await);
    t.error("not a stream", "WRONGTYPE", async |db| db.ask(XAdd::new("s").field("n", 1).no_mk_stream()).await);

    t.option("MAXLEN =");
    t.reply("trims what it adds to", "[3-0 9-0]", async |db| { db.add(1..=3).await; left(&db, nine().trim(Trim::max_len(2))).await });
    t.reply("0 trims the new one too", "[]", async |db| left(&db, nine().trim(Trim::max_len(0))).await);
    t.nothing("nothing to trim", "[1-0 9-0]", async |db| { db.add(1..=1).await; left(&db, nine().trim(Trim::max_len(5))).await });
    t.error("beyond the largest number", "ERR value is not an integer or out of range",
        async |db| db.ask(nine().trim(Trim::max_len(u64::MAX))).await);

    t.option("MAXLEN ~");
    t.reply("whole nodes only", "51", async |db| left_of_250(&db, auto().trim(Trim::max_len(10).approximate())).await);
    t.nothing("no whole node", "[1-0 2-0 3-0 9-0]",
        async |db| { db.add(1..=3).await; left(&db, nine().trim(Trim::max_len(1).approximate())).await });
    t.error("not a stream", "WRONGTYPE", async |db| db.ask(XAdd::new("s").field("n", 1).trim(Trim::max_len(1).approximate())).await);

    t.option("MINID =");
    t.reply("trims what is below", "[3-0 9-0]", async |db| { db.add(1..=3).await; left(&db, nine().trim(Trim::min_id(id(3)))).await });
    t.nothing("nothing is below", "[3-0 9-0]", async |db| { db.add(3..=3).await; left(&db, nine().trim(Trim::min_id(id(3)))).await });
    t.error("not a stream", "WRONGTYPE", async |db| db.ask(XAdd::new("s").field("n", 1).trim(Trim::min_id(id(1)))).await);

    t.option("MINID ~");
    t.reply("whole nodes only", "51", async |db| left_of_250(&db, auto().trim(Trim::min_id(id(240)).approximate())).await);
    t.nothing("no whole node", "[1-0 2-0 3-0 9-0]",
        async |db| { db.add(1..=3).await; left(&db, nine().trim(Trim::min_id(id(3)).approximate())).await });
    t.error("not above the last", NOT_ABOVE,
        async |db| { db.add(1..=9).await; db.ask(nine().trim(Trim::min_id(id(5)).approximate())).await });

    t.option("LIMIT");
    t.reply("one node at most", "151", async |db| left_of_250(&db, auto().trim(Trim::max_len(10).limit(100))).await);
    t.reply("one node at most, by id", "151", async |db| left_of_250(&db, auto().trim(Trim::min_id(id(240)).limit(150))).await);
    t.nothing("less than a node", "251", async |db| left_of_250(&db, auto().trim(Trim::max_len(10).limit(50))).await);
    t.error("beyond the largest number", "ERR value is not an integer or out of range",
        async |db| db.ask(nine().trim(Trim::max_len(1).limit(u64::MAX))).await);

    for (option, refs, feature, want, approximately) in [
        ("KEEPREF", Refs::Keep, Feature::KeepRef, "[9-0], pending [2-0 a now 1 3-0 a now 1]", Want::from("51")),
        ("DELREF", Refs::Delete, Feature::DelRef, "[9-0], pending []", NONE_OR_ALL.into()),
        ("ACKED", Refs::Acked, Feature::Acked, "[2-0 3-0 9-0], pending [2-0 a now 1 3-0 a now 1]", NONE_OR_ALL.into()),
    ] {
        t.option(option).since("8.2, valkey none", feature, option);
        t.reply("of three, one of them acknowledged", want, async move |db| left_of_three(&db, refs).await);
        t.reply("MAXLEN ~ 10, of 251", approximately,
            async move |db| left_of_250(&db, auto().trim(Trim::max_len(10).approximate()).refs(refs)).await);
        t.nothing("no stream, and none is made", "nil", async move |db| db.ask(nine().refs(refs).no_mk_stream()).await);
        t.error("not above the last", NOT_ABOVE, async move |db| { db.add(1..=9).await; db.ask(nine().refs(refs)).await });
        t.error("not a stream", "WRONGTYPE", async move |db| db.ask(XAdd::new("s").field("n", 1).refs(refs)).await);
    }

    t.option("IDMP").since("8.6, valkey none", Feature::Idmp, "IDMP");
    t.reply("the same again", "the same, 1 in all", async |db| same(&db, auto().idmp("p", "i"), auto().field("b", 2).idmp("p", "i")).await);
    t.reply("another iid, another producer", "another, 2 in all", async |db| same(&db, auto().idmp("p", "i"), auto().idmp("q", "i")).await);
    t.nothing("no stream, and none is made", "nil", async |db| db.ask(auto().idmp("p", "i").no_mk_stream()).await);
    t.error("with an id", NOT_AUTO, async |db| db.ask(nine().idmp("p", "i")).await);
    t.error("not a stream", "WRONGTYPE", async |db| db.ask(XAdd::new("s").field("n", 1).idmp("p", "i")).await);
    t.error("an empty iid", "ERR syntax error, IDMP requires a non-empty idempotent ID", async |db| db.ask(auto().idmp("p", "")).await);

    t.option("IDMPAUTO").since("8.6, valkey none", Feature::IdmpAuto, "IDMPAUTO");
    t.reply("the same again", "the same, 1 in all", async |db| same(&db, auto().idmp_auto("p"), auto().idmp_auto("p")).await);
    t.nothing("no stream, and none is made", "nil", async |db| db.ask(auto().idmp_auto("p").no_mk_stream()).await);
    t.reply("other fields", "another, 2 in all", async |db| same(&db, auto().idmp_auto("p"), auto().field("b", 2).idmp_auto("p")).await);
    t.error("with an id", NOT_AUTO, async |db| db.ask(nine().idmp_auto("p")).await);
    t.error("not a stream", "WRONGTYPE", async |db| db.ask(XAdd::new("s").field("n", 1).idmp_auto("p")).await);
    t.error("an empty producer", "ERR syntax error, IDMPAUTO requires a non-empty producer ID",
        async |db| db.ask(auto().idmp_auto("")).await);
}
