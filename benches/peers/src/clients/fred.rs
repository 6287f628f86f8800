//! fred: one client, whose commands are pipelined; without Nagle. Values as `Bytes`, which it does
//! not copy.

use super::{CONSUMER, Fields, GROUP, KEY, Peer, Resp};
use crate::server::Address;
use ::fred::prelude::*;
use ::fred::types::streams::{XReadResponse, XReadValue};
use ::fred::types::{Resp3Frame, Value};
use bytes::{Bytes, BytesMut};
use redis_protocol::{resp2, resp3};
use std::collections::HashMap;

#[derive(Clone)]
pub struct Fred(Client);

type Entry = XReadValue<String, String, Bytes>;

fn touch<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> usize {
    let entries = entries.into_iter();
    entries
        .map(|(id, fields)| {
            let fields = fields.iter().map(|(name, value)| name.len() + value.len());
            fields.sum::<usize>() ^ id.len()
        })
        .fold(0, usize::wrapping_add)
}

/// Decodes like its codec: decoded bytes are split off the read buffer, not copied.
fn frame(reply: &Bytes, resp: Resp) -> Resp3Frame {
    let mut bytes = BytesMut::from(&reply[..]);
    match resp {
        Resp::Two => {
            let (frame, _, _) =
                resp2::decode::decode_bytes_mut(&mut bytes).expect("RESP2").expect("a frame");
            frame.into_resp3()
        }
        Resp::Three => {
            let decoded = resp3::decode::streaming::decode_bytes_mut(&mut bytes);
            let (frame, _, _) = decoded.expect("RESP3").expect("a frame");
            frame.into_complete_frame().expect("a whole frame")
        }
    }
}

impl Peer for Fred {
    type Range = Vec<Entry>;
    type Read = XReadResponse<String, String, String, Bytes>;
    type Id = String;
    type Reader = Self;

    async fn connect(at: &Address) -> Self {
        let config = Config::from_url(&at.url("redis+unix")).expect("a URL");
        let mut builder = Builder::from_config(config);
        builder.with_connection_config(|config| config.tcp.nodelay = Some(true));
        let client = builder.build().expect("settings");
        client.init().await.expect("a server");
        Self(client)
    }

    async fn xadd(&mut self, fields: Fields) {
        let _id: String =
            self.0.xadd(KEY, false, None::<()>, "*", fields.to_vec()).await.expect("an id");
    }

    async fn xrange(&mut self) -> Vec<Entry> {
        self.0.xrange_values(KEY, "-", "+", None).await.expect("entries")
    }

    async fn xreadgroup(&mut self, count: usize) -> Self::Read {
        let read =
            self.0.xreadgroup_map(GROUP, CONSUMER, Some(count as u64), None, false, KEY, ">").await;
        read.unwrap_or_else(|_| HashMap::new())
    }

    async fn xack(&mut self, ids: &[String]) {
        let acked: usize = self.0.xack(KEY, GROUP, ids.to_vec()).await.expect("a number");
        assert_eq!(acked, ids.len());
    }

    async fn xack_each(&mut self, ids: &[String]) {
        let pipeline = self.0.pipeline();
        for id in ids {
            let () = pipeline.xack(KEY, GROUP, id.as_str()).await.expect("it is queued");
        }
        let acked: Vec<usize> = pipeline.all().await.expect("numbers");
        assert_eq!(acked.iter().sum::<usize>(), ids.len());
    }

    async fn reader(at: &Address) -> Self {
        Self::connect(at).await
    }

    async fn wait(reader: &mut Self) -> Self::Read {
        let read =
            reader.0.xreadgroup_map(GROUP, CONSUMER, Some(10), Some(5000), false, KEY, ">").await;
        read.unwrap_or_else(|_| HashMap::new())
    }

    fn parse_range(reply: &Bytes) -> Vec<Entry> {
        let value = Value::try_from(frame(reply, Resp::Three)).expect("a value");
        value.into_xread_value().expect("entries")
    }

    fn parse_read(reply: &Bytes, resp: Resp) -> Self::Read {
        let value = Value::try_from(frame(reply, resp)).expect("a value");
        value.into_xread_response().expect("streams")
    }

    fn touch_range(range: &Vec<Entry>) -> usize {
        touch(range)
    }

    fn touch_read(read: &Self::Read) -> usize {
        touch(read.values().flatten())
    }

    fn ids(read: &Self::Read) -> Vec<String> {
        read.values().flatten().map(|(id, _)| id.clone()).collect()
    }
}
