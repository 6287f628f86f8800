//! Replies with any contents, written as servers write them in either protocol, and decoded.
//!
//! | module | contents |
//! |---|---|
//! | here | the property that each reply must have |
//! | [`node`] | a reply without its protocol form, and the servers that write it |
//! | the others | the contents of some commands' replies, and their form |
//!
//! The contents are plain values or structs of these tests. The crate has no part in writing them.

mod cluster;
mod entries;
mod full;
mod info;
mod node;
mod pending;
mod plain;
mod server;

use bourn::resp::{DecodeError, Frame, Limits, Scanner};
use node::{Node, Server, servers};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};
use std::fmt::Debug;

const CASES: u32 = 96;

/// Checks that a reply decodes to its contents, whichever server wrote it.
fn law<M: Debug + PartialEq, R: Debug>(
    decode: impl Fn(Frame) -> Result<R, DecodeError>,
    meanings: impl Strategy<Value = M>,
    write: impl Fn(&M) -> Node,
    read: impl Fn(R) -> M,
) {
    law_of(decode, meanings, write, |reply, meaning, bytes| {
        prop_assert_eq!(read(reply), meaning, "{}", bytes);
        Ok(())
    });
}

/// Like `law`, for a reply that is not compared directly; the check also gets the bytes, to print
/// them. No prefix of a reply is a frame, and no changed byte causes a panic.
fn law_of<M: Debug, R: Debug>(
    decode: impl Fn(Frame) -> Result<R, DecodeError>,
    meanings: impl Strategy<Value = M>,
    write: impl Fn(&M) -> Node,
    check: impl Fn(R, M, &str) -> Result<(), TestCaseError>,
) {
    let config = Config { source_file: Some(file!()), ..Config::with_cases(CASES) };
    let changes = vec((any::<Index>(), any::<u8>()), 8);
    let run = |(meaning, server, changes): (M, Server, Vec<(Index, u8)>)| {
        let bytes = server.write(&write(&meaning));
        no_cut_is_a_frame(&bytes)?;
        let reply = decode(parse(&bytes)?);
        let reply = reply.map_err(|error| failed(&bytes, &error.to_string()))?;
        check(reply, meaning, &bytes.escape_ascii().to_string())?;
        for (place, byte) in changes {
            let mut changed = bytes.clone();
            changed[place.index(bytes.len())] = byte;
            if let Ok(Ok(reply)) = Frame::parse(changed, Limits::default()).map(&decode) {
                // Printing it reads every part of it.
                let _ = format!("{reply:?}");
            }
        }
        Ok(())
    };
    let result = TestRunner::new(config).run(&(meanings, servers(), changes), run);
    result.unwrap_or_else(|error| panic!("{error}"));
}

fn no_cut_is_a_frame(bytes: &[u8]) -> Result<(), TestCaseError> {
    let mut scanner = Scanner::new(Limits::default());
    for end in 0..bytes.len() {
        prop_assert_eq!(scanner.scan(&bytes[..end]), Ok(None), "{} of {:?}", end, bytes);
    }
    prop_assert_eq!(scanner.scan(bytes), Ok(Some(bytes.len())));
    Ok(())
}

fn parse(bytes: &[u8]) -> Result<Frame, TestCaseError> {
    let frame = Frame::parse(bytes.to_vec(), Limits::default());
    frame.map_err(|error| failed(bytes, &error.to_string()))
}

fn failed(bytes: &[u8], why: &str) -> TestCaseError {
    TestCaseError::fail(format!("{why}: {}", bytes.escape_ascii()))
}
