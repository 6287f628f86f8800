//! XADD.

use super::{A, B, check};
use bourn::command::encode;
use bourn::{AddId, Refs, Trim, XAdd, XAddNoMkStream};

#[test]
fn xadd_has_options_before_the_id_and_fields_after_it() {
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
        (
            encode::<XAddNoMkStream<'_>>(&add().field("f", "v").no_mk_stream()),
            "XADD s NOMKSTREAM * f v",
        ),
        (
            encode(&add().field("f", "v").trim(id).idmp("p", "i").refs(Refs::Acked).no_mk_stream()),
            "XADD s NOMKSTREAM ACKED IDMP p i MINID = 1-2 * f v",
        ),
    ]);
}
