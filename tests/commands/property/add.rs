//! XADD with any options before its fields.

use super::{Case, Words, case, refs, trim, with};
use crate::any::{bytes, given, id};
use bourn::{AddId, XAdd, XAddNoMkStream};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn add_id() -> impl Strategy<Value = (AddId, String)> {
    prop_oneof![
        Just((AddId::Auto, "*".to_owned())),
        any::<u64>().prop_map(|ms| (AddId::AutoSeq { ms }, format!("{ms}-*"))),
        id().prop_map(|id| (AddId::Id(id), format!("{}-{}", id.ms(), id.seq()))),
    ]
}

/// Up to 512 fields, more than a small entry has.
pub(super) fn xadd() -> impl Strategy<Value = Case> {
    let idmp = option::of((given(), option::of(given())));
    let options = (any::<bool>(), option::of(refs()), idmp, option::of(trim()), add_id());
    (bytes(), options, vec((given(), given()), 0..=512)).prop_map(
        |(key, (no_mk_stream, refs, idmp, trim, (id, id_word)), fields)| {
            let add = XAdd::new(&key).fields(fields.iter().map(|(f, v)| (f.arg(), v.arg()))).id(id);
            let add = with(add, refs, |add, (refs, _)| add.refs(refs));
            let add = with(add, trim.as_ref(), |add, (trim, _)| add.trim(*trim));
            let add = with(add, idmp.as_ref(), |add, (pid, iid)| match iid {
                Some(iid) => add.idmp(pid.arg(), iid.arg()),
                None => add.idmp_auto(pid.arg()),
            });
            let words = Words::new("XADD").add(&key).flag(no_mk_stream, "NOMKSTREAM");
            let words = words.option(refs, |words, (_, word)| words.add(word));
            let words = words.option(idmp.as_ref(), |words, (pid, iid)| match iid {
                Some(iid) => words.add("IDMP").given(pid).given(iid),
                None => words.add("IDMPAUTO").given(pid),
            });
            let words = words.option(trim, |words, (_, trim)| words.join(trim)).add(id_word);
            let words = fields.iter().fold(words, |words, (f, v)| words.given(f).given(v));
            if no_mk_stream {
                case::<XAddNoMkStream<'_>>(&add.no_mk_stream(), &key, words)
            } else {
                case(&add, &key, words)
            }
        },
    )
}
