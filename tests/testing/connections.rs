//! Connecting, protocols, users, transactions and the log of requests.

use crate::in_paused_time;
use bourn::testing::Server;
use bourn::{Client, ClientGetName, Code, Error, Ping, Protocol, Raw, XAdd, XLen, XRange};

fn add(n: u64) -> XAdd<'static> {
    XAdd::new("k").field("n", n)
}

#[test]
fn client_connects_to_every_version_in_both_protocols() {
    in_paused_time(async {
        for version in Server::VERSIONS {
            for (protocol, number) in [(Protocol::Resp2, 2), (Protocol::Auto, 3)] {
                let server = Server::builder().version(version).build();
                let client = server.connect(server.config().protocol(protocol)).await.unwrap();
                client.send(add(1)).await.unwrap();
                assert_eq!(client.send(XLen::new("k")).await.unwrap(), 1, "{version}");
                let reported = client.server().expect("it reports its version").to_string();
                let (name, number_of) = version.split_once('-').unwrap();
                assert!(reported.starts_with(&format!("{name} {number_of}.")), "{reported}");
                let proto = client.send(Raw::new("CLIENT INFO")).await.unwrap();
                let proto = proto.as_str().unwrap().to_owned();
                assert!(proto.contains(&format!("resp={number}")), "{version}: {proto}");
            }
        }
    });
}

#[test]
fn many_clients_share_one_server() {
    in_paused_time(async {
        let server = Server::new();
        let clients: Vec<Client> =
            futures_util::future::try_join_all((0..50).map(|_| server.client())).await.unwrap();
        let adds = clients.iter().zip(0..).map(|(client, n)| client.send(add(n)));
        futures_util::future::try_join_all(adds).await.unwrap();
        let handle = server.clone();
        assert_eq!(handle.command("XLEN k").as_integer(), Some(50));
        assert_eq!(server.connections(), 50);
        let ids: std::collections::BTreeSet<_> =
            clients.iter().map(|client| client.connection_id().unwrap()).collect();
        assert_eq!(ids.len(), 50);
        for client in &clients {
            client.close().await;
        }
        assert_eq!(server.connections(), 0);
    });
}

#[test]
fn large_requests_and_replies_pass_whole() {
    in_paused_time(async {
        let server = Server::new();
        let client = server.client().await.unwrap();
        let value = "v".repeat(3 << 20);
        client.send(XAdd::new("k").field("large", value.as_str())).await.unwrap();
        let entries = client.send(XRange::new("k", ..)).await.unwrap();
        let entry = entries.iter().next().unwrap();
        assert_eq!(entry.get("large").map(<[u8]>::len), Some(value.len()));
        let added = client.send_all((0..10_000).map(add)).await;
        assert!(added.into_iter().all(|added| added.is_ok()));
    });
}

#[test]
fn transaction_runs_whole_or_not_at_all() {
    in_paused_time(async {
        let server = Server::new();
        let client = server.client().await.unwrap();
        let (id, len) = client.transact((add(1), XLen::new("k"))).await.unwrap();
        assert_eq!((id.is_ok(), len.unwrap()), (true, 1));
        let refused = client.transact((add(2), XAdd::new("k"))).await;
        assert_eq!(refused.unwrap_err().code(), Some(&Code::Err));
        assert_eq!(client.send(XLen::new("k")).await.unwrap(), 1);
    });
}

#[test]
fn password_is_required_and_changed() {
    in_paused_time(async {
        let server = Server::builder().setting("requirepass", "secret").build();
        let refused = server.client().await.unwrap_err();
        assert!(matches!(refused, Error::Connect(_)), "{refused}");
        let client = server.connect(server.config().password("secret")).await.unwrap();
        client.send(Ping::new()).await.unwrap();
        assert!(server.command("CONFIG SET requirepass another").as_str() == Some("OK"));
        client.send(Ping::new()).await.expect("it is logged in already");
        assert!(server.connect(server.config().password("secret")).await.is_err());
    });
}

#[test]
fn user_runs_only_what_it_may() {
    in_paused_time(async {
        let server = Server::new();
        let _ = server.command("ACL SETUSER worker on >pw +@stream +client|setname -xadd");
        let config = server.config().user("worker").password("pw").send_client_info(false);
        let client = server.connect(config).await.unwrap();
        client.send(XLen::new("k")).await.unwrap();
        let denied = client.send(add(1)).await.unwrap_err();
        assert_eq!(denied.code(), Some(&Code::NoPerm));
    });
}

#[test]
fn name_and_database_are_those_of_the_settings() {
    in_paused_time(async {
        let server = Server::new();
        let config = server.config().client_name("billing").database(3);
        let client = server.connect(config).await.unwrap();
        let name = client.send(ClientGetName::new()).await.unwrap();
        assert_eq!(name.as_deref(), Some(b"billing".as_slice()));
        client.send(add(1)).await.unwrap();
        assert_eq!(server.command("XLEN k").as_integer(), Some(0), "it is in another database");
    });
}

#[test]
fn requests_are_logged_in_order() {
    in_paused_time(async {
        let server = Server::new();
        let client = server.client().await.unwrap();
        let (added, len) = client.send_all((add(1), XLen::new("k"))).await;
        assert_eq!((added.is_ok(), len.ok()), (true, Some(1)));
        let log: Vec<String> = server.requests().iter().map(ToString::to_string).collect();
        let [.., add, len] = log.as_slice() else { panic!("{log:?}") };
        assert_eq!((add.as_str(), len.as_str()), ("XADD k * n 1", "XLEN k"));
        assert!(log.first().is_some_and(|first| first.starts_with("HELLO 3")), "{log:?}");
    });
}

#[test]
fn killed_connection_is_replaced() {
    in_paused_time(async {
        let server = Server::new();
        let client = server.client().await.unwrap();
        let first = client.connection_id().unwrap();
        assert_eq!(server.command(&format!("CLIENT KILL ID {first}")).as_integer(), Some(1));
        client.send(Ping::new()).await.unwrap();
        assert_ne!(client.connection_id(), Some(first));
    });
}

#[test]
#[should_panic(expected = "no version \"redis-5.0\"; there are redis-6.2, ")]
fn unknown_version_is_refused() {
    let _ = Server::builder().version("redis-5.0");
}
