//! The server's own documentation of streams (COMMAND DOCS): every documented command and token can
//! be sent.

use crate::both::{in_both, refusal};
use bourn::command::{encode, encode_read};
use bourn::resp::{Limits, Value};
use bourn::{
    Command, EntryId, GroupFrom, NackMode, Raw, ReadFrom, Refs, StartAt, Trim, XAck, XAckDel, XAdd,
    XAutoClaim, XCfgSet, XClaim, XDel, XDelEx, XGroupCreate, XGroupCreateConsumer,
    XGroupDelConsumer, XGroupDestroy, XGroupHelp, XGroupSetId, XIdmpRecord, XInfoConsumers,
    XInfoGroups, XInfoHelp, XInfoStream, XLen, XNack, XPending, XRange, XRead, XReadGroup,
    XRevRange, XSetId, XTrim,
};
use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

const ID: EntryId = EntryId::new(1, 2);
const MS: Duration = Duration::from_millis(1);

/// Requests of every command, with every option. No key, name or value equals a Redis token.
fn requests() -> Vec<Vec<u8>> {
    fn of<C: Command>(commands: impl IntoIterator<Item = C>) -> Vec<Vec<u8>> {
        commands.into_iter().map(|command| encode(&command)).collect()
    }
    let one = 1;
    let refs = || [Refs::Keep, Refs::Delete, Refs::Acked];
    let add = || XAdd::new("k").field("f", "v");
    let claim = || XClaim::new("k", "g", "c", MS, ID);
    let auto = || XAutoClaim::new("k", "g", "c", MS, ID).count(one);
    let read = XRead::new().stream("k", ReadFrom::Last).count(1).max_count(one).max_size(one);
    let group = XReadGroup::new("g", "c").stream("k", GroupFrom::New).count(1).max_count(one);
    let modes = [NackMode::Silent, NackMode::Fail, NackMode::Fatal];
    let reads = [encode_read(&read.block(MS)), {
        encode_read(&group.max_size(one).claim(MS).no_ack().block(MS))
    }];
    [
        reads.to_vec(),
        of([add().trim(Trim::max_len(1)), add().trim(Trim::min_id(ID).limit(1))]),
        of(refs().map(|refs| add().refs(refs))),
        of([add().idmp("p", "i"), add().idmp_auto("p")]),
        of([add().no_mk_stream()]),
        of([XTrim::new("k", Trim::max_len(1)), XTrim::new("k", Trim::min_id(ID).limit(1))]),
        of(refs().map(|refs| XTrim::new("k", Trim::max_len(1)).refs(refs))),
        of([XAck::new("k", "g", ID)]),
        of(refs().map(|refs| XAckDel::new("k", "g", ID).refs(refs))),
        of([XDel::new("k", ID)]),
        of(refs().map(|refs| XDelEx::new("k", ID).refs(refs))),
        of([auto()]),
        of([auto().just_id()]),
        of([claim().idle(MS).retry_count(1).force().last_id(ID), claim().time(SystemTime::now())]),
        of([claim().just_id()]),
        of(modes.map(|mode| XNack::new("k", "g", mode, ID).retry_count(1).force())),
        of([XCfgSet::new("k").idmp_duration(MS).idmp_max_size(1)]),
        of([XIdmpRecord::new("k", "p", "i", ID)]),
        of([XSetId::new("k", ID).entries_added(1).max_deleted_id(ID)]),
        of([XGroupCreate::new("k", "g", StartAt::End).mk_stream().entries_read(1)]),
        of([XGroupSetId::new("k", "g", StartAt::End).entries_read(1)]),
        of([XGroupCreateConsumer::new("k", "g", "c")]),
        of([XGroupDelConsumer::new("k", "g", "c")]),
        of([XGroupDestroy::new("k", "g")]),
        of([XGroupHelp::new()]),
        of([XInfoStream::new("k").full().count(1)]),
        of([XInfoStream::new("k")]),
        of([XInfoGroups::new("k")]),
        of([XInfoConsumers::new("k", "g")]),
        of([XInfoHelp::new()]),
        of([XLen::new("k")]),
        of([XPending::new("k", "g")]),
        of([XPending::new("k", "g").range(.., 1).idle(MS).consumer("c")]),
        of([XRange::new("k", ..).count(1)]),
        of([XRevRange::new("k", ..).count(1)]),
    ]
    .concat()
}

/// Returns the words of a request.
fn words(request: &[u8]) -> Vec<String> {
    let (value, _) = Value::parse(request, Limits::default()).unwrap().unwrap();
    let words = value.as_list().unwrap().iter();
    words.map(|word| word.as_str().unwrap().to_ascii_uppercase()).collect()
}

/// Returns a part of a command's documentation by its name.
fn part<'v>(docs: &'v Value, name: &str) -> Option<&'v Value> {
    docs.as_list()?.pairs().find(|(key, _)| key.as_str() == Some(name)).map(|(_, part)| part)
}

/// Collects the tokens of these arguments and of their nested arguments.
fn tokens(arguments: Option<&Value>, found: &mut BTreeSet<String>) {
    for argument in arguments.and_then(Value::as_list).into_iter().flat_map(|list| list.iter()) {
        let token = part(argument, "token").and_then(Value::as_str);
        found.extend(token.map(str::to_ascii_uppercase));
        tokens(part(argument, "arguments"), found);
    }
}

/// Returns each documented stream command, its words separated by blanks, and its tokens.
fn documented(docs: &Value) -> Vec<(String, BTreeSet<String>)> {
    let mut all = Vec::new();
    for (name, docs) in docs.as_list().unwrap().pairs() {
        if part(docs, "group").and_then(Value::as_str) != Some("stream") {
            continue;
        }
        let forms = part(docs, "subcommands").and_then(Value::as_list);
        let forms: Vec<_> = match forms {
            Some(forms) => forms.pairs().collect(),
            None => vec![(name, docs)],
        };
        for (name, docs) in forms {
            let mut found = BTreeSet::new();
            tokens(part(docs, "arguments"), &mut found);
            let name = name.as_str().unwrap().to_ascii_uppercase().replace('|', " ");
            all.push((name, found));
        }
    }
    all
}

#[test]
fn every_command_and_token_that_the_server_documents_can_be_sent() {
    in_both(async |server, client| {
        let docs = client.send(Raw::new("COMMAND DOCS")).await;
        if !server.redis_at_least(7, 0) {
            assert!(refusal(docs).starts_with("ERR Unknown subcommand"));
            return;
        }
        let documented = documented(&docs.unwrap());
        assert!(documented.len() > 20, "{documented:?}");
        let requests: Vec<_> = requests().iter().map(|request| words(request)).collect();
        let mut missing = Vec::new();
        let mut count = 0;
        for (name, tokens) in &documented {
            let name: Vec<_> = name.split(' ').map(str::to_owned).collect();
            let ours: Vec<_> = requests
                .iter()
                .filter_map(|words| words.strip_prefix(name.as_slice()).map(<[_]>::to_vec))
                .collect();
            if ours.is_empty() {
                missing.push(name.join(" "));
            }
            count += tokens.len();
            let sent = |token: &String| ours.iter().any(|words| words.contains(token));
            let unsent = tokens.iter().filter(|token| !sent(token));
            missing.extend(unsent.map(|token| format!("{} {token}", name.join(" "))));
        }
        println!("{} commands and {count} tokens, all of them can be sent", documented.len());
        assert!(missing.is_empty(), "cannot be sent: {missing:?}");
    });
}
