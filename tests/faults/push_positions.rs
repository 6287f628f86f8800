//! Pushes and attributes at every boundary of a recorded RESP3 session: before each reply, and
//! before each value inside one.
//!
//! | inserted | between replies | inside a reply |
//! |---|---|---|
//! | a push | ignored | ends the connection: complete replies are delivered, the others unknown |
//! | an attribute | ignored | ignored |
//! | a push and an attribute | ignored | ends the connection |
//! | an attribute, and a push in place of its value | ends the connection | ends the connection |
//!
//! After the last reply, an attribute is the start of an unsolicited reply.

use super::peer::{Peer, Server, config, ends, ms, settle};
use bourn::resp::ProtocolError;
use bourn::{
    Client, ConnectReason, Disconnect, Entries, EntryId, Error, GroupFrom, Outcome, StartAt,
    Streams, XAck, XAdd, XAutoClaim, XGroupCreate, XInfoStream, XLen, XPendingRange, XRange, XRead,
    XReadGroup,
};
use std::fmt::Debug;

const PUSH: &str = ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\ns\r\n";
const ATTRIBUTE: &str = "|1\r\n$14\r\nkey-popularity\r\n*2\r\n$1\r\ns\r\n:90\r\n";

/// A reply recorded from a real server.
macro_rules! recorded {
    ($name:literal) => {
        include_bytes!(concat!("../fixtures/replies/redis-8.10.2/resp3/", $name, ".resp"))
            .as_slice()
    };
}

/// The bytes inserted at a boundary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inserted {
    Push,
    Attribute,
    PushAndAttribute,
    AttributeAndPush,
}

const INSERTED: [Inserted; 4] =
    [Inserted::Push, Inserted::Attribute, Inserted::PushAndAttribute, Inserted::AttributeAndPush];

impl Inserted {
    fn bytes(self) -> String {
        match self {
            Self::Push => PUSH.to_owned(),
            Self::Attribute => ATTRIBUTE.to_owned(),
            Self::PushAndAttribute => PUSH.to_owned() + ATTRIBUTE,
            Self::AttributeAndPush => ATTRIBUTE.to_owned() + PUSH,
        }
    }

    /// Whether there is a push where none is allowed.
    fn is_wrong(self, inside: bool) -> bool {
        match self {
            Self::Push | Self::PushAndAttribute => inside,
            Self::Attribute => false,
            Self::AttributeAndPush => true,
        }
    }
}

/// A position before a value.
#[derive(Debug, Clone, Copy)]
struct Place {
    at: usize,
    /// The frame that contains the position, or that starts there.
    frame: usize,
    inside: bool,
}

/// Returns every boundary of these bytes except the last.
fn places(bytes: &[u8]) -> Vec<Place> {
    let (mut places, mut at, mut frame) = (Vec::new(), 0, 0);
    while at < bytes.len() {
        let mut open = 1;
        while open > 0 {
            let first = places.last().is_none_or(|place: &Place| place.frame != frame);
            places.push(Place { at, frame, inside: !first });
            let line = bytes[at..].windows(2).position(|pair| pair == b"\r\n").unwrap();
            let count = std::str::from_utf8(&bytes[at + 1..at + line]).unwrap().parse::<usize>();
            let (children, body) = match bytes[at] {
                b'$' => (0, count.unwrap() + 2),
                b'*' | b'~' => (count.unwrap(), 0),
                b'%' => (2 * count.unwrap(), 0),
                _ => (0, 0),
            };
            open = open - 1 + children;
            at += line + 2 + body;
        }
        frame += 1;
    }
    places
}

fn with(bytes: &[u8], at: usize, inserted: Inserted) -> Vec<u8> {
    [&bytes[..at], inserted.bytes().as_bytes(), &bytes[at..]].concat()
}

/// Returns the replies of a session, one after another.
fn replies() -> Vec<u8> {
    let queued = b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n".as_slice();
    [
        recorded!("xadd_id"),
        recorded!("xgroup_busy"),
        recorded!("xreadgroup"),
        recorded!("xrange"),
        recorded!("xautoclaim"),
        recorded!("xack"),
        recorded!("xadd_nomkstream"),
        recorded!("xpending_ext"),
        recorded!("xinfo_stream"),
        queued,
        recorded!("xadd_id"),
        recorded!("xack"),
        recorded!("xlen"),
    ]
    .concat()
}

/// The frame that completes each result of a session.
const LAST_FRAMES: [usize; 11] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 13];

const REQUESTS: usize = 14;

/// A result to compare. An error reply counts as a reply.
type Shown = Result<String, Error>;

fn shown<T: Debug>(result: Result<T, Error>) -> Shown {
    match result {
        Ok(reply) => Ok(format!("{reply:?}")),
        Err(Error::Server(error)) => Ok(error.to_string()),
        Err(error) => Err(error),
    }
}

