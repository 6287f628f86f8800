//! Tails: their start positions, and that they continue after a lost connection.

use crate::both::{Random, add, id, in_both, kill, poll_once, run, until_blocked};
use bourn::{Client, Code, Entry, Error, ReadFrom, Tail, XAdd};
use futures_util::StreamExt;
use std::pin::pin;

/// Returns the next entry. An error or an end panics.
async fn next(tail: &mut Tail) -> u64 {
    ms(tail.next().await)
}

fn ms(item: Option<Result<Entry, Error>>) -> u64 {
    item.expect("a tail never ends").expect("the connection holds").id().ms()
}

/// Polls a tail that has no entry, until its read is blocked at the server.
async fn wait_until_blocked(client: &Client, tail: &mut Tail) {
    let mut next = pin!(tail.next());
    let waits = async {
        assert!(poll_once(next.as_mut()).await.is_pending());
        tokio::select! {
            biased;
            item = next => panic!("{item:?}"),
            () = until_blocked(client, 1) => {}
        }
    };
    waits.await;
}

/// Returns the connections whose reads are blocked at the server.
async fn blocked_connections(client: &Client) -> Vec<i64> {
    let list = run(client, "CLIENT LIST").await;
    let list = list.as_str().expect("CLIENT LIST is text").to_owned();
    let blocked = list.lines().filter(|line| line.contains(" cmd=xread "));
    let id = |line: &str| line.split(' ').next()?.strip_prefix("id=")?.parse().ok();
    blocked.map(|line| id(line).expect("a line begins with the id")).collect()
}

#[test]
fn tail_from_the_start_returns_existing_and_new_entries() {
    in_both(async |_, client| {
        add(client, "s", 1..=2500).await;
        let mut tail = client.tail("s", ReadFrom::START);
        for n in 1..=2500 {
            assert_eq!(next(&mut tail).await, n);
        }
        for n in 2501..=2505 {
            wait_until_blocked(client, &mut tail).await;
            add(client, "s", n..=n).await;
            assert_eq!(next(&mut tail).await, n);
        }
        let mut tail = client.tail("s", id(2503));
        assert_eq!((next(&mut tail).await, next(&mut tail).await), (2504, 2505));
    });
}

#[test]
fn entry_of_a_tail_has_its_fields() {
    in_both(async |_, client| {
        client.send(XAdd::new("s").id(id(1)).field("a", "1").field("a", "2")).await.unwrap();
        let entry = client.tail("s", ReadFrom::START).next().await.unwrap().unwrap();
        assert_eq!(entry.get_all("a").collect::<Vec<_>>(), [b"1", b"2"]);
    });
}

#[test]
fn tail_from_the_end_starts_where_the_stream_ended_at_its_first_poll() {
    in_both(async |_, client| {
        for (key, from) in [("empty", 0), ("s", 3)] {
            if from > 0 {
                add(client, key, 1..=from).await;
            }
            let mut tail = client.tail(key, ReadFrom::End);
            wait_until_blocked(client, &mut tail).await;
            // Cut off before it returned anything, it still has its start position.
            for connection in blocked_connections(client).await {
                kill(client, connection).await;
            }
            add(client, key, from + 1..=from + 2).await;
            // No error is returned: a read is retried.
            assert_eq!((next(&mut tail).await, next(&mut tail).await), (from + 1, from + 2));
        }
    });
}

#[test]
fn tail_from_the_last_returns_the_last_entry_and_new_ones() {
    in_both(async |_, client| {
        add(client, "s", 1..=3).await;
        let mut tail = client.tail("s", ReadFrom::Last);
        assert_eq!(next(&mut tail).await, 3);
        add(client, "s", 4..=4).await;
        assert_eq!(next(&mut tail).await, 4);

        let mut tail = client.tail("empty", ReadFrom::Last);
        wait_until_blocked(client, &mut tail).await;
        add(client, "empty", 1..=1).await;
        assert_eq!(next(&mut tail).await, 1);
    });
}

#[test]
fn tail_survives_repeated_disconnects_without_loss_or_duplicates() {
    const ENTRIES: u64 = 2000;
    let seed = Random::seed();
    in_both(async |_, client| {
        let producer = client.clone();
        let mut random = Random::new(seed);
        let producer = tokio::spawn(async move {
            let mut kills = 0;
            for n in 1..=ENTRIES {
                producer.send(XAdd::new("s").id(id(n)).field("n", n)).await.unwrap();
                if random.below(100) == 0 {
                    for connection in blocked_connections(&producer).await {
                        let kill = bourn::Raw::new("CLIENT KILL").arg("ID").arg(connection);
                        kills += producer.send(kill).await.unwrap().as_integer().unwrap();
                    }
                }
            }
            kills
        });
        let mut tail = client.tail("s", ReadFrom::START);
        let (mut got, mut errors) = (0, 0);
        while got < ENTRIES {
            match tail.next().await.unwrap() {
                Ok(entry) => {
                    assert_eq!(entry.id(), id(got + 1));
                    got += 1;
                }
                Err(error) => {
                    assert!(matches!(error, Error::Lost { .. }), "{error:?}");
                    errors += 1;
                }
            }
        }
        let kills = producer.await.unwrap();
        println!("{kills} connections were killed, {errors} errors returned");
        assert!(kills > 0);
    });
}

#[test]
fn error_is_an_item_and_not_the_end() {
    in_both(async |_, client| {
        run(client, "SET s x").await;
        let mut tail = client.tail("s", ReadFrom::START);
        for _ in 0..2 {
            let error = tail.next().await.unwrap().unwrap_err();
            assert_eq!(error.code(), Some(&Code::WrongType));
        }
        run(client, "DEL s").await;
        add(client, "s", 1..=1).await;
        assert_eq!(next(&mut tail).await, 1);
    });
}
