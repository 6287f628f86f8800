//! rustis: its multiplexed client. Its parser is called through the entry point that it has for its
//! own benches.

use super::{CONSUMER, Fields, GROUP, KEY, Peer, Resp};
use crate::server::Address;
use ::rustis::client::{BatchPreparedCommand, Client};
use ::rustis::commands::{StreamCommands, StreamEntry, XAddOptions, XReadGroupOptions};
use ::rustis::resp::BulkString;
use ::rustis::resp::bench_support::bench_decode_to;
use bytes::Bytes;

#[derive(Clone)]
pub struct Rustis(Client);

type Entry = StreamEntry<BulkString>;

fn touch<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> usize {
    let entries = entries.into_iter();
    entries
        .map(|entry| {
            let fields = entry.items.iter().map(|(name, value)| name.len() + value.len());
            fields.sum::<usize>() ^ entry.stream_id.len()
        })
        .fold(0, usize::wrapping_add)
}

impl Peer for Rustis {
    type Range = Vec<Entry>;
    type Read = Vec<(String, Vec<Entry>)>;
    type Id = String;
    type Reader = Self;

    async fn connect(at: &Address) -> Self {
        Self(Client::connect(at.url("unix")).await.expect("a server"))
    }

    async fn xadd(&mut self, fields: Fields) {
        let _id: String =
            self.0.xadd(KEY, "*", fields, XAddOptions::default()).await.expect("an id");
    }

    async fn xrange(&mut self) -> Vec<Entry> {
        self.0.xrange(KEY, "-", "+", None).await.expect("entries")
    }

    async fn xreadgroup(&mut self, count: usize) -> Self::Read {
        let options = XReadGroupOptions::default().count(count as u32);
        let read: Option<_> =
            self.0.xreadgroup(GROUP, CONSUMER, options, KEY, ">").await.expect("entries");
        read.unwrap_or_default()
    }

    async fn xack(&mut self, ids: &[String]) {
        let acked = self.0.xack(KEY, GROUP, ids).await.expect("a number");
        assert_eq!(acked, ids.len());
    }

    async fn xack_each(&mut self, ids: &[String]) {
        let mut pipeline = self.0.create_pipeline();
        for id in ids {
            pipeline.xack(KEY, GROUP, id).queue();
        }
        let acked: Vec<usize> = pipeline.execute().await.expect("numbers");
        assert_eq!(acked.iter().sum::<usize>(), ids.len());
    }

    async fn reader(at: &Address) -> Self {
        Self::connect(at).await
    }

    async fn wait(reader: &mut Self) -> Self::Read {
        let options = XReadGroupOptions::default().count(10).block(5000);
        let read: Option<_> =
            reader.0.xreadgroup(GROUP, CONSUMER, options, KEY, ">").await.expect("entries");
        read.unwrap_or_default()
    }

    fn parse_range(reply: &Bytes) -> Vec<Entry> {
        bench_decode_to(reply).expect("entries")
    }

    fn parse_read(reply: &Bytes, _: Resp) -> Self::Read {
        bench_decode_to(reply).expect("streams")
    }

    fn touch_range(range: &Vec<Entry>) -> usize {
        touch(range)
    }

    fn touch_read(read: &Self::Read) -> usize {
        touch(read.iter().flat_map(|(_, entries)| entries))
    }

    fn ids(read: &Self::Read) -> Vec<String> {
        read.iter().flat_map(|(_, entries)| entries).map(|entry| entry.stream_id.clone()).collect()
    }
}
