//! XACKDEL, XDELEX and XNACK: ids after their number.

use super::{Case, Words, case, refs, with};
use crate::any::{bytes, given, id};
use bourn::{EntryId, NackMode, XAckDel, XDelEx, XNack};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn counted(words: Words, ids: &[EntryId]) -> Words {
    words.add("IDS").number(ids.len()).ids(ids)
}

pub(super) fn outcomes() -> BoxedStrategy<Case> {
    let ids = || vec(id(), 0..200);
    let ack_del =
        (bytes(), given(), option::of(refs()), ids()).prop_map(|(key, group, refs, ids)| {
            let words = Words::new("XACKDEL").add(&key).given(&group);
            let words = counted(words.option(refs, |words, (_, word)| words.add(word)), &ids);
            let command = XAckDel::new(&key, group.arg(), &ids);
            case(&with(command, refs, |command, (refs, _)| command.refs(refs)), &key, words)
        });
    let del_ex = (bytes(), option::of(refs()), ids()).prop_map(|(key, refs, ids)| {
        let words = Words::new("XDELEX").add(&key);
        let words = counted(words.option(refs, |words, (_, word)| words.add(word)), &ids);
        let command = XDelEx::new(&key, &ids);
        case(&with(command, refs, |command, (refs, _)| command.refs(refs)), &key, words)
    });
    let mode = prop_oneof![
        Just((NackMode::Silent, "SILENT")),
        Just((NackMode::Fail, "FAIL")),
        Just((NackMode::Fatal, "FATAL")),
    ];
    let options = (mode, option::of(any::<u64>()), any::<bool>());
    let nack = (bytes(), given(), ids(), options).prop_map(
        |(key, group, ids, ((mode, word), retry, force))| {
            let words = Words::new("XNACK").add(&key).given(&group).add(word);
            let words = counted(words, &ids)
                .option(retry, |words, n| words.add("RETRYCOUNT").number(n))
                .flag(force, "FORCE");
            let nack = XNack::new(&key, group.arg(), mode, &ids);
            let nack = with(nack, retry, XNack::retry_count);
            case(&if force { nack.force() } else { nack }, &key, words)
        },
    );
    prop_oneof![ack_del, del_ex, nack].boxed()
}
