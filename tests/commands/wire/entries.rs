//! Commands that count, range over, acknowledge, remove and trim entries.

use super::{A, B, check};
use bourn::command::encode;
use bourn::{
    FromReplica, ReadCommand, Refs, Trim, XAck, XAckDel, XDel, XDelEx, XLen, XRange, XRevRange,
    XTrim,
};
use std::ops::Bound::{Excluded, Unbounded};

#[test]
fn entry_commands_encode_every_option() {
    check([
        (encode(&XLen::new("s")), "XLEN s"),
        (encode::<FromReplica<XLen<'_>>>(&XLen::new("s").from_replica()), "XLEN s"),
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
fn deletions_encode_their_reference_policy() {
    check([
        (encode(&XAckDel::new("s", "g", A)), "XACKDEL s g IDS 1 1-2"),
        (encode(&XAckDel::new("s", "g", &[A, B])), "XACKDEL s g IDS 2 1-2 3-4"),
        (encode(&XAckDel::new("s", "g", A).refs(Refs::Keep)), "XACKDEL s g KEEPREF IDS 1 1-2"),
        (encode(&XAckDel::new("s", "g", A).refs(Refs::Delete)), "XACKDEL s g DELREF IDS 1 1-2"),
        (
            encode(&XAckDel::new("s", "g", &[B, A]).refs(Refs::Acked)),
            "XACKDEL s g ACKED IDS 2 3-4 1-2",
        ),
        (encode(&XDelEx::new("s", A)), "XDELEX s IDS 1 1-2"),
        (encode(&XDelEx::new("s", &[A, B])), "XDELEX s IDS 2 1-2 3-4"),
        (encode(&XDelEx::new("s", A).refs(Refs::Keep)), "XDELEX s KEEPREF IDS 1 1-2"),
        (encode(&XDelEx::new("s", A).refs(Refs::Delete)), "XDELEX s DELREF IDS 1 1-2"),
        (encode(&XDelEx::new("s", A).refs(Refs::Acked)), "XDELEX s ACKED IDS 1 1-2"),
    ]);
}
