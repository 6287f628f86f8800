//! XGROUP.

use super::{A, check};
use bourn::command::encode;
use bourn::{
    StartAt, XGroupCreate, XGroupCreateConsumer, XGroupCreateIfMissing, XGroupDelConsumer,
    XGroupDestroy, XGroupHelp, XGroupSetId,
};

#[test]
fn xgroup_encodes_every_option() {
    let create = || XGroupCreate::new("s", "g", A);
    check([
        (encode(&create()), "XGROUP CREATE s g 1-2"),
        (encode(&XGroupCreate::new("s", "g", StartAt::End)), "XGROUP CREATE s g $"),
        (encode(&create().mk_stream()), "XGROUP CREATE s g 1-2 MKSTREAM"),
        (
            encode::<XGroupCreateIfMissing<'_>>(&create().mk_stream().if_missing()),
            "XGROUP CREATE s g 1-2 MKSTREAM",
        ),
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
        (encode(&XGroupHelp::new()), "XGROUP HELP"),
    ]);
}
