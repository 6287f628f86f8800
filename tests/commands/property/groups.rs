//! XGROUP.

use super::{Case, Words, case, keyless, with};
use crate::any::{bytes, given, id};
use bourn::command::encode;
use bourn::{
    StartAt, XGroupCreate, XGroupCreateConsumer, XGroupCreateIfMissing, XGroupDelConsumer,
    XGroupDestroy, XGroupHelp, XGroupSetId,
};
use proptest::option;
use proptest::prelude::*;

pub(super) fn groups() -> BoxedStrategy<Case> {
    let start = || {
        prop_oneof![
            id().prop_map(|id| (StartAt::After(id), format!("{}-{}", id.ms(), id.seq()))),
            Just((StartAt::End, "$".to_owned())),
        ]
    };
    let read = || option::of(any::<u64>());
    let create = (bytes(), given(), start(), any::<bool>(), read()).prop_map(
        |(key, group, (start, start_word), mk_stream, read)| {
            let words = Words::new("XGROUP CREATE").add(&key).given(&group).add(start_word);
            let words = words.flag(mk_stream, "MKSTREAM");
            let words = words.option(read, |words, n| words.add("ENTRIESREAD").number(n));
            let create = XGroupCreate::new(&key, group.arg(), start);
            let create = with(create, read, XGroupCreate::entries_read);
            let create = if mk_stream { create.mk_stream() } else { create };
            let if_missing: XGroupCreateIfMissing<'_> = create.clone().if_missing();
            assert_eq!(encode(&if_missing), encode(&create));
            case(&create, &key, words)
        },
    );
    let set_id =
        (bytes(), given(), start(), read()).prop_map(|(key, group, (start, word), read)| {
            let words = Words::new("XGROUP SETID").add(&key).given(&group).add(word);
            let words = words.option(read, |words, n| words.add("ENTRIESREAD").number(n));
            let set_id = XGroupSetId::new(&key, group.arg(), start);
            case(&with(set_id, read, XGroupSetId::entries_read), &key, words)
        });
    let destroy = (bytes(), given()).prop_map(|(key, group)| {
        let words = Words::new("XGROUP DESTROY").add(&key).given(&group);
        case(&XGroupDestroy::new(&key, group.arg()), &key, words)
    });
    let consumer =
        (bytes(), given(), given(), any::<bool>()).prop_map(|(key, group, consumer, create)| {
            let form = if create { "XGROUP CREATECONSUMER" } else { "XGROUP DELCONSUMER" };
            let words = Words::new(form).add(&key).given(&group).given(&consumer);
            if create {
                case(&XGroupCreateConsumer::new(&key, group.arg(), consumer.arg()), &key, words)
            } else {
                case(&XGroupDelConsumer::new(&key, group.arg(), consumer.arg()), &key, words)
            }
        });
    let help = Just(()).prop_map(|()| keyless(&XGroupHelp::new(), Words::new("XGROUP HELP")));
    prop_oneof![
        4 => create,
        4 => set_id,
        4 => destroy,
        4 => consumer,
        1 => help,
    ]
    .boxed()
}
