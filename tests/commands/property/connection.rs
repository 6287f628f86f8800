//! CLIENT and HELLO commands, and commands for a dedicated connection.

use super::{Case, Words, keyless, own, with};
use crate::any::{given, time};
use bourn::{
    Auth, Block, ClientGetName, ClientId, ClientKill, ClientNoEvict, ClientPause, ClientSetName,
    ClientUnblock, ClientUnpause, Hello, RespVersion, Wait, WaitAof,
};
use proptest::option;
use proptest::prelude::*;
use std::time::Duration;

pub(super) fn connection() -> BoxedStrategy<Case> {
    prop_oneof![clients(), logins(), waits()].boxed()
}

fn clients() -> BoxedStrategy<Case> {
    // An id of 0 is refused.
    let id = any::<i64>().prop_filter("the id 0 is invalid", |id| *id != 0);
    let kill = (id, option::of(any::<bool>())).prop_map(|(id, skip_me)| {
        let kill = ClientKill::new(id);
        let kill = with(kill, skip_me, ClientKill::skip_me);
        let words = Words::new("CLIENT KILL ID").number(id);
        let word = |skip| if skip { "yes" } else { "no" };
        keyless(&kill, words.option(skip_me, |words, skip| words.add("SKIPME").add(word(skip))))
    });
    let unblock = (any::<i64>(), any::<bool>()).prop_map(|(id, error)| {
        let unblock = ClientUnblock::new(id);
        let words = Words::new("CLIENT UNBLOCK").number(id).flag(error, "ERROR");
        keyless(&if error { unblock.error() } else { unblock }, words)
    });
    let pause = (time(), any::<bool>()).prop_map(|((time, ms), write_only)| {
        let pause = ClientPause::new(time);
        let words = Words::new("CLIENT PAUSE").number(ms).flag(write_only, "WRITE");
        keyless(&if write_only { pause.write_only() } else { pause }, words)
    });
    let bare = (0..3).prop_map(|which| match which {
        0 => keyless(&ClientId::new(), Words::new("CLIENT ID")),
        1 => keyless(&ClientGetName::new(), Words::new("CLIENT GETNAME")),
        _ => keyless(&ClientUnpause::new(), Words::new("CLIENT UNPAUSE")),
    });
    prop_oneof![kill, unblock, pause, bare].boxed()
}

fn logins() -> BoxedStrategy<Case> {
    let auth = (option::of(given()), given()).prop_map(|(user, password)| {
        let auth = Auth::new(password.arg());
        let words = Words::new("AUTH").option(user.as_ref(), Words::given).given(&password);
        match &user {
            Some(user) => own(&auth.user(user.arg()), words),
            None => own(&auth, words),
        }
    });
    let name = given().prop_map(|name| {
        own(&ClientSetName::new(name.arg()), Words::new("CLIENT SETNAME").given(&name))
    });
    let no_evict = any::<bool>().prop_map(|on| {
        let command = if on { ClientNoEvict::on() } else { ClientNoEvict::off() };
        own(&command, Words::new("CLIENT NO-EVICT").add(if on { "ON" } else { "OFF" }))
    });
    prop_oneof![auth.boxed(), name.boxed(), no_evict.boxed(), hello()].boxed()
}

fn hello() -> BoxedStrategy<Case> {
    let version = prop_oneof![Just((RespVersion::Resp2, 2)), Just((RespVersion::Resp3, 3))];
    let options = (option::of((given(), given())), option::of(given()));
    option::of((version, options))
        .prop_map(|said| {
            let Some(((version, number), (auth, name))) = said else {
                return own(&Hello::new(), Words::new("HELLO"));
            };
            let words = Words::new("HELLO").number(number);
            let words = words.option(auth.as_ref(), |words, (user, password)| {
                words.add("AUTH").given(user).given(password)
            });
            let words = words.option(name.as_ref(), |words, name| words.add("SETNAME").given(name));
            let hello = Hello::new().protocol(version);
            let hello = with(hello, auth.as_ref(), |hello, (user, password)| {
                hello.auth(user.arg(), password.arg())
            });
            own(&with(hello, name.as_ref(), |hello, name| hello.set_name(name.arg())), words)
        })
        .boxed()
}

fn waits() -> BoxedStrategy<Case> {
    // At least a millisecond, because 0 means no timeout.
    let block = option::of(1..u32::MAX).prop_map(|ms| match ms {
        Some(ms) => (Block::For(Duration::from_millis(ms.into())), ms),
        None => (Block::Forever, 0),
    });
    (block, any::<u64>(), option::of(any::<bool>()))
        .prop_map(|((block, ms), replicas, local)| match local {
            None => {
                own(&Wait::new(replicas, block), Words::new("WAIT").number(replicas).number(ms))
            }
            Some(local) => {
                let words = Words::new("WAITAOF").number(u8::from(local)).number(replicas);
                own(&WaitAof::new(local, replicas, block), words.number(ms))
            }
        })
        .boxed()
}
