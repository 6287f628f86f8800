//! The smallest producer: adds one entry. `cargo run --example producer -- redis://127.0.0.1`

use bourn::{Client, Error, XAdd};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "redis://127.0.0.1".into());
    let client = Client::connect(url).await?;
    let id = client.send(XAdd::new("greetings").field("text", "hello")).await?;
    println!("added {id}");
    Ok(())
}
