//! The first program of the guide: adds one entry and reads it back.

use bourn::{Client, XAdd, XRange};

#[tokio::main]
async fn main() -> Result<(), bourn::Error> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "redis://127.0.0.1".into());
    let client = Client::connect(url).await?;

    let id = client.send(XAdd::new("orders").field("sku", "A-7").field("count", 3)).await?;
    println!("added {id}");

    for entry in client.send(XRange::new("orders", ..).count(10)).await?.iter() {
        println!("{}: {:?}", entry.id(), entry.get_str("sku"));
    }

    client.close().await;
    Ok(())
}
