//! Slots that move under load: every acknowledged entry is there once, in order.

use crate::ledger::{How, Writer, Written, check};
use crate::three::Three;
use bourn::command::key_slot;
use std::sync::Arc;
use std::time::Duration;

/// The number of moves of each slot. Each takes some milliseconds.
const MOVES: usize = 40;

#[tokio::test(flavor = "multi_thread")]
async fn slots_that_move_key_by_key_lose_and_repeat_nothing() {
    let three = Arc::new(Three::start());
    let client = three.client().await;
    let hows = [How::Single, How::Batch, How::Transaction, How::Durable];
    let keys: Vec<_> = (0..8).map(|n| format!("{{moving{n}}}")).collect();
    let writers: Vec<_> = keys
        .iter()
        .zip(hows.iter().cycle())
        .map(|(key, how)| Writer::begin(&client, key, *how))
        .collect();
    let mover = Arc::clone(&three);
    let moved_keys = keys.clone();
    let moving = tokio::task::spawn_blocking(move || {
        for nth in 0..MOVES {
            for key in &moved_keys {
                let slot = key_slot(key);
                let from = mover.owner(slot);
                mover.move_slot(slot, (from + 1 + nth % 2) % 3);
            }
        }
    });
    moving.await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut all = 0;
    for writer in writers {
        let (key, written): (String, Written) = writer.end().await;
        assert_eq!(written.refused, [""; 0], "{key}");
        assert!(written.unknown.is_empty(), "{key}: {:?}", written.unknown);
        assert_eq!(check(&three, &key, &written), 0, "{key}: lost");
        assert_eq!(written.not_kept, 0, "{key}");
        println!("{key}: {} entries, longest {:?}", written.acknowledged.len(), written.longest);
        all += written.acknowledged.len();
    }
    println!("{all} entries, {} moves", MOVES * keys.len());
}

/// The servers' own migration of a slot as a whole.
#[tokio::test(flavor = "multi_thread")]
async fn slots_that_move_as_a_whole_lose_and_repeat_nothing() {
    let three = Arc::new(Three::start());
    let first = &three.servers[0];
    let (redis, valkey) = (first.redis_at_least(8, 4), first.valkey_at_least(9, 0));
    if !redis && !valkey {
        // The server says so itself.
        let refused = first.try_command(&["CLUSTER", "MIGRATION", "STATUS"]).unwrap_err();
        assert!(refused.starts_with("ERR"), "{refused}");
        return;
    }
    let client = three.client().await;
    let hows = [How::Single, How::Batch, How::Transaction];
    let writers: Vec<_> = hows
        .into_iter()
        .enumerate()
        .map(|(n, how)| Writer::begin(&client, &format!("{{whole{n}}}"), how))
        .collect();
    let keys: Vec<_> = writers.iter().map(|writer| writer.key.clone()).collect();
    let mover = Arc::clone(&three);
    let moving = tokio::task::spawn_blocking(move || {
        for nth in 0..10 {
            for key in &keys {
                let slot = key_slot(key);
                let from = mover.owner(slot);
                mover.move_whole(slot, from, (from + 1 + nth % 2) % 3);
            }
        }
    });
    moving.await.unwrap();
    for writer in writers {
        let (key, written): (String, Written) = writer.end().await;
        assert_eq!(written.refused, [""; 0], "{key}");
        assert!(written.unknown.is_empty(), "{key}: {:?}", written.unknown);
        assert_eq!(check(&three, &key, &written), 0, "{key}: lost");
        println!("{key}: {} entries, longest {:?}", written.acknowledged.len(), written.longest);
    }
}
