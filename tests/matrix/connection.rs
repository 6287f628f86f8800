//! Connection commands, and CLIENT.

use crate::db::{Db, MINUTE, id};
use crate::show::Show;
use crate::table::{Answer, Table};
use bourn::{
    Auth, ClientGetName, ClientId, ClientKill, ClientNoEvict, ClientPause, ClientSetName,
    ClientUnblock, ClientUnpause, DedicatedCommand, Echo, Feature, Hello, Ping, PingText, ReadFrom,
    RespVersion, XAdd, XLen, XRead,
};
use std::cell::Cell;
use std::time::Duration;

fn text(text: &str) -> PingText<'_> {
    Ping::new().text(text)
}

/// Returns the reply, and the name of the reader's connection after it.
async fn named(db: &Db, command: impl DedicatedCommand<DedicatedReply: Show>) -> Answer {
    let mut reader = db.reader().await;
    let answer = reader.send(command).await?.show();
    Ok(format!("{answer}, called {}", reader.send(ClientGetName::new()).await?.show()))
}

/// Returns the reply while the default user has a password.
async fn with_password(db: &Db, command: impl DedicatedCommand<DedicatedReply: Show>) -> Answer {
    let mut reader = db.reader().await;
    db.run("CONFIG SET requirepass secret").await;
    let answer = reader.send(command).await;
    db.must(bourn::Raw::new("CONFIG SET requirepass").arg("")).await;
    Ok(answer?.show())
}

/// Returns the reply of a server without HELLO.
async fn without_hello(db: &Db, command: Hello<'_>) -> Answer {
    db.another(&[("rename-command", "HELLO NOHELLO")]).await.own(command).await
}

const BAD_NAME: &str = "ERR Client names cannot contain spaces, newlines or special characters.";
const MS: Duration = Duration::from_millis(1);

