//! Runs every command once, in the order in which a program might need them, and prints the
//! results.
//!
//! `cargo run --example tour -- redis://127.0.0.1`. It uses the keys `tour` and `{tour}:spare`,
//! which must not exist, and removes them at the end. It prints which commands need a newer server.

use bourn::{
    Auth, Block, Client, ClientGetName, ClientId, ClientKill, ClientNoEvict, ClientPause,
    ClientSetName, ClientUnblock, ClientUnpause, ClusterShards, ClusterSlots, Del, Echo, EntryId,
    Error, Exists, Expire, GroupFrom, Hello, NackMode, PExpire, Ping, ReadFrom, Reader, Refs, Role,
    StartAt, Trim, Type, Unlink, Wait, WaitAof, XAck, XAckDel, XAdd, XAutoClaim, XCfgSet, XClaim,
    XDel, XDelEx, XGroupCreate, XGroupCreateConsumer, XGroupDelConsumer, XGroupDestroy, XGroupHelp,
    XGroupSetId, XIdmpRecord, XInfoConsumers, XInfoGroups, XInfoHelp, XInfoStream, XLen, XNack,
    XPending, XRange, XRead, XReadGroup, XRevRange, XSetId, XTrim,
};
use std::error::Error as _;
use std::fmt::Debug;
use std::time::Duration;

const KEY: &str = "tour";
// In a cluster, the part in braces puts it in the slot of `tour`.
const SPARE: &str = "{tour}:spare";
const GROUP: &str = "billing";
const SECOND: Duration = Duration::from_secs(1);

/// The ids of the five entries of the tour are 1-0 to 5-0.
const fn id(n: u64) -> EntryId {
    EntryId::new(n, 0)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "redis://127.0.0.1".into());
    let client = Client::connect(url).await?;
    if client.send(Exists::new(KEY).and(SPARE)).await? > 0 {
        println!("there is a key {KEY} or {SPARE} already: not touched");
        return Ok(());
    }
    if let Some(server) = client.server() {
        println!("This is {server}.");
    }
    entries(&client).await?;
    groups(&client).await?;
    recovery(&client).await?;
    look(&client).await?;
    retention(&client).await?;
    connection(&client).await?;
    own_connection(&client).await?;
    client.close().await;
    Ok(())
}

/// Prints the reply of a command, or that the server is too old for it. Any other error ends the
/// tour.
fn show<T: Debug>(what: &str, result: Result<T, Error>) -> Result<(), Error> {
    match result.map(|reply| format!("{reply:?}")) {
        Ok(reply) => println!("  {what:<28} {}", if reply == "()" { "OK" } else { &reply }),
        Err(Error::TooOld(error)) => println!("  {what:<28} {error}"),
        Err(error) => return Err(error),
    }
    Ok(())
}

async fn entries(client: &Client) -> Result<(), Error> {
    println!("\nEntries: added at the end, read by id.");
    let adds = (1..=5).map(|n| XAdd::new(KEY).id(id(n)).field("sku", n * 100));
    let ids = client.send_all(adds).await.into_iter().collect::<Result<Vec<_>, _>>()?;
    println!("  {:<28} {ids:?}", "XADD, five in one trip");
    let add = XAdd::new(SPARE).field("sku", 1);
    show("XADD NOMKSTREAM", client.send(add.no_mk_stream()).await)?;
    let add = XAdd::new(KEY).idmp("shop-1", "order-6").field("sku", 600);
    show("XADD IDMP, safe to repeat", client.send(add).await)?;
    show("XLEN", client.send(XLen::new(KEY)).await)?;
    show("XRANGE, the first two", client.send(XRange::new(KEY, ..).count(2)).await)?;
    show("XREVRANGE, the last one", client.send(XRevRange::new(KEY, ..).count(1)).await)?;
    let read = XRead::new().stream(KEY, id(4)).stream(SPARE, ReadFrom::START);
    let streams = client.send(read.count(1)).await?;
    show("XREAD, above 4-0", Ok(streams.iter().collect::<Vec<_>>()))
}

