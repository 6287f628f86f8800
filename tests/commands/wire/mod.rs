//! The exact wire text of every command, with every option, as tables.

mod add;
mod connection;
mod entries;
mod groups;
mod keys;
mod pending;
mod read;
mod server;
mod stream;

use bourn::command::encode;
use bourn::{EntryId, Raw, StartAt, XGroupCreate, XLen};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const A: EntryId = EntryId::new(1, 2);
const B: EntryId = EntryId::new(3, 4);

/// Encodes a request with these arguments in the plainest way.
fn wire<W: AsRef<[u8]>>(words: &[W]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        out.extend_from_slice(format!("${}\r\n", word.as_ref().len()).as_bytes());
        out.extend_from_slice(word.as_ref());
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// Compares each row, and names the one that differs.
fn check(rows: impl IntoIterator<Item = (Vec<u8>, &'static str)>) {
    for (request, expected) in rows {
        let words: Vec<_> = expected.split(' ').collect();
        let (got, want) = (request.escape_ascii(), wire(&words));
        assert_eq!(got.to_string(), want.escape_ascii().to_string(), "{expected}");
    }
}

#[test]
fn request_is_an_array_of_bulk_strings() {
    assert_eq!(encode(&XLen::new("orders")), b"*2\r\n$4\r\nXLEN\r\n$6\r\norders\r\n");
    let create = XGroupCreate::new(b"\r\n", "", StartAt::End);
    let expected = b"*5\r\n$6\r\nXGROUP\r\n$6\r\nCREATE\r\n$2\r\n\r\n\r\n$0\r\n\r\n$1\r\n$\r\n";
    assert_eq!(encode(&create), expected);
    let long = vec![b'\0'; 1 << 20];
    assert_eq!(encode(&XLen::new(&long)), wire(&[b"XLEN", &long[..]]));
}

#[test]
fn raw_command_encodes_its_words_and_arguments() {
    check([
        (encode(&Raw::new("PING")), "PING"),
        (
            encode(&Raw::new("xinfo  stream").arg("s").args(["FULL", "COUNT"]).arg(0)),
            "xinfo stream s FULL COUNT 0",
        ),
    ]);
    let request = encode(&Raw::new("ECHO").arg("two words"));
    assert_eq!(request, wire(&["ECHO", "two words"]));
}
