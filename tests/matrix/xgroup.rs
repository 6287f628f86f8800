//! XGROUP.

use crate::db::id;
use crate::table::Table;
use bourn::{
    EntryId, Feature, GroupFrom, StartAt, XGroupCreate, XGroupCreateConsumer,
    XGroupCreateIfMissing, XGroupDelConsumer, XGroupDestroy, XGroupHelp, XGroupSetId, XInfoGroups,
    XReadGroup,
};

fn create(start: impl Into<StartAt>) -> XGroupCreate<'static> {
    XGroupCreate::new("k", "g", start)
}

fn set_id(start: impl Into<StartAt>) -> XGroupSetId<'static> {
    XGroupSetId::new("k", "g", start)
}

/// Returns the next delivery of the group.
fn next() -> XReadGroup<'static> {
    XReadGroup::new("g", "b").stream("k", GroupFrom::New)
}

fn if_missing() -> XGroupCreateIfMissing<'static> {
    create(StartAt::End).if_missing()
}

const NO_KEY: &str = "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM \
                      option to create an empty stream automatically.";
const NO_GROUP: &str = "NOGROUP No such consumer group 'g' for key name 'k'";

#[rustfmt::skip]
pub(crate) fn rows(t: &mut Table) {
    t.command("XGROUP CREATE").always("OK");
    t.reply("from the beginning", "OK, then k [1-0 n=1, 2-0 n=2]",
        async |db| { db.add(1..=2).await; db.then(create(StartAt::START), next()).await });
    t.reply("after an id", "OK, then k [2-0 n=2]", async |db| { db.add(1..=2).await; db.then(create(id(1)), next()).await });
    t.reply("from now on ($)", "OK, then nil", async |db| { db.add(1..=2).await; db.then(create(StartAt::End), next()).await });
    t.error("there already", "BUSYGROUP Consumer Group name already exists",
        async |db| { db.group().await; db.ask(create(StartAt::End)).await });
    t.error("no stream", NO_KEY, async |db| db.ask(create(StartAt::End)).await);
    t.error("not a stream", "WRONGTYPE", async |db| db.ask(XGroupCreate::new("s", "g", StartAt::End)).await);

    t.option("MKSTREAM").always("OK");
    t.reply("makes the stream", "OK, then nil", async |db| db.then(create(StartAt::End).mk_stream(), next()).await);
    t.error("there already", "BUSYGROUP", async |db| { db.group().await; db.ask(create(StartAt::End).mk_stream()).await });
    t.error("not a stream", "WRONGTYPE", async |db| db.ask(XGroupCreate::new("s", "g", StartAt::End).mk_stream()).await);

    t.option("ENTRIESREAD").since("7.0", Feature::EntriesRead, "ENTRIESREAD").always("OK");
    t.reply("the lag is then known", "OK, then [g 0 0 up to 2-0, read 2, lag 1]",
        async |db| { db.add(1..=3).await; db.then(create(id(2)).entries_read(2), XInfoGroups::new("k")).await });
    t.error("beyond the largest number", "ERR value is not an integer or out of range",
        async |db| { db.add(1..=1).await; db.ask(create(id(1)).entries_read(u64::MAX)).await });
    t.error("no stream", NO_KEY, async |db| db.ask(create(id(1)).entries_read(1)).await);
    t.error("not a stream, which 6.2 says first", [("6.2", "WRONGTYPE")],
        async |db| db.ask(XGroupCreate::new("s", "g", id(1)).entries_read(1)).await);
    t.error("there already", "BUSYGROUP", async |db| { db.group().await; db.ask(create(id(1)).entries_read(1)).await });

    t.option("BUSYGROUP is success");
    t.reply("there was none", "1, then nil", async |db| {
        db.add(1..=1).await;
        db.then(if_missing(), next()).await
    });
    t.nothing("there already", "0", async |db| { db.group().await; db.ask(if_missing()).await });
    t.error("no stream", NO_KEY, async |db| db.ask(if_missing()).await);
    t.error("not a stream", "WRONGTYPE", async |db| db.ask(XGroupCreate::new("s", "g", StartAt::End).if_missing()).await);

    t.command("XGROUP SETID").always("OK");
    t.reply("back", "OK, then k [2-0 n=2, 3-0 n=3]", async |db| { db.given(3, 3).await; db.then(set_id(id(1)), next()).await });
    t.reply("to the end ($)", "OK, then nil", async |db| { db.given(3, 0).await; db.then(set_id(StartAt::End), next()).await });
    t.error("no group", NO_GROUP, async |db| { db.add(1..=1).await; db.ask(set_id(EntryId::MIN)).await });
    t.error("no stream", NO_KEY, async |db| db.ask(set_id(EntryId::MIN)).await);
    t.error("not a stream", "WRONGTYPE", async |db| db.ask(XGroupSetId::new("s", "g", StartAt::End)).await);

    t.option("ENTRIESREAD").since("7.0", Feature::EntriesRead, "ENTRIESREAD").always("OK");
    t.reply("the lag is then known", "OK, then [g 0 0 up to 1-0, read 1, lag 2]",
        async |db| { db.given(3, 0).await; db.then(set_id(id(1)).entries_read(1), XInfoGroups::new("k")).await });
    t.error("beyond the largest number", "ERR value is not an integer or out of range",
        async |db| { db.group().await; db.ask(set_id(id(1)).entries_read(u64::MAX)).await });
    t.error("no group, which 6.2 says first", [("6.2", NO_GROUP)],
        async |db| { db.add(1..=1).await; db.ask(set_id(id(1)).entries_read(1)).await });
    t.error("no stream", NO_KEY, async |db| db.ask(set_id(id(1)).entries_read(1)).await);
    t.error("not a stream, which 6.2 says first", [("6.2", "WRONGTYPE")],
        async |db| db.ask(XGroupSetId::new("s", "g", id(1)).entries_read(1)).await);

    t.command("XGROUP CREATECONSUMER");
    t.reply("a new one", "1", async |db| { db.group().await; db.ask(XGroupCreateConsumer::new("k", "g", "a")).await });
    t.nothing("there already", "0", async |db| { db.given(1, 1).await; db.ask(XGroupCreateConsumer::new("k", "g", "a")).await });
    t.nothing("made by a read that found nothing (since 7.2)", [("6.2", "nil, then 1"), ("7.2", "nil, then 0")], async |db| {
        db.group().await;
        db.then(next(), XGroupCreateConsumer::new("k", "g", "b")).await
    });
    t.error("no group", NO_GROUP, async |db| { db.add(1..=1).await; db.ask(XGroupCreateConsumer::new("k", "g", "a")).await });
    t.error("no stream", NO_KEY, async |db| db.ask(XGroupCreateConsumer::new("k", "g", "a")).await);
    t.error("not a stream", "WRONGTYPE", async |db| db.ask(XGroupCreateConsumer::new("s", "g", "a")).await);

    t.command("XGROUP DELCONSUMER");
    t.reply("what it had pending is lost", "2, then 0 nil nil []", async |db| {
        db.given(3, 2).await;
        db.then(XGroupDelConsumer::new("k", "g", "a"), bourn::XPending::new("k", "g")).await
    });
    t.nothing("no such consumer", "0", async |db| { db.group().await; db.ask(XGroupDelConsumer::new("k", "g", "a")).await });
    t.error("no group", NO_GROUP, async |db| { db.add(1..=1).await; db.ask(XGroupDelConsumer::new("k", "g", "a")).await });
    t.error("no stream", NO_KEY, async |db| db.ask(XGroupDelConsumer::new("k", "g", "a")).await);
    t.error("not a stream", "WRONGTYPE", async |db| db.ask(XGroupDelConsumer::new("s", "g", "a")).await);

    t.command("XGROUP DESTROY");
    t.reply("a group", "1", async |db| { db.given(3, 2).await; db.ask(XGroupDestroy::new("k", "g")).await });
    t.nothing("no group", "0", async |db| { db.add(1..=1).await; db.ask(XGroupDestroy::new("k", "g")).await });
    t.error("no stream", NO_KEY, async |db| db.ask(XGroupDestroy::new("k", "g")).await);
    t.error("not a stream", "WRONGTYPE", async |db| db.ask(XGroupDestroy::new("s", "g")).await);

    t.command("XGROUP HELP").always("lines");
    t.reply("a form that it has", "true", async |db| {
        let lines = db.client.send(XGroupHelp::new()).await?;
        Ok(lines.iter().any(|line| line.contains("CREATECONSUMER")).to_string())
    });
    t.error("not permitted", "NOPERM", async |db| db.denied(XGroupHelp::new()).await);
}