async fn groups(client: &Client) -> Result<(), Error> {
    println!("\nGroups: each entry goes to one consumer, and is pending until it is acknowledged.");
    let create = XGroupCreate::new(KEY, GROUP, StartAt::START).mk_stream();
    show("XGROUP CREATE", client.send(create).await)?;
    let ann = XGroupCreateConsumer::new(KEY, GROUP, "ann");
    show("XGROUP CREATECONSUMER", client.send(ann).await)?;
    let mut reader = client.reader().await?;
    let read = XReadGroup::new(GROUP, "ann").stream(KEY, GroupFrom::New).count(4);
    let batch = reader.read(read.block(SECOND)).await?;
    show("XREADGROUP, on a reader", Ok(batch.iter().collect::<Vec<_>>()))?;
    show("XACK", client.send(XAck::new(KEY, GROUP, id(1))).await)?;
    let done = XAckDel::new(KEY, GROUP, id(2)).refs(Refs::Acked);
    show("XACKDEL", client.send(done).await)?;
    show("XPENDING", client.send(XPending::new(KEY, GROUP)).await)?;
    show("XPENDING, one by one", client.send(XPending::new(KEY, GROUP).range(.., 10)).await)
}

async fn recovery(client: &Client) -> Result<(), Error> {
    println!("\nRecovery: entries that were delivered and not finished.");
    let nack = XNack::new(KEY, GROUP, NackMode::Fail, id(3));
    show("XNACK, ann gives one back", client.send(nack).await)?;
    let claim = XClaim::new(KEY, GROUP, "bob", Duration::ZERO, id(3));
    show("XCLAIM, bob takes it", client.send(claim).await)?;
    let claim = XAutoClaim::new(KEY, GROUP, "bob", Duration::ZERO, EntryId::MIN);
    show("XAUTOCLAIM, and the others", client.send(claim).await)?;
    let back = XGroupSetId::new(KEY, GROUP, id(4));
    show("XGROUP SETID", client.send(back).await)?;
    show("XGROUP DELCONSUMER", client.send(XGroupDelConsumer::new(KEY, GROUP, "ann")).await)
}

async fn look(client: &Client) -> Result<(), Error> {
    println!("\nInspection: the state of a stream at the server.");
    let info = client.send(XInfoStream::new(KEY)).await?;
    println!(
        "  {:<28} {} entries, {} groups, last id {}, deleted up to {:?}",
        "XINFO STREAM", info.length, info.groups, info.last_generated_id, info.max_deleted_entry_id
    );
    let full = client.send(XInfoStream::new(KEY).full().count(0)).await?;
    for group in &full.groups {
        let consumers =
            group.consumers.iter().map(|c| (c.name.escape_ascii().to_string(), c.pel_count));
        println!("  {:<28} {:?}", "XINFO STREAM FULL, pending", consumers.collect::<Vec<_>>());
    }
    for group in client.send(XInfoGroups::new(KEY)).await? {
        let (name, pending, lag) = (group.name.escape_ascii(), group.pending, group.lag);
        println!("  {:<28} {name}: {pending} pending, lag {lag:?}", "XINFO GROUPS");
    }
    for consumer in client.send(XInfoConsumers::new(KEY, GROUP)).await? {
        let (name, idle) = (consumer.name.escape_ascii(), consumer.idle);
        println!("  {:<28} {name}: {} pending, idle {idle:?}", "XINFO CONSUMERS", consumer.pending);
    }
    for (name, lines) in [
        ("XGROUP HELP", client.send(XGroupHelp::new()).await?),
        ("XINFO HELP", client.send(XInfoHelp::new()).await?),
    ] {
        println!("  {name:<28} {} lines", lines.len());
    }
    show("TYPE", client.send(Type::new(KEY)).await)
}

