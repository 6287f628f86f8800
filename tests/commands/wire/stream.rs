//! Commands that set up a stream or describe it.

use super::{A, B, SECOND, check};
use bourn::command::encode;
use bourn::{
    XCfgSet, XIdmpRecord, XInfoConsumers, XInfoGroups, XInfoHelp, XInfoStream, XInfoStreamFull,
    XSetId,
};
use std::time::Duration;

#[test]
fn stream_setup_commands_encode_every_option() {
    let set = || XCfgSet::new("s");
    let set_id = || XSetId::new("s", A);
    check([
        (encode(&set().idmp_duration(60 * SECOND)), "XCFGSET s IDMP-DURATION 60"),
        (
            encode(&set().idmp_duration(SECOND + Duration::from_nanos(1))),
            "XCFGSET s IDMP-DURATION 2",
        ),
        (encode(&set().idmp_max_size(50)), "XCFGSET s IDMP-MAXSIZE 50"),
        (
            encode(&set().idmp_max_size(50).idmp_duration(60 * SECOND)),
            "XCFGSET s IDMP-DURATION 60 IDMP-MAXSIZE 50",
        ),
        (encode(&set_id()), "XSETID s 1-2"),
        (encode(&set_id().entries_added(7)), "XSETID s 1-2 ENTRIESADDED 7"),
        (encode(&set_id().max_deleted_id(B)), "XSETID s 1-2 MAXDELETEDID 3-4"),
        (
            encode(&set_id().max_deleted_id(B).entries_added(0)),
            "XSETID s 1-2 ENTRIESADDED 0 MAXDELETEDID 3-4",
        ),
        (encode(&XIdmpRecord::new("s", "p", "i", A)), "XIDMPRECORD s p i 1-2"),
    ]);
}

#[test]
fn xinfo_encodes_every_option() {
    let full = || XInfoStream::new("s").full();
    check([
        (encode(&XInfoStream::new("s")), "XINFO STREAM s"),
        (encode::<XInfoStreamFull<'_>>(&full()), "XINFO STREAM s FULL"),
        (encode(&full().count(5)), "XINFO STREAM s FULL COUNT 5"),
        (encode(&full().count(0)), "XINFO STREAM s FULL COUNT 0"),
        (encode(&XInfoGroups::new("s")), "XINFO GROUPS s"),
        (encode(&XInfoConsumers::new("s", "g")), "XINFO CONSUMERS s g"),
        (encode(&XInfoHelp::new()), "XINFO HELP"),
    ]);
}
