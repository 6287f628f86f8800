//! The end of a client: the last handle is dropped, the runtime shuts down, or a user's command
//! misbehaves.

use super::peer::{Server, config, ends, ms, poll_once, settle};
use bourn::resp::{Args, DecodeError, Frame};
use bourn::{Client, Command, Disconnect, Error, Outcome, Safety, Unsent, XLen};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Waker};
use tokio::runtime::Builder;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn queued_commands_complete_after_the_last_handle_is_dropped() {
    let server = Server::new();
    let (client, mut peer) = server.connect(config()).await;
    let clone = client.clone();
    let mut dropped = Box::pin(client.send(XLen::new("a")));
    assert!(poll_once(&mut dropped).await.is_none());
    drop(dropped);
    drop(client);
    settle().await;
    assert_eq!((peer.request().await.as_str(), server.open()), ("XLEN a", 1));
    // One handle is left: the connection stays open.
    peer.send(":1\r\n").await;
    let (next, _) = tokio::join!(clone.send(XLen::new("b")), peer.answer(":2\r\n"));
    assert_eq!(next.unwrap(), 2);
    let mut dropped = Box::pin(clone.send(XLen::new("c")));
    assert!(poll_once(&mut dropped).await.is_none());
    drop(dropped);
    drop(clone);
    assert_eq!(peer.answer(":3\r\n").await, "XLEN c");
    let start = Instant::now();
    assert!(peer.rest().await.is_empty());
    assert_eq!((server.open(), server.dials().len(), start.elapsed()), (0, 1, ms(0)));
}

#[tokio::test(start_paused = true)]
async fn close_completes_commands_in_flight_and_rejects_new_ones() {
    let server = Server::with_buffer(64);
    let (client, mut peer) = server.connect(config()).await;
    let long = "x".repeat(1000);
    let mut first = Box::pin(client.send(XLen::new(&long)));
    let mut second = Box::pin(client.send(XLen::new("b")));
    assert!(poll_once(&mut first).await.is_none());
    assert!(poll_once(&mut second).await.is_none());
    let (a, b, late, (), ()) = ends(async {
        tokio::join!(
            first,
            second,
            async {
                settle().await;
                client.send(XLen::new("late")).await
            },
            client.close(),
            async {
                settle().await;
                for n in 1..=2 {
                    peer.answer(format!(":{n}\r\n")).await;
                }
                assert!(peer.rest().await.is_empty());
            }
        )
    })
    .await;
    assert_eq!((a.unwrap(), b.unwrap()), (1, 2));
    let error = late.unwrap_err();
    assert!(matches!(error, Error::Unsent { reason: Unsent::Closed, .. }), "{error:?}");
}

#[test]
fn runtime_shutdown_ends_every_call() {
    let runtime = || Builder::new_current_thread().enable_time().start_paused(true).build();
    let server = Server::new();
    let first = runtime().unwrap();
    let (client, mut peer) = first.block_on(server.connect(config()));
    let mut sent = Box::pin(client.send(XLen::new("sent")));
    let mut unsent = Box::pin(client.send(XLen::new("unsent")));
    first.block_on(async {
        assert!(poll_once(&mut sent).await.is_none());
        assert_eq!(peer.request().await, "XLEN sent");
        assert!(poll_once(&mut unsent).await.is_none());
    });
    drop(first);
    let error = runtime().unwrap().block_on(async { ends(sent).await.unwrap_err() });
    assert!(matches!(error, Error::Lost { reason: Disconnect::Closed, .. }), "{error:?}");
    let late = client.send(XLen::new("late"));
    let (unsent, late) = runtime().unwrap().block_on(async {
        ends(client.close()).await;
        (ends(unsent).await.unwrap_err(), ends(late).await.unwrap_err())
    });
    for error in [unsent, late] {
        assert!(matches!(error, Error::Unsent { reason: Unsent::Closed, .. }), "{error:?}");
        assert_eq!(error.outcome(), Outcome::NotSent);
    }
}

/// A command whose arguments differ between calls, or that panics in the second call.
struct Fickle {
    listed: Cell<u32>,
    panics: bool,
}

impl Command for Fickle {
    const NAME: &'static str = "FICKLE";
    const SAFETY: Safety = Safety::Write;
    type Reply = ();

    fn args(&self, out: &mut impl Args) {
        let listed = self.listed.replace(self.listed.get() + 1);
        assert!(!self.panics || listed == 0, "a user's command panics");
        out.number(10u64.pow(listed));
    }

    fn reply(_: Frame) -> Result<(), DecodeError> {
        Ok(())
    }
}

fn fickle(panics: bool) -> Fickle {
    Fickle { listed: Cell::new(0), panics }
}

#[tokio::test(start_paused = true)]
async fn command_that_misbehaves_while_encoded_affects_no_other_command() {
    let server = Server::new();
    let (client, mut peer) = server.connect(config()).await;
    let mut before = Box::pin(client.send(XLen::new("before")));
    assert!(poll_once(&mut before).await.is_none());
    let error = ends(client.send(fickle(false))).await.unwrap_err();
    assert!(matches!(error, Error::Unsent { reason: Unsent::Inconsistent, .. }), "{error:?}");
    let batch = client.send_all((XLen::new("a"), fickle(false), XLen::new("b")));
    let (a, _, b) = ends(batch).await;
    assert_eq!(a.unwrap_err().outcome(), Outcome::NotSent);
    assert_eq!(b.unwrap_err().outcome(), Outcome::NotSent);
    let mut panics = Box::pin(client.send(fickle(true)));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(catch_unwind(AssertUnwindSafe(|| panics.as_mut().poll(&mut cx).is_ready())).is_err());
    drop(panics);
    let (after, requests) = ends(async {
        tokio::join!(client.send(XLen::new("after")), async {
            let requests = peer.requests(2).await;
            peer.send(":1\r\n:2\r\n").await;
            requests
        })
    })
    .await;
    assert_eq!((ends(before).await.unwrap(), after.unwrap()), (1, 2));
    assert_eq!(requests, ["XLEN before", "XLEN after"]);
}

#[tokio::test(start_paused = true)]
async fn command_that_is_never_polled_is_not_sent() {
    let server = Server::new();
    let (client, mut peer) = server.connect(config()).await;
    drop(client.send(XLen::new("a")));
    drop(client.send_all((XLen::new("b"), XLen::new("c"))));
    drop(client.transact((XLen::new("d"), XLen::new("e"))));
    drop(client.close());
    drop(Client::connect_with(config(), server.dialler()));
    let (next, request) = tokio::join!(client.send(XLen::new("next")), peer.answer(":1\r\n"));
    assert_eq!((next.unwrap(), request.as_str()), (1, "XLEN next"));
    assert_eq!(server.dials().len(), 1);
}
