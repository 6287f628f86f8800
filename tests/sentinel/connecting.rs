//! Finding the master, and the errors of settings that do not fit.

use crate::support::free_port;
use crate::trio::{NAME, Trio};
use bourn::{Client, Config, ConnectReason, Error, Role, XAdd, XLen};
use std::time::Duration;

#[tokio::test]
async fn master_is_found_by_any_sentinel_and_wrong_settings_say_why() {
    let trio = Trio::start();
    let client = trio.client().await;
    client.send(XAdd::new("orders").field("n", 1)).await.unwrap();
    assert_eq!(trio.servers[0].command(&["XLEN", "orders"]), "1");
    println!("{:?}", client.send(Role::new()).await.unwrap());

    // One sentinel is enough, next to one that is down.
    let down = format!("127.0.0.1:{}", free_port());
    let up = format!("127.0.0.1:{}", trio.sentinels[2].port());
    let client = Client::connect(Config::sentinel(NAME, [&down, &up])).await.unwrap();
    assert_eq!(client.send(XLen::new("orders")).await.unwrap(), 1);
    let mut reader = client.reader().await.unwrap();
    assert_eq!(reader.send(XLen::new("orders")).await.unwrap(), 1);

    let unknown = Client::connect(Config::sentinel("nobody", [&up])).await.unwrap_err();
    let Error::Connect(error) = &unknown else { panic!("{unknown:?}") };
    assert!(matches!(error.reason(), ConnectReason::UnknownMaster { .. }) && error.is_permanent());
    assert!(unknown.to_string().ends_with("the sentinels know no master named nobody"));

    let nowhere = Client::connect(Config::sentinel(NAME, [&down])).await.unwrap_err();
    let Error::Connect(error) = &nowhere else { panic!("{nowhere:?}") };
    assert!(matches!(error.reason(), ConnectReason::NoSentinel { .. }), "{nowhere}");
    assert!(nowhere.to_string().contains("refused"), "{nowhere}");
    assert!(!error.is_permanent());
}

#[tokio::test]
async fn sentinels_have_a_password_of_their_own() {
    let trio = Trio::with(&["--requirepass", "s3cret"]);
    let refused = Client::connect(trio.seed(0)).await.unwrap_err();
    assert!(refused.to_string().contains("NOAUTH"), "{refused}");
    let client = Client::connect(trio.seed(0).sentinel_password("s3cret")).await.unwrap();
    client.send(XAdd::new("orders").field("n", 1)).await.unwrap();
    client.ready(Duration::from_secs(1)).await.unwrap();
}
