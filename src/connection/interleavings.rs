//! Tests every interleaving of callers, the driver and listeners: no wake-up is missed, and no
//! caller gets another's reply. Run with
//! `RUSTFLAGS="--cfg bourn_loom" cargo test --lib interleavings`. loom reports a hang as a
//! deadlock, which fails the test.

use super::call::Call;
use super::enqueue::{Enqueue, Patience};
use super::event::Event;
use super::outbox::{Shared, Turn};
use super::single::Single;
use crate::command::XLen;
use crate::config::{Config, WhenFull};
use crate::error::{Disconnect, Error};
use crate::resp::{Frame, Limits};
use loom::future::block_on;
use loom::model::Builder;
use loom::thread;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Explores the interleavings with at most this many preemptions.
fn every_interleaving(switches: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(switches);
    builder.check(model);
}

fn connected(config: &Config) -> Arc<Shared> {
    let shared = Arc::new(Shared::new(config));
    shared.connected(None);
    shared
}

/// Settings without deadlines, because loom has no clock.
fn config() -> Config {
    Config::tcp("modelled", 1).command_timeout(Duration::MAX)
}

fn frame(text: &str) -> Frame {
    Frame::parse(text.as_bytes().to_vec(), Limits::default()).unwrap()
}

/// Runs the driver's part until it has written this many requests.
fn write(shared: &Shared, requests: usize) {
    let mut written = 0;
    while written < requests {
        let mut yielded = false;
        let mut buffer = Vec::new();
        block_on(poll_fn(|cx| {
            loop {
                match shared.turn(&mut buffer, yielded, cx) {
                    Turn::Write(_) => return Poll::Ready(()),
                    Turn::Yield => yielded = true,
                    Turn::Sleep => return Poll::Pending,
                }
            }
        }));
        written += buffer.iter().filter(|byte| **byte == b'*').count();
    }
}

fn answer(shared: &Shared, texts: &[&str]) {
    let mut frames = texts.iter().map(|text| frame(text)).collect();
    shared.replies(&mut frames, &mut Vec::new()).unwrap();
}

fn send(shared: &Shared, key: &str) -> Result<u64, Error> {
    block_on(Call::new(shared, None, Single(XLen::new(key))))
}

#[test]
fn two_callers_get_their_own_replies() {
    every_interleaving(2, || {
        let shared = connected(&config());
        let [one, two] = [0, 1].map(|_| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || send(&shared, "s").unwrap())
        });
        write(&shared, 2);
        answer(&shared, &[":1\r\n"]);
        answer(&shared, &[":2\r\n"]);
        let mut got = [one.join().unwrap(), two.join().unwrap()];
        got.sort_unstable();
        assert_eq!(got, [1, 2]);
    });
}

#[test]
fn dropped_caller_takes_no_other_callers_reply() {
    every_interleaving(3, || {
        let shared = connected(&config());
        // Queued first, and dropped at any point.
        let mut enqueue = Enqueue::new(Arc::clone(&shared), Patience::Usual);
        let queued =
            enqueue.poll(&Single(XLen::new("gone")), &mut Context::from_waker(Waker::noop()));
        let Poll::Ready(Ok(gone)) = queued else { panic!("there is capacity") };
        let stays = Arc::clone(&shared);
        let stays = thread::spawn(move || send(&stays, "stays").unwrap());
        let leaves = thread::spawn(move || drop(gone));
        write(&shared, 2);
        answer(&shared, &[":1\r\n", ":2\r\n"]);
        leaves.join().unwrap();
        assert_eq!(stays.join().unwrap(), 2);
    });
}

#[test]
fn disconnect_fails_a_caller_that_waits_for_a_reply() {
    every_interleaving(3, || {
        let shared = connected(&config().retry(crate::config::Retry::Never));
        let caller = Arc::clone(&shared);
        let caller = thread::spawn(move || send(&caller, "s"));
        write(&shared, 1);
        shared.disconnected(&[], &Disconnect::Eof);
        assert!(matches!(caller.join().unwrap(), Err(Error::Lost { .. })));
    });
}

#[test]
fn caller_that_waits_for_capacity_is_woken() {
    every_interleaving(2, || {
        // Capacity for one request at a time.
        let shared = connected(&config().budget_bytes(1024).when_full(WhenFull::Wait));
        let key = "x".repeat(750);
        let [one, two] = [0, 1].map(|_| {
            let (shared, key) = (Arc::clone(&shared), key.clone());
            thread::spawn(move || send(&shared, &key).unwrap())
        });
        for n in [":1\r\n", ":2\r\n"] {
            write(&shared, 1);
            answer(&shared, &[n]);
        }
        assert_eq!(one.join().unwrap() + two.join().unwrap(), 3);
    });
}

#[test]
fn close_wakes_every_waiter() {
    every_interleaving(3, || {
        let shared = connected(&config());
        let waits = Arc::clone(&shared);
        let waits = thread::spawn(move || {
            block_on(poll_fn(|cx| if waits.ended(cx) { Poll::Ready(()) } else { Poll::Pending }));
        });
        shared.end();
        waits.join().unwrap();
    });
}

#[test]
fn listener_is_woken_by_events_and_by_the_end() {
    every_interleaving(3, || {
        let shared = connected(&config());
        let mut events = shared.events().listen();
        let listens = thread::spawn(move || {
            block_on(async {
                let mut heard = 0;
                while pin!(events.next()).await.is_some() {
                    heard += 1;
                }
                heard
            })
        });
        shared.events().emit(Event::Disconnected { reason: Disconnect::Eof });
        shared.events().end();
        // The current state, and one event.
        assert_eq!(listens.join().unwrap(), 2);
    });
}
