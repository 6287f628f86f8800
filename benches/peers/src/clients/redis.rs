//! redis-rs, in either version: `MultiplexedConnection`, without Nagle and without a response
//! timeout.

/// Defines a client of this name for this crate.
macro_rules! client {
    ($name:ident, $redis:ident) => {
        use super::{CONSUMER, Fields, GROUP, KEY, Peer, Resp};
        use crate::server::Address;
        use bytes::Bytes;
        use $redis::aio::MultiplexedConnection;
        use $redis::io::tcp::TcpSettings;
        use $redis::streams::{StreamId, StreamRangeReply, StreamReadOptions, StreamReadReply};
        use $redis::{
            AsyncCommands, AsyncConnectionConfig, Client, IntoConnectionInfo, Value,
            from_redis_value, parse_redis_value, pipe,
        };

        #[derive(Clone)]
        pub struct $name(MultiplexedConnection);

        fn touch<'a>(entries: impl IntoIterator<Item = &'a StreamId>) -> usize {
            let entries = entries.into_iter();
            entries
                .map(|entry| {
                    let fields = entry.map.iter().map(|(name, value)| match value {
                        Value::BulkString(value) => name.len() + value.len(),
                        _ => name.len(),
                    });
                    fields.sum::<usize>() ^ entry.id.len()
                })
                .fold(0, usize::wrapping_add)
        }

        impl Peer for $name {
            type Range = StreamRangeReply;
            type Read = StreamReadReply;
            type Id = String;
            type Reader = Self;

            async fn connect(at: &Address) -> Self {
                let info = at.url("redis+unix").into_connection_info().expect("a URL");
                let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
                let client = Client::open(info).expect("settings");
                let config = AsyncConnectionConfig::new().set_response_timeout(None);
                let connection = client.get_multiplexed_async_connection_with_config(&config).await;
                Self(connection.expect("a server"))
            }

            async fn xadd(&mut self, fields: Fields) {
                let _id: String = self.0.xadd(KEY, "*", fields).await.expect("an id");
            }

            async fn xrange(&mut self) -> StreamRangeReply {
                self.0.xrange_all(KEY).await.expect("entries")
            }

            async fn xreadgroup(&mut self, count: usize) -> StreamReadReply {
                let options = StreamReadOptions::default().group(GROUP, CONSUMER).count(count);
                let read: Option<_> =
                    self.0.xread_options(&[KEY], &[">"], &options).await.expect("entries");
                read.unwrap_or_default()
            }

            async fn xack(&mut self, ids: &[String]) {
                let acked: usize = self.0.xack(KEY, GROUP, ids).await.expect("a number");
                assert_eq!(acked, ids.len());
            }

            async fn xack_each(&mut self, ids: &[String]) {
                let mut pipe = pipe();
                for id in ids {
                    pipe.xack(KEY, GROUP, std::slice::from_ref(id));
                }
                let acked: Vec<usize> = pipe.query_async(&mut self.0).await.expect("numbers");
                assert_eq!(acked.iter().sum::<usize>(), ids.len());
            }

            async fn reader(at: &Address) -> Self {
                Self::connect(at).await
            }

            async fn wait(reader: &mut Self) -> StreamReadReply {
                let options =
                    StreamReadOptions::default().group(GROUP, CONSUMER).count(10).block(5000);
                let read: Option<_> =
                    reader.0.xread_options(&[KEY], &[">"], &options).await.expect("entries");
                read.unwrap_or_default()
            }

            fn parse_range(reply: &Bytes) -> StreamRangeReply {
                from_redis_value(parse_redis_value(reply).expect("a value")).expect("entries")
            }

            fn parse_read(reply: &Bytes, _: Resp) -> StreamReadReply {
                from_redis_value(parse_redis_value(reply).expect("a value")).expect("streams")
            }

            fn touch_range(range: &StreamRangeReply) -> usize {
                touch(&range.ids)
            }

            fn touch_read(read: &StreamReadReply) -> usize {
                touch(read.keys.iter().flat_map(|key| &key.ids))
            }

            fn ids(read: &StreamReadReply) -> Vec<String> {
                read.keys.iter().flat_map(|key| &key.ids).map(|entry| entry.id.clone()).collect()
            }
        }
    };
}

pub(super) use client;
