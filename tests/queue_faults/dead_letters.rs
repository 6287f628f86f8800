//! Dead letters: whose they are, in a stream that several queues share.

use crate::support::{Email, on_each_version};
use bourn::queue::{Fail, Flat, Health, Job, Queue, Redrive, Retention};
use bourn::testing::Server;
use bourn::{Client, EntryId};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::sleep;

/// Opens a queue whose dead letters go to the stream `dead`.
async fn sharing(client: &Client, stream: &str, group: &str) -> Queue<Email> {
    let builder = Queue::builder(client, stream).group(group).dead_letter("dead");
    builder.open(Flat).await.expect("the queue opens")
}

/// Runs a worker whose jobs all fail permanently.
async fn fail_all(queue: &Queue<Email>) {
    let failing = |job: Job<Email>| async move { Err::<(), _>(Fail::dead(job[0].1.clone())) };
    queue.worker().run(sleep(Duration::from_secs(1)), failing).await.expect("the worker runs");
}

fn length(server: &Server, key: &str) -> i64 {
    server.command(&format!("XLEN {key}")).as_integer().unwrap_or(-1)
}

/// Adds an entry with an id of its own.
fn add(server: &Server, key: &str, id: &str, fields: &str) {
    let reply = server.command(&format!("XADD {key} {id} {fields}"));
    assert!(reply.as_bytes().is_some(), "{reply:?}");
}

#[test]
fn letters_of_entries_with_one_id_are_all_kept_in_a_shared_stream() {
    on_each_version(|server| async move {
        let client = server.client().await.unwrap();
        // Stream and group together name a queue: the last two differ in where the name ends.
        let names = [("a", "workers"), ("b", "workers"), ("c", "d/e"), ("c/d", "e")];
        for (stream, group) in names {
            let queue = sharing(&client, stream, group).await;
            add(&server, stream, "1700000000000-0", &format!("n {stream}"));
            fail_all(&queue).await;
            assert_eq!(length(&server, stream), 0, "{stream}");
        }
        assert_eq!(length(&server, "dead"), 4);
    });
}

#[test]
fn queue_sees_and_moves_only_its_own_letters() {
    on_each_version(|server| async move {
        let client = server.client().await.unwrap();
        let (a, b) = (sharing(&client, "a", "g").await, sharing(&client, "b", "g").await);
        for (stream, queue) in [("a", &a), ("b", &b), ("a", &a), ("b", &b), ("a", &a)] {
            add(&server, stream, "*", &format!("n {stream}"));
            fail_all(queue).await;
        }
        assert_eq!(length(&server, "dead"), 5);

        for (queue, name, count) in [(&a, "a", 3_u64), (&b, "b", 2)] {
            let letters = queue.dead_letters().list(None, 10).await.unwrap();
            let reasons: Vec<&str> = letters.iter().map(|letter| &*letter.reason).collect();
            assert_eq!(reasons, [name].repeat(letters.len()));
            let one = queue.dead_letters().list(Some(letters[0].id), 1).await.unwrap();
            assert_eq!(one[0].id, letters[1].id, "pages skip the letters of others");
            assert_eq!(queue.dead_letters().count().await.unwrap(), count);
            let stats = queue.stats().await.unwrap();
            assert_eq!((stats.dead, stats.oldest_dead), (count, Some(letters[0].id)));
            let Health::Degraded(problems) = queue.health().await.unwrap() else {
                panic!("{name} has dead letters")
            };
            assert_eq!(problems, [format!("there are {count} dead letters")]);
        }

        let foreign = b.dead_letters().list(None, 1).await.unwrap()[0].id;
        assert_eq!(a.dead_letters().redrive(Redrive::ids([foreign])).await.unwrap(), 0);
        assert_eq!(a.dead_letters().redrive(Redrive::all().at_most(2)).await.unwrap(), 2);
        assert_eq!((length(&server, "a"), length(&server, "b")), (2, 0));
        assert_eq!((a.dead_letters().count().await.unwrap(), length(&server, "dead")), (1, 3));
        assert_eq!(a.dead_letters().purge(Duration::ZERO).await.unwrap(), 1);
        assert_eq!(length(&server, "dead"), 2, "those of the other queue stay");
        assert_eq!(a.stats().await.unwrap().oldest_dead, None);
        assert_eq!(b.dead_letters().redrive(Redrive::all()).await.unwrap(), 2);
        assert_eq!((length(&server, "dead"), length(&server, "b")), (0, 2));
    });
}

