//! Each limit applies exactly as configured, to the byte. The settings are range-checked.

use super::peer::{Server, config, ends, ms};
use bourn::resp::ProtocolError;
use bourn::{Config, ConfigError, Error, Outcome, Raw, XLen};
use std::time::Duration;

/// Checks that the reply is accepted, or that it ends the connection and the next command works on
/// another one.
async fn reply(config: Config, reply: &[u8], wrong: Option<ProtocolError>) {
    let what = reply.get(..8).unwrap_or(reply).escape_ascii().to_string();
    let server = Server::new();
    let (client, mut peer) = server.connect(config).await;
    let (result, _) =
        ends(async { tokio::join!(client.send(Raw::new("ANY")), peer.answer(reply)) }).await;
    let number = match wrong {
        None => {
            assert!(result.is_ok(), "{what}");
            1
        }
        Some(wrong) => {
            let error = result.expect_err(&what);
            assert_eq!(error.outcome(), Outcome::Unknown, "{what}");
            let Error::Protocol { source, .. } = error else { panic!("{what}: {error:?}") };
            assert_eq!(source, wrong, "{what}");
            assert!(peer.rest().await.is_empty(), "{what}");
            peer = server.greet().await;
            2
        }
    };
    let (next, _) =
        ends(async { tokio::join!(client.send(XLen::new("next")), peer.answer(":7\r\n")) }).await;
    assert_eq!((next.expect(&what), peer.number), (7, number), "{what}");
}

#[tokio::test(start_paused = true)]
async fn reply_depth_limit_is_exact() {
    for depth in [8, 64, 1024] {
        let nested = |levels| [b"*1\r\n".repeat(levels), b":1\r\n".to_vec()].concat();
        let config = config().reply_depth(depth);
        reply(config.clone(), &nested(depth), None).await;
        let wrong = ProtocolError::TooDeep { limit: depth };
        reply(config, &nested(depth + 1), Some(wrong)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn line_length_limit_is_exact() {
    for bytes in [1024, 100_000] {
        for kind in ["+", "-ERR "] {
            let line = |len: usize| {
                let text = "x".repeat(len + 1 - kind.len());
                format!("{kind}{text}\r\n").into_bytes()
            };
            let config = config().line_bytes(bytes);
            let wrong = ProtocolError::LineTooLong { limit: bytes };
            reply(config.clone(), &line(bytes + 1), Some(wrong)).await;
            if kind == "+" {
                reply(config, &line(bytes), None).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn reply_size_limit_is_exact() {
    // The bytes of the reply, and 32 bytes per element. The limit is checked before the last CRLF
    // arrives.
    let list = |elements: usize, rest: usize| {
        let body = "x".repeat(rest);
        format!("*{}\r\n{}${rest}\r\n{body}\r\n", elements + 1, ":1\r\n".repeat(elements))
    };
    for bytes in [1024, 100_000] {
        let limit = ProtocolError::TooLarge { limit: bytes };
        let cost = |elements, rest| list(elements, rest).len() - 2 + 32 * (elements + 1);
        let rest = (1..bytes).rev().find(|rest| cost(10, *rest) <= bytes).unwrap();
        let config = config().reply_bytes(bytes);
        reply(config.clone(), list(10, rest).as_bytes(), None).await;
        reply(config, list(10, rest + 1).as_bytes(), Some(limit)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn reader_default_reply_limit_exceeds_that_of_the_shared_connection() {
    const MIB: usize = 1 << 20;
    for (set, shared, own) in [(None, 256 * MIB, 512 * MIB), (Some(2048), 2048, 2048)] {
        let config = match set {
            Some(bytes) => config().reply_bytes(bytes),
            None => config(),
        };
        let server = Server::new();
        let (client, mut peer) = server.connect(config).await;
        let announced = |bytes: usize| format!("${}\r\n", bytes + 1);
        let (result, _) = ends(async {
            tokio::join!(client.send(Raw::new("ANY")), peer.answer(announced(shared)))
        })
        .await;
        let error = result.unwrap_err();
        let Error::Protocol { source, .. } = error else { panic!("{error:?}") };
        assert_eq!(source, ProtocolError::TooLarge { limit: shared });
        let _peer = server.greet().await;
        let (reader, mut peer) =
            ends(async { tokio::join!(client.reader(), server.greet()) }).await;
        let mut reader = reader.unwrap();
        let (result, _) =
            ends(async { tokio::join!(reader.send(Raw::new("ANY")), peer.answer(announced(own))) })
                .await;
        let error = result.unwrap_err();
        let Error::Protocol { source, .. } = error else { panic!("{error:?}") };
        assert_eq!(source, ProtocolError::TooLarge { limit: own });
    }
}

#[tokio::test(start_paused = true)]
async fn handshake_replies_are_limited() {
    let big = format!("%1\r\n+server\r\n${}\r\n", 2000);
    for (bytes, wrong) in [
        (big, ProtocolError::TooLarge { limit: 1024 }),
        ("*1\r\n".repeat(9), ProtocolError::TooDeep { limit: 8 }),
        (format!("+{}", "x".repeat(1025)), ProtocolError::LineTooLong { limit: 1024 }),
    ] {
        let server = Server::new();
        let config = config().reply_bytes(1024).line_bytes(1024).reply_depth(8);
        let answer = async {
            let mut peer = server.accept().await;
            peer.requests(3).await;
            peer.send(&bytes).await;
            peer
        };
        let (client, _peer) = ends(async {
            tokio::join!(bourn::Client::connect_with(config, server.dialler()), answer)
        })
        .await;
        let error = client.unwrap_err();
        assert_eq!(error.outcome(), Outcome::NotSent);
        let Error::Connect(connect) = &error else { panic!("{error:?}") };
        let bourn::ConnectReason::Protocol(source) = connect.reason() else {
            panic!("{error:?}");
        };
        assert_eq!(*source, wrong);
    }
}

#[test]
fn setting_outside_its_range_is_named() {
    let rows: [(&str, fn(Config) -> Config); 15] = [
        ("reply_bytes", |c| c.reply_bytes(1023)),
        ("reply_bytes", |c| c.reply_bytes(u32::MAX as usize + 1)),
        ("line_bytes", |c| c.line_bytes(1023)),
        ("reply_depth", |c| c.reply_depth(7)),
        ("reply_depth", |c| c.reply_depth(1025)),
        ("budget_bytes", |c| c.budget_bytes(1023)),
        ("events_buffer", |c| c.events_buffer(0)),
        ("connect_timeout", |c| c.connect_timeout(Duration::ZERO)),
        ("command_timeout", |c| c.command_timeout(Duration::ZERO)),
        ("probe", |c| c.probe(Some(Duration::ZERO))),
        ("reconnect", |c| c.reconnect(Duration::ZERO, ms(10))),
        ("reconnect", |c| c.reconnect(ms(11), ms(10))),
        ("", |c| c.reply_bytes(1024).line_bytes(1024).reply_depth(8).budget_bytes(1024)),
        ("", |c| c.reply_bytes(u32::MAX as usize).reply_depth(1024).events_buffer(1)),
        ("", |c| c.reconnect(ms(10), ms(10)).probe(None).keepalive(None)),
    ];
    for (nth, (name, change)) in rows.into_iter().enumerate() {
        match change(config()).check() {
            Ok(()) => assert_eq!(name, "", "row {nth}"),
            Err(ConfigError::Range { setting, .. }) => assert_eq!(setting, name, "row {nth}"),
            Err(other) => panic!("row {nth}: {other:?}"),
        }
    }
}
