//! Credentials that change while they are in use.

use crate::both::{in_both_from, listed, until};
use crate::support::Server;
use bourn::{Client, Credentials, ReadFrom, XAdd, XLen, XRead};
use std::cell::Cell;
use std::time::Duration;
use tokio::sync::watch;

const ROUNDS: usize = 10;

fn nth(n: usize) -> Credentials {
    Credentials::new(format!("p{n}")).user(format!("u{n}"))
}

fn allow(server: &Server, n: usize) {
    server.command(&["ACL", "SETUSER", &format!("u{n}"), "on", &format!(">p{n}"), "~*", "+@all"]);
}

/// Waits until the connection is authenticated as this user.
async fn until_listed(client: &Client, connection: i64, n: usize) {
    let user = format!(" user=u{n} ");
    until(&user, async || {
        listed(client, connection).await.is_some_and(|line| line.contains(&user))
    })
    .await;
}

#[test]
fn users_change_under_load_and_no_command_fails() {
    in_both_from(&Server::builder(), async |server, config| {
        allow(&server, 0);
        let (sender, receiver) = watch::channel(nth(0));
        let admin = Client::connect(config.clone()).await.unwrap();
        let client = Client::connect(config.credentials(receiver)).await.unwrap();
        let mut reader = client.reader().await.unwrap();
        let ids = [client.connection_id().unwrap(), reader.connection_id().unwrap()];
        let over = Cell::new(false);
        let added = Cell::new(0);
        let load = futures_util::future::join_all((0..16).map(async |_| {
            while !over.get() {
                client.send(XAdd::new("s").field("f", "v")).await.unwrap();
                added.set(added.get() + 1);
            }
        }));
        let read = async {
            while !over.get() {
                let read = XRead::new().stream("none", ReadFrom::START);
                reader.read(read.block(Duration::from_millis(5))).await.unwrap();
            }
        };
        let change = async {
            for n in 1..=ROUNDS {
                allow(&server, n);
                sender.send_replace(nth(n));
                for id in ids {
                    until_listed(&admin, id, n).await;
                }
                // The server closes the connections of a deleted user.
                server.command(&["ACL", "DELUSER", &format!("u{}", n - 1)]);
            }
            over.set(true);
        };
        tokio::join!(load, read, change);
        assert_eq!(client.send(XLen::new("s")).await.unwrap(), added.get());
        assert_eq!(ids, [client.connection_id().unwrap(), reader.connection_id().unwrap()]);
    });
}

#[test]
fn unknown_password_is_retried_until_it_is_valid() {
    in_both_from(&Server::builder(), async |server, config| {
        allow(&server, 0);
        let (sender, receiver) = watch::channel(nth(0));
        let client = Client::connect(config.credentials(receiver)).await.unwrap();
        let first = client.connection_id().unwrap();
        sender.send_replace(nth(1));
        let refused = || server.command(&["ACL", "LOG"]).contains("u1");
        until("it is refused", async || refused()).await;
        allow(&server, 1);
        // A command sent after AUTH may still be answered on the connection that is being replaced.
        until("there is another connection", async || client.connection_id().unwrap() != first)
            .await;
        client.send(XAdd::new("s").field("f", "v")).await.unwrap();
        until_listed(&client, client.connection_id().unwrap(), 1).await;
    });
}