/// Runs a worker for a second. `fails` says whether its jobs fail permanently. Returns the
/// idempotency keys of the jobs that it ran.
async fn run_all(queue: &Queue<Email>, fails: bool) -> Vec<String> {
    let keys = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&keys);
    let handler = move |job: Job<Email>| {
        seen.lock().unwrap().push(job.idempotency_key());
        async move { if fails { Err(Fail::dead("mail server")) } else { Ok(()) } }
    };
    queue.worker().run(sleep(Duration::from_secs(1)), handler).await.expect("the worker runs");
    std::mem::take(&mut *keys.lock().unwrap())
}

#[test]
fn redriven_job_is_run_by_its_own_group_only_and_keeps_its_key() {
    on_each_version(|server| async move {
        let client = server.client().await.unwrap();
        let open = |group| {
            let builder = Queue::builder(&client, "orders").group(group);
            builder.retention(Retention::KeepUntilAllAcked).open::<Email, _>(Flat)
        };
        let (bill, mail) = (open("billing").await.unwrap(), open("mail").await.unwrap());
        let id = bill.producer().enqueue(&vec![("n".into(), "1".into())]).await.unwrap();
        assert_eq!(run_all(&bill, false).await.len(), 1);
        let key = run_all(&mail, true).await;
        assert_eq!(key, [format!("orders/mail/{id}")]);
        assert_ne!(bill.dead_letter_key(), mail.dead_letter_key());
        assert_eq!(bill.stats().await.unwrap().dead, 0);

        for round in 1..3 {
            assert_eq!(mail.dead_letters().redrive(Redrive::all()).await.unwrap(), 1);
            assert_eq!(run_all(&bill, false).await, [""; 0], "the other group, round {round}");
            assert_eq!(run_all(&mail, true).await, key, "round {round}");
            let letter = mail.dead_letters().list(None, 9).await.unwrap().remove(0);
            assert_eq!(letter.original, id, "round {round}");
            assert_eq!(letter.payload.unwrap(), [("n".to_owned(), "1".to_owned())]);
        }
        for group in ["billing", "mail"] {
            let pending = server.command(&format!("XPENDING orders {group}"));
            let count = pending.as_list().and_then(|list| list.first()?.as_integer());
            assert_eq!(count, Some(0), "{group}");
        }
    });
}

#[test]
fn letters_are_found_by_the_id_of_the_job_and_deleted_one_by_one() {
    on_each_version(|server| async move {
        let client = server.client().await.unwrap();
        let (a, b) = (sharing(&client, "a", "g").await, sharing(&client, "b", "g").await);
        for id in ["1-1", "1-2", "1-3"] {
            add(&server, "a", id, "n a");
        }
        add(&server, "b", "1-1", "n b");
        fail_all(&a).await;
        fail_all(&b).await;
        let job = EntryId::new(1, 2);
        assert_eq!(a.dead_letters().redrive(Redrive::ids([job])).await.unwrap(), 0);
        assert_eq!(a.dead_letters().redrive(Redrive::jobs([job])).await.unwrap(), 1);
        let (own, foreign) = (a.dead_letters(), b.dead_letters());
        let letters = own.list(None, 9).await.unwrap();
        let left: Vec<EntryId> = letters.iter().map(|letter| letter.original).collect();
        assert_eq!(left, [EntryId::new(1, 1), EntryId::new(1, 3)]);
        let foreign = foreign.list(None, 9).await.unwrap()[0].id;
        assert_eq!(own.delete([letters[0].id, foreign]).await.unwrap(), 1);
        assert_eq!((own.count().await.unwrap(), length(&server, "dead")), (1, 2));
    });
}

