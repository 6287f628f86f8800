//! 100,000 commands of 64 tasks; some futures are dropped, some have short timeouts. Connections
//! are cut, stalled, split, delayed, killed and reset; the server itself is killed and restarted.
//!
//! No reply reaches another caller, every future ends, each entry's reported outcome is true, and
//! memory does not grow.
//!
//! | reported | on the server, which writes to disk before it answers |
//! |---|---|
//! | the entry's id | there once, under that id |
//! | not sent, or never polled | not there |
//! | unknown, or dropped after a poll | there at most once |

use crate::alone::{alone, resident};
use crate::both::Random;
use crate::proxy::{Proxy, Upstream};
use crate::schedule::{self, Plan, Way};
use crate::support::Server;
use crate::worker::{Fate, Worker};
use bourn::{Client, EntryId, Raw, XRange};
use futures_util::future::join_all;
use std::collections::HashMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::time::sleep;

const COMMANDS: u64 = 100_000;
const TASKS: u64 = 64;

/// Memory is measured after each.
const ROUNDS: u64 = 4;

/// The commands of a task in a round.
const EACH: u64 = COMMANDS / TASKS / ROUNDS + 1;

/// The number of faults per round; the fifth of every ten kills the server.
const FAULTS: u64 = 30;

/// The clients' command timeouts. Each has the same number of tasks.
const TIMES: [u64; 4] = [5_000, 1_000, 100, 10];

/// The allowed growth between the first and the last round, without the test's own records. A leak
/// of 64 bytes per command would exceed it.
const GROWTH: u64 = 4 << 20;

#[test]
fn chaos_gives_every_caller_its_own_true_result() {
    let seed = Random::seed();
    let mut server = Server::builder().append_only().start();
    alone(async { chaos(&mut server, seed).await });
}

async fn chaos(server: &mut Server, seed: u64) {
    let mut proxy = Proxy::start(Upstream::Tcp(server.port())).await;
    proxy.plan(
        move |nth| {
            if nth < TIMES.len() as u64 { Plan::default() } else { schedule::plan(seed, nth) }
        },
    );
    let mut clients = Vec::new();
    for time in TIMES {
        let config = proxy.config().reconnect(ms(1), ms(50)).command_timeout(ms(time));
        clients.push(Client::connect(config).await.expect("the first connections have no faults"));
    }
    let mut workers: Vec<_> = (0..TASKS)
        .zip(clients.iter().cycle())
        .map(|(task, client)| Worker::new(client.clone(), task, seed))
        .collect();
    let mut random = Random::new(seed);
    let mut in_memory = Vec::new();
    let mut faults = [0; 6];
    for _ in 0..ROUNDS {
        let done = watch::Sender::new(0);
        let tasks = workers.into_iter().map(|worker| tokio::spawn(worker.work(EACH, done.clone())));
        let tasks: Vec<_> = tasks.collect();
        let trouble = inject_faults(server, &mut proxy, &mut random, done.subscribe(), &mut faults);
        // One that fails ends the test at once, as its faults would never end.
        let tasks =
            tasks.into_iter().map(|task| async move { task.await.expect("every check holds") });
        (workers, ()) = tokio::join!(join_all(tasks), trouble);
        let remembered: usize = workers.iter().map(|worker| worker.fates.capacity()).sum();
        let remembered = (remembered * size_of::<(u64, Fate)>()) as u64;
        in_memory.push(resident().expect("Linux reports it") - remembered);
    }
    println!("kills, resets, stalls up, stalls down, refusals, restarts: {faults:?}");
    let cuts = proxy.seen().iter().filter(|seen| seen.cut).count();
    println!("{} connections, {cuts} cut by plan", proxy.seen().len());
    println!("KiB in memory: {:?}", in_memory.iter().map(|bytes| bytes >> 10).collect::<Vec<_>>());
    assert!(in_memory[3] < in_memory[0] + GROWTH, "{in_memory:?}");

    // All clients still work.
    proxy.plan(|_| Plan::default());
    proxy.reset();
    for client in clients {
        let start = Instant::now();
        while let Err(error) = client.send(Raw::new("PING")).await {
            assert!(start.elapsed() < ms(2_000), "{error:?}");
        }
    }
    let ends = workers.iter().fold([0; 3], |mut sum, worker| {
        sum.iter_mut().zip(worker.ends).for_each(|(sum, ends)| *sum += ends);
        sum
    });
    println!("commands answered, failed, dropped: {ends:?}");
    assert_eq!(ends.iter().sum::<u64>(), EACH * TASKS * ROUNDS);
    let fates: Vec<_> = workers.into_iter().flat_map(|worker| worker.fates).collect();
    // No command is running on the server any more.
    proxy.settled(0).await;
    account(&Client::connect(server.unix_url()).await.expect("the server is there"), &fates).await;
}

