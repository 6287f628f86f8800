//! Commands on keys of any kind, and transactions.

use crate::db::{Db, id};
use crate::show::Show;
use crate::table::{Answer, Table};
use bourn::{Del, Error, Exists, Expire, ExpireWhen, Feature, PExpire, Type, Unlink, XAdd, XLen};
use std::time::Duration;

/// Returns the answer after this shorter time was set.
async fn expire(db: &Db, when: ExpireWhen, before: bool) -> Answer {
    db.add(1..=1).await;
    if before {
        db.must(Expire::new("k", HOUR)).await;
    }
    db.ask(Expire::new("k", 2 * HOUR).when(when)).await
}

/// The same with PEXPIRE.
async fn pexpire(db: &Db, when: ExpireWhen, before: bool) -> Answer {
    db.add(1..=1).await;
    if before {
        db.must(PExpire::new("k", HOUR)).await;
    }
    db.ask(PExpire::new("k", 2 * HOUR).when(when)).await
}

fn add(ms: u64) -> XAdd<'static> {
    XAdd::new("k").id(id(ms)).field("n", ms)
}

/// Formats a transaction's result, or the error's code.
fn one<T: Show>(result: Result<T, Error>) -> String {
    result.map_or_else(
        |error| error.code().map_or_else(String::new, ToString::to_string),
        |reply| reply.show(),
    )
}

const HOUR: Duration = Duration::from_secs(3600);
const BAD_TIME: &str = "ERR invalid expire time...";
/// The option, whether it accepts a longer time, and whether it sets a time where there was none.
const WHEN: [(&str, ExpireWhen, Feature, &str, &str); 4] = [
    ("NX", ExpireWhen::NoExpiry, Feature::ExpireNx, "0", "1"),
    ("XX", ExpireWhen::HasExpiry, Feature::ExpireXx, "1", "0"),
    ("GT", ExpireWhen::Later, Feature::ExpireGt, "1", "0"),
    ("LT", ExpireWhen::Earlier, Feature::ExpireLt, "0", "1"),
];

#[rustfmt::skip]
pub(crate) fn rows(t: &mut Table) {
    t.command("DEL");
    t.reply("two of three", "2", async |db| { db.add(1..=1).await; db.ask(Del::new("k").and("s").and("none")).await });
    t.nothing("no such key", "0", async |db| db.ask(Del::new("k")).await);
    t.error("not permitted", "NOPERM", async |db| db.denied(Del::new("k")).await);

    t.command("UNLINK");
    t.reply("two of three", "2", async |db| { db.add(1..=1).await; db.ask(Unlink::new("k").and("s").and("none")).await });
    t.nothing("no such key", "0", async |db| db.ask(Unlink::new("k")).await);
    t.error("not permitted", "NOPERM", async |db| db.denied(Unlink::new("k")).await);

    t.command("EXISTS");
    t.reply("one twice, one not", "2", async |db| db.ask(Exists::new("s").and("s").and("k")).await);
    t.nothing("no such key", "0", async |db| db.ask(Exists::new("k")).await);
    t.error("not permitted", "NOPERM", async |db| db.denied(Exists::new("k")).await);

    t.command("TYPE");
    t.reply("a stream", "stream", async |db| { db.add(1..=1).await; db.ask(Type::new("k")).await });
    t.reply("something else", "string", async |db| db.ask(Type::new("s")).await);
    t.nothing("no such key", "none", async |db| db.ask(Type::new("k")).await);
    t.error("not permitted", "NOPERM", async |db| db.denied(Type::new("k")).await);

    t.command("EXPIRE");
    t.reply("a key", "1", async |db| db.ask(Expire::new("s", HOUR)).await);
    t.reply("zero removes it", "1, then 0", async |db| db.then(Expire::new("s", Duration::ZERO), Exists::new("s")).await);
    t.nothing("no such key", "0", async |db| db.ask(Expire::new("k", HOUR)).await);
    t.error("too far off", BAD_TIME, async |db| db.ask(Expire::new("s", Duration::MAX)).await);
    for (option, when, feature, longer, first) in WHEN {
        t.option(option).since("7.0", feature, option);
        t.reply("a longer time than there was", longer, async move |db| expire(&db, when, true).await);
        t.reply("the first time", first, async move |db| expire(&db, when, false).await);
        t.nothing("no such key", "0", async move |db| db.ask(Expire::new("k", HOUR).when(when)).await);
        t.error("too far off", BAD_TIME, async move |db| db.ask(Expire::new("s", Duration::MAX).when(when)).await);
    }

    t.command("PEXPIRE");
    t.reply("a key", "1", async |db| db.ask(PExpire::new("s", HOUR)).await);
    t.reply("zero removes it", "1, then 0", async |db| db.then(PExpire::new("s", Duration::ZERO), Exists::new("s")).await);
    t.nothing("no such key", "0", async |db| db.ask(PExpire::new("k", HOUR)).await);
    t.error("too far off", BAD_TIME, async |db| db.ask(PExpire::new("s", Duration::MAX)).await);
    for (option, when, feature, longer, first) in WHEN {
        t.option(option).since("7.0", feature, option);
        t.reply("a longer time than there was", longer, async move |db| pexpire(&db, when, true).await);
        t.reply("the first time", first, async move |db| pexpire(&db, when, false).await);
        t.nothing("no such key", "0", async move |db| db.ask(PExpire::new("k", HOUR).when(when)).await);
        t.error("too far off", BAD_TIME, async move |db| db.ask(PExpire::new("s", Duration::MAX).when(when)).await);
    }

    t.command("MULTI, EXEC");
    t.reply("a result each", "1-0, 1", async |db| {
        let (id, len) = db.client.transact((add(1), XLen::new("k"))).await?;
        Ok([one(id), one(len)].join(", "))
    });
    t.nothing("of no command", "0", async |db| Ok(db.client.transact(Vec::<XLen<'_>>::new()).await?.len().to_string()));
    t.error("one fails while it runs", "1-0, WRONGTYPE, 1", async |db| {
        let (id, wrong, len) = db.client.transact((add(1), XLen::new("s"), XLen::new("k"))).await?;
        Ok([one(id), one(wrong), one(len)].join(", "))
    });
    t.error("one is refused: none runs", "ERR wrong number of arguments for 'xadd' command", async |db| {
        let (id, _) = db.client.transact((add(1), XAdd::new("k"))).await?;
        Ok(one(id))
    });
}
