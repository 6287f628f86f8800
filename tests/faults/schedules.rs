//! Random schedules of callers, fragmented replies and lost connections. Each caller gets its own
//! reply or a correct outcome.

use super::echo::{self, Log};
use super::peer::{Peer, Server, config, ends, hello_reply, ms, settle};
use bourn::{Client, Error, Outcome, XLen};
use fastrand::Rng;
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use tokio::task::{JoinSet, yield_now};
use tokio::time::{sleep, timeout};

/// The outcome of each call, by its number.
type Ends = Arc<Mutex<HashMap<u64, Option<Outcome>>>>;

fn note<T>(ends: &Ends, n: u64, result: &Result<T, Error>) {
    ends.lock().unwrap().insert(n, result.as_ref().err().map(Error::outcome));
}

/// One caller: sends in one of three ways, and may drop its future early.
async fn call(client: Client, n: u64, mut rng: Rng, ends: Ends) {
    let names = [n, n + 1, n + 2].map(|n| format!("{n:0w$}", w = rng.usize(1..200)));
    let patience = if rng.u8(0..4) == 0 { ms(rng.u64(0..30)) } else { ms(60_000) };
    let check = |name: &String, result: &Result<u64, Error>| {
        let n: u64 = name.parse().unwrap();
        if let Ok(value) = result {
            assert_eq!(*value, n, "the reply of another command");
        }
        note(&ends, n, result);
    };
    let call: Pin<Box<dyn Future<Output = ()> + Send>> = match rng.u8(0..3) {
        0 => Box::pin(async {
            let result = client.send(XLen::new(&names[0])).await;
            check(&names[0], &result);
        }),
        1 => Box::pin(async {
            let commands: Vec<_> = names.iter().map(XLen::new).collect();
            let results = client.send_all(commands).await;
            names.iter().zip(&results).for_each(|(name, result)| check(name, result));
        }),
        _ => Box::pin(async {
            let commands = (XLen::new(&names[0]), XLen::new(&names[1]), XLen::new(&names[2]));
            match client.transact(commands).await {
                Ok((a, b, c)) => {
                    names.iter().zip([a, b, c]).for_each(|(name, result)| check(name, &result));
                }
                Err(error) => {
                    let outcome = error.outcome();
                    let all = names.iter().map(|name| (name.parse().unwrap(), Some(outcome)));
                    ends.lock().unwrap().extend(all);
                }
            }
        }),
    };
    let _ = timeout(patience, call).await;
}

/// The options of a schedule.
#[derive(Clone, Copy)]
struct Scene {
    cuts: bool,
    buffer: usize,
}

/// Serves as `echo` does, but in pieces, with pushes and pauses. The connection may end at any
/// point.
async fn serve(mut peer: Peer, log: Log, mut rng: Rng, scene: Scene) {
    let version = peer.next_request().await;
    if version.is_none()
        || peer.next_request().await.is_none()
        || peer.next_request().await.is_none()
    {
        return;
    }
    peer.send(hello_reply(peer.number) + "+OK\r\n+OK\r\n").await;
    let mut session = echo::Session::default();
    let life = if scene.cuts { rng.usize(0..2000) } else { usize::MAX };
    let mut sent = 0;
    loop {
        let Some(request) = peer.next_request().await else { return };
        let mut bytes = session.answer(&request, &log).into_bytes();
        for _ in 0..rng.u8(0..3) {
            bytes.splice(..0, *b">2\r\n+invalidate\r\n*1\r\n+k\r\n");
        }
        while !bytes.is_empty() {
            let piece: Vec<u8> = bytes.drain(..rng.usize(1..=bytes.len())).collect();
            sent += piece.len();
            if sent > life {
                return;
            }
            peer.send(piece).await;
            match rng.u8(0..8) {
                0 => sleep(ms(rng.u64(0..10))).await,
                1..4 => yield_now().await,
                _ => {}
            }
        }
    }
}

async fn run(seed: u64, scene: Scene) {
    let mut rng = Rng::with_seed(seed);
    fastrand::seed(seed);
    let server = Server::with_buffer(scene.buffer);
    let (log, received) = (Log::default(), Ends::default());
    let (accepting, serving, mut fork) = (server.clone(), log.clone(), rng.fork());
    let accept = tokio::spawn(async move {
        loop {
            let peer = accepting.next().await;
            tokio::spawn(serve(peer, serving.clone(), fork.fork(), scene));
        }
    });
    let config = config().budget_bytes(rng.usize(1024..8192)).reconnect(ms(1), ms(20));
    // A server that cuts connections may also cut the first handshake.
    let client = loop {
        match ends(Client::connect_with(config.clone(), server.dialler())).await {
            Ok(client) => break client,
            Err(error) => assert!(scene.cuts, "seed {seed}: {error:?}"),
        }
    };
    let mut calls = JoinSet::new();
    for n in 1..=60 {
        calls.spawn(call(client.clone(), 10 * n, rng.fork(), Arc::clone(&received)));
        match rng.u8(0..6) {
            0 => sleep(ms(rng.u64(0..20))).await,
            1 => yield_now().await,
            2 => settle().await,
            _ => {}
        }
    }
    while let Some(ended) = ends(calls.join_next()).await {
        ended.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
    for (n, end) in &*received.lock().unwrap() {
        let runs = log.count_of(*n);
        assert!(runs <= 1, "seed {seed}: {n} was sent {runs} times");
        match end {
            None => assert_eq!(runs, 1, "seed {seed}: {n} was answered"),
            Some(Outcome::NotSent) => assert_eq!(runs, 0, "seed {seed}: {n} was not sent"),
            Some(outcome) => assert_eq!(*outcome, Outcome::Unknown, "seed {seed}: {n}"),
        }
        assert!(scene.cuts || end.is_none(), "seed {seed}: {n} ended with {end:?}");
    }
    // Afterwards the client works as at the start.
    for n in 0..3 {
        let name = (100_000 + n).to_string();
        let result = ends(client.send(XLen::new(&name))).await;
        match result {
            Ok(value) => assert_eq!(value, 100_000 + n, "seed {seed}"),
            Err(error) => assert!(scene.cuts, "seed {seed}: {error:?}"),
        }
    }
    ends(client.close()).await;
    assert_eq!(server.open(), 0, "seed {seed}");
    accept.abort();
}

#[tokio::test(start_paused = true)]
async fn each_caller_gets_its_own_reply_in_every_order() {
    for seed in 0..40 {
        let buffer = [1, 7, 64, 1000, 1 << 16][usize::try_from(seed % 5).expect("below 5")];
        run(seed, Scene { cuts: false, buffer }).await;
    }
}

#[tokio::test(start_paused = true)]
async fn each_caller_gets_its_own_reply_or_a_correct_outcome_when_connections_end() {
    for seed in 1000..1060 {
        let buffer = [1, 7, 64, 1000, 1 << 16][usize::try_from(seed % 5).expect("below 5")];
        run(seed, Scene { cuts: true, buffer }).await;
    }
}
