//! Every RESP type in place of every command's reply: a value where the command accepts the type, a
//! decode error otherwise. Other commands are not affected.

use super::peer::{Peer, Server, config, ends};
use bourn::{
    Client, Command, EntryId, Error, GroupFrom, Outcome, Raw, ReadFrom, StartAt, Trim, XAck, XAdd,
    XAutoClaim, XClaim, XDel, XGroupCreate, XGroupCreateConsumer, XGroupDelConsumer, XGroupDestroy,
    XGroupSetId, XLen, XPending, XRange, XRead, XReadGroup, XRevRange, XTrim,
};
use std::fmt::Debug;
use std::time::Duration;

/// The name of a reply type and its bytes.
const REPLIES: [(&str, &str); 44] = [
    ("null", "_\r\n"),
    ("null bulk string", "$-1\r\n"),
    ("null array", "*-1\r\n"),
    ("0", ":0\r\n"),
    ("1", ":1\r\n"),
    ("7", ":7\r\n"),
    ("-1", ":-1\r\n"),
    ("OK", "+OK\r\n"),
    ("QUEUED", "+QUEUED\r\n"),
    ("empty simple", "+\r\n"),
    ("bulk OK", "$2\r\nOK\r\n"),
    ("verbatim OK", "=6\r\ntxt:OK\r\n"),
    ("empty bulk", "$0\r\n\r\n"),
    ("text", "$5\r\nhello\r\n"),
    ("bytes", "$3\r\n\x00\r\n\r\n"),
    ("bulk 7", "$1\r\n7\r\n"),
    ("bulk id", "$3\r\n1-2\r\n"),
    ("simple id", "+1-2\r\n"),
    ("verbatim id", "=7\r\ntxt:1-2\r\n"),
    ("verbatim", "=9\r\ntxt:hello\r\n"),
    ("empty array", "*0\r\n"),
    ("array of integers", "*2\r\n:1\r\n:2\r\n"),
    ("array of ids", "*2\r\n$3\r\n1-2\r\n$3\r\n3-4\r\n"),
    ("array of nulls", "*2\r\n_\r\n*-1\r\n"),
    ("array of errors", "*2\r\n-ERR a\r\n-ERR b\r\n"),
    ("nested arrays", "*2\r\n*1\r\n*1\r\n:1\r\n*0\r\n"),
    ("array of one null", "*1\r\n_\r\n"),
    ("empty map", "%0\r\n"),
    ("map", "%1\r\n+k\r\n+v\r\n"),
    ("empty set", "~0\r\n"),
    ("set", "~2\r\n+a\r\n+b\r\n"),
    ("double", ",7.5\r\n"),
    ("infinity", ",inf\r\n"),
    ("true", "#t\r\n"),
    ("false", "#f\r\n"),
    ("big number", "(123456789012345678901234567890\r\n"),
    ("streamed string", "$?\r\n;3\r\n1-2\r\n;0\r\n"),
    ("streamed array", "*?\r\n:1\r\n.\r\n"),
    ("streamed empty array", "*?\r\n.\r\n"),
    ("streamed set", "~?\r\n:1\r\n.\r\n"),
    ("streamed map", "%?\r\n+k\r\n+v\r\n.\r\n"),
    ("attribute and null", "|1\r\n+k\r\n+v\r\n_\r\n"),
    ("array of streamed arrays", "*2\r\n*?\r\n:1\r\n.\r\n*?\r\n.\r\n"),
    ("map of a map", "%1\r\n+k\r\n%1\r\n+k\r\n*1\r\n*1\r\n:1\r\n"),
];

const ERRORS: [(&str, &str); 4] = [
    ("error", "-ERR no\r\n"),
    ("error of any bytes", "-\x01no code\r\n"),
    ("bulk error", "!6\r\nERR no\r\n"),
    ("attribute and error", "|1\r\n+k\r\n+v\r\n-ERR no\r\n"),
];