/// Entries of a worker in another language, with its own fields, also some of ours.
#[test]
fn foreign_entries_are_redriven_whole_or_left_and_stop_no_letter() {
    on_each_version(|server| async move {
        let client = server.client().await.unwrap();
        let (a, b) = (sharing(&client, "a", "g").await, sharing(&client, "b", "g").await);
        let foreign = ["_id 1-1 _reason no n f0", "_id bob _stream a n f1", "reason x n f2"];
        add(&server, "dead", "1-1", foreign[0]);
        for (stream, queue, place) in [("a", &a, 1), ("b", &b, 2)] {
            add(&server, stream, "*", &format!("n {stream}"));
            fail_all(queue).await;
            add(&server, "dead", "*", foreign[place]);
        }
        let redrive = |which| {
            let letters = a.dead_letters();
            async move { letters.redrive(which).await.unwrap() }
        };
        assert_eq!(redrive(Redrive::all()).await, 1);
        assert_eq!((length(&server, "a"), length(&server, "dead")), (1, 4));
        assert_eq!(redrive(Redrive::reason("no").with_foreign()).await, 0, "it has no reason");
        let named = Redrive::ids([EntryId::new(1, 1)]);
        assert_eq!(redrive(named.clone()).await, 0);
        let job = Redrive::jobs([EntryId::new(1, 1)]);
        assert_eq!(redrive(job.with_foreign()).await, 0, "it has no job");
        assert_eq!(redrive(named.with_foreign()).await, 1);
        assert_eq!(redrive(Redrive::all().with_foreign()).await, 2);
        assert_eq!((length(&server, "a"), length(&server, "dead")), (4, 1), "the other queue's");

        let seen = Arc::new(Mutex::new(Vec::new()));
        let entries = Arc::clone(&seen);
        let handler = move |job: Job<Email>| {
            let own = job.entry().fields().skip(3);
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let fields: Vec<_> = own.map(|(name, value)| text(name) + " " + &text(value)).collect();
            entries.lock().unwrap().push((job.original_id(), fields.join(" ")));
            async { Ok::<_, Fail>(()) }
        };
        a.worker().run(sleep(Duration::from_secs(1)), handler).await.unwrap();
        let seen = seen.lock().unwrap();
        assert_eq!(seen.iter().map(|job| &*job.1).collect::<Vec<_>>()[1..], foreign);
        assert_eq!(seen[1].0, EntryId::new(1, 1));
    });
}

/// A worker of the dead-letter stream sees each letter as a job, with all its fields.
#[test]
fn dead_letter_stream_can_be_a_queue_after_a_redrive() {
    on_each_version(|server| async move {
        let client = server.client().await.unwrap();
        let queue = sharing(&client, "a", "g").await;
        for n in 0..2 {
            add(&server, "a", "*", &format!("n {n}"));
        }
        fail_all(&queue).await;
        assert_eq!(queue.dead_letters().redrive(Redrive::all().at_most(1)).await.unwrap(), 1);
        let letters: Queue<Email> = Queue::builder(&client, "dead").open(Flat).await.unwrap();
        let reasons = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&reasons);
        let handler = move |job: Job<Email>| {
            let reason = job.entry().get("_reason").unwrap_or_default().to_vec();
            seen.lock().unwrap().push((reason, job.payload().clone()));
            async { Ok::<_, Fail>(()) }
        };
        letters.worker().run(sleep(Duration::from_secs(1)), handler).await.unwrap();
        let expected = (b"1".to_vec(), vec![("n".to_owned(), "1".to_owned())]);
        assert_eq!(*reasons.lock().unwrap(), [expected]);
        assert_eq!(length(&server, "dead"), 0);
        assert_eq!(letters.health().await.unwrap(), Health::Ok);
    });
}
