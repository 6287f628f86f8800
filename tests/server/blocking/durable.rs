//! Entries that replicas or disks must have.

use super::{LONG, replica_of};
use crate::both::{add as fill, in_both_from, until};
use crate::support::Server;
use bourn::{Client, Durability, DurableError, Error, Feature, Unsent, XAdd, XLen};
use std::time::Duration;

const SOON: Duration = Duration::from_millis(10);

fn one() -> XAdd<'static> {
    XAdd::new("s").field("f", "v")
}

#[test]
fn entry_is_kept_once_a_replica_has_it_and_told_as_not_kept_without_one() {
    in_both_from(
        &Server::builder().args(["--repl-diskless-sync-delay", "0"]),
        async |server, config| {
            let replica = replica_of(&server).await;
            let client = Client::connect(config).await.unwrap();
            // The shared connection is not kept waiting.
            fill(&client, "other", 1..=3).await;
            let durable = client.durable(Durability::replicas(1, LONG / 20));
            for added in durable.add_all((0..100).map(|_| one())).await {
                let kept = added.unwrap();
                assert_eq!((kept.replicas, kept.disk), (1, false));
            }
            assert_eq!(replica.command(&["XLEN", "s"]), "100");
            let two = durable.with(Durability::replicas(2, SOON));
            let Err(DurableError::NotKept { id, kept: Some(kept), .. }) = two.add(one()).await
            else {
                panic!("there is no second replica");
            };
            assert_eq!((kept.id, kept.replicas), (id, 1));
            replica.command(&["REPLICAOF", "NO", "ONE"]);
            until("the master has no replica", async || {
                server.command(&["INFO", "replication"]).contains("connected_slaves:0")
            })
            .await;
            let alone = durable.with(Durability::replicas(1, SOON)).add(one()).await;
            let Err(DurableError::NotKept { kept: Some(kept), .. }) = alone else {
                panic!("{alone:?}");
            };
            assert_eq!(kept.replicas, 0);
            assert_eq!(client.send(XLen::new("s")).await.unwrap(), 102);
        },
    );
}

#[test]
fn entry_is_kept_once_the_disk_has_it() {
    in_both_from(&Server::builder().append_only(), async |_, config| {
        let client = Client::connect(config).await.unwrap();
        let durable = client.durable(Durability::disk(LONG / 20));
        let added = durable.add(one()).await;
        let server = client.server().expect("it says what it is");
        if server.supports(Feature::WaitAof) == Some(true) {
            assert!(added.unwrap().disk);
            return;
        }
        let Err(DurableError::Redis(Error::Unsent { reason, .. })) = added else {
            panic!("{added:?}");
        };
        assert!(matches!(reason, Unsent::Refused { .. }), "{reason}");
        assert_eq!(client.send(XLen::new("s")).await.unwrap(), 0);
    });
}
