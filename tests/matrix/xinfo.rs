//! XINFO.

use crate::db::{Db, id};
use crate::show::Show;
use crate::table::{Answer, Table};
use bourn::{
    EntryId, Trim, XDel, XGroupCreate, XGroupCreateConsumer, XInfoConsumers, XInfoGroups,
    XInfoHelp, XInfoStream, XInfoStreamFull, XTrim,
};

fn stream() -> XInfoStream<'static> {
    XInfoStream::new("k")
}

fn full() -> XInfoStreamFull<'static> {
    stream().full()
}

/// Three entries, the first two of them delivered.
async fn given(db: &Db) {
    db.given(3, 2).await;
}

/// The same without the entry in the middle.
async fn one_deleted(db: &Db) {
    given(db).await;
    db.must(XDel::new("k", id(2))).await;
}

/// One consumer with two pending entries, and one without any.
async fn two_consumers(db: &Db) {
    given(db).await;
    db.must(XGroupCreateConsumer::new("k", "g", "b")).await;
}

/// Stream fields that Redis 7.0 added.
fn added(entries: &Option<u64>, deleted: &Option<EntryId>, first: &Option<EntryId>) -> String {
    format!("{} {} {}", entries.show(), deleted.show(), first.show())
}

const NO_KEY: &str = "ERR no such key";

