//! HELLO: what a server says of itself, and requests of the connection's own. Pure.
#![cfg(any(test, feature = "tokio"))]

use crate::resp::{Args, Cursor, DecodeError, Frame, Measure, Writer};
use crate::server::Server;

/// Who answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HelloReply {
    /// Who answered.
    pub(crate) server: Server,
    /// The protocol now spoken: 2 or 3.
    pub(crate) proto: i64,
    /// The connection's id.
    pub(crate) id: Option<i64>,
    /// `standalone`, `cluster` or `sentinel`.
    pub(crate) mode: Option<String>,
    /// `master` or `replica`; a sentinel has none.
    pub(crate) role: Option<String>,
}

/// Reads the reply to HELLO: a map, or the flat array that RESP2 has in its place.
///
/// Every release adds keys, and not at the end: those that are not known are passed over.
pub(crate) fn reply(frame: &Frame) -> Result<HelloReply, DecodeError> {
    let mut cursor = frame.cursor();
    let (mut server, mut version, mut proto) = (None, None, None);
    let (mut id, mut mode, mut role) = (None, None, None);
    for _ in 0..cursor.pairs("a reply to HELLO")? {
        match cursor.string("a key of HELLO's reply")? {
            b"server" => server = text(&mut cursor, "a server's name")?,
            b"version" => version = text(&mut cursor, "a server's version")?,
            b"proto" => proto = cursor.integer_or_null("a protocol's number")?,
            b"id" => id = cursor.integer_or_null("a connection's id")?,
            b"mode" => mode = text(&mut cursor, "a server's mode")?,
            b"role" => role = text(&mut cursor, "a server's role")?,
            _ => cursor.skip(),
        }
    }
    let missing = |expected| DecodeError::new(expected, "a reply to HELLO without it");
    let server = server.ok_or_else(|| missing("a server's name"))?;
    let version = version.ok_or_else(|| missing("a server's version"))?;
    Ok(HelloReply {
        server: Server::new(&server, &version),
        proto: proto.ok_or_else(|| missing("a protocol's number"))?,
        id,
        mode,
        role,
    })
}

fn text(cursor: &mut Cursor<'_>, expected: &'static str) -> Result<Option<String>, DecodeError> {
    let text = cursor.string_or_null(expected)?;
    Ok(text.map(|text| String::from_utf8_lossy(text).into_owned()))
}

/// Writes one request to the end of `out`; `args` has the name first.
pub(crate) fn write_request(out: &mut Vec<u8>, args: &[&[u8]]) {
    let mut measure = Measure::default();
    args.iter().for_each(|arg| measure.bytes(arg));
    let mut writer = Writer::begin(out, &measure);
    args.iter().for_each(|arg| writer.bytes(arg));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::Limits;

    const REDIS: [&str; 7] = [
        "$6\r\nserver\r\n$5\r\nredis\r\n",
        "$7\r\nversion\r\n$6\r\n8.10.2\r\n",
        "$5\r\nproto\r\n:3\r\n",
        "$2\r\nid\r\n:496\r\n",
        "$4\r\nmode\r\n$10\r\nstandalone\r\n",
        "$4\r\nrole\r\n$6\r\nmaster\r\n",
        "$7\r\nmodules\r\n*1\r\n*4\r\n$4\r\nname\r\n$6\r\nserver\r\n$4\r\nargs\r\n*0\r\n",
    ];

    fn redis() -> HelloReply {
        HelloReply {
            server: Server::new("redis", "8.10.2"),
            proto: 3,
            id: Some(496),
            mode: Some("standalone".into()),
            role: Some("master".into()),
        }
    }

    fn read(bytes: String) -> Result<HelloReply, DecodeError> {
        reply(&Frame::parse(bytes, Limits::default()).unwrap())
    }

    #[test]
    fn keys_are_found_by_name_in_a_map_and_in_a_flat_array() {
        let mut backwards = REDIS;
        backwards.reverse();
        for pairs in [REDIS, backwards] {
            assert_eq!(read(format!("%7\r\n{}", pairs.concat())), Ok(redis()));
            assert_eq!(read(format!("*14\r\n{}", pairs.concat())), Ok(redis()));
        }
    }

    #[test]
    fn only_server_version_and_protocol_must_be_there() {
        for missing in 0..REDIS.len() {
            let mut pairs = REDIS.to_vec();
            pairs.remove(missing);
            let expected = match missing {
                0..=2 => None,
                3 => Some(HelloReply { id: None, ..redis() }),
                4 => Some(HelloReply { mode: None, ..redis() }),
                5 => Some(HelloReply { role: None, ..redis() }),
                _ => Some(redis()),
            };
            assert_eq!(read(format!("%6\r\n{}", pairs.concat())).ok(), expected, "{pairs:?}");
        }
    }

    #[test]
    fn another_reply_is_an_error() {
        for bytes in ["+OK\r\n", "_\r\n", "*-1\r\n", "*1\r\n+server\r\n", "%1\r\n+server\r\n:1\r\n"]
        {
            assert!(read(bytes.to_owned()).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn requests_follow_each_other() {
        let mut out = Vec::new();
        write_request(&mut out, &[b"HELLO", b"3"]);
        write_request(&mut out, &[b"AUTH", b"a b\r\n", b""]);
        let expected =
            "*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n*3\r\n$4\r\nAUTH\r\n$5\r\na b\r\n\r\n$0\r\n\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
