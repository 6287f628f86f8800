//! The replies used in benchmarks equal those of a real server, byte for byte.

#[path = "../../benches/shapes/mod.rs"]
mod replies;

use crate::both::in_both;
use bourn::command::encode;
use bourn::{
    Client, Command, EntryId, GroupFrom, ReadFrom, StartAt, XAdd, XGroupCreate, XRange, XRead,
    XReadGroup,
};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const KEYS: [&str; 2] = ["a", "b"];

async fn add(client: &Client, key: &str, entries: &[replies::Fields]) {
    client.send(XGroupCreate::new(key, "g", StartAt::START).mk_stream()).await.unwrap();
    for (n, fields) in entries.iter().enumerate() {
        let fields = fields.iter().map(|(name, value)| (name, value));
        let add = XAdd::new(key).id(EntryId::from(replies::id(n))).fields(fields);
        client.send(add).await.unwrap();
    }
}

/// Returns the `len` bytes of the reply.
fn bytes(stream: &mut TcpStream, command: &impl Command, len: usize) -> String {
    stream.write_all(&encode(command)).unwrap();
    let mut reply = vec![0; len];
    stream.read_exact(&mut reply).unwrap();
    reply.escape_ascii().to_string()
}

#[test]
fn benchmark_replies_equal_those_of_a_server() {
    in_both(async |server, client| {
        let shapes = [
            replies::even(20, 1, 16),
            replies::even(20, 5, 32),
            replies::uneven(20, 5, 32),
            replies::even(2, 1, 4096),
        ];
        for entries in shapes {
            client.send(bourn::Raw::new("FLUSHALL")).await.unwrap();
            add(client, KEYS[0], &entries).await;
            add(client, KEYS[1], &entries).await;
            for resp3 in [false, true] {
                let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                if resp3 {
                    stream.write_all(b"HELLO 3\r\n").unwrap();
                    // The reply to HELLO ends before the reply to the next command, which is
                    // recognised by its end.
                    let (mut greeting, mut byte) = (Vec::new(), [0]);
                    stream.write_all(b"ECHO after-it\r\n").unwrap();
                    while !greeting.ends_with(b"after-it\r\n") {
                        stream.read_exact(&mut byte).unwrap();
                        greeting.extend(byte);
                    }
                }
                let range = replies::range(&entries);
                let got = bytes(&mut stream, &XRange::new(KEYS[0], ..), range.len());
                assert_eq!(got, range.escape_ascii().to_string());

                let expected = replies::streams(&KEYS, &entries, resp3);
                let read =
                    KEYS.iter().fold(XRead::new(), |read, key| read.stream(key, ReadFrom::START));
                let got = bytes(&mut stream, &read, expected.len());
                assert_eq!(got, expected.escape_ascii().to_string());
            }
            let group = XReadGroup::new("g", "c").stream(KEYS[0], GroupFrom::New);
            assert_eq!(client.send(group).await.unwrap().len(), entries.len());
        }
    });
}