async fn retention(client: &Client) -> Result<(), Error> {
    println!("\nRetention: trimming, expiring and deleting a stream.");
    show("XDEL", client.send(XDel::new(KEY, id(1))).await)?;
    show("XDELEX", client.send(XDelEx::new(KEY, id(3)).refs(Refs::Delete)).await)?;
    let trim = Trim::max_len(1);
    show("XTRIM, to the newest one", client.send(XTrim::new(KEY, trim)).await)?;
    let dedup = XCfgSet::new(KEY).idmp_duration(SECOND * 60).idmp_max_size(1000);
    show("XCFGSET", client.send(dedup).await)?;
    let last = client.send(XInfoStream::new(KEY)).await?.last_entry.map_or(id(5), |e| e.id());
    let record = XIdmpRecord::new(KEY, "shop-1", "order-7", last);
    show("XIDMPRECORD", client.send(record).await)?;
    let next = EntryId::new(last.ms() + 1000, 0);
    show("XSETID", client.send(XSetId::new(KEY, next)).await)?;
    show("XGROUP DESTROY", client.send(XGroupDestroy::new(KEY, GROUP)).await)?;
    show("EXPIRE", client.send(Expire::new(KEY, SECOND * 60)).await)?;
    show("PEXPIRE", client.send(PExpire::new(KEY, SECOND * 60)).await)?;
    show("EXISTS", client.send(Exists::new(KEY).and(SPARE)).await)?;
    show("DEL", client.send(Del::new(KEY)).await)?;
    show("UNLINK", client.send(Unlink::new(SPARE)).await)
}

async fn connection(client: &Client) -> Result<(), Error> {
    println!("\nThe shared connection.");
    show("PING", client.send(Ping::new()).await)?;
    show("ECHO", client.send(Echo::new("hello")).await)?;
    show("CLIENT ID", client.send(ClientId::new()).await)?;
    show("CLIENT GETNAME", client.send(ClientGetName::new()).await)?;
    let reader = client.reader().await?;
    let id = reader.connection_id().unwrap_or_default();
    show("CLIENT UNBLOCK, a reader", client.send(ClientUnblock::new(id)).await)?;
    show("CLIENT KILL, the same", client.send(ClientKill::new(id)).await)?;
    let pause = ClientPause::new(Duration::from_millis(1)).write_only();
    show("CLIENT PAUSE", client.send(pause).await)?;
    show("CLIENT UNPAUSE", client.send(ClientUnpause::new()).await)?;
    show("ROLE", client.send(Role::new()).await)?;
    for (name, refused) in [
        ("CLUSTER SLOTS", client.send(ClusterSlots::new()).await.err()),
        ("CLUSTER SHARDS", client.send(ClusterShards::new()).await.err()),
    ] {
        let said = refused.map_or_else(|| "a cluster".into(), |error| error.to_string());
        println!("  {name:<28} {said}");
    }
    let (len, ping) = client.transact((XLen::new(KEY), Ping::new())).await?;
    show("MULTI, XLEN, PING, EXEC", len.and_then(|len| ping.map(|()| len)))
}

async fn own_connection(client: &Client) -> Result<(), Error> {
    println!("\nA dedicated connection, for commands that block or change it.");
    let mut own: Reader = client.reader().await?;
    let hello = own.send(Hello::new()).await?;
    println!("  {:<28} {}, RESP{}", "HELLO", hello.server, hello.proto);
    // The server returns an error if no password is set; otherwise this is how to send one.
    let auth = own.send(Auth::new("no such password")).await;
    println!("  {:<28} {}", "AUTH", auth.err().map_or_else(|| "OK".into(), |error| reason(&error)));
    show("CLIENT SETNAME", own.send(ClientSetName::new("tour")).await)?;
    show("CLIENT NO-EVICT", own.send(ClientNoEvict::on()).await)?;
    own.send(XAdd::new(SPARE).field("sku", 1)).await?;
    let soon = Block::For(Duration::from_millis(10));
    show("WAIT, for no replica", own.send(Wait::new(0, soon)).await)?;
    show("WAITAOF, for nothing", own.send(WaitAof::new(false, 0, soon)).await)?;
    own.send(Unlink::new(SPARE)).await.map(drop)
}

/// Returns an error with its cause.
fn reason(error: &Error) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}