fn entries(result: Result<Entries, Error>) -> Shown {
    shown(result.map(|entries| entries.iter().map(|entry| entry.to_entry()).collect::<Vec<_>>()))
}

fn streams(result: Result<Streams, Error>) -> Shown {
    shown(result.map(|streams| {
        let streams = streams.into_streams();
        let entries = |stream: bourn::StreamEntries| entries(Ok(stream.into_entries())).unwrap();
        streams.map(entries).collect::<Vec<_>>()
    }))
}

/// Sends the commands of a session, all in flight at once.
async fn session(client: &Client) -> Vec<Shown> {
    let id = EntryId::new(1, 1);
    let add = || XAdd::new("s").id(id).field("a", "1");
    // As many ids as the replies may count.
    let ids = [id; 9];
    let ack = || XAck::new("s", "g", &ids);
    let claim = XAutoClaim::new("s", "g", "c", ms(0), bourn::EntryId::MIN).count(1);
    let (added, created, read, range, claimed, batch, pending, info, both, length) = tokio::join!(
        client.send(add()),
        client.send(XGroupCreate::new("s", "g", StartAt::START)),
        client.send(XReadGroup::new("g", "c").stream("s", GroupFrom::New)),
        client.send(XRange::new("s", ..)),
        client.send(claim),
        client.send_all((ack(), add().no_mk_stream())),
        client.send(XPendingRange::new("s", "g", .., 10)),
        client.send(XInfoStream::new("s")),
        client.transact((add(), ack())),
        client.send(XLen::new("s")),
    );
    let both = both.map(|(added, acked)| (added.unwrap(), acked.unwrap()));
    vec![
        shown(added),
        shown(created),
        streams(read),
        entries(range),
        shown(claimed),
        shown(batch.0),
        shown(batch.1),
        shown(pending),
        shown(info),
        shown(both),
        shown(length),
    ]
}

/// Runs the session with these bytes as replies.
async fn answered(client: &Client, peer: &mut Peer, bytes: &[u8], piece: usize) -> Vec<Shown> {
    let answer = async {
        peer.requests(REQUESTS).await;
        peer.send_in_pieces(bytes, piece).await;
    };
    let (results, ()) = ends(async { tokio::join!(session(client), answer) }).await;
    results
}

/// Returns the session's results without inserted bytes.
async fn undisturbed() -> Vec<String> {
    let server = Server::new();
    let (client, mut peer) = server.connect(config()).await;
    let results = answered(&client, &mut peer, &replies(), usize::MAX).await;
    results.into_iter().map(Result::unwrap).collect()
}

#[track_caller]
fn is_broken(result: Shown, what: &str) {
    let error = result.expect_err(what);
    let Error::Protocol { source: ProtocolError::Push, .. } = &error else {
        panic!("{what}: {error:?}");
    };
    assert_eq!(error.outcome(), Outcome::Unknown, "{what}");
}

/// Checks that the next command is answered, on the connection with this number.
async fn next_works(server: &Server, client: &Client, mut peer: Peer, number: usize, what: &str) {
    if number > 1 {
        assert!(peer.rest().await.is_empty(), "{what}: nothing is sent again");
        peer = server.greet().await;
    }
    let (next, request) =
        ends(async { tokio::join!(client.send(XLen::new("next")), peer.answer(":7\r\n")) }).await;
    assert_eq!((next.expect(what), request.as_str()), (7, "XLEN next"), "{what}");
    assert_eq!((peer.number, server.dials().len()), (number, number), "{what}");
}

#[tokio::test(start_paused = true)]
async fn pushes_and_attributes_in_every_position_of_a_session() {
    let expected = undisturbed().await;
    let bytes = replies();
    let places = places(&bytes);
    assert_eq!(places.last().map(|place| place.frame), LAST_FRAMES.last().copied());
    let mut tried = 0;
    for place in places {
        for inserted in INSERTED {
            for piece in [usize::MAX, 7] {
                let what = format!("{inserted:?} at {place:?}, in pieces of {piece}");
                let server = Server::new();
                let (client, mut peer) = server.connect(config()).await;
                let sent = with(&bytes, place.at, inserted);
                let results = answered(&client, &mut peer, &sent, piece).await;
                let wrong = inserted.is_wrong(place.inside);
                for ((result, expected), last) in
                    results.into_iter().zip(&expected).zip(LAST_FRAMES)
                {
                    if wrong && last >= place.frame {
                        is_broken(result, &what);
                    } else {
                        assert_eq!(&result.expect(&what), expected, "{what}");
                    }
                }
                next_works(&server, &client, peer, if wrong { 2 } else { 1 }, &what).await;
                tried += 1;
            }
        }
    }
    println!("{tried} sessions");
}

