//! Every command once, in the order in which one might come to need it; what each did is printed.
//!
//! `cargo run --example tour -- redis://127.0.0.1`. It works on the keys `tour` and `{tour}:spare`, which must not exist, and
//! removes them at the end. What the server is too old for is said by name.

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
// In a cluster, the part in braces keeps it in the slot of `tour`.
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

/// Prints what a command answered, or that the server is too old for it. Any other error ends the tour.
fn tell<T: Debug>(what: &str, result: Result<T, Error>) -> Result<(), Error> {
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
    tell("XADD NOMKSTREAM", client.send(add.no_mk_stream()).await)?;
    let add = XAdd::new(KEY).idmp("shop-1", "order-6").field("sku", 600);
    tell("XADD IDMP, safe to repeat", client.send(add).await)?;
    tell("XLEN", client.send(XLen::new(KEY)).await)?;
    tell("XRANGE, the first two", client.send(XRange::new(KEY, ..).count(2)).await)?;
    tell("XREVRANGE, the last one", client.send(XRevRange::new(KEY, ..).count(1)).await)?;
    let read = XRead::new().stream(KEY, id(4)).stream(SPARE, ReadFrom::START);
    let streams = client.send(read.count(1)).await?;
    tell("XREAD, above 4-0", Ok(streams.iter().collect::<Vec<_>>()))
}

async fn groups(client: &Client) -> Result<(), Error> {
    println!("\nGroups: each entry goes to one consumer, and is pending until it is acknowledged.");
    let create = XGroupCreate::new(KEY, GROUP, StartAt::START).mk_stream();
    tell("XGROUP CREATE", client.send(create).await)?;
    let ann = XGroupCreateConsumer::new(KEY, GROUP, "ann");
    tell("XGROUP CREATECONSUMER", client.send(ann).await)?;
    let mut reader = client.reader().await?;
    let read = XReadGroup::new(GROUP, "ann").stream(KEY, GroupFrom::New).count(4);
    let batch = reader.read(read.block(SECOND)).await?;
    tell("XREADGROUP, on a reader", Ok(batch.iter().collect::<Vec<_>>()))?;
    tell("XACK", client.send(XAck::new(KEY, GROUP, id(1))).await)?;
    let done = XAckDel::new(KEY, GROUP, id(2)).refs(Refs::Acked);
    tell("XACKDEL", client.send(done).await)?;
    tell("XPENDING", client.send(XPending::new(KEY, GROUP)).await)?;
    tell("XPENDING, one by one", client.send(XPending::new(KEY, GROUP).range(.., 10)).await)
}

async fn recovery(client: &Client) -> Result<(), Error> {
    println!("\nRecovery: what somebody was given and did not finish.");
    let nack = XNack::new(KEY, GROUP, NackMode::Fail, id(3));
    tell("XNACK, ann gives one back", client.send(nack).await)?;
    let claim = XClaim::new(KEY, GROUP, "bob", Duration::ZERO, id(3));
    tell("XCLAIM, bob takes it", client.send(claim).await)?;
    let claim = XAutoClaim::new(KEY, GROUP, "bob", Duration::ZERO, EntryId::MIN);
    tell("XAUTOCLAIM, and the others", client.send(claim).await)?;
    let back = XGroupSetId::new(KEY, GROUP, id(4));
    tell("XGROUP SETID", client.send(back).await)?;
    tell("XGROUP DELCONSUMER", client.send(XGroupDelConsumer::new(KEY, GROUP, "ann")).await)
}

async fn look(client: &Client) -> Result<(), Error> {
    println!("\nLooking: what the server knows of a stream.");
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
    tell("TYPE", client.send(Type::new(KEY)).await)
}