#[rustfmt::skip]
pub(crate) fn rows(t: &mut Table) {
    t.command("XINFO STREAM");
    t.reply("one of three was deleted", "2 up to 3-0, 1 group, 1-0 n=1 to 3-0 n=3",
        async |db| { one_deleted(&db).await; db.ask(stream()).await });
    t.reply("added, deleted, first", [("6.2", "nil nil nil"), ("7.0", "3 2-0 1-0")], async |db| {
        one_deleted(&db).await;
        let info = db.client.send(stream()).await?;
        Ok(added(&info.entries_added, &info.max_deleted_entry_id, &info.recorded_first_entry_id))
    });
    t.reply("idmp: seconds, pairs, and four counts", [("6.2", "nil"), ("8.6", "100s 100 0 0 0 0")],
        async |db| { db.group().await; Ok(db.client.send(stream()).await?.idmp.show()) });
    t.nothing("an empty stream", "0 up to 0-0, 1 group, nil to nil", async |db| { db.group().await; db.ask(stream()).await });
    t.error("no stream", NO_KEY, async |db| db.ask(stream()).await);
    t.error("not a stream", "WRONGTYPE", async |db| db.ask(XInfoStream::new("s")).await);

    t.option("FULL");
    let full_text = "3 up to 3-0, [1-0 n=1, 2-0 n=2, 3-0 n=3], [g up to 2-0, pending 2 [1-0 a now 1 2-0 a now 1], \
                     [a seen now, pending 2 [1-0 now 1 2-0 now 1]]]";
    t.reply("entries, groups, consumers", full_text, async |db| { given(&db).await; db.ask(full()).await });
    t.reply("added, deleted, first", [("6.2", "nil nil nil"), ("7.0", "3 2-0 1-0")], async |db| {
        one_deleted(&db).await;
        let info = db.client.send(full()).await?;
        Ok(added(&info.entries_added, &info.max_deleted_entry_id, &info.recorded_first_entry_id))
    });
    t.reply("idmp: seconds, pairs, and four counts", [("6.2", "nil"), ("8.6", "100s 100 0 0 0 0")],
        async |db| { db.group().await; Ok(db.client.send(full()).await?.idmp.show()) });
    t.reply("a group's entries read, and lag", [("6.2", "nil nil"), ("7.0", "2 1")], async |db| {
        given(&db).await;
        let group = &db.client.send(full()).await?.groups[0];
        Ok(format!("{} {}", group.entries_read.show(), group.lag.show()))
    });
    t.reply("a group's count of what XNACK gave back", [("6.2", "nil"), ("8.8", "0")], async |db| {
        given(&db).await;
        Ok(db.client.send(full()).await?.groups[0].nacked_count.show())
    });
    t.reply("when a consumer last got something", [("6.2", "nil"), ("7.2", "now")], async |db| {
        given(&db).await;
        Ok(db.client.send(full()).await?.groups[0].consumers[0].active_time.show())
    });
    t.nothing("an empty stream without groups", "0 up to 1-0, [], []", async |db| {
        db.add(1..=1).await;
        db.must(XTrim::new("k", Trim::max_len(0))).await;
        db.ask(full()).await
    });
    t.error("no stream", NO_KEY, async |db| db.ask(full()).await);
    t.error("not a stream", "WRONGTYPE", async |db| db.ask(XInfoStream::new("s").full()).await);

    t.option("FULL COUNT");
    t.reply("of 12 entries, all of them given", "1, pending 1 and 1", async |db| counted(&db, full().count(1)).await);
    t.reply("0 is all", "12, pending 12 and 12", async |db| counted(&db, full().count(0)).await);
    t.reply("10 without it", "10, pending 10 and 10", async |db| counted(&db, full()).await);
    t.nothing("an empty stream without groups", "0 up to 1-0, [], []", async |db| {
        db.add(1..=1).await;
        db.must(XTrim::new("k", Trim::max_len(0))).await;
        db.ask(full().count(1)).await
    });
    t.error("no stream", NO_KEY, async |db| db.ask(full().count(1)).await);
    t.error("beyond the largest number", "ERR value is not an integer or out of range",
        async |db| { db.add(1..=1).await; db.ask(full().count(u64::MAX)).await });

    t.command("XINFO GROUPS");
    t.reply("given two of three", [("6.2", "[g 1 2 up to 2-0, read nil, lag nil]"), ("7.0", "[g 1 2 up to 2-0, read 2, lag 1]")],
        async |db| { given(&db).await; db.ask(XInfoGroups::new("k")).await });
    t.reply("begun in the middle", "[g 0 0 up to 2-0, read nil, lag nil]", async |db| {
        db.add(1..=3).await;
        db.must(XGroupCreate::new("k", "g", id(2))).await;
        db.ask(XInfoGroups::new("k")).await
    });
    t.reply("deleted before it was given", [("6.2", "[g 1 2 up to 2-0, read nil, lag nil]"), ("7.0", "[g 1 2 up to 2-0, read 2, lag nil]")],
        async |db| {
        db.given(5, 2).await;
        db.must(XDel::new("k", id(4))).await;
        db.ask(XInfoGroups::new("k")).await
    });
    t.reply("at the end of an emptied stream", [("6.2", "[g 0 0 up to 3-0, read nil, lag nil]"), ("7.0", "[g 0 0 up to 3-0, read nil, lag 0]")],
        async |db| {
        db.add(1..=3).await;
        db.must(XGroupCreate::new("k", "g", id(3))).await;
        db.must(XTrim::new("k", Trim::max_len(0))).await;
        db.ask(XInfoGroups::new("k")).await
    });
    t.reply("past the end of an emptied stream", [("6.2", "[g 0 0 up to 9-0, read nil, lag nil]"), ("8.0", "[g 0 0 up to 9-0, read nil, lag 0]")],
        async |db| {
        db.add(1..=3).await;
        db.must(XGroupCreate::new("k", "g", id(9))).await;
        db.must(XTrim::new("k", Trim::max_len(0))).await;
        db.ask(XInfoGroups::new("k")).await
    });
    t.nothing("no group", "[]", async |db| { db.add(1..=1).await; db.ask(XInfoGroups::new("k")).await });
    t.error("no stream", NO_KEY, async |db| db.ask(XInfoGroups::new("k")).await);
    t.error("not a stream", "WRONGTYPE", async |db| db.ask(XInfoGroups::new("s")).await);

    t.command("XINFO CONSUMERS");
    t.reply("one that has two, one that has none", "[a 2 idle now b 0 idle now]",
        async |db| { two_consumers(&db).await; db.ask(XInfoConsumers::new("k", "g")).await });
    t.reply("when they last got something", [("6.2", "[nil nil]"), ("7.2", "[now never]")], async |db| {
        two_consumers(&db).await;
        let consumers = db.client.send(XInfoConsumers::new("k", "g")).await?;
        Ok(consumers.iter().map(|consumer| consumer.inactive).collect::<Vec<_>>().show())
    });
    t.nothing("no consumer", "[]", async |db| { db.group().await; db.ask(XInfoConsumers::new("k", "g")).await });
    t.error("no group", "NOGROUP No such consumer group 'g' for key name 'k'",
        async |db| { db.add(1..=1).await; db.ask(XInfoConsumers::new("k", "g")).await });
    t.error("no stream", NO_KEY, async |db| db.ask(XInfoConsumers::new("k", "g")).await);
    t.error("not a stream", "WRONGTYPE", async |db| db.ask(XInfoConsumers::new("s", "g")).await);

    t.command("XINFO HELP").always("lines");
    t.reply("a form that it has", "true", async |db| {
        let lines = db.client.send(XInfoHelp::new()).await?;
        Ok(lines.iter().any(|line| line.contains("CONSUMERS")).to_string())
    });
    t.error("not permitted", "NOPERM", async |db| db.denied(XInfoHelp::new()).await);
}

/// Returns the lengths of the lists, of a stream with 12 entries delivered to one consumer.
async fn counted(db: &Db, full: XInfoStreamFull<'_>) -> Answer {
    db.given(12, 12).await;
    let full = db.client.send(full).await?;
    let group = &full.groups[0];
    let (pending, own) = (group.pending.len(), group.consumers[0].pending.len());
    Ok(format!("{}, pending {pending} and {own}", full.entries.len()))
}
