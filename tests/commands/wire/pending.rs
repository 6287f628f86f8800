//! Commands that list, claim and release pending entries.

use super::{A, B, SECOND, check};
use bourn::command::encode;
use bourn::{
    NackMode, XAutoClaim, XAutoClaimJustId, XClaim, XClaimJustId, XNack, XPending, XPendingRange,
};
use std::time::{Duration, UNIX_EPOCH};

#[test]
fn xpending_and_claims_encode_every_option() {
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
        (encode::<XClaimJustId<'_>>(&claim().just_id()), "XCLAIM s g c 1000 1-2 JUSTID"),
        (
            encode(&claim().last_id(B).force().retry_count(7).idle(SECOND).just_id()),
            "XCLAIM s g c 1000 1-2 IDLE 1000 RETRYCOUNT 7 FORCE JUSTID LASTID 3-4",
        ),
        (encode(&auto()), "XAUTOCLAIM s g c 1000 1-2"),
        (encode(&auto().exclusive()), "XAUTOCLAIM s g c 1000 (1-2"),
        (encode(&auto().count(5)), "XAUTOCLAIM s g c 1000 1-2 COUNT 5"),
        (encode::<XAutoClaimJustId<'_>>(&auto().just_id()), "XAUTOCLAIM s g c 1000 1-2 JUSTID"),
        (
            encode(&auto().exclusive().count(5).just_id()),
            "XAUTOCLAIM s g c 1000 (1-2 COUNT 5 JUSTID",
        ),
    ]);
}

#[test]
fn xnack_encodes_every_option() {
    let nack = |mode| XNack::new("s", "g", mode, A);
    check([
        (encode(&nack(NackMode::Silent)), "XNACK s g SILENT IDS 1 1-2"),
        (encode(&nack(NackMode::Fail)), "XNACK s g FAIL IDS 1 1-2"),
        (encode(&nack(NackMode::Fatal)), "XNACK s g FATAL IDS 1 1-2"),
        (encode(&XNack::new("s", "g", NackMode::Fail, &[A, B])), "XNACK s g FAIL IDS 2 1-2 3-4"),
        (encode(&nack(NackMode::Fail).retry_count(7)), "XNACK s g FAIL IDS 1 1-2 RETRYCOUNT 7"),
        (encode(&nack(NackMode::Silent).force()), "XNACK s g SILENT IDS 1 1-2 FORCE"),
        (
            encode(&nack(NackMode::Fatal).force().retry_count(0)),
            "XNACK s g FATAL IDS 1 1-2 RETRYCOUNT 0 FORCE",
        ),
    ]);
}
