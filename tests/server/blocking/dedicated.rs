//! Commands that block or change their connection, on a reader's own connection.

use super::{LONG, group, new, replica_of};
use crate::both::{add, in_both, in_both_from, ms, poll_once, refusal, too_old, until_blocked};
use crate::support::Server;
use bourn::{
    Auth, Block, Client, ClientGetName, ClientNoEvict, ClientSetName, Code, Error, Feature, Hello,
    Outcome, Ping, Raw, RespVersion, Unsent, Wait, WaitAof, XAdd, XLen,
};
use std::pin::pin;
use std::time::Duration;

const SOON: Block = Block::For(Duration::from_millis(10));

fn one() -> XAdd<'static> {
    XAdd::new("s").field("f", "v")
}

#[test]
fn wait_counts_the_replicas_that_have_the_writes_of_this_connection() {
    in_both_from(
        &Server::builder().args(["--repl-diskless-sync-delay", "0"]),
        async |server, config| {
            let replica = replica_of(&server).await;
            let client = Client::connect(config).await.unwrap();
            let mut own = client.reader().await.unwrap();
            own.send(one()).await.unwrap();
            let wait = Wait::new(1, Block::For(Duration::from_secs(30)));
            assert_eq!(own.send(wait).await.unwrap(), 1);
            assert_eq!(replica.command(&["XLEN", "s"]), "1");
            // There is no second replica: WAIT returns 1 when its time is over, without an error.
            own.send(one()).await.unwrap();
            assert!(own.send(Wait::new(2, SOON)).await.unwrap() < 2);
        },
    );
}

#[test]
fn waitaof_reports_whether_the_writes_are_on_disk() {
    in_both_from(&Server::builder().append_only(), async |server, config| {
        let mut own = Client::connect(config).await.unwrap().reader().await.unwrap();
        own.send(one()).await.unwrap();
        let wait = own.send(WaitAof::new(true, 0, Block::For(Duration::from_secs(30)))).await;
        if server.redis_at_least(7, 2) {
            let reply = wait.unwrap();
            assert_eq!((reply.local, reply.replicas), (true, 0));
        } else {
            assert!(too_old(wait, &[Feature::WaitAof]).starts_with("ERR unknown command"));
        }
    });
}

#[test]
fn user_name_and_protocol_apply_to_this_connection_only() {
    in_both(async |server, client| {
        server.command(&["ACL", "SETUSER", "worker", "on", ">p w", "~s", "+xlen", "+client"]);
        let mut own = client.reader().await.unwrap();
        own.send(ClientSetName::new("mine")).await.unwrap();
        assert_eq!(own.send(ClientGetName::new()).await.unwrap().as_deref(), Some(&b"mine"[..]));
        assert_eq!(client.send(ClientGetName::new()).await.unwrap(), None);
        let evict = own.send(ClientNoEvict::on()).await;
        if server.redis_at_least(7, 0) {
            evict.unwrap();
        } else {
            too_old(evict, &[Feature::ClientNoEvict]);
        }
        for (version, proto) in [(RespVersion::Resp3, 3), (RespVersion::Resp2, 2)] {
            let hello = own.send(Hello::new().protocol(version)).await.unwrap();
            assert_eq!((hello.proto, hello.id), (proto, own.connection_id()));
            assert_eq!(Some(hello.server), client.server().as_deref().cloned());
        }
        let refused = own.send(Auth::new("wrong").user("worker")).await.unwrap_err();
        assert_eq!(refused.code(), Some(&Code::WrongPass));
        own.send(Auth::new("p w").user("worker")).await.unwrap();
        assert_eq!(own.send(XLen::new("s")).await.unwrap(), 0);
        assert_eq!(own.send(one()).await.unwrap_err().code(), Some(&Code::NoPerm));
        client.send(one()).await.unwrap();
    });
}

#[test]
fn commands_that_break_the_connection_state_are_rejected() {
    in_both(async |_, client| {
        let mut own = client.reader().await.unwrap();
        let error = own.send(Raw::new("MULTI")).await.unwrap_err();
        assert!(matches!(error, Error::Unsent { reason: Unsent::Refused { .. }, .. }), "{error:?}");
        own.send(Ping::new()).await.unwrap();
    });
}

#[test]
fn command_after_a_dropped_read_leaves_its_entries() {
    in_both(async |_, client| {
        group(client, 0).await;
        let mut own = client.reader().await.unwrap();
        {
            let mut read = pin!(own.read(new().no_ack().block_forever()));
            assert!(poll_once(read.as_mut()).await.is_pending());
        }
        until_blocked(client, 1).await;
        {
            let mut ping = pin!(own.send(Ping::new()));
            assert!(poll_once(ping.as_mut()).await.is_pending());
            add(client, "s", 1..=2).await;
            ping.await.unwrap();
        }
        assert!(own.is_reading(), "the entries are not read yet");
        let streams = own.read(new().no_ack().block(LONG)).await.unwrap();
        assert_eq!(streams.get("s").map(ms), Some(vec![1]));
    });
}

#[test]
fn command_that_times_out_after_a_read_leaves_the_read_intact() {
    in_both_from(&Server::builder(), async |_, config| {
        let config = config.command_timeout(Duration::from_millis(50));
        let client = Client::connect(config).await.unwrap();
        group(&client, 0).await;
        let mut own = client.reader().await.unwrap();
        let id = own.connection_id();
        {
            let mut read = pin!(own.read(new().no_ack().block_forever()));
            assert!(poll_once(read.as_mut()).await.is_pending());
        }
        until_blocked(&client, 1).await;
        let error = own.send(Ping::new()).await.unwrap_err();
        assert!(matches!(error, Error::TimedOut { command: "PING", .. }), "{error:?}");
        add(&client, "s", 1..=1).await;
        let streams = own.read(new().no_ack().block(LONG)).await.unwrap();
        assert_eq!((streams.get("s").map(ms), own.connection_id()), (Some(vec![1]), id));
    });
}

#[test]
fn overdue_command_is_unknown_and_replaces_the_connection() {
    in_both_from(&Server::builder(), async |server, config| {
        let config = config.command_timeout(Duration::from_millis(50));
        let client = Client::connect(config).await.unwrap();
        let mut own = client.reader().await.unwrap();
        let id = own.connection_id();
        server.pause();
        let error = own.send(one()).await.unwrap_err();
        server.resume();
        assert!(matches!(error, Error::TimedOut { command: "XADD", .. }), "{error:?}");
        assert_eq!(error.outcome(), Outcome::Unknown);
        while own.connection_id() == id {
            // The first attempts may use the old connection, or find none.
            let _ = own.send(Ping::new()).await;
        }
        own.send(Ping::new()).await.unwrap();
    });
}

#[test]
fn error_reply_fails_only_its_command() {
    in_both(async |_, client| {
        let mut own = client.reader().await.unwrap();
        let refused = refusal(own.send(ClientSetName::new("two words")).await);
        assert!(refused.starts_with("ERR Client names cannot contain spaces"), "{refused}");
        own.send(Ping::new()).await.unwrap();
    });
}
