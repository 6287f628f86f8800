//! Malformed replies: complete replies are delivered, the other commands get a clear error, and the
//! next command works on a new connection.

use super::peer::{Peer, Server, config, ends, hello_reply, ms};
use bourn::resp::ProtocolError as P;
use bourn::{Client, ConnectReason, Disconnect, Error, Outcome, XLen};
use tokio::time::Instant;

/// The limit of a reply, low enough that no test sends much.
pub(crate) const REPLY_BYTES: usize = 8 << 20;

/// Bytes that a server sends in place of a reply.
pub(crate) struct Fault {
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
    /// Bytes that follow, and how often they are repeated.
    pub(crate) more: (Vec<u8>, usize),
    pub(crate) wrong: P,
}

impl Fault {
    fn new(name: &'static str, bytes: impl AsRef<[u8]>, wrong: P) -> Self {
        Self { name, bytes: bytes.as_ref().to_vec(), more: (Vec::new(), 0), wrong }
    }
}

/// Short malformed inputs.
fn faults() -> Vec<Fault> {
    let too_large = P::TooLarge { limit: REPLY_BYTES };
    let byte = |byte| P::UnknownType { byte };
    let mut faults: Vec<Fault> = [
        ("an array of 2^31", "*2147483648\r\n", too_large.clone()),
        ("maps, each of 2^62", "%4611686018427387904\r\n", too_large.clone()),
        ("an announced body beyond the limit", "$8388609\r\n", too_large),
        ("a body longer than its length", "$3\r\nabcd\r\n", P::Body),
        ("a body longer than none", "$0\r\na\r\n", P::Body),
        ("a line feed in a line", "+a\nb\r\n", P::Line),
        ("a carriage return in a line", "+a\rb\r\n", P::Line),
        ("an integer beyond 64 bits", ":9223372036854775808\r\n", P::Number),
        ("an integer of letters", ":seven\r\n", P::Number),
        ("an empty integer", ":\r\n", P::Number),
        ("a double of letters", ",infinite\r\n", P::Number),
        ("a big number with a point", "(1.5\r\n", P::Number),
        ("a boolean of letters", "#true\r\n", P::Boolean),
        ("a null with something in it", "_x\r\n", P::Null),
        ("a verbatim string without its colon", "=5\r\nhello\r\n", P::Verbatim),
        ("a verbatim string too short", "=3\r\ntxt\r\n", P::Verbatim),
        ("a chunk outside a streamed string", ";1\r\nx\r\n", P::Streamed),
        ("an end marker outside a streamed value", ".\r\n", P::Streamed),
        ("a streamed map that ends after a key", "%?\r\n+k\r\n.\r\n", P::Streamed),
        ("a value among chunks", "$?\r\n;1\r\nx\r\n+y\r\n", P::Streamed),
        ("a push inside a reply", "*2\r\n+x\r\n>1\r\n+y\r\n", P::Push),
        ("a push inside an attribute", "|1\r\n+k\r\n>1\r\n+y\r\n", P::Push),
        ("an unknown type byte", "?1\r\n", byte(b'?')),
        ("a NUL", "\0\0\0\0", byte(0)),
        ("an HTTP answer", "HTTP/1.1 400 Bad Request\r\n\r\n", byte(b'H')),
        ("a TLS alert", "\x15\x03\x03\x00\x02\x02\x46", byte(0x15)),
        ("an unknown type byte inside a reply", "*1\r\n*2\r\n+x\r\nHTTP/1.1 \r\n", byte(b'H')),
    ]
    .map(|(name, bytes, wrong)| Fault::new(name, bytes, wrong))
    .into();
    // A malformed length for every type that has a length.
    for kind in "$*%~|>=!".chars() {
        for length in ["9223372036854775807", "9223372036854775808", "18446744073709551615"] {
            let limit = P::TooLarge { limit: REPLY_BYTES };
            let error = if length.len() < 20 { limit } else { P::Length };
            faults.push(Fault::new(
                "a length near the end of its type",
                header(kind, length),
                error,
            ));
        }
        for length in ["18446744073709551619", "-2", "", "abc", "1x", "+1", "-", "--1", " 1"] {
            faults.push(Fault::new("a malformed length", header(kind, length), P::Length));
        }
        if !matches!(kind, '$' | '*') {
            faults.push(Fault::new(
                "a null of a type that has none",
                header(kind, "-1"),
                P::Length,
            ));
        }
    }
    for kind in ['|', '>', '=', '!'] {
        faults.push(Fault::new(
            "a streamed value of a type that has none",
            header(kind, "?"),
            P::Length,
        ));
    }
    faults
}

