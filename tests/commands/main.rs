//! What each command puts on the wire, byte for byte.
//!
//! The table has every option of every command, as Redis's words. The property builds commands from any arguments there
//! may be, beside a plain list of what they should come to, and reads the request back with the slow parser.

mod property;

use bourn::command::{encode, encode_read};
use bourn::{
    AddId, EntryId, GroupFrom, Raw, ReadFrom, Refs, StartAt, Trim, XAck, XAdd, XAutoClaim, XClaim,
    XDel, XGroupCreate, XGroupCreateConsumer, XGroupDelConsumer, XGroupDestroy, XGroupSetId, XLen,
    XPending, XPendingRange, XRange, XRead, XReadGroup, XRevRange, XTrim,
};
use std::num::NonZeroU64;
use std::ops::Bound::{Excluded, Unbounded};
use std::time::{Duration, UNIX_EPOCH};

const SECOND: Duration = Duration::from_secs(1);
const A: EntryId = EntryId::new(1, 2);
const B: EntryId = EntryId::new(3, 4);

/// A request of these arguments, written as plainly as can be.
fn wire<W: AsRef<[u8]>>(words: &[W]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        out.extend_from_slice(format!("${}\r\n", word.as_ref().len()).as_bytes());
        out.extend_from_slice(word.as_ref());
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// Says which row is wrong, and prints bytes as text.
fn check(rows: impl IntoIterator<Item = (Vec<u8>, &'static str)>) {
    for (request, expected) in rows {
        let words: Vec<_> = expected.split(' ').collect();
        let (got, want) = (request.escape_ascii(), wire(&words));
        assert_eq!(got.to_string(), want.escape_ascii().to_string(), "{expected}");
    }
}

fn one(n: u64) -> NonZeroU64 {
    NonZeroU64::new(n).expect("n is a number above 0")
}

#[test]
fn a_request_is_an_array_of_bulk_strings() {
    assert_eq!(encode(&XLen::new("orders")), b"*2\r\n$4\r\nXLEN\r\n$6\r\norders\r\n");
    let create = XGroupCreate::new(b"\r\n", "", StartAt::End);
    let expected = b"*5\r\n$6\r\nXGROUP\r\n$6\r\nCREATE\r\n$2\r\n\r\n\r\n$0\r\n\r\n$1\r\n$\r\n";
    assert_eq!(encode(&create), expected);
}

#[test]
fn xadd_has_its_options_before_the_id_and_its_fields_behind() {
    let add = || XAdd::new("s");
    let (len, id) = (Trim::max_len(5), Trim::min_id(A));
    check([
        (encode(&add().field("f", "v")), "XADD s * f v"),
        (encode(&add().fields([("f", "v"), ("f", "w")])), "XADD s * f v f w"),
        (
            encode(&add().fields((0..6u8).map(|n| (n, -1)))),
            "XADD s * 0 -1 1 -1 2 -1 3 -1 4 -1 5 -1",
        ),
        (encode(&add().id(A).field("f", u64::MAX)), "XADD s 1-2 f 18446744073709551615"),
        (
            encode(&add().id(AddId::AutoSeq { ms: 7 }).field("f", i64::MIN)),
            "XADD s 7-* f -9223372036854775808",
        ),
        (encode(&add().id(AddId::Auto).field(A, B)), "XADD s * 1-2 3-4"),
        (encode(&add().refs(Refs::Keep).field("f", "v")), "XADD s KEEPREF * f v"),
        (encode(&add().refs(Refs::Delete).field("f", "v")), "XADD s DELREF * f v"),
        (encode(&add().refs(Refs::Acked).field("f", "v")), "XADD s ACKED * f v"),
        (encode(&add().idmp("p", 7).field("f", "v")), "XADD s IDMP p 7 * f v"),
        (encode(&add().idmp_auto("p").field("f", "v")), "XADD s IDMPAUTO p * f v"),
        (encode(&add().idmp_auto("p").idmp("p", "i").field("f", "v")), "XADD s IDMP p i * f v"),
        (encode(&add().trim(len).field("f", "v")), "XADD s MAXLEN = 5 * f v"),
        (encode(&add().trim(len.approximate()).field("f", "v")), "XADD s MAXLEN ~ 5 * f v"),
        (encode(&add().trim(len.limit(9)).field("f", "v")), "XADD s MAXLEN ~ 5 LIMIT 9 * f v"),
        (encode(&add().trim(id).field("f", "v")), "XADD s MINID = 1-2 * f v"),
        (encode(&add().trim(id.limit(0)).field("f", "v")), "XADD s MINID ~ 1-2 LIMIT 0 * f v"),
        (encode(&add().field("f", "v").no_mk_stream()), "XADD s NOMKSTREAM * f v"),
        (
            encode(&add().field("f", "v").trim(id).idmp("p", "i").refs(Refs::Acked).no_mk_stream()),
            "XADD s NOMKSTREAM ACKED IDMP p i MINID = 1-2 * f v",
        ),
    ]);
}

#[test]
fn xread_has_all_keys_before_all_ids() {
    let read = || XRead::new().stream("s", A);
    let all = read().stream("t", ReadFrom::Last).count(5).max_count(one(6)).max_size(one(7));
    check([
        (encode(&read()), "XREAD STREAMS s 1-2"),
        (encode(&XRead::new().stream("s", ReadFrom::START)), "XREAD STREAMS s 0-0"),
        (encode(&read().stream("t", ReadFrom::Latest)), "XREAD STREAMS s t 1-2 $"),
        (encode(&read().count(0)), "XREAD COUNT 0 STREAMS s 1-2"),
        (encode(&all), "XREAD COUNT 5 MAXCOUNT 6 MAXSIZE 7 STREAMS s t 1-2 +"),
        (encode_read(&read()), "XREAD STREAMS s 1-2"),
        (encode_read(&read().block(SECOND)), "XREAD BLOCK 1000 STREAMS s 1-2"),
        (encode_read(&read().block(Duration::ZERO)), "XREAD BLOCK 1 STREAMS s 1-2"),
        (encode_read(&read().block_forever()), "XREAD BLOCK 0 STREAMS s 1-2"),
        (
            encode_read(&all.block(SECOND)),
            "XREAD COUNT 5 MAXCOUNT 6 MAXSIZE 7 BLOCK 1000 STREAMS s t 1-2 +",
        ),
    ]);
}

#[test]
fn xreadgroup_has_its_group_first_and_all_keys_before_all_ids() {
    let read = || XReadGroup::new("g", "c").stream("s", GroupFrom::New);
    let all = read().stream("t", A).count(5).max_count(one(6)).max_size(one(7));
    let all = all.no_ack().claim(SECOND);
    check([
        (encode(&read()), "XREADGROUP GROUP g c STREAMS s >"),
        (
            encode(&read().stream("t", GroupFrom::ALL_PENDING)),
            "XREADGROUP GROUP g c STREAMS s t > 0-0",
        ),
        (encode(&read().count(5)), "XREADGROUP GROUP g c COUNT 5 STREAMS s >"),
        (encode(&read().claim(SECOND)), "XREADGROUP GROUP g c CLAIM 1000 STREAMS s >"),
        (encode(&read().no_ack()), "XREADGROUP GROUP g c NOACK STREAMS s >"),
        (
            encode(&all),
            "XREADGROUP GROUP g c COUNT 5 MAXCOUNT 6 MAXSIZE 7 CLAIM 1000 NOACK STREAMS s t > 1-2",
        ),
        (encode_read(&read()), "XREADGROUP GROUP g c STREAMS s >"),
        (encode_read(&read().block_forever()), "XREADGROUP GROUP g c BLOCK 0 STREAMS s >"),
        (
            encode_read(&all.block(SECOND)),
            "XREADGROUP GROUP g c COUNT 5 MAXCOUNT 6 MAXSIZE 7 BLOCK 1000 CLAIM 1000 NOACK \
             STREAMS s t > 1-2",
        ),
    ]);
}

#[test]
fn entries_are_counted_ranged_acknowledged_removed_and_trimmed() {
    check([
        (encode(&XLen::new("s")), "XLEN s"),
        (encode(&XRange::new("s", ..)), "XRANGE s - +"),
        (encode(&XRange::new("s", A..=B)), "XRANGE s 1-2 3-4"),
        (encode(&XRange::new("s", A..B).count(5)), "XRANGE s 1-2 (3-4 COUNT 5"),
        (encode(&XRange::new("s", (Excluded(A), Unbounded)).count(0)), "XRANGE s (1-2 + COUNT 0"),
        (encode(&XRevRange::new("s", ..)), "XREVRANGE s + -"),
        (encode(&XRevRange::new("s", A..=B)), "XREVRANGE s 3-4 1-2"),
        (encode(&XRevRange::new("s", A..B).count(5)), "XREVRANGE s (3-4 1-2 COUNT 5"),
        (encode(&XRevRange::new("s", (Excluded(A), Unbounded))), "XREVRANGE s + (1-2"),
        (encode(&XAck::new("s", "g", A)), "XACK s g 1-2"),
        (encode(&XAck::new("s", "g", &[A, B])), "XACK s g 1-2 3-4"),
        (encode(&XDel::new("s", A)), "XDEL s 1-2"),
        (encode(&XDel::new("s", &vec![A, B])), "XDEL s 1-2 3-4"),
        (encode(&XTrim::new("s", Trim::max_len(0))), "XTRIM s MAXLEN = 0"),
        (encode(&XTrim::new("s", Trim::max_len(5).approximate())), "XTRIM s MAXLEN ~ 5"),
        (encode(&XTrim::new("s", Trim::min_id(A))), "XTRIM s MINID = 1-2"),
        (encode(&XTrim::new("s", Trim::min_id(A).limit(9))), "XTRIM s MINID ~ 1-2 LIMIT 9"),
        (encode(&XTrim::new("s", Trim::max_len(5)).refs(Refs::Keep)), "XTRIM s MAXLEN = 5 KEEPREF"),
        (
            encode(&XTrim::new("s", Trim::max_len(5)).refs(Refs::Delete)),
            "XTRIM s MAXLEN = 5 DELREF",
        ),
        (
            encode(&XTrim::new("s", Trim::max_len(5).limit(9)).refs(Refs::Acked)),
            "XTRIM s MAXLEN ~ 5 LIMIT 9 ACKED",
        ),
    ]);
}

#[test]
fn groups_and_consumers_are_made_moved_and_removed() {
    let create = || XGroupCreate::new("s", "g", A);
    check([
        (encode(&create()), "XGROUP CREATE s g 1-2"),
        (encode(&XGroupCreate::new("s", "g", StartAt::End)), "XGROUP CREATE s g $"),
        (encode(&create().mk_stream()), "XGROUP CREATE s g 1-2 MKSTREAM"),
        (encode(&create().entries_read(7)), "XGROUP CREATE s g 1-2 ENTRIESREAD 7"),
        (
            encode(&create().entries_read(0).mk_stream()),
            "XGROUP CREATE s g 1-2 MKSTREAM ENTRIESREAD 0",
        ),
        (encode(&XGroupSetId::new("s", "g", StartAt::End)), "XGROUP SETID s g $"),
        (
            encode(&XGroupSetId::new("s", "g", A).entries_read(7)),
            "XGROUP SETID s g 1-2 ENTRIESREAD 7",
        ),
        (encode(&XGroupDestroy::new("s", "g")), "XGROUP DESTROY s g"),
        (encode(&XGroupCreateConsumer::new("s", "g", "c")), "XGROUP CREATECONSUMER s g c"),
        (encode(&XGroupDelConsumer::new("s", "g", "c")), "XGROUP DELCONSUMER s g c"),
    ]);
}

#[test]
fn pending_entries_are_listed_and_claimed() {
    let list = || XPending::new("s", "g").range(.., 10);
    let claim = || XClaim::new("s", "g", "c", SECOND, A);
    let auto = || XAutoClaim::new("s", "g", "c", SECOND, A);
    let time = UNIX_EPOCH + Duration::from_micros(1_500_900);
    check([
        (encode(&XPending::new("s", "g")), "XPENDING s g"),
        (encode(&list()), "XPENDING s g - + 10"),
        (encode(&XPendingRange::new("s", "g", A..B, 0)), "XPENDING s g 1-2 (3-4 0"),
        (encode(&list().idle(SECOND)), "XPENDING s g IDLE 1000 - + 10"),
        (encode(&list().consumer("c")), "XPENDING s g - + 10 c"),
        (encode(&list().consumer("c").idle(SECOND)), "XPENDING s g IDLE 1000 - + 10 c"),
        (encode(&claim()), "XCLAIM s g c 1000 1-2"),
        (encode(&XClaim::new("s", "g", "c", Duration::ZERO, &[A, B])), "XCLAIM s g c 0 1-2 3-4"),
        (encode(&claim().idle(SECOND)), "XCLAIM s g c 1000 1-2 IDLE 1000"),
        (encode(&claim().time(time)), "XCLAIM s g c 1000 1-2 TIME 1500"),
        (encode(&claim().time(time).idle(SECOND)), "XCLAIM s g c 1000 1-2 IDLE 1000"),
        (encode(&claim().retry_count(7)), "XCLAIM s g c 1000 1-2 RETRYCOUNT 7"),
        (encode(&claim().force()), "XCLAIM s g c 1000 1-2 FORCE"),
        (encode(&claim().last_id(B)), "XCLAIM s g c 1000 1-2 LASTID 3-4"),
        (encode(&claim().just_id()), "XCLAIM s g c 1000 1-2 JUSTID"),
        (
            encode(&claim().last_id(B).force().retry_count(7).idle(SECOND).just_id()),
            "XCLAIM s g c 1000 1-2 IDLE 1000 RETRYCOUNT 7 FORCE JUSTID LASTID 3-4",
        ),
        (encode(&auto()), "XAUTOCLAIM s g c 1000 1-2"),
        (encode(&auto().exclusive()), "XAUTOCLAIM s g c 1000 (1-2"),
        (encode(&auto().count(one(5))), "XAUTOCLAIM s g c 1000 1-2 COUNT 5"),
        (encode(&auto().just_id()), "XAUTOCLAIM s g c 1000 1-2 JUSTID"),
        (
            encode(&auto().exclusive().count(one(5)).just_id()),
            "XAUTOCLAIM s g c 1000 (1-2 COUNT 5 JUSTID",
        ),
    ]);
}

#[test]
fn a_raw_command_is_its_words_and_arguments() {
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
