//! Commands on keys: removal and expiry.

use super::{Case, Words, case, with};
use crate::any::{bytes, time};
use bourn::{Del, Exists, Expire, ExpireWhen, PExpire, Type, Unlink};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

pub(super) fn keys() -> BoxedStrategy<Case> {
    let several = (bytes(), vec(bytes(), 0..20), 0..3).prop_map(|(first, more, which)| {
        let words = |name| more.iter().fold(Words::new(name).add(&first), Words::add);
        match which {
            0 => case(&more.iter().fold(Del::new(&first), Del::and), &first, words("DEL")),
            1 => case(&more.iter().fold(Unlink::new(&first), Unlink::and), &first, words("UNLINK")),
            _ => case(&more.iter().fold(Exists::new(&first), Exists::and), &first, words("EXISTS")),
        }
    });
    let of = bytes().prop_map(|key| case(&Type::new(&key), &key, Words::new("TYPE").add(&key)));
    let when = prop_oneof![
        Just((ExpireWhen::NoExpiry, "NX")),
        Just((ExpireWhen::HasExpiry, "XX")),
        Just((ExpireWhen::Later, "GT")),
        Just((ExpireWhen::Earlier, "LT")),
    ];
    let expire = (bytes(), time(), option::of(when), any::<bool>()).prop_map(
        |(key, (time, ms), when, in_ms)| {
            let words = Words::new(if in_ms { "PEXPIRE" } else { "EXPIRE" }).add(&key);
            let words = words.number(if in_ms { ms } else { ms.div_ceil(1000) });
            let words = words.option(when, |words, (_, word)| words.add(word));
            if in_ms {
                let expire = with(PExpire::new(&key, time), when, |e, (when, _)| e.when(when));
                case(&expire, &key, words)
            } else {
                let expire = with(Expire::new(&key, time), when, |e, (when, _)| e.when(when));
                case(&expire, &key, words)
            }
        },
    );
    prop_oneof![several, of, expire].boxed()
}