fn header(kind: char, length: &str) -> Vec<u8> {
    format!("{kind}{length}\r\n").into_bytes()
}

/// The peer answers one command of three and then sends `fault`.
pub(crate) async fn send_fault(
    server: &Server,
    client: &Client,
    mut peer: Peer,
    Fault { name, bytes, more, wrong }: &Fault,
    piece: usize,
) -> Peer {
    let start = Instant::now();
    let server_side = async {
        peer.requests(3).await;
        peer.send_in_pieces(&[b":1\r\n", bytes.as_slice()].concat(), piece).await;
        peer.send_repeatedly(&more.0, more.1).await;
        assert!(
            peer.rest().await.is_empty(),
            "{name}: the connection is closed, nothing is sent again"
        );
        server.greet().await
    };
    let (first, second, third, mut peer) = ends(async {
        tokio::join!(
            client.send(XLen::new("a")),
            client.send(XLen::new("b")),
            client.send(XLen::new("c")),
            server_side
        )
    })
    .await;
    assert_eq!(first.expect(name), 1, "{name}: complete replies are delivered");
    for lost in [second, third] {
        let error = lost.expect_err(name);
        assert!(
            matches!(&error, Error::Protocol { command: "XLEN", source , .. } if source == wrong),
            "{name}: {error:?}"
        );
        assert_eq!(error.outcome(), Outcome::Unknown, "{name}");
    }
    // The first reconnect attempt is made within 10 ms.
    assert!(start.elapsed() < ms(1000), "{name}: {:?}", start.elapsed());
    let (next, request) = tokio::join!(client.send(XLen::new("next")), peer.answer(":4\r\n"));
    assert_eq!((next.expect(name), request.as_str()), (4, "XLEN next"), "{name}");
    peer
}

