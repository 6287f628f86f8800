//! XREAD and XREADGROUP, blocking or not.

use super::{Case, Words, case, with};
use crate::any::{bytes, id, positive, time};
use bourn::command::encode_read;
use bourn::{Blocking, BlockingCommand, EntryId, GroupFrom, ReadFrom, XRead, XReadGroup};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::time::Duration;

/// COUNT, MAXCOUNT and MAXSIZE, and BLOCK: absent, 0 (no timeout), or some time.
type ReadOptions = (Option<u64>, Option<u64>, Option<u64>, Option<u32>);

fn read_options() -> impl Strategy<Value = ReadOptions> {
    let limits = (option::of(any::<u64>()), option::of(positive()), option::of(positive()));
    (limits, option::of(any::<u32>())).prop_map(|((a, b, c), block)| (a, b, c, block))
}

fn read_words(words: Words, (count, max_count, max_size, block): ReadOptions) -> Words {
    words
        .option(count, |words, n| words.add("COUNT").number(n))
        .option(max_count, |words, n| words.add("MAXCOUNT").number(n))
        .option(max_size, |words, n| words.add("MAXSIZE").number(n))
        .option(block, |words, ms| words.add("BLOCK").number(ms))
}

fn blocking<C>(read: &Blocking<C>, words: Words) -> Case
where
    Blocking<C>: BlockingCommand,
{
    (encode_read(read), words.0)
}

fn first_key<F>(streams: &[(Vec<u8>, F)]) -> &[u8] {
    streams.first().map_or(&[], |(key, _)| key)
}

fn stream_words<F>(words: Words, streams: &[(Vec<u8>, (F, String))]) -> Words {
    let words = streams.iter().fold(words.add("STREAMS"), |words, (key, _)| words.add(key));
    streams.iter().fold(words, |words, (_, (_, from))| words.add(from))
}

pub(super) fn xread() -> impl Strategy<Value = Case> {
    let from = prop_oneof![
        id().prop_map(|id| (ReadFrom::After(id), format!("{}-{}", id.ms(), id.seq()))),
        Just((ReadFrom::End, "$".to_owned())),
        Just((ReadFrom::Last, "+".to_owned())),
    ];
    (read_options(), vec((bytes(), from), 1..8)).prop_map(|(options, streams)| {
        let (count, max_count, max_size, block) = options;
        let read =
            streams.iter().fold(XRead::new(), |read, (key, (from, _))| read.stream(key, *from));
        let read = with(read, count, XRead::count);
        let read = with(read, max_count, XRead::max_count);
        let read = with(read, max_size, XRead::max_size);
        let words = stream_words(read_words(Words::new("XREAD"), options), &streams);
        match block {
            None => case(&read, first_key(&streams), words),
            Some(0) => blocking(&read.block_forever(), words),
            Some(ms) => blocking(&read.block(Duration::from_millis(ms.into())), words),
        }
    })
}

pub(super) fn xreadgroup() -> impl Strategy<Value = Case> {
    let from = prop_oneof![
        id().prop_map(|id| {
            // The last possible id would be `>`.
            let sent = if id == EntryId::MAX { id.prev().expect("there is one") } else { id };
            (GroupFrom::Pending(id), format!("{}-{}", sent.ms(), sent.seq()))
        }),
        Just((GroupFrom::New, ">".to_owned())),
    ];
    let options = (read_options(), option::of(time()), any::<bool>());
    (bytes(), bytes(), options, vec((bytes(), from), 1..8)).prop_map(
        |(group, consumer, (options, claim, no_ack), streams)| {
            let (count, max_count, max_size, block) = options;
            let read = streams
                .iter()
                .fold(XReadGroup::new(&group, &consumer), |read, (key, (from, _))| {
                    read.stream(key, *from)
                });
            let read = with(read, count, XReadGroup::count);
            let read = with(read, max_count, XReadGroup::max_count);
            let read = with(read, max_size, XReadGroup::max_size);
            let read = with(read, claim, |read, (time, _)| read.claim(time));
            let read = if no_ack { read.no_ack() } else { read };
            let words = Words::new("XREADGROUP GROUP").add(&group).add(&consumer);
            let words = read_words(words, options)
                .option(claim, |words, (_, ms)| words.add("CLAIM").number(ms))
                .flag(no_ack, "NOACK");
            let words = stream_words(words, &streams);
            match block {
                None => case(&read, first_key(&streams), words),
                Some(0) => blocking(&read.block_forever(), words),
                Some(ms) => blocking(&read.block(Duration::from_millis(ms.into())), words),
            }
        },
    )
}