/// Sends the command between two others. All three replies arrive at once.
async fn ask<C: Command>(
    client: &Client,
    peer: &mut Peer,
    command: C,
    reply: &str,
) -> Result<C::Reply, Error> {
    let (before, result, after, ()) = ends(async {
        tokio::join!(
            client.send(XLen::new("before")),
            client.send(command),
            client.send(XLen::new("after")),
            async {
                peer.requests(3).await;
                peer.send(format!(":11\r\n{reply}:22\r\n")).await;
            }
        )
    })
    .await;
    assert_eq!((before.expect(reply), after.expect(reply)), (11, 22), "neighbours of {reply:?}");
    result
}

/// `right` is the command's usual reply, `fine` the other types that it accepts.
async fn check<C>(command: C, right: &str, fine: &[&str])
where
    C: Command + Clone,
    C::Reply: Debug + PartialEq,
{
    let server = Server::new();
    let (client, mut peer) = server.connect(config()).await;
    for (name, reply) in REPLIES {
        let result = ask(&client, &mut peer, command.clone(), reply).await;
        match result {
            Ok(value) => {
                assert!(fine.contains(&name), "{} takes {name} for {value:?}", C::NAME);
            }
            Err(error) => {
                assert!(!fine.contains(&name), "{} does not accept {name}: {error:?}", C::NAME);
                assert!(matches!(error, Error::Decode { .. }), "{} {name}: {error:?}", C::NAME);
                assert_eq!(error.outcome(), Outcome::Unknown, "{} {name}", C::NAME);
            }
        }
    }
    for (name, reply) in ERRORS {
        let error = ask(&client, &mut peer, command.clone(), reply).await.expect_err(name);
        assert!(matches!(error, Error::Server(_)), "{} {name}: {error:?}", C::NAME);
        assert_eq!(error.outcome(), Outcome::NotApplied, "{} {name}", C::NAME);
    }
    let plain = ask(&client, &mut peer, command.clone(), right).await.expect(right);
    for attribute in ["|0\r\n", "|1\r\n+ttl\r\n:3600\r\n", "|1\r\n*1\r\n:1\r\n%1\r\n:1\r\n_\r\n"] {
        let reply = format!("{attribute}{right}");
        let described = ask(&client, &mut peer, command.clone(), &reply).await;
        assert_eq!(described.expect(&reply), plain, "{} after an attribute", C::NAME);
    }
    assert_eq!(server.dials().len(), 1, "{}: the connection is kept", C::NAME);
}

const ID: EntryId = EntryId::new(1, 2);
const ENTRIES: &str = "*1\r\n*2\r\n$3\r\n1-2\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n";
const COUNTS: [&str; 4] = ["0", "1", "7", "bulk 7"];
const NULLS: [&str; 4] = ["null", "null bulk string", "null array", "attribute and null"];
const EMPTY: [&str; 6] =
    ["null", "null bulk string", "null array", "attribute and null", "empty array", "empty set"];
/// Redis 6.2 has nulls among the entries that it claims.
const NULL_ENTRIES: [&str; 2] = ["array of nulls", "array of one null"];

#[tokio::test(start_paused = true)]
async fn count_commands_reject_replies_of_any_other_type() {
    check(XLen::new("s"), ":5\r\n", &COUNTS).await;
    check(XAck::new("s", "g", &[ID; 7]), ":5\r\n", &COUNTS).await;
    check(XDel::new("s", &[ID; 7]), ":5\r\n", &COUNTS).await;
    // A count above the number of ids is not a reply to this request.
    check(XAck::new("s", "g", ID), ":1\r\n", &["0", "1"]).await;
    check(XDel::new("s", ID), ":1\r\n", &["0", "1"]).await;
    check(XTrim::new("s", Trim::max_len(1)), ":5\r\n", &COUNTS).await;
    check(XGroupDelConsumer::new("s", "g", "c"), ":5\r\n", &COUNTS).await;
}

#[tokio::test(start_paused = true)]
async fn yes_or_ok_commands_reject_replies_of_any_other_type() {
    check(XGroupDestroy::new("s", "g"), ":1\r\n", &["0", "1"]).await;
    check(XGroupCreateConsumer::new("s", "g", "c"), ":0\r\n", &["0", "1"]).await;
    let ok = ["OK", "bulk OK", "verbatim OK"];
    check(XGroupCreate::new("s", "g", StartAt::End), "+OK\r\n", &ok).await;
    check(XGroupSetId::new("s", "g", StartAt::End), "+OK\r\n", &ok).await;
}