#[tokio::test(start_paused = true)]
async fn pushes_and_attributes_after_the_last_reply_of_a_session() {
    let expected = undisturbed().await;
    let bytes = replies();
    for inserted in INSERTED {
        for piece in [usize::MAX, 7] {
            let what = format!("{inserted:?} in pieces of {piece}");
            let server = Server::new();
            let (client, mut peer) = server.connect(config()).await;
            let sent = with(&bytes, bytes.len(), inserted);
            for (result, expected) in
                answered(&client, &mut peer, &sent, piece).await.into_iter().zip(&expected)
            {
                assert_eq!(&result.expect(&what), expected, "{what}");
            }
            settle().await;
            // An attribute is the start of a value that no command requested.
            let number = if inserted == Inserted::Push { 1 } else { 2 };
            next_works(&server, &client, peer, number, &what).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn pushes_and_attributes_in_every_position_of_a_handshake() {
    let bytes = [recorded!("hello3"), b"+OK\r\n+OK\r\n"].concat();
    for place in places(&bytes) {
        for inserted in INSERTED {
            for piece in [usize::MAX, 7] {
                let what = format!("{inserted:?} at {place:?}, in pieces of {piece}");
                let server = Server::new();
                let answer = async {
                    let mut peer = server.accept().await;
                    peer.requests(3).await;
                    peer.send_in_pieces(&with(&bytes, place.at, inserted), piece).await;
                    peer
                };
                let (client, mut peer) = ends(async {
                    tokio::join!(Client::connect_with(config(), server.dialler()), answer)
                })
                .await;
                if inserted.is_wrong(place.inside) {
                    let error = client.expect_err(&what);
                    assert_eq!(error.outcome(), Outcome::NotSent, "{what}");
                    let Error::Connect(connect) = &error else { panic!("{what}: {error:?}") };
                    let ConnectReason::Protocol(ProtocolError::Push) = connect.reason() else {
                        panic!("{what}: {error:?}");
                    };
                    continue;
                }
                let client = client.expect(&what);
                assert_eq!(client.connection_id(), Some(496), "{what}");
                let version = client.server().expect(&what).version().to_string();
                assert_eq!(version, "8.10.2", "{what}");
                let (next, _) = tokio::join!(client.send(XLen::new("s")), peer.answer(":7\r\n"));
                assert_eq!(next.expect(&what), 7, "{what}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn pushes_and_attributes_in_every_position_of_a_blocking_read() {
    let bytes = recorded!("xreadgroup");
    let again = recorded!("xread");
    for place in places(bytes) {
        for inserted in INSERTED {
            for piece in [usize::MAX, 7] {
                let what = format!("{inserted:?} at {place:?}, in pieces of {piece}");
                let server = Server::new();
                let (client, _peer) = server.connect(config()).await;
                let (reader, mut peer) = tokio::join!(client.reader(), server.greet());
                let mut reader = reader.unwrap();
                let read = XReadGroup::new("g", "c").stream("s", GroupFrom::New).block(ms(5000));
                let (result, ()) = ends(async {
                    tokio::join!(reader.read(read), async {
                        peer.request().await;
                        peer.send_in_pieces(&with(bytes, place.at, inserted), piece).await;
                    })
                })
                .await;
                if inserted.is_wrong(place.inside) {
                    is_broken(streams(result), &what);
                    assert!(peer.rest().await.is_empty(), "{what}");
                    peer = server.greet().await;
                } else {
                    let ids: Vec<_> = result.expect(&what).get("s").unwrap().ids().collect();
                    assert_eq!(ids, [EntryId::new(1, 1), EntryId::new(2, 1)], "{what}");
                }
                let next = XRead::new().stream("s", bourn::ReadFrom::After(EntryId::MIN));
                let (result, _) =
                    ends(async { tokio::join!(reader.read(next), peer.answer(again)) }).await;
                assert!(!result.expect(&what).is_empty(), "{what}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn idle_connection_accepts_pushes_and_rejects_attributes() {
    for inserted in INSERTED {
        let server = Server::new();
        let (client, mut peer) = server.connect(config()).await;
        let mut events = client.events();
        events.next().await;
        peer.send(inserted.bytes()).await;
        settle().await;
        let number = if inserted == Inserted::Push { 1 } else { 2 };
        if number == 2 {
            let event = events.next().await;
            let Some(bourn::Event::Disconnected { reason: Disconnect::Protocol(wrong), .. }) =
                event
            else {
                panic!("{inserted:?}: {event:?}");
            };
            let expected = match inserted {
                Inserted::AttributeAndPush => ProtocolError::Push,
                _ => ProtocolError::Unasked,
            };
            assert_eq!(wrong, expected, "{inserted:?}");
        }
        next_works(&server, &client, peer, number, "while idle").await;
    }
}
