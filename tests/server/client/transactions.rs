//! Transactions: all commands are applied, with one result each, or none.

use crate::both::{add, id, in_both, ms, refusal, run};
use bourn::resp::{Args, Frame, Value};
use bourn::{
    Client, Code, Command, DecodeError, Error, Outcome, Raw, ReadFrom, Safety, XAck, XAdd, XLen,
    XRange, XRead,
};

#[test]
fn all_commands_of_a_transaction_are_applied() {
    in_both(async |_, client| {
        let add = |n| XAdd::new("s").id(id(n)).field("n", n);
        let (first, missing, acked, len, read) = client
            .transact((
                add(1),
                add(2).no_mk_stream(),
                XAck::new("s", "none", id(1)),
                XLen::new("s"),
                XRead::new().stream("s", ReadFrom::START).stream("none", ReadFrom::START),
            ))
            .await
            .unwrap();
        assert_eq!((first.unwrap(), missing.unwrap()), (id(1), Some(id(2))));
        assert_eq!((acked.unwrap(), len.unwrap()), (0, 2));
        assert_eq!(ms(read.unwrap().get("s").unwrap()), [1, 2]);

        let results = client.transact((3..=1000).map(add)).await.unwrap();
        for (n, result) in (3..).zip(results) {
            assert_eq!(result.unwrap(), id(n));
        }
        let none = XAdd::new("none").field("f", "v").no_mk_stream();
        let (none, empty) = client.transact((none, XRange::new("none", ..))).await.unwrap();
        assert_eq!(none.unwrap(), None);
        assert!(empty.unwrap().is_empty());
    });
}

#[test]
fn empty_transaction_is_applied() {
    in_both(async |_, client| {
        assert!(client.transact(Vec::<XLen<'_>>::new()).await.unwrap().is_empty());
        assert_eq!(client.send(XLen::new("s")).await.unwrap(), 0);
    });
}

#[test]
fn error_during_exec_is_the_result_of_its_command() {
    in_both(async |_, client| {
        run(client, "SET text x").await;
        let (before, wrong, after) = client
            .transact((
                XAdd::new("s").id(id(1)).field("f", "v"),
                XAdd::new("text").field("f", "v"),
                XAdd::new("s").id(id(2)).field("f", "v"),
            ))
            .await
            .unwrap();
        assert_eq!((before.unwrap(), after.unwrap()), (id(1), id(2)));
        let wrong = wrong.unwrap_err();
        assert_eq!((wrong.code(), wrong.outcome()), (Some(&Code::WrongType), Outcome::NotApplied));
        assert_eq!(client.send(XLen::new("s")).await.unwrap(), 2);
    });
}

/// A command that no server has.
struct NoSuch;

impl Command for NoSuch {
    const NAME: &'static str = "NOSUCH";
    const SAFETY: Safety = Safety::Write;
    type Reply = Value;

    fn args(&self, out: &mut impl Args) {
        out.text("x");
    }

    fn reply(frame: Frame) -> Result<Value, DecodeError> {
        Ok(Value::from(&frame))
    }
}

/// Sends a transaction that this command makes the server discard. Returns the error.
async fn discarded_by(client: &Client, command: impl Command) -> String {
    let add = || XAdd::new("s").field("f", "v");
    let result = client.transact((add(), command, add())).await;
    let result = result.map(|_| "applied");
    assert!(matches!(result, Err(Error::Server(_))), "{result:?}");
    refusal(result)
}

#[test]
fn command_refused_while_queueing_discards_the_transaction_with_its_error() {
    in_both(async |_, client| {
        add(client, "s", 1..=1).await;
        let arity = discarded_by(client, XAdd::new("s")).await;
        assert_eq!(arity, "ERR wrong number of arguments for 'xadd' command");
        let unknown = discarded_by(client, NoSuch).await;
        assert!(unknown.starts_with("ERR unknown command"), "{unknown}");
        let raw = discarded_by(client, Raw::new("GET")).await;
        assert_eq!(raw, "ERR wrong number of arguments for 'get' command");
        assert_eq!(client.send(XLen::new("s")).await.unwrap(), 1, "nothing was applied");

        run(client, "CONFIG SET maxmemory 1").await;
        let full = XAdd::new("s").field("f", "v");
        let error = client.transact((XLen::new("s"), full)).await.map(|_| "applied").unwrap_err();
        assert_eq!((error.code(), error.outcome()), (Some(&Code::Oom), Outcome::NotApplied));
        run(client, "CONFIG SET maxmemory 0").await;
        let len = client.transact([XLen::new("s")]).await.unwrap();
        assert_eq!(len.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [1]);
    });
}

#[test]
fn missing_permission_discards_the_transaction() {
    in_both(async |server, client| {
        add(client, "s", 1..=1).await;
        run(client, "ACL SETUSER default -xdel").await;
        let both = (XAdd::new("s").field("f", "v"), bourn::XDel::new("s", id(1)));
        let error = client.transact(both).await.map(|_| "applied").unwrap_err();
        assert_eq!(error.code(), Some(&Code::NoPerm));
        assert_eq!(server.command(&["XLEN", "s"]), "1");
    });
}

#[test]
fn transactions_of_many_tasks_are_not_interleaved() {
    in_both(async |_, client| {
        async fn work(client: Client, worker: u64) {
            for n in 0..50 {
                let add = || XAdd::new("s").field("worker", worker);
                let alone = (add(), XLen::new("s"), add(), XLen::new("s"));
                let (first, before, second, after) = client.transact(alone).await.unwrap();
                assert!(first.unwrap() < second.unwrap());
                assert_eq!(before.unwrap() + 1, after.unwrap(), "worker {worker}, {n}");
                // A command outside a transaction, between two of them.
                client.send(add()).await.unwrap();
            }
        }
        let workers: Vec<_> = (0..8).map(|n| tokio::spawn(work(client.clone(), n))).collect();
        for worker in workers {
            worker.await.unwrap();
        }
        assert_eq!(client.send(XLen::new("s")).await.unwrap(), 8 * 50 * 3);
    });
}