#[rustfmt::skip]
pub(crate) fn rows(t: &mut Table) {
    t.command("PING").always("PONG");
    t.reply("PONG", "OK", async |db| db.ask(Ping::new()).await);
    t.error("not permitted", "NOPERM", async |db| db.denied(Ping::new()).await);
    t.option("text");
    t.reply("comes back", "\\x00 a", async |db| db.ask(text("\0 a")).await);
    t.nothing("an empty one", "''", async |db| db.ask(text("")).await);
    t.error("not permitted", "NOPERM", async |db| db.denied(text("a")).await);

    t.command("ECHO");
    t.reply("comes back", "\\x00 a", async |db| db.ask(Echo::new("\0 a")).await);
    t.nothing("an empty one", "''", async |db| db.ask(Echo::new("")).await);
    t.error("not permitted", "NOPERM", async |db| db.denied(Echo::new("a")).await);

    t.command("AUTH").option("password").always("OK");
    t.reply("the right one", "OK", async |db| with_password(&db, Auth::new("secret")).await);
    t.error("a wrong one", "WRONGPASS", async |db| with_password(&db, Auth::new("wrong")).await);
    t.error("there is none", "ERR AUTH <password> called without any password configured for the default user...",
        async |db| db.own(Auth::new("no-such-password")).await);
    t.option("user password").always("OK");
    t.reply("of a user without password", "OK", async |db| db.own(Auth::new("no-such-password").user("default")).await);
    t.error("no such user", "WRONGPASS invalid username-password pair or user is disabled.",
        async |db| db.own(Auth::new("no-such-password").user("nobody else")).await);

    t.command("HELLO").always("who it is");
    t.reply("who it is", [("6.2", "redis standalone master"), ("valkey", "valkey standalone master")], async |db| {
        let hello = db.reader().await.send(Hello::new()).await?;
        Ok(format!("{} {} {}", hello.server.name(), hello.mode.unwrap_or_default(), hello.role.unwrap_or_default()))
    });
    t.error("not known", "ERR unknown command...", async |db| without_hello(&db, Hello::new()).await);
    t.option("2, 3").always("who it is");
    t.reply("RESP2, then RESP3, then RESP2", "2, 3, 2", async |db| {
        let mut reader = db.reader().await;
        let mut spoken = Vec::new();
        for version in [RespVersion::Resp2, RespVersion::Resp3, RespVersion::Resp2] {
            spoken.push(reader.send(Hello::new().protocol(version)).await?.proto.to_string());
        }
        Ok(spoken.join(", "))
    });
    t.error("not known", "ERR unknown command...", async |db| without_hello(&db, hello()).await);
    t.option("AUTH").always("who it is");
    t.reply("a user without password", "3", async |db| db.own(hello().auth("default", "any")).await);
    t.error("no such user", "WRONGPASS", async |db| db.own(hello().auth("nobody else", "any")).await);
    t.option("SETNAME");
    t.reply("a name", "3, called me", async |db| named(&db, hello().set_name("me")).await);
    t.nothing("an empty one", "3, called nil", async |db| named(&db, hello().set_name("")).await);
    t.error("with a blank", BAD_NAME, async |db| db.own(hello().set_name("a b")).await);

    t.command("CLIENT ID").always("an id");
    t.reply("as HELLO said it", "true", async |db| {
        let mut reader = db.reader().await;
        Ok((Some(reader.send(ClientId::new()).await?) == reader.connection_id()).to_string())
    });
    t.error("not permitted", "NOPERM", async |db| db.denied(ClientId::new()).await);

    t.command("CLIENT SETNAME");
    t.reply("a name", "OK, called me", async |db| named(&db, ClientSetName::new("me")).await);
    t.nothing("an empty one", "OK, called nil", async |db| named(&db, ClientSetName::new("")).await);
    t.error("with a blank", BAD_NAME, async |db| db.own(ClientSetName::new("a b")).await);

    t.command("CLIENT GETNAME");
    t.reply("the one of the settings", "me", async |db| {
        let client = db.host.connect(db.config.clone().client_name("me")).await?;
        Ok(client.send(ClientGetName::new()).await?.show())
    });
    t.nothing("no name", "nil", async |db| db.ask(ClientGetName::new()).await);
    t.error("not permitted", "NOPERM", async |db| db.denied(ClientGetName::new()).await);

    t.command("CLIENT UNBLOCK");
    t.reply("a read that waits", "1, and the read: nil", async |db| unblocked(&db, ClientUnblock::new).await);
    t.nothing("one that does not wait", "0", async |db| {
        let reader = db.reader().await;
        db.ask(ClientUnblock::new(reader.connection_id().unwrap_or_default())).await
    });
    t.nothing("no such connection", "0", async |db| db.ask(ClientUnblock::new(i64::MAX)).await);
    t.error("not permitted", "NOPERM", async |db| db.denied(ClientUnblock::new(1)).await);
    t.option("ERROR");
    t.reply("a read that waits", "1, and the read: UNBLOCKED", async |db| unblocked(&db, |id| ClientUnblock::new(id).error()).await);
    t.nothing("no such connection", "0", async |db| db.ask(ClientUnblock::new(i64::MAX).error()).await);
    t.error("not permitted", "NOPERM", async |db| db.denied(ClientUnblock::new(1).error()).await);

    t.command("CLIENT KILL");
    t.reply("another connection", "1", async |db| {
        let reader = db.reader().await;
        db.ask(ClientKill::new(reader.connection_id().unwrap_or_default())).await
    });
    t.nothing("no such connection", "0", async |db| db.ask(ClientKill::new(i64::MAX)).await);
    t.nothing("its own", "0", async |db| db.ask(ClientKill::new(db.client.connection_id().unwrap_or_default())).await);
    t.error("a negative id", [("6.2", "0"), ("7.0", "ERR client-id should be greater than 0")],
        async |db| db.ask(ClientKill::new(-1)).await);
    t.option("SKIPME no");
    t.reply("its own", "1", async |db| {
        let mut reader = db.reader().await;
        let own = ClientKill::new(reader.connection_id().unwrap_or_default()).skip_me(false);
        Ok(reader.send(own).await?.show())
    });
    t.nothing("no such connection", "0", async |db| db.ask(ClientKill::new(i64::MAX).skip_me(false)).await);
    t.error("a negative id", [("6.2", "0"), ("7.0", "ERR client-id should be greater than 0")],
        async |db| db.ask(ClientKill::new(-1).skip_me(false)).await);

    t.command("CLIENT NO-EVICT").since("7.0", Feature::ClientNoEvict, "").always("OK");
    t.reply("on", "OK", async |db| db.own(ClientNoEvict::on()).await);
    t.reply("off", "OK", async |db| db.own(ClientNoEvict::off()).await);
    t.error("not permitted, which all say first", [("6.2", "NOPERM")], async |db| db.denied(ClientNoEvict::on()).await);

    t.command("CLIENT PAUSE").always("OK");
    t.reply("for a millisecond", "OK, then OK", async |db| db.then(ClientPause::new(MS), Ping::new()).await);
    t.error("beyond what can be counted", [("6.2", "OK"), ("7.2", "ERR timeout is out of range")],
        async |db| db.ask(ClientPause::new(Duration::MAX)).await);
    t.error("not permitted", "NOPERM", async |db| db.denied(ClientPause::new(MS)).await);
    t.option("WRITE").always("OK");
    t.reply("reads go on, writes wait", "OK, then 0, then OK, then 1-0", async |db| {
        let paused = db.then(ClientPause::new(MINUTE).write_only(), XLen::new("k")).await;
        let unpaused = db.then(ClientUnpause::new(), XAdd::new("k").id(id(1)).field("n", 1)).await;
        Ok(format!("{}, then {}", paused?, unpaused?))
    });
    t.error("beyond what can be counted", [("6.2", "OK"), ("7.2", "ERR timeout is out of range")], async |db| {
        let answer = db.ask(ClientPause::new(Duration::MAX).write_only()).await;
        db.run("CLIENT UNPAUSE").await;
        answer
    });

    t.command("CLIENT UNPAUSE");
    t.reply("writes go on", "OK", async |db| { db.must(ClientPause::new(MINUTE).write_only()).await; db.ask(ClientUnpause::new()).await });
    t.nothing("there was no pause", "OK", async |db| db.ask(ClientUnpause::new()).await);
    t.error("not permitted", "NOPERM", async |db| db.denied(ClientUnpause::new()).await);
}

fn hello() -> Hello<'static> {
    Hello::new().protocol(RespVersion::Resp3)
}

/// Returns the reply about a blocked read, and the result of the read.
async fn unblocked(db: &Db, unblock: impl Fn(i64) -> ClientUnblock) -> Answer {
    let was_waiting = Cell::new(false);
    let read = XRead::new().stream("k", ReadFrom::START).block_forever();
    let read =
        db.read_until(read, async |db, id| was_waiting.set(db.must(unblock(id)).await)).await;
    let read = read.or_else(|error| error.code().map(ToString::to_string).ok_or(error))?;
    Ok(format!("{}, and the read: {read}", was_waiting.get().show()))
}
