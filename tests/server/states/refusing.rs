//! Refusals that an operator must fix: returned at once, whatever the settings, and without an
//! effect on other commands.

use super::{a_read, a_write, assert_no_event, is_refused, listen, refusals};
use crate::both::{in_both_from, until};
use crate::support::Server;
use bourn::{Client, Code, Config, Retry};
use std::fs;

/// Checks that writes are refused with `code` between `begin` and `end`, and reads are not.
fn writes_are_refused(code: &Code, begin: impl AsyncFn(&Server), end: impl AsyncFn(&Server)) {
    in_both_from(&Server::builder(), async |server, config| {
        writes_are_refused_to(&config, &server, code, &begin, &end).await;
    });
}

async fn writes_are_refused_to(
    config: &Config,
    server: &Server,
    code: &Code,
    begin: &impl AsyncFn(&Server),
    end: &impl AsyncFn(&Server),
) {
    let with = async |retry| Client::connect(config.clone().retry(retry)).await.unwrap();
    let clients = [with(Retry::Safe).await, with(Retry::Never).await];
    let mut listeners = [listen(&clients[0]).await, listen(&clients[1]).await];
    for client in &clients {
        client.send(a_write()).await.unwrap();
    }
    begin(server).await;
    for client in &clients {
        let before = refusals(server, code);
        is_refused(client.send(a_write()).await, code);
        assert_eq!(refusals(server, code) - before, 1, "{code}: sent once");
        let (write, read) = client.send_all((a_write(), a_read())).await;
        is_refused(write, code);
        assert_eq!(read.unwrap(), 2, "{code}: the other command is answered");
        let (before, write, after) =
            tokio::join!(client.send(a_read()), client.send(a_write()), client.send(a_read()));
        is_refused(write, code);
        assert_eq!((before.unwrap(), after.unwrap()), (2, 2), "{code}");
        is_refused(client.transact((a_read(), a_write())).await.map(|_| ()), code);
    }
    end(server).await;
    for (client, events) in clients.iter().zip(&mut listeners) {
        client.send(a_write()).await.unwrap();
        assert_no_event(events);
    }
    assert_eq!(clients[0].send(a_read()).await.unwrap(), 4, "{code}: refused commands never ran");
}

#[test]
fn noreplicas_is_returned_at_once() {
    let set = async |server: &Server, least| {
        server.command(&["CONFIG", "SET", "min-replicas-to-write", least]);
    };
    writes_are_refused(&Code::NoReplicas, async |s| set(s, "1").await, async |s| set(s, "0").await);
}

#[test]
fn oom_is_returned_at_once() {
    let set = async |server: &Server, bytes| {
        server.command(&["CONFIG", "SET", "maxmemory", bytes]);
    };
    writes_are_refused(&Code::Oom, async |s| set(s, "1").await, async |s| set(s, "0").await);
}

#[test]
fn misconf_is_returned_at_once() {
    // A folder is in the place of the server's file, so that saving fails.
    let file = |server: &Server| server.socket_path().with_file_name("dump.rdb");
    let save = async |server: &Server, status: &str| {
        let wanted = format!("rdb_last_bgsave_status:{status}");
        server.command(&["BGSAVE"]);
        until(&wanted, async || {
            let info = server.command(&["INFO", "persistence"]);
            info.contains(&wanted) && info.contains("rdb_bgsave_in_progress:0")
        })
        .await;
    };
    let begin = async |server: &Server| {
        server.command(&["CONFIG", "SET", "save", "3600 1000000"]);
        fs::create_dir(file(server)).unwrap();
        save(server, "err").await;
    };
    let end = async |server: &Server| {
        fs::remove_dir(file(server)).unwrap();
        save(server, "ok").await;
    };
    writes_are_refused(&Code::MisConf, begin, end);
}

#[test]
fn noperm_is_returned_at_once() {
    let allow = async |server: &Server, rule| {
        server.command(&["ACL", "SETUSER", "worker", "on", ">p", "~*", "+@all", rule]);
    };
    in_both_from(&Server::builder(), async |server, config| {
        allow(&server, "+xadd").await;
        let config = config.user("worker").password("p");
        let begin = async |server: &Server| allow(server, "-xadd").await;
        let end = async |server: &Server| allow(server, "+xadd").await;
        writes_are_refused_to(&config, &server, &Code::NoPerm, &begin, &end).await;
    });
}