#[tokio::test(start_paused = true)]
async fn id_commands_reject_replies_of_any_other_type() {
    // `7` is short for `7-0`, as everywhere in Redis.
    let ids = ["bulk id", "simple id", "verbatim id", "bulk 7"];
    check(XAdd::new("s").field("f", "v"), "$3\r\n1-2\r\n", &ids).await;
    let add = XAdd::new("s").field("f", "v").no_mk_stream();
    check(add, "$3\r\n1-2\r\n", &[&ids[..], &NULLS].concat()).await;
}

#[tokio::test(start_paused = true)]
async fn entry_commands_reject_replies_of_any_other_type() {
    let fine = [&EMPTY[..], &NULL_ENTRIES].concat();
    check(XRange::new("s", ..), ENTRIES, &fine).await;
    check(XRevRange::new("s", ..), ENTRIES, &fine).await;
    let claim = XClaim::new("s", "g", "c", Duration::ZERO, &[ID; 2]);
    check(claim.clone(), ENTRIES, &fine).await;
    let ids = [&EMPTY[..], &["array of ids"]].concat();
    check(claim.just_id(), "*1\r\n$3\r\n1-2\r\n", &ids).await;
}

#[tokio::test(start_paused = true)]
async fn stream_reads_accept_only_nulls_arrays_and_maps() {
    // A set is not a list of streams in any version of RESP.
    let fine = [&NULLS[..], &["empty array", "empty map"]].concat();
    let (map, list) =
        (format!("%1\r\n$1\r\ns\r\n{ENTRIES}"), format!("*1\r\n*2\r\n$1\r\ns\r\n{ENTRIES}"));
    for right in [&map, &list] {
        check(XRead::new().stream("s", ReadFrom::START), right, &fine).await;
        check(XReadGroup::new("g", "c").stream("s", GroupFrom::New), right, &fine).await;
    }
}

#[tokio::test(start_paused = true)]
async fn page_and_summary_commands_reject_replies_of_any_other_type() {
    let claim = XAutoClaim::new("s", "g", "c", Duration::ZERO, EntryId::MIN);
    check(claim.clone(), &format!("*3\r\n$3\r\n0-0\r\n{ENTRIES}*0\r\n"), &[]).await;
    check(claim.just_id(), "*3\r\n$3\r\n0-0\r\n*1\r\n$3\r\n1-2\r\n*0\r\n", &[]).await;
    let summary = "*4\r\n:1\r\n$3\r\n1-2\r\n$3\r\n1-2\r\n*1\r\n*2\r\n$1\r\nc\r\n$1\r\n1\r\n";
    check(XPending::new("s", "g"), summary, &[]).await;
    let range = XPending::new("s", "g").range(.., 10);
    check(range, "*1\r\n*4\r\n$3\r\n1-2\r\n$1\r\nc\r\n:5\r\n:1\r\n", &EMPTY).await;
}

