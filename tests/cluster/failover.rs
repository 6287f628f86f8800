//! A killed master and planned failovers under load.

use crate::ledger::{How, Writer, check};
use crate::three::Three;
use bourn::command::key_slot;
use bourn::{Client, Config};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn planned_failovers_lose_nothing_and_have_no_unknown_outcome() {
    let three = Three::start();
    let client = three.client().await;
    let keys = three.keys_of(0, 2).into_iter().chain(three.keys_of(1, 2));
    let hows = [How::Single, How::Batch, How::Transaction, How::Single];
    let writers: Vec<_> =
        keys.zip(hows).map(|(key, how)| Writer::begin(&client, &key, how)).collect();
    for nth in [3, 0, 3] {
        // Masters give no second vote for a shard within twice the node timeout. The shard's master
        // then pauses its writes for five seconds.
        tokio::time::sleep(Duration::from_millis(3500)).await;
        three.fail_over(nth);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    for writer in writers {
        let (key, written) = writer.end().await;
        assert_eq!(written.refused, [""; 0], "{key}");
        assert!(written.unknown.is_empty(), "{key}: {:?}", written.unknown);
        assert_eq!(check(&three, &key, &written), 0, "{key}: lost");
        println!("{key}: {} entries, longest {:?}", written.acknowledged.len(), written.longest);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_master_delays_its_own_slots_only() {
    // Otherwise the servers refuse all slots until the replica has taken over.
    let mut three = Three::with(&["--cluster-require-full-coverage", "no"]);
    let config: Config = three.url().parse().unwrap();
    let client = Client::connect(config.command_timeout(Duration::from_secs(20))).await.unwrap();
    let here = three.keys_of(0, 2);
    let there = three.keys_of(1, 2);
    let slot = key_slot(&here[0]);
    let begin = |key: &String| Writer::begin(&client, key, How::Single);
    let (mine, others): (Vec<_>, Vec<_>) =
        (here.iter().map(begin).collect(), there.iter().map(begin).collect());
    tokio::time::sleep(Duration::from_millis(500)).await;
    // What was acknowledged has reached the replica.
    let killed = Instant::now();
    three.servers[0].kill9();
    three.until("the replica has taken over", |three| {
        three.servers[3].command(&["ROLE"]).starts_with("master")
    });
    let recovered = Instant::now();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(three.owner(slot), 3);
    for writer in mine {
        let (key, written) = writer.end().await;
        assert_eq!(written.refused, [""; 0], "{key}");
        assert!(written.unknown.len() <= 1, "{key}: one was in flight: {:?}", written.unknown);
        let lost = check(&three, &key, &written);
        let again = written.times.iter().find(|time| **time > killed + Duration::from_millis(200));
        let again = again.expect("it is written again").saturating_duration_since(recovered);
        println!(
            "{key}: {} entries, {lost} lost, again after {again:?}",
            written.acknowledged.len()
        );
        assert!(again < Duration::from_millis(1500), "{key}: {again:?}");
    }
    for writer in others {
        let (key, written) = writer.end().await;
        assert_eq!((written.refused.len(), written.unknown.len()), (0, 0), "{key}");
        assert_eq!(check(&three, &key, &written), 0, "{key}: lost");
        println!("{key}: longest {:?}", written.longest);
        assert!(written.longest < Duration::from_millis(500), "{key}: {:?}", written.longest);
    }
    // The old master comes back as a replica: nothing changes for callers.
    three.servers[0].restart();
    let writer = begin(&here[0]);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (_, written) = writer.end().await;
    assert_eq!((written.refused.len(), written.unknown.len()), (0, 0));
}
