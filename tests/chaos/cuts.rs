//! A session is cut at every byte, in each direction, with FIN and with RST; and at every fourth
//! byte after all replies were delivered.
//!
//! The session: a client and a reader connect; five tasks add 50 entries; a group reads and
//! acknowledges them. After the cut it continues as a user would: it knows which commands were not
//! sent, and looks up unknown ones. In one run the next connection works at once; in another, for
//! fewer cuts, there is none until every command has ended.
//!
//! | reported | in the stream, in the group |
//! |---|---|
//! | confirmed | there once, under its id; acknowledged |
//! | not sent | not there; pending as before |
//! | unknown | either |

use crate::alone::alone;
use crate::proxy::{Proxy, Seen, Upstream};
use crate::schedule::{Cut, Plan, Way};
use crate::session::{ENTRIES, Session, Tally, Then};
use crate::support::Server;
use bourn::{AddId, Client};
use futures_util::future::join_all;
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The number of concurrent sessions.
const LANES: usize = 8;

/// The limit after which a session counts as hung.
const LIMIT: Duration = Duration::from_secs(20);

/// The connections of a session, in the order in which they are opened.
const CLIENT: u64 = 0;
const READER: u64 = 1;

/// Later connections' ids have more digits, and the server's greeting contains the id.
const DIGITS: u64 = 5;

/// One session's cut: the connection, the direction, the number of bytes, the kind.
#[derive(Debug, Clone, Copy)]
struct At(u64, Way, u64, Cut);

#[test]
fn session_cut_at_any_byte_reports_true_outcomes() {
    let server = Server::start();
    alone(async {
        let (_, uncut) = uncut(&server).await;
        let mut all = Vec::new();
        for (connection, seen) in [CLIENT, READER].into_iter().zip(&uncut) {
            println!("connection {connection}: {} bytes up, {} down", seen.up, seen.down);
            for cut in [Cut::Fin, Cut::Rst, Cut::Answered] {
                // This kind takes longest, and its outcomes are known: every fourth byte suffices.
                let step = if cut == Cut::Answered { 4 } else { 1 };
                all.extend((0..=seen.up).step_by(step).map(|n| At(connection, Way::Up, n, cut)));
                // Both ends of the stream are the same for this kind.
                if cut != Cut::Answered {
                    let down = 0..=seen.down + DIGITS;
                    all.extend(down.map(|n| At(connection, Way::Down, n, cut)));
                }
            }
        }
        let least = all.len() - 2 * 2 * usize::try_from(DIGITS).expect("it is small");
        let total = run_all(&server, Then::Another, &all).await;
        let cuts: usize = total.cuts.iter().sum();
        println!("{cuts} cuts, {least} at least");
        assert!(cuts >= least);
        assert!(total.unknown > 0 && total.ran > 0 && total.ran < total.unknown);
    });
}

#[test]
fn unsent_commands_of_a_cut_session_have_no_effect() {
    let server = Server::start();
    alone(async {
        let (greeted, uncut) = uncut(&server).await;
        let mut all = Vec::new();
        for cut in [Cut::Fin, Cut::Rst] {
            let up = (greeted[0].up + 1..=uncut[0].up).step_by(4);
            all.extend(up.map(|n| At(CLIENT, Way::Up, n, cut)));
            let down = (greeted[0].down + DIGITS..=uncut[0].down).step_by(4);
            all.extend(down.map(|n| At(CLIENT, Way::Down, n, cut)));
        }
        let total = run_all(&server, Then::Nothing, &all).await;
        let cuts: usize = total.cuts.iter().sum();
        println!("{cuts} cuts");
        assert!(cuts + 2 * 8 >= all.len(), "{cuts} of {}", all.len());
        assert!(total.unsent > 0 && total.acks[1] > 0);
    });
}

/// Returns the traffic of an uncut session: of its handshakes, and in total.
async fn uncut(server: &Server) -> (Vec<Seen>, Vec<Seen>) {
    let admin = Client::connect(server.unix_url()).await.expect("the server is there");
    let proxy = Proxy::start(Upstream::Unix(server.socket_path())).await;
    let client = Client::connect(proxy.config()).await.expect("nothing is cut");
    drop(client.reader().await.expect("nothing is cut"));
    drop(client);
    proxy.settled(0).await;
    let greeted = proxy.seen();
    proxy.plan(|_| Plan::default());
    let session = Session { admin: &admin, proxy: &proxy, ids: ids(server), key: "uncut ".into() };
    let mut tally = Tally::default();
    session.run(Then::Another, &|| ()).await.count(&mut tally);
    assert_eq!((tally.confirmed, tally.unsent, tally.unknown), (ENTRIES, 0, 0));
    (greeted, proxy.seen())
}

/// Returns ids that have the same length in each session.
fn ids(server: &Server) -> AddId {
    if server.redis_at_least(7, 0) { AddId::AutoSeq { ms: 5 } } else { AddId::Auto }
}

/// Runs a session for each cut.
async fn run_all(server: &Server, then: Then, all: &[At]) -> Tally {
    let admin = Client::connect(server.unix_url()).await.expect("the server is there");
    // All on this thread: the connections and proxies run on other threads.
    let next = RefCell::new(all.iter().zip(0..));
    let lanes = (0..if then == Then::Another { LANES } else { 4 * LANES })
        .map(|_| lane(&admin, server, then, &next));
    let mut total = Tally::default();
    join_all(lanes).await.iter().for_each(|tally| total.add(tally));
    println!("{total:?}");
    total
}

/// Runs sessions until none is left.
async fn lane<'a>(
    admin: &Client,
    server: &Server,
    then: Then,
    next: &RefCell<impl Iterator<Item = (&'a At, u64)>>,
) -> Tally {
    let proxy = Proxy::start(Upstream::Unix(server.socket_path())).await;
    let mut tally = Tally::default();
    loop {
        let Some((at, nth)) = next.borrow_mut().next() else { return tally };
        let At(connection, way, after, cut) = *at;
        let away = Arc::new(AtomicBool::new(then == Then::Nothing));
        let gone = Arc::clone(&away);
        proxy.plan(move |nth| match nth {
            nth if nth == connection => Plan::cut(way, after, cut),
            2.. if gone.load(Ordering::Relaxed) => Plan::cut(Way::Up, 0, Cut::Rst),
            _ => Plan::default(),
        });
        let key = format!("{nth:06}");
        let session = Session { admin, proxy: &proxy, ids: ids(server), key };
        let back = || away.store(false, Ordering::Relaxed);
        let results = tokio::time::timeout(LIMIT, session.run(then, &back)).await;
        results.unwrap_or_else(|_| panic!("{at:?} hangs")).count(&mut tally);
        let was_cut = proxy.seen().iter().any(|seen| seen.cut);
        tally.cuts[cut as usize] += usize::from(was_cut);
    }
}
