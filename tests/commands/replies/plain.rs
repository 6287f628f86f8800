//! Small replies: counts, booleans, ids, `OK`, texts, outcomes.

use super::law;
use super::node::Node;
use crate::any::{bytes, count, id, line};
use bourn::resp::{DecodeError, Frame, Value};
use bourn::{
    Auth, ClientGetName, ClientId, ClientKill, ClientNoEvict, ClientPause, ClientSetName,
    ClientUnblock, ClientUnpause, Command, DedicatedCommand, Del, DeleteOutcome, Echo, Exists,
    Expire, FromReplica, KeyType, PExpire, Ping, PingText, Raw, Type, Unlink, Wait, WaitAof, XAck,
    XAckDel, XAdd, XAddNoMkStream, XCfgSet, XDel, XDelEx, XGroupCreate, XGroupCreateConsumer,
    XGroupCreateIfMissing, XGroupDelConsumer, XGroupDestroy, XGroupHelp, XGroupSetId, XIdmpRecord,
    XInfoHelp, XLen, XNack, XSetId, XTrim,
};
use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

type Decode<R> = fn(Frame) -> Result<R, DecodeError>;

#[test]
fn integer_replies_decode_to_counts() {
    let decoders: [Decode<u64>; 12] = [
        XAck::reply,
        XDel::reply,
        XGroupDelConsumer::reply,
        XLen::reply,
        FromReplica::<XLen<'_>>::reply,
        XNack::reply,
        XTrim::reply,
        Del::reply,
        Unlink::reply,
        Exists::reply,
        ClientKill::reply,
        Wait::dedicated_reply,
    ];
    for decode in decoders {
        law(decode, count(), |n| Node::count(*n), |n| n);
    }
    law(ClientId::reply, any::<i64>(), |id| Node::Integer(*id), |id| id);
}

#[test]
fn one_is_true_and_zero_is_false() {
    let decoders: [Decode<bool>; 5] = [
        XGroupCreateConsumer::reply,
        XGroupDestroy::reply,
        Expire::reply,
        PExpire::reply,
        ClientUnblock::reply,
    ];
    for decode in decoders {
        law(decode, any::<bool>(), |done| Node::Integer(i64::from(*done)), |done| done);
    }
}

#[test]
fn ok_decodes_to_unit() {
    let decoders: [Decode<()>; 10] = [
        XGroupCreate::reply,
        XGroupSetId::reply,
        XCfgSet::reply,
        XSetId::reply,
        XIdmpRecord::reply,
        ClientPause::reply,
        ClientUnpause::reply,
        ClientSetName::dedicated_reply,
        ClientNoEvict::dedicated_reply,
        Auth::dedicated_reply,
    ];
    for decode in decoders {
        law(decode, Just(()), |()| Node::simple("OK"), |()| ());
    }
    law(XGroupCreateIfMissing::reply, Just(true), |_| Node::simple("OK"), |created| created);
    law(Ping::reply, Just(()), |()| Node::simple("PONG"), |()| ());
}

#[test]
fn xadd_returns_an_id() {
    law(XAdd::reply, id(), |id| Node::id(*id), |id| id);
    law(XAddNoMkStream::reply, option::of(id()), |id| Node::or_null(*id, Node::id), |id| id);
}

#[test]
fn texts_decode_unchanged() {
    let decoders: [Decode<Bytes>; 2] = [Echo::reply, PingText::reply];
    for decode in decoders {
        law(decode, bytes(), |text| Node::Text(text.clone()), |text| text.to_vec());
    }
    let names = option::of(bytes().prop_filter("an empty name is null", |name| !name.is_empty()));
    law(
        ClientGetName::reply,
        names,
        |name| Node::or_null(name.as_ref(), Node::bulk),
        |name| name.map(|name| name.to_vec()),
    );
    let types = prop_oneof![
        Just(b"none".to_vec()),
        Just(b"stream".to_vec()),
        Just(b"hash".to_vec()),
        line(),
    ];
    law(
        Type::reply,
        types,
        |name| Node::simple(name),
        |of| match of {
            KeyType::None => b"none".to_vec(),
            KeyType::Stream => b"stream".to_vec(),
            KeyType::Other(name) => {
                assert!(name != "none" && name != "stream");
                name.to_vec()
            }
            other => panic!("{other:?}"),
        },
    );
}

#[test]
fn help_decodes_to_lines() {
    let decoders: [Decode<Vec<String>>; 2] = [XGroupHelp::reply, XInfoHelp::reply];
    for decode in decoders {
        law(
            decode,
            vec("[^\r\n]{0,20}", 0..12),
            |lines| Node::list(lines, |line| Node::simple(line)),
            |lines| lines,
        );
    }
}

#[test]
fn each_id_has_its_outcome() {
    let decoders: [Decode<Vec<DeleteOutcome>>; 2] = [XAckDel::reply, XDelEx::reply];
    let code = || prop_oneof![-1..3i64, any::<i64>()];
    for decode in decoders {
        law(
            decode,
            vec(code(), 0..40),
            |codes| Node::list(codes, |code| Node::Integer(*code)),
            |outcomes| {
                let codes = outcomes.into_iter().map(|outcome| match outcome {
                    DeleteOutcome::Deleted => 1,
                    DeleteOutcome::Missing => -1,
                    DeleteOutcome::StillReferenced => 2,
                    DeleteOutcome::Other(code) => {
                        assert!(![1, -1, 2].contains(&code));
                        code
                    }
                    other => panic!("{other:?}"),
                });
                codes.collect()
            },
        );
    }
}

#[test]
fn waitaof_decodes_local_and_replica_counts() {
    law(
        WaitAof::dedicated_reply,
        (any::<bool>(), count()),
        |(local, replicas)| {
            Node::Tuple(vec![Node::Integer(i64::from(*local)), Node::count(*replicas)])
        },
        |said| (said.local, said.replicas),
    );
}

#[test]
fn raw_reply_decodes_to_a_value_tree() {
    law(
        Raw::reply,
        bytes(),
        |text| Node::bulk(text),
        |value| match value.described() {
            Value::Bulk(text) => text.clone(),
            other => panic!("{other:?}"),
        },
    );
}
