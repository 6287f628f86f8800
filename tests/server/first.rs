//! The example at the top of the documentation, as a program.

use crate::support::Server;

/// The code of the example. `documented` compares it with the text in `src/lib.rs`.
async fn first_example(url: &str) -> Result<(), bourn::Error> {
    use bourn::{Client, GroupFrom, StartAt, XAck, XAdd, XGroupCreate, XReadGroup};
    use std::time::Duration;

    let client = Client::connect(url).await?;
    let create = XGroupCreate::new("orders", "billing", StartAt::START).mk_stream();
    client.send(create.if_missing()).await?;
    client.send(XAdd::new("orders").field("sku", "A-7").field("count", 3)).await?;

    let mut reader = client.reader().await?;
    let read = XReadGroup::new("billing", "worker-1").stream("orders", GroupFrom::New).count(100);
    for entry in reader.read(read.block(Duration::from_secs(5))).await?.iter() {
        println!("{}: {:?}", entry.id(), entry.get_str("sku"));
        client.send(XAck::new("orders", "billing", entry.id())).await?;
    }
    Ok(())
}

/// Returns the lines of the first code block in `src/lib.rs`, without those that rustdoc hides.
fn documented() -> Vec<String> {
    let docs = include_str!("../../src/lib.rs").lines().map_while(|line| line.strip_prefix("//!"));
    let block = docs.skip_while(|line| !line.starts_with(" ```")).skip(1);
    let lines = block.take_while(|line| !line.starts_with(" ```"));
    let lines = lines.filter(|line| !line.starts_with(" # "));
    lines.map(|line| line.trim().replace("\"redis://127.0.0.1\"", "url")).collect()
}

#[test]
fn first_example_runs_twice() {
    let source = include_str!("first.rs").lines().map(str::trim);
    let body = source.skip_while(|line| !line.starts_with("async fn first_example")).skip(1);
    let body: Vec<_> = body.take_while(|line| *line != "Ok(())").collect();
    assert_eq!(documented(), body, "src/lib.rs has other code than this test");

    let server = Server::start();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    for round in ["1", "2"] {
        runtime.block_on(first_example(&server.url())).expect("no error in any round");
        assert_eq!(server.command(&["XLEN", "orders"]), round);
        let pending = server.command(&["XPENDING", "orders", "billing"]);
        assert_eq!(pending.lines().next(), Some("0"), "everything is acknowledged");
    }
}
