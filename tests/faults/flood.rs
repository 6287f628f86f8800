//! Input that is cheap for a server and expensive for a client: memory stays bounded, and the error
//! is clear.

use super::hostile::{Fault, REPLY_BYTES, send_fault};
use super::memory::takes_at_most;
use super::peer::{Server, config, ends, ms};
use bourn::resp::ProtocolError as P;
use bourn::{Error, XLen};
use tokio::time::Instant;

/// The maximum reply, once more while its buffer grows, and the memory of the scripted server.
const MOST_MIB: u64 = 2 * (REPLY_BYTES as u64 >> 20) + 4;

async fn check_floods(floods: Vec<(&'static str, &str, &[u8], usize, P)>) {
    for (name, head, part, times, wrong) in floods {
        let (bytes, more) = (head.as_bytes().to_vec(), (part.to_vec(), times));
        let flood = Fault { name, bytes, more, wrong };
        let server = Server::with_buffer(1 << 16);
        let config = config().reply_bytes(REPLY_BYTES);
        let (client, peer) = server.connect(config).await;
        send_fault(&server, &client, peer, &flood, usize::MAX).await;
    }
}

#[test]
fn announced_lengths_reserve_no_memory() {
    takes_at_most(1, async || {
        // With the default limits. A permitted length is waited for, until an invalid byte arrives
        // or the deadline passes.
        let large = || Some(P::TooLarge { limit: 256 << 20 });
        let unknown = || Some(P::UnknownType { byte: b'?' });
        let rows: [(&str, Option<P>); 8] = [
            ("*2147483648\r\n", large()),
            ("*8388608\r\n", large()),
            ("$268435457\r\n", large()),
            ("*8000000\r\n?", unknown()),
            ("%4000000\r\n?", unknown()),
            ("~8000000\r\n*1\r\n?", unknown()),
            ("*2\r\n$268435000\r\nx", None),
            ("$268435000\r\nx", None),
        ];
        for (bytes, wrong) in rows {
            let server = Server::new();
            let (client, mut peer) = server.connect(config().command_timeout(ms(300))).await;
            let (result, peer) = ends(async {
                tokio::join!(client.send(XLen::new("s")), async {
                    peer.answer(bytes).await;
                    peer
                })
            })
            .await;
            match (result.expect_err(bytes), wrong) {
                (Error::Protocol { source, .. }, Some(wrong)) => {
                    assert_eq!(source, wrong, "{bytes:?}");
                }
                (Error::TimedOut { .. }, None) => {}
                (other, _) => panic!("{bytes:?}: {other:?}"),
            }
            drop(peer);
        }
    });
}

#[test]
fn deep_nesting_and_endless_values_exceed_a_limit() {
    takes_at_most(MOST_MIB, async || {
        let deep = P::TooDeep { limit: 64 };
        let line = P::LineTooLong { limit: 64 << 10 };
        let large = P::TooLarge { limit: REPLY_BYTES };
        let chunk = [b";16384\r\n".as_slice(), &[b'x'; 16_384], b"\r\n"].concat();
        let floods: Vec<(&str, &str, &[u8], usize, P)> = vec![
            ("arrays a million deep", "", b"*1\r\n", 1_000_000, deep.clone()),
            ("maps a million deep", "", b"%1\r\n+k\r\n", 1_000_000, deep.clone()),
            ("sets a million deep", "", b"~1\r\n", 1_000_000, deep.clone()),
            ("attributes a million deep", "", b"|1\r\n", 1_000_000, deep.clone()),
            ("streamed arrays a million deep", "", b"*?\r\n", 1_000_000, deep.clone()),
            ("a push a million deep", ">1\r\n", b"*1\r\n", 1_000_000, deep),
            ("a simple string without end", "+", b"x", 16 << 20, line.clone()),
            ("an error without end", "-", b"x", 16 << 20, line.clone()),
            ("a big number without end", "(", b"1", 16 << 20, line.clone()),
            ("a line without end in an array", "*1\r\n+", b"x", 16 << 20, line),
            ("a length without end", "$", b"0", 16 << 20, P::Length),
            ("a streamed string without end", "$?\r\n", &chunk, 1024, large.clone()),
            ("chunks of one byte", "$?\r\n", b";1\r\nx\r\n", 2 << 20, large.clone()),
            ("a streamed array without end", "*?\r\n", b":1\r\n", 4 << 20, large.clone()),
            ("empty arrays without end", "*?\r\n", b"*0\r\n", 4 << 20, large.clone()),
            ("a push without end", ">2\r\n$?\r\n", &chunk, 1024, large.clone()),
            ("arrays of arrays", "*250000\r\n", b"*1\r\n:1\r\n", 250_000, large),
        ];
        check_floods(floods).await;
    });
}

#[test]
fn endless_pushes_are_discarded_as_they_arrive() {
    takes_at_most(1, async || {
        let push = format!(">3\r\n+message\r\n+c\r\n$10000\r\n{}\r\n", "x".repeat(10_000));
        let small = ">1\r\n+x\r\n".repeat(1000);
        let server = Server::with_buffer(1 << 16);
        let (client, mut peer) = server.connect(config().command_timeout(ms(300))).await;
        let start = Instant::now();
        let (late, ()) = ends(async {
            tokio::join!(client.send(XLen::new("s")), async {
                peer.request().await;
                for _ in 0..100 {
                    // In total: 128 MB of large pushes, and a million small ones.
                    for _ in 0..128 {
                        peer.send(&push).await;
                    }
                    for _ in 0..10 {
                        peer.send(&small).await;
                    }
                    tokio::time::sleep(ms(4)).await;
                }
            })
        })
        .await;
        assert!(matches!(late, Err(Error::TimedOut { .. })), "{late:?}");
        assert_eq!(start.elapsed(), ms(400));
        let (next, ()) = ends(async {
            tokio::join!(client.send(XLen::new("next")), async {
                peer.request().await;
                peer.send(":666\r\n:7\r\n").await;
            })
        })
        .await;
        assert_eq!(next.unwrap(), 7);
    });
}
