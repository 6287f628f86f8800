//! A tail over a growing stream whose connections end: every entry arrives once and in order, with
//! errors in between.

use super::peer::{Peer, Server, config, ends, ms};
use bourn::{EntryId, Error, ReadFrom};
use fastrand::Rng;
use futures_util::StreamExt;

/// Answers XREAD from a stream of the entries `1-0` to `last-0`, three at a time. Hangs up after
/// `life` bytes.
async fn serve(peer: &mut Peer, last: u64, life: usize) {
    let mut left = life;
    while let Some(request) = peer.next_request().await {
        let word = request.rsplit(' ').next().unwrap_or_default().to_owned();
        let reply = if request.starts_with("XREVRANGE") {
            format!("*1\r\n{}", entry(5))
        } else {
            assert_eq!(request, format!("XREAD COUNT 32 BLOCK 5000 STREAMS s {word}"));
            let after: EntryId = word.parse().unwrap();
            let ids: Vec<u64> = (after.ms() + 1..=last).take(3).collect();
            match ids.len() {
                0 => "_\r\n".to_owned(),
                n => {
                    let entries: String = ids.into_iter().map(entry).collect();
                    format!("%1\r\n$1\r\ns\r\n*{n}\r\n{entries}")
                }
            }
        };
        let bytes = reply.as_bytes();
        peer.send(&bytes[..bytes.len().min(left)]).await;
        if bytes.len() >= left {
            return;
        }
        left -= bytes.len();
    }
}

fn entry(ms: u64) -> String {
    let id = format!("{ms}-0");
    format!("*2\r\n${}\r\n{id}\r\n*2\r\n$1\r\nn\r\n$4\r\n{ms:04}\r\n", id.len())
}

#[tokio::test(start_paused = true)]
async fn tail_returns_every_entry_once_and_in_order_across_reconnects() {
    const LAST: u64 = 60;
    for (from, first) in [(ReadFrom::START, 1), (ReadFrom::End, 6), (ReadFrom::Last, 5)] {
        for seed in 0..10 {
            let server = Server::new();
            let (client, _peer) = server.connect(config().connect_timeout(ms(500))).await;
            let (serving, mut rng) = (server.clone(), Rng::with_seed(seed));
            tokio::spawn(async move {
                loop {
                    let mut peer = serving.next().await;
                    let life = rng.usize(0..600);
                    if rng.u8(0..5) > 0 && peer.greet_or_end().await.is_some() {
                        serve(&mut peer, LAST, life).await;
                    }
                }
            });
            let mut tail = client.tail("s", from);
            let mut received = Vec::new();
            let mut errors = 0;
            while received.last() != Some(&LAST) {
                match ends(tail.next()).await.expect("a tail does not end") {
                    Ok(entry) => received.push(entry.id().ms()),
                    Err(Error::Lost { .. } | Error::Connect(_) | Error::Unsent { .. }) => {
                        errors += 1
                    }
                    Err(error) => panic!("{error:?}"),
                }
            }
            assert_eq!(received, (first..=LAST).collect::<Vec<_>>(), "{from:?}, seed {seed}");
            assert!(errors > 0, "seed {seed} saw no error");
        }
    }
}