/// Causes a fault after each part of a round's work.
async fn inject_faults(
    server: &mut Server,
    proxy: &mut Proxy,
    random: &mut Random,
    mut done: watch::Receiver<u64>,
    faults: &mut [u64; 6],
) {
    for nth in 1..=FAULTS {
        let part = nth * EACH * TASKS / (FAULTS + 1);
        done.wait_for(|done| *done >= part).await.expect("some still work");
        let which = if nth % 10 == 5 { 5 } else { random.below(5) };
        faults[usize::try_from(which).expect("it is small")] += 1;
        match which {
            0 => _ = server.command(&["CLIENT", "KILL", "TYPE", "normal"]),
            1 => proxy.reset(),
            2 | 3 => {
                proxy.stall(if which == 2 { Way::Up } else { Way::Down });
                sleep(ms(random.below(100))).await;
                proxy.go_on();
            }
            4 => {
                proxy.refuse().await;
                proxy.reset();
                sleep(ms(random.below(100))).await;
                proxy.accept();
            }
            _ => {
                // This thread waits while others work on.
                server.kill9();
                sleep(ms(random.below(50))).await;
                server.restart();
            }
        }
    }
}

/// Compares the reported outcomes with the stream.
async fn account(client: &Client, fates: &[(u64, Fate)]) {
    let there = read_back(client).await;
    let mut times: HashMap<u64, u64> = HashMap::new();
    there.values().for_each(|number| *times.entry(*number).or_default() += 1);
    let (mut confirmed, mut not_there, mut unknown, mut dropped, mut ran) = (0, 0, 0, 0, 0);
    for (number, fate) in fates {
        let times = times.get(number).copied().unwrap_or_default();
        match fate {
            Fate::Confirmed(id) => {
                assert_eq!((there.get(id), times), (Some(number), 1), "{id}");
                confirmed += 1;
            }
            Fate::NotThere => {
                assert_eq!(times, 0, "{number:x} was not sent");
                not_there += 1;
            }
            Fate::Unknown | Fate::Dropped => {
                assert!(times <= 1, "{number:x} was added {times} times");
                ran += times;
                unknown += u64::from(*fate == Fate::Unknown);
                dropped += u64::from(*fate == Fate::Dropped);
            }
        }
    }
    println!(
        "entries: {confirmed} confirmed, {not_there} not sent; of {unknown} unknown and {dropped} dropped {ran} ran"
    );
    assert_eq!(there.len() as u64, confirmed + ran, "nothing else is there");
    assert!(confirmed > COMMANDS / 5 && unknown > 0 && dropped > 0 && not_there > 0);
}

/// Reads all entries of the stream, with the number in each.
async fn read_back(client: &Client) -> HashMap<EntryId, u64> {
    let mut all = HashMap::new();
    let mut start = Unbounded;
    loop {
        let page = XRange::new("s", (start, Unbounded)).count(10_000);
        let page = client.send(page).await.expect("the stream can be read");
        let Some(last) = page.last() else { return all };
        start = Excluded(last.id());
        for entry in &page {
            let number = entry.get_str("n").ok().flatten().and_then(|n| n.parse().ok());
            all.insert(entry.id(), number.expect("every entry has a number"));
        }
    }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}
