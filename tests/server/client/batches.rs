//! Several commands in one round trip.

use crate::both::{add, id, in_both, ms, refusal, run};
use bourn::{
    Client, EntryId, Error, GroupFrom, Outcome, Raw, ReadFrom, StartAt, Unsent, XAck, XAdd,
    XAutoClaim, XDel, XGroupCreate, XGroupDestroy, XLen, XPending, XRange, XRead, XReadGroup,
    XRevRange,
};
use std::time::Duration;

#[test]
fn tuple_has_one_typed_result_per_command() {
    in_both(async |_, client| {
        let (group, added, len, range, given, pending, acked, claimed, deleted, gone, read, last) =
            client
                .send_all((
                    XGroupCreate::new("s", "g", StartAt::START).mk_stream(),
                    XAdd::new("s").id(id(1)).field("f", "v"),
                    XLen::new("s"),
                    XRange::new("s", ..),
                    XReadGroup::new("g", "c").stream("s", GroupFrom::New),
                    XPending::new("s", "g"),
                    XAck::new("s", "g", id(1)),
                    XAutoClaim::new("s", "g", "c", Duration::ZERO, EntryId::MIN),
                    XDel::new("s", id(1)),
                    XGroupDestroy::new("s", "g"),
                    XRead::new().stream("s", ReadFrom::START),
                    XRevRange::new("s", ..),
                ))
                .await;
        group.unwrap();
        assert_eq!(added.unwrap(), id(1));
        assert_eq!(len.unwrap(), 1);
        assert_eq!(ms(&range.unwrap()), [1]);
        assert_eq!(given.unwrap().len(), 1);
        assert_eq!(pending.unwrap().count, 1);
        assert_eq!(acked.unwrap(), 1);
        assert!(claimed.unwrap().entries.is_empty());
        assert_eq!(deleted.unwrap(), 1);
        assert!(gone.unwrap());
        assert!(read.unwrap().is_empty());
        assert!(last.unwrap().is_empty());
        let (alone,) = client.send_all((XLen::new("s"),)).await;
        assert_eq!(alone.unwrap(), 0);
    });
}

#[test]
fn error_in_a_batch_affects_no_other_command() {
    in_both(async |_, client| {
        run(client, "SET text x").await;
        let key = |n| if n % 100 == 50 { "text" } else { "s" };
        let all = (1..=1000).map(|n| XAdd::new(key(n)).id(id(n)).field("n", n));
        let results = client.send_all(all).await;
        assert_eq!(results.len(), 1000);
        for (n, result) in (1..).zip(results) {
            match key(n) {
                "s" => assert_eq!(result.unwrap(), id(n)),
                _ => assert!(refusal(result).starts_with("WRONGTYPE ")),
            }
        }
        assert_eq!(client.send(XLen::new("s")).await.unwrap(), 990);
    });
}

#[test]
fn any_iterator_of_commands_is_a_batch_also_an_empty_one() {
    in_both(async |_, client| {
        add(client, "s", 1..=3).await;
        let lengths = client.send_all(["s", "none"].map(XLen::new)).await;
        assert_eq!(lengths.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [3, 0]);
        let keys = vec![XLen::new("s"); 3];
        assert_eq!(client.send_all(keys).await.into_iter().flatten().sum::<u64>(), 9);
        assert!(client.send_all(None::<XLen<'_>>).await.is_empty());
        assert!(client.send_all(Vec::<Raw<'_>>::new()).await.is_empty());
        assert_eq!(client.send(XLen::new("s")).await.unwrap(), 3);
    });
}

#[test]
fn replies_larger_than_the_buffers_arrive_in_order() {
    in_both(async |_, client| {
        let value = vec![b'x'; 300_000];
        for n in 1..=8 {
            client.send(XAdd::new("s").id(id(n)).field("f", &value)).await.unwrap();
        }
        let all = (0..20).flat_map(|n| [XRange::new("s", id(1 + n % 8)..), XRange::new("s", ..)]);
        for (n, result) in (0..).zip(client.send_all(all).await) {
            let entries = result.unwrap();
            let first = if n % 2 == 0 { 1 + n / 2 % 8 } else { 1 };
            assert_eq!(ms(&entries), (first..=8).collect::<Vec<_>>(), "{n}");
            assert!(entries.iter().all(|entry| entry.get("f") == Some(&value)));
        }
    });
}

#[test]
fn small_batch_is_not_interleaved_with_other_commands() {
    in_both(async |_, client| {
        async fn work(client: Client, worker: u64) {
            for _ in 0..10 {
                let all = (0..20).map(|_| XAdd::new("s").field("worker", worker));
                client.send_all(all).await.into_iter().for_each(|added| assert!(added.is_ok()));
            }
        }
        let workers: Vec<_> = (0..8).map(|n| tokio::spawn(work(client.clone(), n))).collect();
        for worker in workers {
            worker.await.unwrap();
        }
        let entries = client.send(XRange::new("s", ..)).await.unwrap();
        let workers: Vec<_> = entries.iter().map(|entry| entry.get("worker").unwrap()).collect();
        assert_eq!(workers.len(), 8 * 10 * 20);
        for batch in workers.chunks(20) {
            assert!(batch.iter().all(|worker| *worker == batch[0]));
        }
    });
}

#[test]
fn batch_with_a_rejected_command_is_not_sent() {
    in_both(async |_, client| {
        let (added, refused, len) = client
            .send_all((XAdd::new("s").field("f", "v"), Raw::new("SUBSCRIBE c"), XLen::new("s")))
            .await;
        for error in [added.unwrap_err(), refused.unwrap_err(), len.unwrap_err()] {
            assert_eq!(error.outcome(), Outcome::NotSent);
            assert!(matches!(error, Error::Unsent { reason: Unsent::Refused { .. }, .. }));
        }
        assert_eq!(client.send(XLen::new("s")).await.unwrap(), 0);
    });
}

#[test]
fn commands_made_by_a_closure_can_be_sent_from_another_task() {
    in_both(async |_, client| {
        let client = client.clone();
        let task = tokio::spawn(async move {
            let numbers = [1u64, 2, 3];
            let adds = || numbers.iter().map(|n| XAdd::new("s").field("n", *n));
            let added = client.send_all(adds()).await.len();
            added + client.transact(adds()).await.unwrap().len()
        });
        assert_eq!(task.await.unwrap(), 6);
    });
}