#[tokio::test(start_paused = true)]
async fn malformed_bytes_end_only_the_connection() {
    let config = config().reply_bytes(REPLY_BYTES);
    for piece in [usize::MAX, 1] {
        for mut fault in faults() {
            if piece == 1 {
                // Byte by byte, a fault is detected at the latest where a valid reply could end.
                fault.bytes.extend_from_slice(&[b'x'; 64]);
            }
            let server = Server::new();
            let (client, peer) = server.connect(config.clone()).await;
            send_fault(&server, &client, peer, &fault, piece).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn connection_closed_inside_a_reply_is_lost() {
    let server = Server::new();
    let (client, mut peer) = server.connect(config()).await;
    let cut = async {
        peer.requests(2).await;
        peer.send(":1\r\n$5\r\nhel").await;
        drop(peer);
        server.greet().await
    };
    let (first, second, mut peer) =
        ends(async { tokio::join!(client.send(XLen::new("a")), client.send(XLen::new("b")), cut) })
            .await;
    assert_eq!(first.unwrap(), 1);
    let error = second.unwrap_err();
    assert!(matches!(error, Error::Lost { reason: Disconnect::Eof, .. }), "{error:?}");
    assert_eq!(error.outcome(), Outcome::Unknown);
    let (third, request) = tokio::join!(client.send(XLen::new("c")), peer.answer(":3\r\n"));
    assert_eq!((third.unwrap(), request.as_str()), (3, "XLEN c"));
}

#[tokio::test(start_paused = true)]
async fn half_a_reply_times_out_and_its_rest_is_discarded() {
    for half in ["+OK", "$5\r\nhel", "*2\r\n:1\r\n", "%?\r\n+k\r\n", "$?\r\n;3\r\nabc\r\n"] {
        let rest = match half.as_bytes()[0] {
            b'+' => "\r\n",
            b'$' if half.ends_with('l') => "lo\r\n",
            b'*' => "+x\r\n",
            b'%' => "+v\r\n.\r\n",
            _ => ";0\r\n",
        };
        let server = Server::new();
        let (client, mut peer) = server.connect(config().command_timeout(ms(300))).await;
        let start = Instant::now();
        let (late, _) = tokio::join!(client.send(XLen::new("a")), peer.answer(half));
        let error = late.unwrap_err();
        assert!(matches!(error, Error::TimedOut { .. }), "{half:?}: {error:?}");
        assert_eq!((error.outcome(), start.elapsed()), (Outcome::Unknown, ms(300)), "{half:?}");
        let both = format!("{rest}:7\r\n");
        let (next, _) = tokio::join!(client.send(XLen::new("b")), peer.answer(both));
        assert_eq!(next.unwrap(), 7, "{half:?}");
        assert_eq!(server.dials().len(), 1, "{half:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn handshake_answer_that_is_not_resp_has_a_precise_error() {
    let http = "HTTP/1.1 400 Bad Request\r\n\r\n";
    let byte = |byte| P::UnknownType { byte };
    let rows: [(&str, &[u8], &dyn Fn(&ConnectReason) -> bool); 8] = [
        ("http", http.as_bytes(), &|e| matches!(e, ConnectReason::Protocol(p) if *p == byte(b'H'))),
        ("tls", b"\x15\x03\x03", &|e| matches!(e, ConnectReason::Tls(_))),
        ("deep", &b"*1\r\n".repeat(100), &|e| {
            matches!(e, ConnectReason::Protocol(P::TooDeep { limit: 64 }))
        }),
        ("long", &[b'+'; 70_000], &|e| {
            matches!(e, ConnectReason::Protocol(P::LineTooLong { limit: 65_536 }))
        }),
        ("not a map", b"+OK\r\n", &|e| matches!(e, ConnectReason::Decode(_))),
        ("a map of other things", b"%1\r\n+k\r\n+v\r\n", &|e| {
            matches!(e, ConnectReason::Decode(_))
        }),
        ("nothing", b"", &|e| matches!(e, ConnectReason::Eof)),
        ("half", b"%4\r\n$6\r\nserver", &|e| matches!(e, ConnectReason::Eof)),
    ];
    for (name, bytes, is_right) in rows {
        let server = Server::new();
        let answer = async {
            let mut peer = server.accept().await;
            peer.requests(3).await;
            peer.send(bytes).await;
            drop(peer);
            if name == "nothing" {
                assert_eq!(server.accept().await.request().await, "PING");
            }
        };
        let (client, ()) =
            ends(async { tokio::join!(Client::connect_with(config(), server.dialler()), answer) })
                .await;
        match client.expect_err(name) {
            Error::Connect(error) => assert!(is_right(error.reason()), "{name}: {error:?}"),
            other => panic!("{name}: {other:?}"),
        }
        // Only a hang-up without any bytes can be a reaction to HELLO.
        let dials = if name == "nothing" { 2 } else { 1 };
        assert_eq!(server.dials().len(), dials, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn handshake_accepts_any_fragmentation_and_pushes() {
    let push = ">2\r\n+invalidate\r\n*0\r\n";
    let answers = format!("{push}{}{push}+OK\r\n{push}+OK\r\n{push}", hello_reply(9));
    for piece in 1..=answers.len() {
        let server = Server::new();
        let answer = async {
            let mut peer = server.accept().await;
            peer.requests(3).await;
            peer.send_in_pieces(answers.as_bytes(), piece).await;
            peer
        };
        let (client, mut peer) =
            ends(async { tokio::join!(Client::connect_with(config(), server.dialler()), answer) })
                .await;
        let client = client.unwrap();
        assert_eq!(client.connection_id(), Some(9));
        let (next, _) = tokio::join!(client.send(XLen::new("s")), peer.answer(":7\r\n"));
        assert_eq!(next.unwrap(), 7, "pieces of {piece}");
    }
}