#[tokio::test(start_paused = true)]
async fn raw_command_accepts_any_reply() {
    let server = Server::new();
    let (client, mut peer) = server.connect(config()).await;
    for (name, reply) in REPLIES {
        let value = ask(&client, &mut peer, Raw::new("ANY"), reply).await.expect(name);
        assert_eq!(value.is_null(), NULLS.contains(&name), "{name}: {value:?}");
    }
    for (name, reply) in ERRORS {
        let error = ask(&client, &mut peer, Raw::new("ANY"), reply).await.expect_err(name);
        assert!(matches!(error, Error::Server(_)), "{name}: {error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn transaction_requires_ok_queued_and_one_result_per_command() {
    let queued = "+QUEUED\r\n";
    let server = Server::new();
    let (client, mut peer) = server.connect(config()).await;
    let mut transact = async |replies: [&str; 4]| {
        let commands = (XLen::new("a"), XLen::new("b"));
        let (before, both, after, ()) = ends(async {
            tokio::join!(
                client.send(XLen::new("before")),
                client.transact(commands),
                client.send(XLen::new("after")),
                async {
                    let requests = peer.requests(6).await;
                    assert_eq!(requests[1..5], ["MULTI", "XLEN a", "XLEN b", "EXEC"]);
                    peer.send(format!(":11\r\n{}:22\r\n", replies.concat())).await;
                }
            )
        })
        .await;
        assert_eq!((before.unwrap(), after.unwrap()), (11, 22), "neighbours of {replies:?}");
        both
    };
    let (a, b) = transact(["+OK\r\n", queued, queued, "*2\r\n:1\r\n:2\r\n"]).await.unwrap();
    assert_eq!((a.unwrap(), b.unwrap()), (1, 2));
    let (a, b) = transact(["+OK\r\n", queued, queued, "*2\r\n-ERR a\r\n+x\r\n"]).await.unwrap();
    assert!(matches!(a, Err(Error::Server(_))), "{a:?}");
    assert!(matches!(b, Err(Error::Decode { .. })), "{b:?}");
    // Attributes do not change the value that they describe.
    let attribute = "|1\r\n+k\r\n+v\r\n";
    let replies =
        ["+OK\r\n", queued, queued, "*2\r\n:1\r\n:2\r\n"].map(|r| format!("{attribute}{r}"));
    let described = transact(replies.each_ref().map(String::as_str)).await;
    let (a, b) = described.expect("the transaction ran");
    assert_eq!((a.unwrap(), b.unwrap()), (1, 2));
    for (name, reply) in REPLIES {
        if name != "OK" {
            let error = transact([reply, queued, queued, "*2\r\n:1\r\n:2\r\n"]).await;
            let error = error.expect_err(name);
            assert!(matches!(error, Error::Decode { .. }), "{name} for MULTI: {error:?}");
        }
        if name != "QUEUED" {
            let error = transact(["+OK\r\n", queued, reply, "*2\r\n:1\r\n:2\r\n"]).await;
            let error = error.expect_err(name);
            assert!(matches!(error, Error::Decode { .. }), "{name} for QUEUED: {error:?}");
        }
        match transact(["+OK\r\n", queued, queued, reply]).await {
            Ok((a, b)) => {
                let two = ["array of integers", "array of ids", "array of nulls", "set"];
                let two = [&two[..], &["array of errors", "nested arrays"]].concat();
                let two = [&two[..], &["array of streamed arrays"]].concat();
                assert!(two.contains(&name), "{name} for EXEC: {a:?} {b:?}");
            }
            Err(error) => {
                assert!(matches!(error, Error::Decode { .. }), "{name} for EXEC: {error:?}");
                assert_eq!(error.outcome(), Outcome::Unknown, "{name} for EXEC");
            }
        }
    }
    assert_eq!(server.dials().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn refused_transaction_has_the_reason_and_is_not_applied() {
    let rows = [
        // The error of the queued command takes precedence over EXEC's.
        (["+OK\r\n", "+QUEUED\r\n", "-OOM no memory\r\n", "-EXECABORT discarded\r\n"], "OOM"),
        (["+OK\r\n", "-NOPERM no\r\n", "-ERR no\r\n", "-EXECABORT discarded\r\n"], "NOPERM"),
        (["+OK\r\n", "+QUEUED\r\n", "+QUEUED\r\n", "-EXECABORT discarded\r\n"], "EXECABORT"),
        (["+OK\r\n", "+QUEUED\r\n", "+QUEUED\r\n", "-READONLY replica\r\n"], "READONLY"),
    ];
    let server = Server::new();
    let (client, mut peer) = server.connect(config()).await;
    for (replies, code) in rows {
        let (both, ()) = ends(async {
            tokio::join!(client.transact((XLen::new("a"), XLen::new("b"))), async {
                peer.requests(4).await;
                peer.send(replies.concat()).await;
            })
        })
        .await;
        let error = both.expect_err(code);
        assert_eq!(error.code().map(|code| code.as_str()), Some(code));
        assert_eq!(error.outcome(), Outcome::NotApplied, "{code}");
    }
}
