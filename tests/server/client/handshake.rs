//! The client's state at the server, at first and after every reconnect.

use crate::both::{in_both, in_both_from, kill, listed, run};
use crate::support::Server;
use bourn::{Client, Code, Config, ConnectReason, Error, Outcome, Protocol, XAdd, XLen};
use std::time::{Duration, Instant};

/// Returns the server's data about this connection, by name.
async fn listed_as(client: &Client, names: &[&str]) -> Vec<String> {
    let line = listed(client, client.connection_id().unwrap()).await.unwrap();
    let word = |name: &&str| {
        let start = format!("{name}=");
        let word = line.split(' ').find_map(|word| word.strip_prefix(&start));
        word.unwrap_or_else(|| panic!("no {name} in {line}")).to_owned()
    };
    names.iter().map(word).collect()
}

/// Returns the error of a failing connection attempt.
async fn connect_error(config: Config) -> Error {
    let error = Client::connect(config).await.expect_err("there is no such connection");
    assert_eq!(error.outcome(), Outcome::NotSent);
    error
}

#[test]
fn password_without_a_user_is_the_default_users() {
    in_both_from(&Server::builder().args(["--requirepass", "s3 cret"]), async |_, config| {
        let client = Client::connect(config.clone().password("s3 cret")).await.unwrap();
        assert_eq!(client.send(XLen::new("s")).await.unwrap(), 0);
        assert_eq!(listed_as(&client, &["user"]).await, ["default"]);
        let wrong = connect_error(config.clone().password("other")).await;
        let Error::Connect(connect) = &wrong else { panic!("{wrong:?}") };
        assert!(matches!(connect.reason(), ConnectReason::Refused(_)), "{wrong:?}");
        assert_eq!(wrong.code(), Some(&Code::WrongPass));
        assert!(!format!("{wrong:?} {wrong}").contains("other"));
        assert_eq!(
            connect_error(config.user("nobody").password("x")).await.code(),
            Some(&Code::WrongPass)
        );
    });
}

#[test]
fn connect_without_the_password_fails() {
    in_both_from(&Server::builder().args(["--requirepass", "s3cret"]), async |_, config| {
        let error = match Client::connect(config).await {
            Err(error) => error,
            // In RESP2, some servers report it with the first command.
            Ok(client) => client.send(XLen::new("s")).await.unwrap_err(),
        };
        assert_eq!(error.code(), Some(&Code::NoAuth), "{error:?}");
    });
}

#[test]
fn user_has_the_permissions_that_the_server_grants() {
    in_both_from(&Server::builder(), async |server, config| {
        server.command(&["ACL", "SETUSER", "worker", "on", ">p", "~s", "+@all", "-xtrim"]);
        let client = Client::connect(config.user("worker").password("p")).await.unwrap();
        assert_eq!(listed_as(&client, &["user"]).await, ["worker"]);
        client.send(XAdd::new("s").field("f", "v")).await.unwrap();
        let trim = bourn::XTrim::new("s", bourn::Trim::max_len(0));
        for error in [
            client.send(trim).await.unwrap_err(),
            client.send(XLen::new("other")).await.unwrap_err(),
        ] {
            assert_eq!(error.code(), Some(&Code::NoPerm));
            assert_eq!(error.outcome(), Outcome::NotApplied);
        }
        assert_eq!(client.send(XLen::new("s")).await.unwrap(), 1);
    });
}

#[test]
fn database_is_selected_or_the_connection_fails() {
    in_both_from(&Server::builder(), async |server, config| {
        let client = Client::connect(config.clone().database(3)).await.unwrap();
        client.send(XAdd::new("s").field("f", "v")).await.unwrap();
        assert_eq!(listed_as(&client, &["db"]).await, ["3"]);
        assert_eq!(server.command(&["XLEN", "s"]), "0", "in database 0");
        let error = connect_error(config.database(99)).await;
        assert_eq!(error.code(), Some(&Code::Err), "{error:?}");
    });
}

#[test]
fn client_list_has_the_client_name_and_since_7_2_the_library() {
    in_both_from(&Server::builder(), async |server, config| {
        let client = Client::connect(config.client_name("billing-7")).await.unwrap();
        assert_eq!(listed_as(&client, &["name", "db"]).await, ["billing-7", "0"]);
        let reader = client.reader().await.unwrap();
        let line = listed(&client, reader.connection_id().unwrap()).await.unwrap();
        assert!(line.contains(" name=billing-7 "));
        if server.redis_at_least(7, 2) {
            let library = listed_as(&client, &["lib-name", "lib-ver"]).await;
            assert_eq!(library, ["bourn", env!("CARGO_PKG_VERSION")]);
        } else {
            let line = listed(&client, client.connection_id().unwrap()).await.unwrap();
            assert!(!line.contains("lib-name"));
        }
    });
}

