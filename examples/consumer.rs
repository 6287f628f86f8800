//! The smallest consumer: reads entries of a group and acknowledges them, until none arrives for a
//! second.
//! `cargo run --example consumer -- redis://127.0.0.1`

use bourn::{Client, Code, Error, GroupFrom, StartAt, XAck, XGroupCreate, XReadGroup};
use std::time::Duration;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "redis://127.0.0.1".into());
    let client = Client::connect(url).await?;
    let create = XGroupCreate::new("greetings", "readers", StartAt::START).mk_stream();
    match client.send(create).await {
        // Another process has created the group: that is fine.
        Err(error) if error.code() == Some(&Code::BusyGroup) => {}
        result => result?,
    }
    let mut reader = client.reader().await?;
    loop {
        let read = XReadGroup::new("readers", "reader-1").stream("greetings", GroupFrom::New);
        let entries = reader.read(read.count(100).block(Duration::from_secs(1))).await?;
        if entries.is_empty() {
            return Ok(());
        }
        for entry in entries.iter() {
            println!("{} says {:?}", entry.id(), entry.get_str("text"));
            client.send(XAck::new("greetings", "readers", entry.id())).await?;
        }
    }
}
