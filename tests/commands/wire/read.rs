//! XREAD and XREADGROUP, blocking or not.

use super::{A, SECOND, check};
use bourn::command::{encode, encode_read};
use bourn::{Blocking, EntryId, GroupFrom, ReadFrom, XRead, XReadGroup};
use std::time::Duration;

#[test]
fn xread_has_all_keys_before_all_ids() {
    let read = || XRead::new().stream("s", A);
    let all = read().stream("t", ReadFrom::Last).count(5).max_count(6).max_size(7);
    check([
        (encode(&read()), "XREAD STREAMS s 1-2"),
        (encode(&XRead::new().stream("s", ReadFrom::START)), "XREAD STREAMS s 0-0"),
        (encode(&read().stream("t", ReadFrom::End)), "XREAD STREAMS s t 1-2 $"),
        (encode(&read().count(0)), "XREAD COUNT 0 STREAMS s 1-2"),
        (encode(&all), "XREAD COUNT 5 MAXCOUNT 6 MAXSIZE 7 STREAMS s t 1-2 +"),
        (encode_read(&read()), "XREAD STREAMS s 1-2"),
        (
            encode_read::<Blocking<XRead<'_>>>(&read().block(SECOND)),
            "XREAD BLOCK 1000 STREAMS s 1-2",
        ),
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
    let all = read().stream("t", A).count(5).max_count(6).max_size(7);
    let all = all.no_ack().claim(SECOND);
    check([
        (encode(&read()), "XREADGROUP GROUP g c STREAMS s >"),
        (
            encode(&read().stream("t", GroupFrom::ALL_PENDING)),
            "XREADGROUP GROUP g c STREAMS s t > 0-0",
        ),
        (
            encode(&XReadGroup::new("g", "c").stream("s", GroupFrom::Pending(EntryId::MAX))),
            "XREADGROUP GROUP g c STREAMS s 18446744073709551615-18446744073709551614",
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
