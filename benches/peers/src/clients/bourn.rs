//! bourn, with the default settings. Replies are read in place.

use super::{CONSUMER, Fields, GROUP, KEY, Peer, Resp};
use crate::server::Address;
use ::bourn::resp::{Frame, Limits};
use ::bourn::{
    Client, Command, Config, Entries, EntryId, GroupFrom, Reader, Streams, XAck, XAdd, XRange,
    XReadGroup,
};
use bytes::Bytes;
use std::time::Duration;

#[derive(Clone)]
pub struct Bourn(Client);

fn config(at: &Address) -> Config {
    match at {
        Address::Tcp(port) => Config::tcp("127.0.0.1", *port),
        Address::Unix(path) => Config::unix(path),
    }
}

fn touch<'a>(entries: impl IntoIterator<Item = ::bourn::EntryRef<'a>>) -> usize {
    let entries = entries.into_iter();
    entries
        .map(|entry| {
            let fields = entry.fields().map(|(name, value)| name.len() + value.len());
            fields.sum::<usize>() ^ (entry.id().ms() as usize)
        })
        .fold(0, usize::wrapping_add)
}

impl Peer for Bourn {
    type Range = Entries;
    type Read = Streams;
    type Id = EntryId;
    type Reader = Reader;

    async fn connect(at: &Address) -> Self {
        Self(Client::connect(config(at)).await.expect("a server"))
    }

    async fn xadd(&mut self, fields: Fields) {
        let add = XAdd::new(KEY).fields(fields.iter().copied());
        let _id: EntryId = self.0.send(add).await.expect("an id");
    }

    async fn xrange(&mut self) -> Entries {
        self.0.send(XRange::new(KEY, ..)).await.expect("entries")
    }

    async fn xreadgroup(&mut self, count: usize) -> Streams {
        let read = XReadGroup::new(GROUP, CONSUMER).stream(KEY, GroupFrom::New);
        self.0.send(read.count(count as u64)).await.expect("entries")
    }

    async fn xack(&mut self, ids: &[EntryId]) {
        let acked = self.0.send(XAck::new(KEY, GROUP, ids)).await.expect("a number");
        assert_eq!(acked, ids.len() as u64);
    }

    async fn xack_each(&mut self, ids: &[EntryId]) {
        let acks = ids.iter().map(|id| XAck::new(KEY, GROUP, *id));
        for acked in self.0.send_all(acks).await {
            assert_eq!(acked.expect("a number"), 1);
        }
    }

    async fn reader(at: &Address) -> Reader {
        let client = Client::connect(config(at)).await.expect("a server");
        client.reader().await.expect("a connection")
    }

    async fn wait(reader: &mut Reader) -> Streams {
        let read = XReadGroup::new(GROUP, CONSUMER).stream(KEY, GroupFrom::New).count(10);
        reader.read(read.block(Duration::from_secs(5))).await.expect("entries")
    }

    fn parse_range(reply: &Bytes) -> Entries {
        let frame = Frame::parse(reply.clone(), Limits::default()).expect("a frame");
        XRange::reply(frame).expect("entries")
    }

    fn parse_read(reply: &Bytes, _: Resp) -> Streams {
        let frame = Frame::parse(reply.clone(), Limits::default()).expect("a frame");
        XReadGroup::reply(frame).expect("streams")
    }

    fn touch_range(range: &Entries) -> usize {
        touch(range)
    }

    fn touch_read(read: &Streams) -> usize {
        touch(read.iter())
    }

    fn ids(read: &Streams) -> Vec<EntryId> {
        read.iter().map(|entry| entry.id()).collect()
    }
}
