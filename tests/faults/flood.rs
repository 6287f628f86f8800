//! What costs a server little and could cost a client much: memory stays bounded, and the error is clear.

use super::hostile::{Fault, REPLY_BYTES, strike};
use super::memory::takes_at_most;
use super::peer::{Server, config, ends, ms};
use bourn::resp::ProtocolError as P;
use bourn::{Error, XLen};
use tokio::time::Instant;

/// As much as one reply may have, once more while its buffer grows, and what the scripted server holds.
const MOST_MIB: u64 = 2 * (REPLY_BYTES as u64 >> 20) + 4;

async fn each_ends_its_connection(floods: Vec<(&'static str, &str, &[u8], usize, P)>) {
    for (name, head, part, times, wrong) in floods {
        let (bytes, more) = (head.as_bytes().to_vec(), (part.to_vec(), times));
        let flood = Fault { name, bytes, more, wrong };
        let server = Server::with_buffer(1 << 16);
        let config = config().reply_bytes(REPLY_BYTES);
        let (client, peer) = server.connect(config).await;
        strike(&server, &client, peer, &flood, usize::MAX).await;
    }
}

#[test]
fn nothing_is_reserved_on_the_word_of_a_length() {
    takes_at_most(1, async || {
        // With the usual limits. What is allowed is waited for, until something comes that is not, or the time is over.
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
fn nesting_and_endless_values_break_a_limit() {
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
        each_ends_its_connection(floods).await;
    });
}

#[test]
fn pushes_without_end_are_forgotten_as_they_come() {
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
                    // 128 MiB of large ones, and a million small ones.
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