async fn retention(client: &Client) -> Result<(), Error> {
    println!("\nRetention: how a stream stays short, and how it ends.");
    tell("XDEL", client.send(XDel::new(KEY, id(1))).await)?;
    tell("XDELEX", client.send(XDelEx::new(KEY, id(3)).refs(Refs::Delete)).await)?;
    let trim = Trim::max_len(1);
    tell("XTRIM, to the newest one", client.send(XTrim::new(KEY, trim)).await)?;
    let dedup = XCfgSet::new(KEY).idmp_duration(SECOND * 60).idmp_max_size(1000);
    tell("XCFGSET", client.send(dedup).await)?;
    let last = client.send(XInfoStream::new(KEY)).await?.last_entry.map_or(id(5), |e| e.id());
    let record = XIdmpRecord::new(KEY, "shop-1", "order-7", last);
    tell("XIDMPRECORD", client.send(record).await)?;
    let next = EntryId::new(last.ms() + 1000, 0);
    tell("XSETID", client.send(XSetId::new(KEY, next)).await)?;
    tell("XGROUP DESTROY", client.send(XGroupDestroy::new(KEY, GROUP)).await)?;
    tell("EXPIRE", client.send(Expire::new(KEY, SECOND * 60)).await)?;
    tell("PEXPIRE", client.send(PExpire::new(KEY, SECOND * 60)).await)?;
    tell("EXISTS", client.send(Exists::new(KEY).and(SPARE)).await)?;
    tell("DEL", client.send(Del::new(KEY)).await)?;
    tell("UNLINK", client.send(Unlink::new(SPARE)).await)
}

async fn connection(client: &Client) -> Result<(), Error> {
    println!("\nThe connection, which everyone shares.");
    tell("PING", client.send(Ping::new()).await)?;
    tell("ECHO", client.send(Echo::new("hello")).await)?;
    tell("CLIENT ID", client.send(ClientId::new()).await)?;
    tell("CLIENT GETNAME", client.send(ClientGetName::new()).await)?;
    let reader = client.reader().await?;
    let id = reader.connection_id().unwrap_or_default();
    tell("CLIENT UNBLOCK, a reader", client.send(ClientUnblock::new(id)).await)?;
    tell("CLIENT KILL, the same", client.send(ClientKill::new(id)).await)?;
    let pause = ClientPause::new(Duration::from_millis(1)).write_only();
    tell("CLIENT PAUSE", client.send(pause).await)?;
    tell("CLIENT UNPAUSE", client.send(ClientUnpause::new()).await)?;
    tell("ROLE", client.send(Role::new()).await)?;
    for (name, refused) in [
        ("CLUSTER SLOTS", client.send(ClusterSlots::new()).await.err()),
        ("CLUSTER SHARDS", client.send(ClusterShards::new()).await.err()),
    ] {
        let said = refused.map_or_else(|| "a cluster".into(), |error| error.to_string());
        println!("  {name:<28} {said}");
    }
    let (len, ping) = client.transact((XLen::new(KEY), Ping::new())).await?;
    tell("MULTI, XLEN, PING, EXEC", len.and_then(|len| ping.map(|()| len)))
}

async fn own_connection(client: &Client) -> Result<(), Error> {
    println!("\nA connection of one's own, for what blocks or changes it.");
    let mut own: Reader = client.reader().await?;
    let hello = own.send(Hello::new()).await?;
    println!("  {:<28} {}, RESP{}", "HELLO", hello.server, hello.proto);
    // A server without passwords says so; where one is set, this is how to give it.
    let auth = own.send(Auth::new("no such password")).await;
    println!("  {:<28} {}", "AUTH", auth.err().map_or_else(|| "OK".into(), |error| reason(&error)));
    tell("CLIENT SETNAME", own.send(ClientSetName::new("tour")).await)?;
    tell("CLIENT NO-EVICT", own.send(ClientNoEvict::on()).await)?;
    own.send(XAdd::new(SPARE).field("sku", 1)).await?;
    let soon = Block::For(Duration::from_millis(10));
    tell("WAIT, for no replica", own.send(Wait::new(0, soon)).await)?;
    tell("WAITAOF, for nothing", own.send(WaitAof::new(false, 0, soon)).await)?;
    own.send(Unlink::new(SPARE)).await.map(drop)
}

/// An error and what is behind it.
fn reason(error: &Error) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}