#[test]
fn reconnect_restores_user_database_name_and_protocol() {
    in_both_from(&Server::builder(), async |server, config| {
        server.command(&["ACL", "SETUSER", "worker", "on", ">p", "~*", "+@all"]);
        let config = config.user("worker").password("p").database(2).client_name("me");
        let client = Client::connect(config).await.unwrap();
        let mut names = vec!["user", "db", "name"];
        if server.redis_at_least(7, 0) {
            names.push("resp");
        }
        if server.redis_at_least(7, 2) {
            names.extend(["lib-name", "lib-ver"]);
        }
        let before = listed_as(&client, &names).await;
        assert_eq!(before[..3], ["worker", "2", "me"]);
        let killer = Client::connect(server.url()).await.unwrap();
        let mut connections = vec![client.connection_id().unwrap()];
        for round in 0..3 {
            kill(&killer, client.connection_id().unwrap()).await;
            // The client may not know yet that its connection is closed: then this command is lost.
            while client.send(XAdd::new("s").field("n", round)).await.is_err() {}
            connections.push(client.connection_id().unwrap());
            assert_eq!(listed_as(&client, &names).await, before);
        }
        connections.dedup();
        assert_eq!(connections.len(), 4);
        assert!(client.send(XLen::new("s")).await.unwrap() >= 3);
    });
}

#[test]
fn server_is_reached_by_tcp_unix_socket_and_url() {
    in_both_from(&Server::builder(), async |server, tcp| {
        let unix = Config::unix(server.socket_path());
        let urls = [
            server.url(),
            server.url() + "/0?protocol=2",
            server.unix_url(),
            server.unix_url() + "?db=0&protocol=2&client_name=x",
            server.url().replace("redis://127.0.0.1", "valkey://localhost"),
        ];
        let urls = urls.iter().map(|url| url.parse().unwrap());
        let configs = [tcp, unix.clone(), unix.protocol(Protocol::Resp2)].into_iter().chain(urls);
        for (n, config) in (1..).zip(configs) {
            let client = Client::connect(&config).await.unwrap();
            client.send(XAdd::new("s").field("f", "v")).await.unwrap();
            assert_eq!(client.send(XLen::new("s")).await.unwrap(), n, "{config:?}");
            let mut reader = client.reader().await.unwrap();
            let read = bourn::XRead::new().stream("s", bourn::ReadFrom::START);
            assert_eq!(reader.read(read.block_forever()).await.unwrap().len() as u64, n);
        }
    });
}

#[test]
fn custom_stream_works_like_a_socket() {
    in_both_from(&Server::builder(), async |server, config| {
        let path = server.socket_path();
        let dial = move || tokio::net::UnixStream::connect(path.clone());
        let client = Client::connect_with(config, dial).await.unwrap();
        let adds = (0..100).map(|n| XAdd::new("s").field("n", n));
        client.send_all(adds).await.into_iter().for_each(|added| assert!(added.is_ok()));
        let mut reader = client.reader().await.unwrap();
        let read = bourn::XRead::new().stream("s", bourn::ReadFrom::START);
        assert_eq!(reader.read(read.block_forever()).await.unwrap().len(), 100);
        client.close().await;
    });
}

#[test]
fn connect_to_a_closed_port_fails_at_once() {
    in_both_from(&Server::builder(), async |mut server, config| {
        let client = Client::connect(&config).await.unwrap();
        server.kill9();
        let start = Instant::now();
        let refused = [
            connect_error(config).await,
            connect_error(Config::unix(server.socket_path())).await,
            connect_error(Config::unix("/nonexistent/socket")).await,
            client.reader().await.unwrap_err(),
        ];
        for error in refused {
            let Error::Connect(connect) = &error else { panic!("{error:?}") };
            assert!(matches!(connect.reason(), ConnectReason::Io(_)), "{error:?}");
        }
        assert!(start.elapsed() < Duration::from_secs(1));
    });
}

#[test]
fn connect_to_a_mute_server_times_out() {
    in_both_from(&Server::builder(), async |server, config| {
        server.pause();
        let after = Duration::from_millis(50);
        let error = connect_error(config.connect_timeout(after)).await;
        server.resume();
        let Error::Connect(connect) = &error else { panic!("{error:?}") };
        let ConnectReason::TimedOut { after: limit, .. } = connect.reason() else {
            panic!("{error:?}");
        };
        assert_eq!(*limit, after);
    });
}

#[test]
fn connect_beyond_maxclients_has_the_servers_error() {
    in_both(async |server, client| {
        run(client, "CONFIG SET maxclients 1").await;
        let error = connect_error(server.url().parse().unwrap()).await;
        let Error::Connect(connect) = &error else { panic!("{error:?}") };
        let ConnectReason::Refused(refused) = connect.reason() else { panic!("{error:?}") };
        assert_eq!(refused.message(), b"max number of clients reached");
    });
}
